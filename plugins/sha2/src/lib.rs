//! SHA-2.

mod sha2;

use std::sync::Arc;

use iana::HashAlgorithm;
use plugin_api::{Feature, Host};

pub use crate::sha2::Sha2;

plugin_api::export_plugin! { name: "sha2", features: features }

/// What the plugin offers: SHA-256, SHA-384 and SHA-512.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![
        Feature::hasher(HashAlgorithm::SHA2_256, Sha2::<::sha2::Sha256>::new()),
        Feature::hasher(HashAlgorithm::SHA2_384, Sha2::<::sha2::Sha384>::new()),
        Feature::hasher(HashAlgorithm::SHA2_512, Sha2::<::sha2::Sha512>::new()),
    ]
}
