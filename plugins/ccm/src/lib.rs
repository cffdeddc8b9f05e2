//! AES-CCM (RFC 4309, RFC 5282).

use std::sync::Arc;

use aes::cipher::consts::{U8, U12, U16};
use aes::{Aes128, Aes192, Aes256};
use iana::EncryptionAlgorithm;
use modes::Ccm;
use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "ccm", features: features }

/// What the plugin offers: AES-CCM with tags of 16, 12 and 8 octets and keys of 128, 192 and 256 bits.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let (ccm_16, ccm_12, ccm_8) = (
        EncryptionAlgorithm::AES_CCM_16,
        EncryptionAlgorithm::AES_CCM_12,
        EncryptionAlgorithm::AES_CCM_8,
    );
    vec![
        Feature::aead(ccm_16, 16, Ccm::<Aes128, U16>::new()),
        Feature::aead(ccm_16, 24, Ccm::<Aes192, U16>::new()),
        Feature::aead(ccm_16, 32, Ccm::<Aes256, U16>::new()),
        Feature::aead(ccm_12, 16, Ccm::<Aes128, U12>::new()),
        Feature::aead(ccm_12, 24, Ccm::<Aes192, U12>::new()),
        Feature::aead(ccm_12, 32, Ccm::<Aes256, U12>::new()),
        Feature::aead(ccm_8, 16, Ccm::<Aes128, U8>::new()),
        Feature::aead(ccm_8, 24, Ccm::<Aes192, U8>::new()),
        Feature::aead(ccm_8, 32, Ccm::<Aes256, U8>::new()),
    ]
}
