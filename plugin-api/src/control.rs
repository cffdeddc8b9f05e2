//! What plugins that talk to operators, scripts or the kernel get from the daemon, and give it.
//!
//! Commands and events cross the boundary as vici messages in octets (`core/control` encodes them), so a new verb or
//! field changes no interface.

use std::sync::Arc;

use crate::kernel::{KernelEvent, KernelMigration};
use crate::log::Group;
use crate::{KernelNet, PluginError};

/// The daemon, as plugins see it. Every function may be called from any thread and returns at once.
pub trait Host: Send + Sync + 'static {
    /// A setting of strongswan.conf, `charon.plugins.stroke.socket`, references resolved.
    fn setting(&self, key: &str) -> Option<String>;

    /// Whether lines of this group and level are wanted anywhere.
    fn log_enabled(&self, group: Group, level: i8) -> bool;

    /// Writes a log line.
    fn log(&self, group: Group, level: i8, message: &str);

    /// Hands a command to the daemon: a verb of vici, its message in octets, and where the answer goes.
    fn submit(&self, verb: &str, message: &[u8], reply: Arc<dyn Reply>);

    /// Tells of something the kernel did.
    fn kernel_event(&self, event: KernelEvent);

    /// Reports that another program moved SAs. Older daemons ignore the call.
    fn kernel_migrated(&self, _migration: KernelMigration) {}

    /// The back end for addresses and routes, once it is loaded.
    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>>;
}

/// Where the answer to a command goes. The functions only queue; they are called from threads that must not
/// wait, one after the other.
pub trait Reply: Send + Sync + 'static {
    /// A streamed event of the command, `list-sa` or `control-log`, as a vici message. `false` says that nobody
    /// listens any more, and the command may stop streaming.
    fn event(&self, name: &str, message: &[u8]) -> bool;

    /// The closing answer, a vici message; exactly one comes for every command.
    fn done(&self, message: &[u8]);
}

/// A plugin that accepts commands: a control socket.
pub trait Control: Send + Sync + 'static {
    /// Starts the plugin's own thread; commands may come from then on.
    ///
    /// # Errors
    ///
    /// If its socket cannot be made; the message says which and why.
    fn start(&self, host: Arc<dyn Host>) -> Result<Box<dyn Running>, PluginError>;
}

/// A started plugin.
pub trait Running: Send + Sync + 'static {
    /// Stops and joins the plugin's thread and removes its socket.
    fn stop(self: Box<Self>);
}

/// A plugin that is told what happens. The function only queues; it is called from the daemon's loop.
pub trait Listener: Send + Sync + 'static {
    /// An event by its vici name (`ike-updown`, `child-updown`, `log`, …) and its vici message.
    fn event(&self, name: &str, message: &[u8]);

    /// Which events are wanted; an empty list is none.
    fn wants(&self) -> Vec<String>;
}
