//! What plugins may ask of the daemon, from any thread.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use config::settings::Settings;
use control::vici::Message;
use plugin_api::kernel::{KernelEvent, KernelMigration};
use plugin_api::log::Group;
use plugin_api::{Host, KernelNet, Reply};

use crate::input::{Command, Input, Sender};
use crate::log::Logger;

/// Reports the end of a script by the `id` of its event.
const SCRIPT_DONE: &str = "script-done";

/// See [`Host`].
pub struct DaemonHost {
    settings: ArcSwap<Settings>,
    logger: Arc<Logger>,
    input: Sender,
    kernel_net: Mutex<Option<Arc<dyn KernelNet>>>,
    /// Where control sockets go, whether or not the settings say so.
    piddir: Option<String>,
}

impl DaemonHost {
    /// A host without a back end for addresses and routes.
    pub fn new(settings: Settings, logger: Arc<Logger>, input: Sender) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            logger,
            input,
            kernel_net: Mutex::default(),
            piddir: None,
        }
    }

    /// Tells plugins where control sockets go in a tree that lies elsewhere than at the root.
    pub fn with_piddir(self, piddir: &Path) -> Self {
        Self {
            piddir: Some(piddir.display().to_string()),
            ..self
        }
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Replaces the settings.
    pub fn set_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Sets the back end for addresses and routes; the first one stays.
    pub fn set_kernel_net(&self, kernel_net: Arc<dyn KernelNet>) {
        self.kernel_net
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(kernel_net);
    }

    /// Lets go of the back end for addresses and routes. It tidies up when it is dropped, which never happens while
    /// it and this host hold each other.
    pub fn release_kernel_net(&self) {
        let released = self
            .kernel_net
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(released);
    }
}

impl DaemonHost {
    /// A peer may wait for the end of a script, so that it comes before the commands of clients.
    fn script_done(&self, message: &[u8], reply: &dyn Reply) {
        let message = Message::decode(message).unwrap_or_default();
        if let Some(number) = message.get_str("id").and_then(|number| number.parse().ok()) {
            self.input.send(Input::ScriptDone(number));
        }
        reply.done(&[]);
    }
}

impl Host for DaemonHost {
    fn setting(&self, key: &str) -> Option<String> {
        let set = self.settings.load().get(key).map(str::to_owned);
        set.or_else(|| self.piddir.clone().filter(|_| key == "charon.piddir"))
    }

    fn log_enabled(&self, group: Group, level: i8) -> bool {
        level <= self.logger.level(group)
    }

    fn log(&self, group: Group, level: i8, message: &str) {
        self.logger.log(group, level, message);
    }

    fn submit(&self, verb: &str, message: &[u8], reply: Arc<dyn Reply>) {
        if verb == SCRIPT_DONE {
            return self.script_done(message, reply.as_ref());
        }
        self.input.command(Command {
            verb: verb.to_owned(),
            message: message.to_owned(),
            reply: Arc::new(Logged {
                reply,
                logger: Arc::clone(&self.logger),
            }),
        });
    }

    fn kernel_event(&self, event: KernelEvent) {
        self.input.send(Input::Kernel(event));
    }

    fn kernel_migrated(&self, migration: KernelMigration) {
        self.input.send(Input::Migrated(migration));
    }

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        self.kernel_net
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A reply whose answer comes after the lines logged before it: whoever has it may look there for more.
struct Logged {
    reply: Arc<dyn Reply>,
    logger: Arc<Logger>,
}

impl Reply for Logged {
    fn event(&self, name: &str, message: &[u8]) -> bool {
        self.reply.event(name, message)
    }

    fn done(&self, message: &[u8]) {
        let (reply, message) = (Arc::clone(&self.reply), message.to_vec());
        self.logger.then(Box::new(move || reply.done(&message)));
    }
}
