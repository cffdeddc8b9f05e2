//! AES-GCM by the aes-gcm crate.

mod gcm;

use std::sync::Arc;

use aes_gcm::aes::cipher::consts::{U8, U12, U16};
use aes_gcm::aes::{Aes128, Aes192, Aes256};
use iana::EncryptionAlgorithm;
use plugin_api::{Feature, Host};

pub use crate::gcm::{AesBlock, AesGcm};

plugin_api::export_plugin! { name: "gcm", features: features }

/// What the plugin offers: AES-GCM with tags of 16, 12 and 8 octets and keys of 128, 192 and 256 bits.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let (gcm_16, gcm_12, gcm_8) = (
        EncryptionAlgorithm::AES_GCM_16,
        EncryptionAlgorithm::AES_GCM_12,
        EncryptionAlgorithm::AES_GCM_8,
    );
    vec![
        Feature::aead(gcm_16, 16, AesGcm::<Aes128, U16>::new()),
        Feature::aead(gcm_16, 24, AesGcm::<Aes192, U16>::new()),
        Feature::aead(gcm_16, 32, AesGcm::<Aes256, U16>::new()),
        Feature::aead(gcm_12, 16, AesGcm::<Aes128, U12>::new()),
        Feature::aead(gcm_12, 24, AesGcm::<Aes192, U12>::new()),
        Feature::aead(gcm_12, 32, AesGcm::<Aes256, U12>::new()),
        Feature::aead(gcm_8, 16, AesGcm::<Aes128, U8>::new()),
        Feature::aead(gcm_8, 24, AesGcm::<Aes192, U8>::new()),
        Feature::aead(gcm_8, 32, AesGcm::<Aes256, U8>::new()),
    ]
}
