//! Post-quantum KEMs by liboqs.
//!
//! To add a KEM: enable its feature of the `oqs` crate and write its line into [`KEMS`].

mod hqc;
mod kem;

use std::sync::Arc;

use ::oqs::kem::Algorithm;
use iana::KeyExchangeMethod;
use plugin_api::log::{CONTROL, Group};
use plugin_api::{Feature, FeatureName, Host, KemExchange, RandomQuality};

pub use kem::OqsKem;

plugin_api::export_plugin! { name: "oqs", features: features }

/// The KEMs: method, name in log lines, keyword in proposals, liboqs's name.
///
/// - Kyber and FrodoKEM are those of NIST's third round. FrodoKEM is the one without salt, as peers that know these methods
///   have it; later releases of liboqs call it eFrodoKEM.
/// - BIKE is that of the fourth round. It has the lengths of the third round's and other secrets, so that no SA comes up with
///   a peer whose liboqs is older than 0.8.
/// - HQC is the submission of April 2023, with ciphertexts of 4433, 8978 and 14421 octets. Those of earlier revisions are 48
///   octets longer, and are refused for it. liboqs builds HQC only when asked, because it is not secure against chosen
///   ciphertexts as it claims; a key pair here sees one ciphertext.
#[rustfmt::skip] // one line a KEM
pub const KEMS: &[(KeyExchangeMethod, &str, &str, Algorithm)] = &[
    (KeyExchangeMethod::KYBER_L1, "KYBER_L1", "kyber1", Algorithm::Kyber512),
    (KeyExchangeMethod::KYBER_L3, "KYBER_L3", "kyber3", Algorithm::Kyber768),
    (KeyExchangeMethod::KYBER_L5, "KYBER_L5", "kyber5", Algorithm::Kyber1024),
    (KeyExchangeMethod::BIKE_L1, "BIKE_L1", "bike1", Algorithm::BikeL1),
    (KeyExchangeMethod::BIKE_L3, "BIKE_L3", "bike3", Algorithm::BikeL3),
    (KeyExchangeMethod::BIKE_L5, "BIKE_L5", "bike5", Algorithm::BikeL5),
    (KeyExchangeMethod::FRODO_AES_L1, "FRODO_AES_L1", "frodoa1", Algorithm::FrodoKem640Aes),
    (KeyExchangeMethod::FRODO_AES_L3, "FRODO_AES_L3", "frodoa3", Algorithm::FrodoKem976Aes),
    (KeyExchangeMethod::FRODO_AES_L5, "FRODO_AES_L5", "frodoa5", Algorithm::FrodoKem1344Aes),
    (KeyExchangeMethod::FRODO_SHAKE_L1, "FRODO_SHAKE_L1", "frodos1", Algorithm::FrodoKem640Shake),
    (KeyExchangeMethod::FRODO_SHAKE_L3, "FRODO_SHAKE_L3", "frodos3", Algorithm::FrodoKem976Shake),
    (KeyExchangeMethod::FRODO_SHAKE_L5, "FRODO_SHAKE_L5", "frodos5", Algorithm::FrodoKem1344Shake),
    (KeyExchangeMethod::HQC_L1, "HQC_L1", "hqc1", Algorithm::Hqc128),
    (KeyExchangeMethod::HQC_L3, "HQC_L3", "hqc3", Algorithm::Hqc192),
    (KeyExchangeMethod::HQC_L5, "HQC_L5", "hqc5", Algorithm::Hqc256),
    (KeyExchangeMethod::SNTRUP_761, "SNTRUP_761", "sntrup761", Algorithm::NtruPrimeSntrup761),
];

/// What the plugin offers: the KEMs that this build of liboqs has.
pub fn features(host: &Arc<dyn Host>) -> Vec<Feature> {
    let mut features = Vec::new();
    for &(method, name, keyword, algorithm) in KEMS {
        match OqsKem::new(algorithm) {
            // liboqs takes its randomness from the operating system itself; the RNG only has to come first.
            Ok(kem) => features.push(
                Feature::key_exchange(method.0, name, keyword, KemExchange::new(kem))
                    .soft_depends(FeatureName::Random(RandomQuality::Strong)),
            ),
            Err(error) => host.log(Group::Lib, CONTROL, &format!("{name} is not offered: {error}")),
        }
    }
    features
}
