//! Two endpoints in a simulated network. Every failure prints the seed it happened with.
#![allow(missing_docs)]

mod sim {
    mod ah;
    mod alerts;
    mod childless;
    mod demands;
    mod files;
    mod flood;
    mod generations;
    mod handshake;
    mod inactivity;
    mod ipcomp;
    mod lengths;
    mod misbehaviour;
    mod mobike;
    mod names;
    mod nat;
    mod numbers;
    mod offers;
    mod ppk;
    mod reauth;
    mod redirect;
    mod reflection;
    mod rekey;
    mod rekey_ike;
    mod reload;
    mod reload_model;
    mod restart;
    mod rules;
    mod scripts;
    mod seeds;
    mod suites;
    mod tally;
    mod teardown;
    mod transport;
    mod traps;
    mod unique;
    mod vips;
}
