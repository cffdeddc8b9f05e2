//! The control socket of the `ipsec` command.
//!
//! A client sends one request (`control::stroke`) and gets text until the connection closes. The plugin only carries:
//! requests become the daemon's commands ([`command`]), their answers become text ([`status`], [`list`]).

pub mod command;
pub mod daemon;
pub mod list;
pub mod output;
pub mod server;
pub mod settings;
pub mod status;
pub mod text;

use std::sync::Arc;

use plugin_api::{Control, Feature, FeatureName, Host, Implementation};

use server::Stroke;

plugin_api::export_plugin! { name: "stroke", features: features }

/// What this plugin offers.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let constructor = |_: Arc<dyn Host>| Ok(Arc::new(Stroke) as Arc<dyn Control>);
    vec![Feature::new(
        FeatureName::Custom("stroke".into()),
        Implementation::Control(Box::new(constructor)),
    )]
}
