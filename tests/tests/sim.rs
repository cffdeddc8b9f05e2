//! Two endpoints in a simulated network. Every failure prints the seed it happened with.
#![allow(missing_docs)]

mod sim {
    mod flood;
    mod handshake;
    mod misbehaviour;
    mod rekey;
    mod seeds;
    mod teardown;
}
