//! ChaCha20-Poly1305 (RFC 7634) by the chacha20poly1305 crate.

mod chapoly;

use std::sync::Arc;

use iana::EncryptionAlgorithm;
use plugin_api::{Feature, Host};

pub use crate::chapoly::ChaPoly;

plugin_api::export_plugin! { name: "chapoly", features: features }

/// What the plugin offers: the AEAD.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![Feature::aead(EncryptionAlgorithm::CHACHA20_POLY1305, 32, ChaPoly)]
}
