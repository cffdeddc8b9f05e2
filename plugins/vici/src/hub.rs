//! Who wants to hear of what.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use control::frame;
use control::packet::{Packet, PacketType};
use plugin_api::Listener;

use crate::queue::Sender;

/// The events there are; the first five and `control-log` come with the answers to commands.
const EVENTS: [&str; 13] = [
    "list-sa",
    "list-policy",
    "list-conn",
    "list-cert",
    "list-authority",
    "control-log",
    "ike-updown",
    "ike-rekey",
    "ike-update",
    "child-updown",
    "child-rekey",
    "alert",
    "log",
];

/// All clients with their registrations.
#[derive(Default)]
pub struct Hub {
    clients: Mutex<BTreeMap<u64, Subscriber>>,
}

struct Subscriber {
    queue: Sender,
    /// One entry a registration; whoever registers twice is told twice.
    events: Vec<String>,
}

impl Hub {
    pub(crate) fn join(&self, id: u64, queue: Sender) {
        let events = Vec::new();
        self.clients().insert(id, Subscriber { queue, events });
    }

    pub(crate) fn leave(&self, id: u64) {
        self.clients().remove(&id);
    }

    /// Whether there is such an event; then the client hears of it from now on.
    pub(crate) fn register(&self, id: u64, event: &str) -> bool {
        let known = EVENTS.contains(&event);
        if let Some(client) = self.clients().get_mut(&id).filter(|_| known) {
            client.events.push(event.to_owned());
        }
        known
    }

    /// Ends one registration, if there is one.
    pub(crate) fn unregister(&self, id: u64, event: &str) -> bool {
        let mut clients = self.clients();
        let Some(client) = clients.get_mut(&id) else {
            return false;
        };
        let place = client.events.iter().position(|registered| registered == event);
        place.map(|at| client.events.remove(at)).is_some()
    }

    /// An event of a command that this client has given; `false` if it has gone.
    pub(crate) fn tell(&self, id: u64, event: &str, message: &[u8]) -> bool {
        self.clients()
            .get(&id)
            .is_some_and(|client| client.tell(event, message))
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<u64, Subscriber>> {
        // Nothing in here can be left half done.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    fn tell(&self, event: &str, message: &[u8]) -> bool {
        let times = self
            .events
            .iter()
            .filter(|registered| *registered == event)
            .count();
        if times == 0 {
            return true;
        }
        let packet = Packet::new(PacketType::Event, event, message.to_vec());
        // One that does not fit into a packet is lost; nobody could read it.
        let Ok(octets) = packet.encode().and_then(|packet| frame::frame(&packet)) else {
            return true;
        };
        (0..times).all(|_| self.queue.send(octets.clone()))
    }
}

impl Listener for Hub {
    fn event(&self, name: &str, message: &[u8]) {
        for client in self.clients().values() {
            client.tell(name, message);
        }
    }

    fn wants(&self) -> Vec<String> {
        let clients = self.clients();
        let mut wanted: Vec<_> = clients
            .values()
            .flat_map(|client| &client.events)
            .cloned()
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }
}
