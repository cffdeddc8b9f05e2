//! Configuration files to plain data.
//!
//! Connections of every source end up in the types of [`connection`]; `ike` consumes them and knows no file format.

pub mod connection;
mod dn;
pub mod identity;
pub mod secret;
