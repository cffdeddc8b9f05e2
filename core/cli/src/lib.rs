//! The commands `ipsec`, `starter`, `stroke` and `swanctl`: a folder each, one file a subcommand.

#![allow(clippy::disallowed_methods)] // tools read clocks

pub mod ipsec;
pub mod paths;
pub mod process;
pub mod product;
pub mod starter;
pub mod stroke;
pub mod swanctl;
