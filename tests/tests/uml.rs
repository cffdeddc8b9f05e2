//! Hosts in network namespaces of a guest whose kernel has IPsec: `cargo xtask test uml`, which boots the guest.
//!
//! Elsewhere the tests say so and pass.
#![allow(
    missing_docs,
    clippy::panic,
    clippy::unwrap_used,
    reason = "everything here is test code"
)]

#[path = "interop/strongswan.rs"]
mod strongswan;

mod uml {
    mod ah;
    mod cases;
    mod esp;
    mod host;
    mod ipcomp;
    mod kills;
    mod migration;
    mod moving;
    mod narrowing;
    mod net;
    mod pair;
    mod refusals;
    mod roaming;
    mod scenarios;
    mod scripts;
    mod setup;
    mod shunts;
    #[path = "../netns/stream.rs"]
    mod stream;
    mod tables;
    mod trap_any;
    mod wire;
}
