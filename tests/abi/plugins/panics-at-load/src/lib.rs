//! Panics when it is asked for its features.

use std::sync::Arc;

use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "panics-at-load", features: features }

#[allow(clippy::panic)] // what it is for
fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    panic!("no features today");
}
