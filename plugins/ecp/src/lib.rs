//! NIST's curves of 192 and 224 bits (RFC 5114) by RustCrypto, for peers that have nothing better; no default proposal has them.

use std::sync::Arc;

use iana::KeyExchangeMethod;
use p192::NistP192;
use p224::NistP224;
use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "ecp", features: features }

/// What the plugin offers: two curves.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![
        curves::feature::<NistP192>(KeyExchangeMethod::ECP_192, "ecp192"),
        curves::feature::<NistP224>(KeyExchangeMethod::ECP_224, "ecp224"),
    ]
}
