//! Has the daemon count IKE messages, which `get-counters` and the plugin `metrics` report.
//!
//! The state machine counts, because a message is known there already and costs one addition; it does so if this feature is
//! loaded. Nothing is left to do here.

use std::sync::Arc;

use plugin_api::{Feature, FeatureName, Host, Implementation, Listener};

plugin_api::export_plugin! { name: "counters", features: features }

/// What this plugin offers.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let constructor = |_: Arc<dyn Host>| Ok(Arc::new(Switch) as Arc<dyn Listener>);
    vec![Feature::new(
        FeatureName::Custom("counters".into()),
        Implementation::Listener(Box::new(constructor)),
    )]
}

struct Switch;

impl Listener for Switch {
    fn event(&self, _name: &str, _message: &[u8]) {}

    fn wants(&self) -> Vec<String> {
        Vec::new()
    }
}
