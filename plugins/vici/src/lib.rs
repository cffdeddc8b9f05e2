//! vici: the control socket of `swanctl` and of scripts.
//!
//! The plugin only carries. A request becomes one of the daemon's commands, its answer the response ([`client`]); events go
//! to those who have registered for them ([`hub`]). What a client does not read waits in a bounded [`queue`].

pub mod client;
#[cfg(test)]
mod fuzz;
pub mod hub;
pub mod queue;
pub mod server;
pub mod settings;

use std::sync::Arc;

use plugin_api::{Control, Feature, FeatureName, Host, Implementation, Listener};

use hub::Hub;
use server::Vici;

plugin_api::export_plugin! { name: "vici", features: features }

/// What this plugin offers: the socket, and an ear for the daemon's events.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let hub = Arc::new(Hub::default());
    let listener = Arc::clone(&hub);
    let control = move |_: Arc<dyn Host>| Ok(Arc::new(Vici::new(Arc::clone(&hub))) as Arc<dyn Control>);
    let listener = move |_: Arc<dyn Host>| Ok(Arc::clone(&listener) as Arc<dyn Listener>);
    vec![
        Feature::new(
            FeatureName::Custom("vici".into()),
            Implementation::Control(Box::new(control)),
        ),
        Feature::new(
            FeatureName::Custom("vici-events".into()),
            Implementation::Listener(Box::new(listener)),
        ),
    ]
}
