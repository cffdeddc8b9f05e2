//! X25519 by x25519-dalek.

mod x25519;

use std::sync::Arc;

use iana::KeyExchangeMethod;
use plugin_api::{DhExchange, Feature, Host};

pub use x25519::X25519;

plugin_api::export_plugin! { name: "curve25519", features: features }

/// What the plugin offers: Curve25519.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let method = KeyExchangeMethod::CURVE_25519;
    vec![Feature::key_exchange(
        method.0,
        "CURVE_25519",
        "curve25519",
        DhExchange::new(X25519),
    )]
}
