//! Has the daemon tell peers with a virtual address of the attributes in strongswan.conf: `charon.plugins.attr`, `charon.dns1`
//! and its like (RFC 7296, 3.15.1).
//!
//! The daemon reads them, because it has them in its hands whenever it answers, and does so if this feature is loaded.
//! Nothing is left to do here.

use std::sync::Arc;

use plugin_api::{Feature, FeatureName, Host, Implementation, Listener};

plugin_api::export_plugin! { name: "attr", features: features }

/// What this plugin offers.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let constructor = |_: Arc<dyn Host>| Ok(Arc::new(Switch) as Arc<dyn Listener>);
    vec![Feature::new(
        FeatureName::Custom("attr".into()),
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
