//! NTRU as submitted to NIST's third round, by PQClean.

mod ntru;
mod pqclean;

use std::sync::Arc;

use iana::KeyExchangeMethod;
use plugin_api::{Feature, Host};

pub use ntru::{HPS_2048_509, HPS_2048_677, HPS_4096_821, HRSS_701};
pub use pqclean::{ParameterSet, PqClean};

plugin_api::export_plugin! { name: "ntru", features: features }

/// The KEMs: method, name in log lines, keyword in proposals, parameter set.
#[rustfmt::skip] // one line a KEM
pub const KEMS: &[(KeyExchangeMethod, &str, &str, ParameterSet)] = &[
    (KeyExchangeMethod::NTRU_HPS_L1, "NTRU_HPS_L1", "ntrup1", HPS_2048_509),
    (KeyExchangeMethod::NTRU_HPS_L3, "NTRU_HPS_L3", "ntrup3", HPS_2048_677),
    (KeyExchangeMethod::NTRU_HPS_L5, "NTRU_HPS_L5", "ntrup5", HPS_4096_821),
    (KeyExchangeMethod::NTRU_HRSS_L3, "NTRU_HRSS_L3", "ntrur3", HRSS_701),
];

/// What the plugin offers: the KEMs, unless the operating system has no randomness for them.
pub fn features(host: &Arc<dyn Host>) -> Vec<Feature> {
    pqclean::features(host, KEMS)
}
