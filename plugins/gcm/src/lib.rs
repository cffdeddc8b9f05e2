//! AES-GCM (RFC 4106, RFC 5282).

use std::sync::Arc;

use aes::cipher::consts::{U8, U12, U16};
use aes::{Aes128, Aes192, Aes256};
use iana::EncryptionAlgorithm;
use modes::Gcm;
use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "gcm", features: features }

/// What the plugin offers: AES-GCM with tags of 16, 12 and 8 octets and keys of 128, 192 and 256 bits.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let (gcm_16, gcm_12, gcm_8) = (
        EncryptionAlgorithm::AES_GCM_16,
        EncryptionAlgorithm::AES_GCM_12,
        EncryptionAlgorithm::AES_GCM_8,
    );
    vec![
        Feature::aead(gcm_16, 16, Gcm::<Aes128, U16>::new()),
        Feature::aead(gcm_16, 24, Gcm::<Aes192, U16>::new()),
        Feature::aead(gcm_16, 32, Gcm::<Aes256, U16>::new()),
        Feature::aead(gcm_12, 16, Gcm::<Aes128, U12>::new()),
        Feature::aead(gcm_12, 24, Gcm::<Aes192, U12>::new()),
        Feature::aead(gcm_12, 32, Gcm::<Aes256, U12>::new()),
        Feature::aead(gcm_8, 16, Gcm::<Aes128, U8>::new()),
        Feature::aead(gcm_8, 24, Gcm::<Aes192, U8>::new()),
        Feature::aead(gcm_8, 32, Gcm::<Aes256, U8>::new()),
    ]
}
