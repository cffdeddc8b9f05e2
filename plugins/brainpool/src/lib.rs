//! Brainpool's curves of 256 and 384 bits (RFC 6954) by RustCrypto.
//!
//! `bp256` and `bp384` have arithmetic since their releases of September 2026; it means to be constant time, zeroizes
//! scalars and secrets, and nobody audited it. Of the curves of 224 and 512 bits there is no crate that is kept up, so
//! `ecp224bp` and `ecp512bp` are keywords that nobody implements.

mod brainpool;

use std::sync::Arc;

use bp256::BrainpoolP256r1;
use bp384::BrainpoolP384r1;
use iana::KeyExchangeMethod;
use plugin_api::{DhExchange, Feature, Host};

pub use brainpool::{Brainpool, Curve};

plugin_api::export_plugin! { name: "brainpool", features: features }

/// What the plugin offers: two curves.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![
        feature::<BrainpoolP256r1>("ecp256bp"),
        feature::<BrainpoolP384r1>("ecp384bp"),
    ]
}

fn feature<C: Curve>(keyword: &str) -> Feature {
    let KeyExchangeMethod(method) = C::METHOD;
    let exchange = DhExchange::new(Brainpool::<C>::new());
    Feature::key_exchange(method, &C::METHOD.to_string(), keyword, exchange)
}
