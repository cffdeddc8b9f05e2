//! AES in CBC mode.

use std::sync::Arc;

use ::aes::{Aes128, Aes192, Aes256};
use iana::EncryptionAlgorithm;
use modes::Cbc;
use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "aes", features: features }

/// What the plugin offers: AES-CBC with keys of 128, 192 and 256 bits.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let algorithm = EncryptionAlgorithm::AES_CBC;
    vec![
        Feature::cipher(algorithm, 16, Cbc::<Aes128>::new()),
        Feature::cipher(algorithm, 24, Cbc::<Aes192>::new()),
        Feature::cipher(algorithm, 32, Cbc::<Aes256>::new()),
    ]
}
