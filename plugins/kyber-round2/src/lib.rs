//! Kyber as submitted to NIST's second round, by PQClean: what strongSwan 6.0dr3 has with the liboqs of its own day (0.4.0).
//!
//! Peers know these KEMs by the same numbers as those of the third round. Which of the two a connection means is
//! `kyber_generation`; the numbers here never go on the wire.

mod kyber;
#[path = "../../ntru/src/pqclean.rs"] // no crate of its own: what a plugin may use is plugin-api
mod pqclean;

use std::sync::Arc;

use iana::KeyExchangeMethod;
use plugin_api::{Feature, Host};

pub use kyber::{KYBER_512, KYBER_768, KYBER_1024};
pub use pqclean::{ParameterSet, PqClean};

plugin_api::export_plugin! { name: "kyber-round2", features: features }

/// The KEMs: method, name in lists, no keyword, because proposals say `kyber1` to `kyber5` for either generation, parameter set.
#[rustfmt::skip] // one line a KEM
pub const KEMS: &[(KeyExchangeMethod, &str, &str, ParameterSet)] = &[
    (KeyExchangeMethod::KYBER_L1_ROUND2, "KYBER_L1_ROUND2", "", KYBER_512),
    (KeyExchangeMethod::KYBER_L3_ROUND2, "KYBER_L3_ROUND2", "", KYBER_768),
    (KeyExchangeMethod::KYBER_L5_ROUND2, "KYBER_L5_ROUND2", "", KYBER_1024),
];

/// What the plugin offers: the KEMs, unless the operating system has no randomness for them.
pub fn features(host: &Arc<dyn Host>) -> Vec<Feature> {
    pqclean::features(host, KEMS)
}
