//! A daemon for unit tests: it writes down what it is told.

use std::sync::{Arc, Mutex};

use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{Host, KernelNet, Reply};

#[derive(Default)]
pub(crate) struct Recorder {
    lines: Mutex<Vec<String>>,
    net: Option<Arc<dyn KernelNet>>,
    settings: Vec<(&'static str, &'static str)>,
}

impl Recorder {
    pub(crate) fn with_settings(settings: &[(&'static str, &'static str)]) -> Self {
        Self {
            settings: settings.to_vec(),
            ..Default::default()
        }
    }

    pub(crate) fn with_net(net: Arc<dyn KernelNet>) -> Self {
        Self {
            net: Some(net),
            ..Default::default()
        }
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
        self.lines
            .lock()
            .expect("no panic before")
            .push(message.to_owned());
    }

    fn submit(&self, _verb: &str, _message: &[u8], reply: Arc<dyn Reply>) {
        reply.done(&[]);
    }

    fn kernel_event(&self, event: KernelEvent) {
        self.log(Group::Knl, 0, &format!("{event:?}"));
    }

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        self.net.clone()
    }
}
