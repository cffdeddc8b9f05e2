//! Nonces for IKE exchanges.

mod os;

use std::sync::Arc;

use plugin_api::{Feature, FeatureName, Host, Implementation};

pub use os::OsNonces;

plugin_api::export_plugin! { name: "nonce", features: features }

/// What the plugin offers: the nonce generator.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![Feature::new(
        FeatureName::NonceGenerator,
        Implementation::NonceGenerator(Arc::new(OsNonces)),
    )]
}
