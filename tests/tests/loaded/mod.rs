//! Plugins as the daemon's loader brings them, and what it says.

#![allow(dead_code)] // no includer needs all of it

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use config::settings::Settings;
use daemon::loaded::Plugin;
use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{Feature, Host, Implementation, KernelNet, Reply};

/// A daemon that keeps its log.
#[derive(Default)]
pub(crate) struct Daemon {
    lines: Mutex<Vec<(i8, String)>>,
}

impl Host for Daemon {
    fn setting(&self, _key: &str) -> Option<String> {
        None
    }

    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        true
    }

    fn log(&self, _group: Group, level: i8, message: &str) {
        self.lines
            .lock()
            .expect("the log")
            .push((level, message.to_owned()));
    }

    fn submit(&self, _verb: &str, _message: &[u8], reply: Arc<dyn Reply>) {
        reply.done(&[]);
    }

    fn kernel_event(&self, _event: KernelEvent) {}

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

impl Daemon {
    /// What an operator reads: lines of level 1.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said_up_to(1)
    }

    /// Lines of a level and those below.
    pub(crate) fn said_up_to(&self, highest: i8) -> Vec<String> {
        let lines = self.lines.lock().expect("the log");
        lines
            .iter()
            .filter(|(level, _)| *level <= highest)
            .map(|(_, line)| line.clone())
            .collect()
    }
}

/// Where cargo left the plugins.
pub(crate) fn built() -> PathBuf {
    xtask::programs().expect("the folder of this program")
}

/// Loads the plugins of a `charon.load` line, from `directories`.
pub(crate) fn load(list: &str, directories: &[PathBuf]) -> (Result<Vec<Plugin>, String>, Arc<Daemon>) {
    let settings = Settings::parse(&format!("charon {{\n load = {list}\n}}"), "strongswan.conf");
    let daemon = Arc::new(Daemon::default());
    let host = Arc::clone(&daemon) as Arc<dyn Host>;
    let plugins = daemon::plugins::load(&settings.expect("settings"), directories, &host);
    (plugins, daemon)
}

/// The features of one plugin that were loaded.
pub(crate) fn features(plugins: Vec<Plugin>, name: &str) -> Vec<Feature> {
    let plugin = plugins.into_iter().find(|plugin| plugin.name == name);
    let offered = plugin.map(|plugin| plugin.features).unwrap_or_default();
    let feature = |name, implementation: Implementation| Feature::new(name, implementation);
    offered
        .into_iter()
        .filter_map(|it| {
            it.implementation
                .map(|implementation| feature(it.name, implementation))
        })
        .collect()
}
