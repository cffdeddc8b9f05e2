//! Our daemon and strongSwan of three releases of Debian on two hosts in network namespaces: `cargo xtask test interop`.
//!
//! Every pair of a peer and a role goes through the same cells. The table of all is printed and left in
//! `target/interop.md`, the logs of both daemons in `target/interop`. Needs root and unpacked peers; without them the
//! test says so and passes, unless `CI=true`.
#![allow(
    missing_docs,
    clippy::panic,
    clippy::unwrap_used,
    reason = "everything here is test code"
)]

mod interop {
    mod cells;
    mod extensions;
    mod files;
    mod matrix;
    mod pair;
    mod scenario;
    mod setup;
    mod strongswan;
}
