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
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    by_id: BTreeMap<u64, Subscriber>,
    /// How many registrations each of [`EVENTS`] has. The daemon asks before everything it does, so that must not take
    /// longer the more clients there are.
    registrations: [usize; EVENTS.len()],
}

struct Subscriber {
    queue: Sender,
    /// How often each of [`EVENTS`] is registered for; whoever registers twice is told twice.
    events: [u16; EVENTS.len()],
}

impl Hub {
    pub(crate) fn join(&self, id: u64, queue: Sender) {
        let events = [0; EVENTS.len()];
        self.clients().by_id.insert(id, Subscriber { queue, events });
    }

    pub(crate) fn leave(&self, id: u64) {
        let mut clients = self.clients();
        if let Some(gone) = clients.by_id.remove(&id) {
            for (total, own) in clients.registrations.iter_mut().zip(gone.events) {
                *total -= usize::from(own);
            }
        }
    }

    /// Whether there is such an event; then the client hears of it from now on.
    pub(crate) fn register(&self, id: u64, event: &str) -> bool {
        let Some(event) = number(event) else { return false };
        let Clients { by_id, registrations } = &mut *self.clients();
        if let Some(client) = by_id.get_mut(&id)
            && client.events[event] < u16::MAX
        {
            client.events[event] += 1;
            registrations[event] += 1;
        }
        true
    }

    /// Ends one registration, if there is one.
    pub(crate) fn unregister(&self, id: u64, event: &str) -> bool {
        let Some(event) = number(event) else { return false };
        let Clients { by_id, registrations } = &mut *self.clients();
        let Some(client) = by_id.get_mut(&id).filter(|client| client.events[event] > 0) else {
            return false;
        };
        client.events[event] -= 1;
        registrations[event] -= 1;
        true
    }

    /// An event of a command that this client has given; `false` if it has gone.
    pub(crate) fn tell(&self, id: u64, event: &str, message: &[u8]) -> bool {
        self.clients()
            .by_id
            .get(&id)
            .is_some_and(|client| client.tell(event, message))
    }

    /// Whether it knows of nobody.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let clients = self.clients();
        clients.by_id.is_empty() && clients.registrations == [0; EVENTS.len()]
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        // Nothing in here can be left half done.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    fn tell(&self, event: &str, message: &[u8]) -> bool {
        let times = number(event).map_or(0, |event| self.events[event]);
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
        let clients = self.clients();
        if number(name).is_some_and(|event| clients.registrations[event] > 0) {
            clients
                .by_id
                .values()
                .for_each(|client| _ = client.tell(name, message));
        }
    }

    fn wants(&self) -> Vec<String> {
        let clients = self.clients();
        let registered = EVENTS.iter().zip(clients.registrations);
        registered
            .filter(|(_, times)| *times > 0)
            .map(|(event, _)| (*event).to_owned())
            .collect()
    }
}

/// An event's place in [`EVENTS`].
fn number(event: &str) -> Option<usize> {
    EVENTS.iter().position(|known| *known == event)
}
