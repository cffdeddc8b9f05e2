//! Randomness of the operating system.

mod os;

use std::sync::Arc;

use plugin_api::{Feature, Host, RandomQuality};

pub use os::OsRandom;

plugin_api::export_plugin! { name: "random", features: features }

/// What the plugin offers: every quality of randomness.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    [RandomQuality::Weak, RandomQuality::Strong, RandomQuality::True]
        .into_iter()
        .map(|quality| Feature::random(quality, OsRandom))
        .collect()
}
