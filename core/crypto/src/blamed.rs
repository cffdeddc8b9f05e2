//! A plugin's key exchange, whose errors name the plugin: what it got wrong is refused before anything is sent, and the author
//! finds out from the own log, not from the peer's.

use std::sync::Arc;

use plugin_api::{ErrorKind, KeyExchange, PendingKeyExchange, PluginError, Secret};

/// See the module.
pub(crate) struct BlamedKeyExchange {
    plugin: Arc<str>,
    name: Arc<str>,
    inner: Arc<dyn KeyExchange>,
}

impl BlamedKeyExchange {
    pub(crate) fn new(plugin: &str, name: &str, inner: Arc<dyn KeyExchange>) -> Self {
        Self {
            plugin: plugin.into(),
            name: name.into(),
            inner,
        }
    }

    /// Says whose fault it is, unless it is the peer's.
    fn blame(&self, error: PluginError) -> PluginError {
        if error.kind == ErrorKind::InvalidPublicValue {
            return error;
        }
        let (plugin, name) = (&self.plugin, &self.name);
        PluginError::new(
            error.kind,
            format!("plugin '{plugin}' failed at {name}: {}", error.message),
        )
    }
}

impl KeyExchange for BlamedKeyExchange {
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        self.inner.initiate().map_err(|error| self.blame(error))
    }

    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        self.inner.respond(peer).map_err(|error| self.blame(error))
    }
}
