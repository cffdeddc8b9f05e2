//! NIST's curves of 192 and 224 bits (RFC 5114) by RustCrypto, for peers that have nothing better.
//!
//! The crates are the last releases that were not followed by a pre-release. Their arithmetic means to be constant time, and
//! has not been audited.

mod curve;

use std::sync::Arc;

use iana::KeyExchangeMethod;
use p192::NistP192;
use p224::NistP224;
use plugin_api::{DhExchange, Feature, Host};

pub use curve::{Curve, Ecdh};

plugin_api::export_plugin! { name: "ecp-low", features: features }

/// Offers both curves.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![feature::<NistP192>("ecp192"), feature::<NistP224>("ecp224")]
}

fn feature<C: Curve>(keyword: &str) -> Feature {
    let KeyExchangeMethod(method) = C::METHOD;
    let exchange = DhExchange::new(Ecdh::<C>::new());
    Feature::key_exchange(method, &C::METHOD.to_string(), keyword, exchange)
}
