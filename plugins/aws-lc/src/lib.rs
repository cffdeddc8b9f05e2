//! AES-GCM, ChaCha20-Poly1305, HMAC, SHA, X25519, ECP groups and ML-KEM by AWS-LC.
//!
//! The fast implementations: hand-written assembler, chosen by what the processor can. The plugin has the place that
//! `openssl` has in strongSwan.

mod aead;
mod agreement;
mod hash;
mod hmac;
mod ml_kem;

use std::sync::Arc;

use aws_lc_rs::{aead as aead_algorithms, agreement as groups, digest, hmac as macs, kem as kems};
use iana::{EncryptionAlgorithm, HashAlgorithm, IntegrityAlgorithm, KeyExchangeMethod, PseudoRandomFunction};
use plugin_api::{Feature, Host};

pub use aead::AwsLcAead;
pub use agreement::Agreement;
pub use hash::AwsLcHasher;
pub use hmac::{HmacIntegrity, HmacPrf};
pub use ml_kem::MlKem;

plugin_api::export_plugin! { name: "aws-lc", features: features }

/// What the plugin offers.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let mut features = aeads();
    features.extend(hmacs());
    features.extend(hashers());
    features.extend(key_exchanges());
    features
}

fn aeads() -> Vec<Feature> {
    let gcm = EncryptionAlgorithm::AES_GCM_16;
    vec![
        Feature::aead(gcm, 16, AwsLcAead::new(&aead_algorithms::AES_128_GCM)),
        Feature::aead(gcm, 24, AwsLcAead::new(&aead_algorithms::AES_192_GCM)),
        Feature::aead(gcm, 32, AwsLcAead::new(&aead_algorithms::AES_256_GCM)),
        Feature::aead(
            EncryptionAlgorithm::CHACHA20_POLY1305,
            32,
            AwsLcAead::new(&aead_algorithms::CHACHA20_POLY1305),
        ),
    ]
}

/// One line a hash function: its HMAC, the pseudo-random function, the integrity algorithms.
const HMACS: &[(macs::Algorithm, PseudoRandomFunction, &[IntegrityAlgorithm])] = &[
    (
        macs::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        PseudoRandomFunction::HMAC_SHA1,
        &[
            IntegrityAlgorithm::HMAC_SHA1_96,
            IntegrityAlgorithm::HMAC_SHA1_128,
            IntegrityAlgorithm::HMAC_SHA1_160,
        ],
    ),
    (
        macs::HMAC_SHA256,
        PseudoRandomFunction::HMAC_SHA2_256,
        &[
            IntegrityAlgorithm::HMAC_SHA2_256_96,
            IntegrityAlgorithm::HMAC_SHA2_256_128,
        ],
    ),
    (
        macs::HMAC_SHA384,
        PseudoRandomFunction::HMAC_SHA2_384,
        &[IntegrityAlgorithm::HMAC_SHA2_384_192],
    ),
    (
        macs::HMAC_SHA512,
        PseudoRandomFunction::HMAC_SHA2_512,
        &[IntegrityAlgorithm::HMAC_SHA2_512_256],
    ),
];

fn hmacs() -> Vec<Feature> {
    let mut features = Vec::new();
    for &(mac, prf, algorithms) in HMACS {
        features.push(Feature::prf(prf, HmacPrf::new(mac)));
        for &algorithm in algorithms {
            if let Some((key_len, tag_len)) = algorithm.key_and_tag_len() {
                features.push(Feature::integrity(
                    algorithm,
                    HmacIntegrity::new(mac, key_len, tag_len),
                ));
            }
        }
    }
    features
}

fn hashers() -> Vec<Feature> {
    vec![
        Feature::hasher(
            HashAlgorithm::SHA1,
            AwsLcHasher::new(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        ),
        Feature::hasher(HashAlgorithm::SHA2_256, AwsLcHasher::new(&digest::SHA256)),
        Feature::hasher(HashAlgorithm::SHA2_384, AwsLcHasher::new(&digest::SHA384)),
        Feature::hasher(HashAlgorithm::SHA2_512, AwsLcHasher::new(&digest::SHA512)),
    ]
}

/// The groups: method, name in log lines, keyword in proposals, what computes it.
pub const GROUPS: &[(KeyExchangeMethod, &str, &str, Agreement)] = &[
    (
        KeyExchangeMethod::CURVE_25519,
        "CURVE_25519",
        "curve25519",
        Agreement::montgomery(&groups::X25519, 32),
    ),
    (
        KeyExchangeMethod::ECP_256,
        "ECP_256",
        "ecp256",
        Agreement::weierstrass(&groups::ECDH_P256, 32),
    ),
    (
        KeyExchangeMethod::ECP_384,
        "ECP_384",
        "ecp384",
        Agreement::weierstrass(&groups::ECDH_P384, 48),
    ),
    (
        KeyExchangeMethod::ECP_521,
        "ECP_521",
        "ecp521",
        Agreement::weierstrass(&groups::ECDH_P521, 66),
    ),
];

/// The KEMs: method, name in log lines, keyword in proposals, what computes it.
#[rustfmt::skip] // one line a KEM
pub const KEMS: &[(KeyExchangeMethod, &str, &str, MlKem)] = &[
    (KeyExchangeMethod::ML_KEM_512, "ML_KEM_512", "mlkem512", MlKem::new(&kems::ML_KEM_512, 800, 768)),
    (KeyExchangeMethod::ML_KEM_768, "ML_KEM_768", "mlkem768", MlKem::new(&kems::ML_KEM_768, 1184, 1088)),
    (KeyExchangeMethod::ML_KEM_1024, "ML_KEM_1024", "mlkem1024", MlKem::new(&kems::ML_KEM_1024, 1568, 1568)),
];

fn key_exchanges() -> Vec<Feature> {
    let groups = GROUPS
        .iter()
        .map(|&(method, name, keyword, group)| Feature::key_exchange(method.0, name, keyword, group));
    let kems = KEMS
        .iter()
        .map(|&(method, name, keyword, kem)| Feature::key_exchange(method.0, name, keyword, kem));
    groups.chain(kems).collect()
}
