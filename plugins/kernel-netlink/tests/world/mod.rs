//! A network namespace for one test, and a daemon that writes down what it is told.

use std::net::IpAddr;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use plugin_api::kernel::{KernelEvent, KernelMigration};
use plugin_api::log::Group;
use plugin_api::{Host, KernelNet, Reply};

/// What the daemon was told.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    Line(String),
    Event(KernelEvent),
    Migration(KernelMigration),
}

/// The daemon.
pub(crate) struct Daemon {
    told: Mutex<Sender<Told>>,
    settings: &'static [(&'static str, &'static str)],
    net: OnceLock<Arc<dyn KernelNet>>,
}

impl Daemon {
    /// With settings, and the other end of what it is told.
    pub(crate) fn new(settings: &'static [(&'static str, &'static str)]) -> (Arc<Self>, Receiver<Told>) {
        let (sender, told) = channel();
        let daemon = Self {
            told: Mutex::new(sender),
            settings,
            net: OnceLock::new(),
        };
        (Arc::new(daemon), told)
    }

    /// Has a back end for addresses and routes from now on.
    #[allow(dead_code)] // not every file has routes
    pub(crate) fn set_net(&self, net: Arc<dyn KernelNet>) {
        assert!(self.net.set(net).is_ok());
    }
}

impl Host for Daemon {
    fn setting(&self, key: &str) -> Option<String> {
        let found = self.settings.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| (*value).to_owned())
    }

    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        true
    }

    fn log(&self, _group: Group, _level: i8, message: &str) {
        // The test may have ended.
        let _ = self
            .told
            .lock()
            .expect("no panic before")
            .send(Told::Line(message.to_owned()));
    }

    fn submit(&self, _verb: &str, _message: &[u8], reply: Arc<dyn Reply>) {
        reply.done(&[]);
    }

    fn kernel_event(&self, event: KernelEvent) {
        let _ = self
            .told
            .lock()
            .expect("no panic before")
            .send(Told::Event(event));
    }

    fn kernel_migrated(&self, migration: KernelMigration) {
        let _ = self
            .told
            .lock()
            .expect("no panic before")
            .send(Told::Migration(migration));
    }

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        self.net.get().cloned()
    }
}

/// Moves the calling thread into a new namespace with the ends of a veth pair, if root may.
pub(crate) fn enter(name: &str) -> bool {
    if !nix::unistd::geteuid().is_root() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name} needs root");
        println!("{name}: skipped, it needs root for network namespaces");
        return false;
    }
    unshare(CloneFlags::CLONE_NEWNET).expect("a namespace of its own");
    ip("link set lo up");
    ip("link add eth0 type veth peer name eth1");
    true
}

/// The next thing told.
pub(crate) fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(Duration::from_secs(10))
        .expect("something is told")
}

/// What the command prints; it must not fail.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .expect("the ip command");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// An address.
pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
