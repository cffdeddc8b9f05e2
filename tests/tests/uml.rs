//! Hosts in network namespaces of a guest whose kernel has IPsec: `cargo xtask test uml`, which boots the guest.
//!
//! Elsewhere the tests say so and pass.
#![allow(
    missing_docs,
    clippy::panic,
    clippy::unwrap_used,
    reason = "everything here is test code"
)]

mod uml {
    mod esp;
    mod net;
    mod tables;
    mod wire;
}
