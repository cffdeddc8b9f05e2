//! SHA-1, for NAT detection (RFC 7296, 2.23) and the vendor's own hashes; no signature is made with it.

mod sha1;

use std::sync::Arc;

use iana::HashAlgorithm;
use plugin_api::{Feature, Host};

pub use crate::sha1::Sha1;

plugin_api::export_plugin! { name: "sha1", features: features }

/// What the plugin offers: SHA-1.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![Feature::hasher(HashAlgorithm::SHA1, Sha1)]
}
