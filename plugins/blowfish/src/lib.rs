//! Blowfish in CBC mode (RFC 2451), for peers that have nothing better.
//!
//! A block has 64 bits, so ciphertexts of one key begin to tell about each other after some gigabytes (Sweet32).
//! `rekey_bytes` is the remedy, or another cipher.

use std::sync::Arc;

use ::blowfish::Blowfish;
use iana::EncryptionAlgorithm;
use modes::Cbc;
use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "blowfish", features: features }

/// What the plugin offers: keys of 128, 192 and 256 bits, which are those that proposals have keywords for.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let algorithm = EncryptionAlgorithm::BLOWFISH_CBC;
    [16, 24, 32]
        .map(|octets| {
            let cipher = Cbc::<Blowfish>::with_key_len(usize::from(octets));
            Feature::cipher(algorithm, octets, cipher)
        })
        .into()
}
