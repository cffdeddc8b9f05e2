//! Configuration files to plain data.
//!
//! Connections of every source end up in the types of [`connection`]; `ike` consumes them and knows no file format.

pub mod attribute;
pub mod authentication;
pub mod connection;
pub mod demand;
mod dn;
pub mod encoded;
pub mod exposed;
pub mod identity;
mod include;
pub mod ipsec_conf;
pub mod ipsec_secrets;
pub mod kernel;
pub mod octets;
pub mod options;
pub mod secret;
pub mod selector;
mod services;
pub mod settings;
pub mod spelling;
pub mod strongswan_conf;
pub mod swanctl_conf;
pub mod time;
pub mod words;
