//! FrodoKEM as submitted to NIST's third round, in Rust.
//!
//! The standard now calls this form eFrodoKEM, `e` for ephemeral: a key pair is for one ciphertext, as IKEv2 uses it. What it
//! calls FrodoKEM has a salt in its ciphertexts, which peers that know these methods do not expect.

mod frodo;

use std::sync::Arc;

use frodo_kem_rs::Algorithm;
use iana::KeyExchangeMethod;
use plugin_api::{Feature, FeatureName, Host, KemExchange, RandomQuality};

pub use frodo::Frodo;

plugin_api::export_plugin! { name: "frodo", features: features }

/// The KEMs: method, name in log lines, keyword in proposals, the crate's name.
#[rustfmt::skip] // one line a KEM
pub const KEMS: &[(KeyExchangeMethod, &str, &str, Algorithm)] = &[
    (KeyExchangeMethod::FRODO_AES_L1, "FRODO_AES_L1", "frodoa1", Algorithm::EphemeralFrodoKem640Aes),
    (KeyExchangeMethod::FRODO_AES_L3, "FRODO_AES_L3", "frodoa3", Algorithm::EphemeralFrodoKem976Aes),
    (KeyExchangeMethod::FRODO_AES_L5, "FRODO_AES_L5", "frodoa5", Algorithm::EphemeralFrodoKem1344Aes),
    (KeyExchangeMethod::FRODO_SHAKE_L1, "FRODO_SHAKE_L1", "frodos1", Algorithm::EphemeralFrodoKem640Shake),
    (KeyExchangeMethod::FRODO_SHAKE_L3, "FRODO_SHAKE_L3", "frodos3", Algorithm::EphemeralFrodoKem976Shake),
    (KeyExchangeMethod::FRODO_SHAKE_L5, "FRODO_SHAKE_L5", "frodos5", Algorithm::EphemeralFrodoKem1344Shake),
];

/// What the plugin offers: the KEMs.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    KEMS.iter()
        .map(|&(method, name, keyword, algorithm)| {
            // Randomness comes from the operating system itself; the RNG only has to come first.
            Feature::key_exchange(method.0, name, keyword, KemExchange::new(Frodo::new(algorithm)))
                .soft_depends(FeatureName::Random(RandomQuality::Strong))
        })
        .collect()
}
