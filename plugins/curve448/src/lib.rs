//! X448 on the field arithmetic of fiat-crypto.
//!
//! No crate with all of X448 is fit to be loaded by default: RustCrypto's `x448` and `ed448-goldilocks` have only
//! pre-releases, held back for mistakes that are still to be mended; `crrl` is meant for research and zeroizes nothing;
//! AWS-LC has no X448. fiat-crypto's field is generated from a proof that it computes what it should, without branching on
//! it, and curve25519-dalek links it too. What it lacks is the forty lines of RFC 7748, section 5, and those are here.

mod field;
mod x448;

use std::sync::Arc;

use iana::KeyExchangeMethod;
use plugin_api::{DhExchange, Feature, Host};

pub use x448::X448;

plugin_api::export_plugin! { name: "curve448", features: features }

/// What the plugin offers: Curve448.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let method = KeyExchangeMethod::CURVE_448;
    vec![Feature::key_exchange(
        method.0,
        "CURVE_448",
        "x448",
        DhExchange::new(X448),
    )]
}
