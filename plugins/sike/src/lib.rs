//! SIKE, for measurements only: Castryck and Decru computed its secret keys from its public keys on one core
//! (Eurocrypt 2023, "An Efficient Key Recovery Attack on SIDH"). Whoever records an exchange has its secret.
//!
//! The plugin is not in `charon.load` unless somebody writes it there, and says what it is whenever it is loaded.

mod ffi;
mod kem;

use std::sync::Arc;

use iana::KeyExchangeMethod;
use plugin_api::log::{AUDIT, Group};
use plugin_api::{Feature, FeatureName, Host, KemExchange, RandomQuality};

pub use kem::{ParameterSet, SikeKem};

plugin_api::export_plugin! { name: "sike", features: features }

/// What is logged on loading.
pub const WARNING: &str = "SIKE is broken: whoever records a key exchange computes its secret. Use it for measurements, \
                           never for secrets, and never as the only key exchange";

/// The KEMs, keys and ciphertexts uncompressed: method, name in log lines, keyword in proposals, parameter set.
#[rustfmt::skip] // one line a KEM
pub const KEMS: &[(KeyExchangeMethod, &str, &str, ParameterSet)] = &[
    (KeyExchangeMethod::SIKE_L1, "SIKE_L1", "sike1", ParameterSet::P434),
    (KeyExchangeMethod::SIKE_L2, "SIKE_L2", "sike2", ParameterSet::P503),
    (KeyExchangeMethod::SIKE_L3, "SIKE_L3", "sike3", ParameterSet::P610),
    (KeyExchangeMethod::SIKE_L5, "SIKE_L5", "sike5", ParameterSet::P751),
];

/// What the plugin offers, after the [`WARNING`].
pub fn features(host: &Arc<dyn Host>) -> Vec<Feature> {
    host.log(Group::Lib, AUDIT, WARNING);
    KEMS.iter()
        .map(|&(method, name, keyword, set)| {
            // liboqs takes its randomness from the operating system itself; the RNG only has to come first.
            Feature::key_exchange(method.0, name, keyword, KemExchange::new(SikeKem::new(set)))
                .soft_depends(FeatureName::Random(RandomQuality::Strong))
        })
        .collect()
}
