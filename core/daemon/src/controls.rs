//! The control plugins that are running.

use std::sync::Arc;

use plugin_api::log::Group;
use plugin_api::{Host, Running};

use crate::host::DaemonHost;
use crate::loaded::LoadedControl;
use crate::log::Logger;

/// Stops them when dropped, which removes their sockets: a start that fails leaves none behind.
#[derive(Default)]
pub(crate) struct Controls(Vec<Box<dyn Running>>);

impl Controls {
    /// Starts all, and logs which ones fail.
    ///
    /// # Errors
    ///
    /// If a critical one fails.
    pub(crate) fn start(
        controls: &[LoadedControl],
        host: &Arc<DaemonHost>,
        logger: &Logger,
    ) -> Result<Self, String> {
        let mut running = Self::default();
        for LoadedControl {
            plugin,
            critical,
            control,
        } in controls
        {
            match control.start(Arc::clone(host) as Arc<dyn Host>) {
                Ok(started) => running.push(started),
                Err(error) => {
                    let text = format!("plugin '{plugin}' cannot be started: {error}");
                    if *critical {
                        return Err(text);
                    }
                    logger.log(Group::Lib, 1, text);
                }
            }
        }
        Ok(running)
    }

    /// Adds a running one.
    pub(crate) fn push(&mut self, running: Box<dyn Running>) {
        self.0.push(running);
    }

    /// Stops all.
    pub(crate) fn stop(&mut self) {
        self.0.drain(..).for_each(Running::stop);
    }
}

impl Drop for Controls {
    fn drop(&mut self) {
        self.stop();
    }
}
