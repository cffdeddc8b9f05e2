//! Post-quantum KEMs by liboqs.
//!
//! To add a KEM: enable its feature of the `oqs` crate and write its line into [`KEMS`].

mod kem;

use std::sync::Arc;

use ::oqs::kem::Algorithm;
use iana::KeyExchangeMethod;
use plugin_api::log::{CONTROL, Group};
use plugin_api::{Feature, FeatureName, Host, KemExchange, RandomQuality};

pub use kem::OqsKem;

plugin_api::export_plugin! { name: "oqs", features: features }

/// The KEMs: method, name in log lines, keyword in proposals, liboqs's name.
#[rustfmt::skip] // one line a KEM
pub const KEMS: &[(KeyExchangeMethod, &str, &str, Algorithm)] = &[
    (KeyExchangeMethod::KYBER_L1, "KYBER_L1", "kyber1", Algorithm::Kyber512),
    (KeyExchangeMethod::KYBER_L3, "KYBER_L3", "kyber3", Algorithm::Kyber768),
    (KeyExchangeMethod::KYBER_L5, "KYBER_L5", "kyber5", Algorithm::Kyber1024),
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
