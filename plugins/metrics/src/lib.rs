//! Metrics of the daemon over HTTP, in the text format of OpenMetrics 1.0.
//!
//! `charon.load` has to name the plugin; then `http://127.0.0.1:9814/metrics` answers ([`server`]). Every request asks the
//! daemon anew ([`collect`]) and becomes families of samples ([`exposition`]); in between nothing is kept. The daemon never
//! waits for a client: what it says is copied into memory that is bounded by [`settings`] and by the number of clients.
//!
//! How many series there are does not depend on peers: labels are states, exchanges, roles, names of alerts, and key
//! exchanges that a plugin has registered. Only CHILD_SAs have series of their own, by the configuration's names and the
//! unique number that `swanctl --list-sas` shows, for at most `max_child_sas` of them.

pub mod collect;
pub mod exposition;
pub mod server;
pub mod settings;

use std::sync::Arc;

use plugin_api::{Control, Feature, FeatureName, Host, Implementation};

use server::Metrics;

plugin_api::export_plugin! { name: "metrics", features: features }

/// What this plugin offers: the endpoint. That it is loaded has the daemon count.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let control = |_: Arc<dyn Host>| Ok(Arc::new(Metrics) as Arc<dyn Control>);
    vec![Feature::new(
        FeatureName::Custom("metrics".into()),
        Implementation::Control(Box::new(control)),
    )]
}
