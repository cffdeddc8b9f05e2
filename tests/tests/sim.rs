//! Two endpoints in a simulated network. Every failure prints the seed it happened with.
#![allow(missing_docs)]

mod sim {
    mod alerts;
    mod flood;
    mod handshake;
    mod lengths;
    mod misbehaviour;
    mod reauth;
    mod rekey;
    mod rekey_ike;
    mod restart;
    mod rules;
    mod seeds;
    mod tally;
    mod teardown;
    mod traps;
    mod vips;
}
