//! The harness of the tests that concern more than one crate.
//!
//! [`world`] is a simulated network with a clock of its own; [`crypto`] are plain algorithms, so that simulations need
//! no plugins.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "everything here is test code"
)]

pub mod counting;
pub mod crypto;
pub mod fuzz;
pub mod gateway;
pub mod kernel;
pub mod netem;
pub mod puppet;
pub mod world;
