//! Clients of the vici socket that are not ours, with our daemon, and ours with strongSwan's: `cargo xtask test clients`.
//!
//! Needs root and unpacked peers; without them the tests say so and pass, unless `CI=true`.
#![allow(
    missing_docs,
    clippy::panic,
    clippy::unwrap_used,
    reason = "everything here is test code"
)]

mod clients {
    mod credentials;
    mod leases;
    mod mask;
    mod pair;
    mod python;
    mod rsvici;
    #[allow(dead_code, reason = "the tests of the wire need more of it")]
    #[path = "../interop/strongswan.rs"]
    mod strongswan;
    mod swanctl;
}
