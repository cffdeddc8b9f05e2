//! The plugins, loaded as the daemon loads them.

use std::path::Path;
use std::sync::Arc;

use config::settings::Settings;
use crypto::registry::Registry;
use daemon::loaded::Plugin;
use daemon::plugins::DEFAULT_LOAD;
use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{Host, KernelNet, KeyExchange, Reply};

/// Where an installed tree has them.
pub(crate) const PLUGINS: &str = "usr/lib/ipsec/plugins";

/// What is loaded: all that a daemon has by default, and SIKE.
pub(crate) fn load_list() -> String {
    format!("{DEFAULT_LOAD} sike")
}

/// A daemon that has no settings, no log and nothing to tell.
struct Silent;

impl Host for Silent {
    fn setting(&self, _key: &str) -> Option<String> {
        None
    }

    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        false
    }

    fn log(&self, _group: Group, _level: i8, _message: &str) {}

    fn submit(&self, _verb: &str, _message: &[u8], reply: Arc<dyn Reply>) {
        reply.done(&[]);
    }

    fn kernel_event(&self, _event: KernelEvent) {}

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

/// A key exchange that a plugin offers.
#[derive(Clone)]
pub(crate) struct Method {
    /// The plugin.
    pub(crate) plugin: String,
    /// Its name in log lines, `ML_KEM_768`.
    pub(crate) name: String,
    /// The method, on the other side of the boundary.
    pub(crate) exchange: Arc<dyn KeyExchange>,
}

/// Loaded plugins.
pub(crate) struct Library {
    /// All algorithms; the first plugin of the list that has one provides it.
    pub(crate) registry: Arc<Registry>,
    /// All key exchanges, also those that several plugins have.
    pub(crate) methods: Vec<Method>,
}

impl Library {
    /// Loads those of an installed tree.
    ///
    /// # Errors
    ///
    /// If one that a daemon needs is missing.
    pub(crate) fn load(tree: &Path) -> Result<Self, String> {
        let text = format!("charon {{\n load = {}\n}}", load_list());
        let settings = Settings::parse(&text, "strongswan.conf").map_err(|error| error.to_string())?;
        let host: Arc<dyn Host> = Arc::new(Silent);
        let plugins = daemon::plugins::load(&settings, &[tree.join(PLUGINS)], &host)?;
        let mut registry = Registry::new();
        let mut methods = Vec::new();
        for Plugin { name, features, .. } in plugins {
            for feature in features {
                let Some(implementation) = feature.implementation else {
                    continue;
                };
                registry.add(&name, feature.name, &implementation);
                if let plugin_api::Implementation::KeyExchange {
                    method, name: called, ..
                } = implementation
                {
                    methods.push(Method {
                        plugin: name.clone(),
                        name: called,
                        exchange: method,
                    });
                }
            }
        }
        Ok(Self {
            registry: Arc::new(registry),
            methods,
        })
    }
}
