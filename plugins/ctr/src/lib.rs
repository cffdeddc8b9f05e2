//! AES in counter mode (RFC 3686, RFC 5930).

use std::sync::Arc;

use aes::{Aes128, Aes192, Aes256};
use iana::EncryptionAlgorithm;
use modes::Ctr;
use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "ctr", features: features }

/// What the plugin offers: AES-CTR with keys of 128, 192 and 256 bits.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let algorithm = EncryptionAlgorithm::AES_CTR;
    vec![
        Feature::cipher(algorithm, 16, Ctr::<Aes128>::new()),
        Feature::cipher(algorithm, 24, Ctr::<Aes192>::new()),
        Feature::cipher(algorithm, 32, Ctr::<Aes256>::new()),
    ]
}
