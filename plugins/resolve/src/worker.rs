//! DNS servers in the order in which they come and go, on a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use control::vici::Message;
use plugin_api::log::{AUDIT, CONTROL, Group};
use plugin_api::{Host, Listener, PluginError};

use crate::file;
use crate::resolvconf::Resolvconf;

/// The event that tells of servers.
pub const EVENT: &str = "dns-servers";

/// How servers become those of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// In this file.
    File(PathBuf),
    /// By a program.
    Program(Resolvconf),
}

/// The thread. When this is dropped, what waits is still done, and servers that are left go.
pub struct Worker {
    host: Arc<dyn Host>,
    queue: Mutex<Option<Sender<Change>>>,
    thread: Option<JoinHandle<()>>,
}

/// Servers that came or went with an IKE_SA.
struct Change {
    up: bool,
    servers: Vec<IpAddr>,
}

impl Worker {
    /// Starts the thread. What an earlier daemon left in the file goes first.
    ///
    /// # Errors
    ///
    /// If the system has no thread to spare.
    pub fn start(host: Arc<dyn Host>, way: Way) -> Result<Self, PluginError> {
        let (queue, changes) = channel();
        let servers = Servers {
            host: Arc::clone(&host),
            way,
            users: BTreeMap::new(),
        };
        let thread = thread::Builder::new()
            .name("resolve".into())
            .spawn(move || servers.run(&changes))
            .map_err(|error| PluginError::system("starting the thread resolve", &error))?;
        Ok(Self {
            host,
            queue: Mutex::new(Some(queue)),
            thread: Some(thread),
        })
    }
}

impl Listener for Worker {
    fn event(&self, name: &str, message: &[u8]) {
        if name != EVENT {
            return;
        }
        let Ok(message) = Message::decode(message) else {
            return self
                .host
                .log(Group::Ike, CONTROL, "event dns-servers not understood");
        };
        let servers = message.get_list("servers").unwrap_or_default();
        let address = |octets: &Vec<u8>| std::str::from_utf8(octets).ok()?.parse().ok();
        let change = Change {
            up: message.get_bool("up") == Some(true),
            servers: servers.iter().filter_map(address).collect(),
        };
        if let Some(queue) = &*self.queue.lock().unwrap_or_else(PoisonError::into_inner) {
            // The thread ends only with the sender.
            let _ = queue.send(change);
        }
    }

    fn wants(&self) -> Vec<String> {
        vec![EVENT.into()]
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.host
                .log(Group::Ike, AUDIT, "the thread resolve had panicked");
        }
    }
}

/// The servers of this host, with how many IKE_SAs brought each.
struct Servers {
    host: Arc<dyn Host>,
    way: Way,
    users: BTreeMap<IpAddr, usize>,
}

impl Servers {
    fn run(mut self, changes: &Receiver<Change>) {
        if let Way::File(path) = &self.way
            && let Err(error) = file::clean(path)
        {
            let text = format!("cleaning {} failed: {error}", path.display());
            self.host.log(Group::Ike, CONTROL, &text);
        }
        for change in changes {
            for server in change.servers {
                if change.up {
                    self.add(server);
                } else {
                    self.remove(server);
                }
            }
        }
        for server in self.users.keys().copied().collect::<Vec<_>>() {
            self.users.insert(server, 1);
            self.remove(server);
        }
    }

    fn add(&mut self, server: IpAddr) {
        let users = self.users.entry(server).or_default();
        *users += 1;
        if *users > 1 {
            return;
        }
        let result = match &self.way {
            Way::File(path) => {
                let text = format!("installing DNS server {server} to {}", path.display());
                self.host.log(Group::Ike, CONTROL, &text);
                file::add(path, server)
            }
            Way::Program(resolvconf) => {
                let text = format!("installing DNS server {server} via resolvconf");
                self.host.log(Group::Ike, CONTROL, &text);
                resolvconf.tell(server, &self.all())
            }
        };
        self.report("adding", server, result);
    }

    fn remove(&mut self, server: IpAddr) {
        let Some(users) = self.users.get_mut(&server) else {
            return;
        };
        *users -= 1;
        if *users > 0 {
            return;
        }
        self.users.remove(&server);
        let result = match &self.way {
            Way::File(path) => {
                let text = format!("removing DNS server {server} from {}", path.display());
                self.host.log(Group::Ike, CONTROL, &text);
                file::remove(path, server)
            }
            Way::Program(resolvconf) => {
                let text = format!("removing DNS server {server} via resolvconf");
                self.host.log(Group::Ike, CONTROL, &text);
                resolvconf.tell(server, &self.all())
            }
        };
        self.report("removing", server, result);
    }

    fn all(&self) -> BTreeSet<IpAddr> {
        self.users.keys().copied().collect()
    }

    fn report(&self, attempt: &str, server: IpAddr, result: io::Result<()>) {
        if let Err(error) = result {
            let text = format!("{attempt} DNS server {server} failed: {error}");
            self.host.log(Group::Ike, CONTROL, &text);
        }
    }
}
