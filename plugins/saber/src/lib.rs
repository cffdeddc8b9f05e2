//! Saber as submitted to NIST's third round, by PQClean.

#[path = "../../ntru/src/pqclean.rs"] // no crate of its own: what a plugin may use is plugin-api
mod pqclean;
mod saber;

use std::sync::Arc;

use iana::KeyExchangeMethod;
use plugin_api::{Feature, Host};

pub use pqclean::{ParameterSet, PqClean};
pub use saber::{FIRE_SABER, LIGHT_SABER, SABER};

plugin_api::export_plugin! { name: "saber", features: features }

/// The KEMs: method, name in log lines, keyword in proposals, parameter set.
#[rustfmt::skip] // one line a KEM
pub const KEMS: &[(KeyExchangeMethod, &str, &str, ParameterSet)] = &[
    (KeyExchangeMethod::SABER_L1, "SABER_L1", "saber1", LIGHT_SABER),
    (KeyExchangeMethod::SABER_L3, "SABER_L3", "saber3", SABER),
    (KeyExchangeMethod::SABER_L5, "SABER_L5", "saber5", FIRE_SABER),
];

/// What the plugin offers: the KEMs, unless the operating system has no randomness for them.
pub fn features(host: &Arc<dyn Host>) -> Vec<Feature> {
    pqclean::features(host, KEMS)
}
