use std::sync::{Arc, Mutex, PoisonError};

use crate::kernel::{KernelEvent, KernelMigration, KernelNet};
use crate::log::Group;
use crate::{Host, Reply};

/// A daemon for the unit tests of a plugin: it writes down what it is told.
#[derive(Default)]
pub struct Recorder {
    lines: Mutex<Vec<String>>,
    net: Option<Arc<dyn KernelNet>>,
    settings: Vec<(&'static str, &'static str)>,
}

impl Recorder {
    /// One with these keys and values of strongswan.conf.
    pub fn with_settings(settings: &[(&'static str, &'static str)]) -> Self {
        Self {
            settings: settings.to_vec(),
            ..Default::default()
        }
    }

    /// One with this plugin for addresses and routes.
    pub fn with_net(net: Arc<dyn KernelNet>) -> Self {
        Self {
            net: Some(net),
            ..Default::default()
        }
    }

    /// What was logged, and the events of the kernel as they are debugged.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Host for Recorder {
    fn setting(&self, key: &str) -> Option<String> {
        let found = self.settings.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| (*value).to_owned())
    }

    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        true
    }

    fn log(&self, _group: Group, _level: i8, message: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(message.to_owned());
    }

    fn submit(&self, _verb: &str, _message: &[u8], reply: Arc<dyn Reply>) {
        reply.done(&[]);
    }

    fn kernel_event(&self, event: KernelEvent) {
        self.log(Group::Knl, 0, &format!("{event:?}"));
    }

    fn kernel_migrated(&self, migration: KernelMigration) {
        self.log(Group::Knl, 0, &format!("{migration:?}"));
    }

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        self.net.clone()
    }
}
