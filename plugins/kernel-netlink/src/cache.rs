//! Links and addresses as they are now, without a list of all of them each time.
//!
//! The kernel queues its news for every socket that listens before it answers whoever made the change. So what waits at a
//! socket of this cache's own is read before each answer, and what it says then is what a list would say, except of an
//! address of IPv6 without duplicate detection, of which the news come a moment after it is there: ours are told by
//! [`Cache::add`].

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::connection::{self, Connection};
use crate::filter;
use crate::listener::{Drained, Listening};
use crate::lookup::Candidate;
use crate::monitor;
use crate::settings::Settings;
use crate::state::{Address, Change, State};

/// See the module.
pub(crate) struct Cache(Mutex<Inner>);

struct Inner {
    listening: Listening,
    /// Nothing before the first question, and after news were lost.
    seen: Option<Seen>,
    /// How often routes of ours may have gone without our doing.
    losses: u32,
    /// Where our routes are.
    table: u32,
    /// By which our routes come and go.
    port: u32,
}

/// Octets of news that may wait: nobody reads them between questions, and a list makes up for those that are lost.
const ROOM: u32 = 1 << 18;

/// What there is.
#[derive(Default)]
pub(crate) struct Seen {
    state: State,
    names: HashMap<String, u32>,
}

impl Cache {
    /// Opens a socket in the calling thread's network namespace; from the return on nothing goes unnoticed.
    pub(crate) fn open(settings: &Settings, table: u32, port: u32) -> io::Result<Self> {
        let mut groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        if settings.process_route {
            groups |= libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_ROUTE;
        }
        let listening = Listening::open_filtered(
            NETLINK_ROUTE,
            groups as u32,
            settings.receive_buffer_size.min(ROOM),
            |socket| filter::without_routes_but_lost(socket, table, port),
        )?;
        Ok(Self(Mutex::new(Inner {
            listening,
            seen: None,
            losses: 0,
            table,
            port,
        })))
    }

    /// Answers a question about what there is.
    ///
    /// # Errors
    ///
    /// If the kernel refuses a list that is due.
    pub(crate) fn read<T>(
        &self,
        connection: &Connection<Message>,
        question: impl FnOnce(&Seen) -> T,
    ) -> io::Result<T> {
        self.current(connection)
            .map(|mut inner| question(inner.seen.get_or_insert_default()))
    }

    /// The index of an interface, if it is there, and how often routes of ours may have gone.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) fn index_and_losses(
        &self,
        connection: &Connection<Message>,
        interface: &str,
    ) -> io::Result<(Option<u32>, u32)> {
        self.current(connection).map(|mut inner| {
            let index = inner.seen.get_or_insert_default().index(interface);
            (index, inner.losses)
        })
    }

    /// Notes an address that we have added.
    pub(crate) fn add(&self, index: u32, address: IpAddr, prefix: u8) {
        if let Some(seen) = &mut self.lock().seen {
            let usable = true;
            seen.state.set_address(Address {
                index,
                address,
                prefix,
                usable,
            });
        }
    }

    fn current(&self, connection: &Connection<Message>) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.lock();
        inner.catch_up()?;
        if inner.seen.is_none() {
            inner.seen = Some(Seen::of(monitor::look(connection)?));
        }
        Ok(inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn catch_up(&mut self) -> io::Result<()> {
        let Self {
            listening,
            seen,
            losses,
            table,
            port,
        } = self;
        let drained = listening.drain(|octets| {
            let sender = connection::sender(octets);
            if let Some(NetlinkPayload::InnerMessage(message)) = connection::parse(octets) {
                let lost = match &message {
                    Message::NewRoute(_) => false,
                    Message::DelRoute(route) => sender != *port && Candidate::of(route).table == *table,
                    _ => seen.as_mut().is_some_and(|seen| seen.take(&message)),
                };
                *losses = losses.wrapping_add(lost.into());
            }
        });
        match drained {
            Ok(Drained::All) => Ok(()),
            // So many that a list is the shorter way.
            Ok(Drained::Some | Drained::Lost) => {
                self.forget();
                self.listening.discard()
            }
            Err(error) => {
                self.forget();
                Err(error)
            }
        }
    }

    fn forget(&mut self) {
        self.seen = None;
        self.losses = self.losses.wrapping_add(1);
    }
}

impl Seen {
    fn of(state: State) -> Self {
        let links = state.links.iter();
        let names = links.map(|(index, link)| (link.name.clone(), *index)).collect();
        Self { state, names }
    }

    /// All of it.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The index of an interface.
    pub(crate) fn index(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// The name of an interface.
    pub(crate) fn name(&self, index: u32) -> Option<&str> {
        self.state.links.get(&index).map(|link| link.name.as_str())
    }

    /// Takes a message over; whether the kernel may have dropped routes of ours.
    fn take(&mut self, message: &Message) -> bool {
        let about = match message {
            Message::NewLink(link) | Message::DelLink(link) => Some(link.header.index),
            _ => None,
        };
        let before = about.and_then(|index| self.name(index).map(str::to_owned));
        let changes = self.state.take(message);
        if let Some(index) = about {
            let now = self.name(index).map(str::to_owned);
            if before != now {
                // Two that swap their names come one after the other.
                if let Some(before) = before
                    && self.names.get(&before) == Some(&index)
                {
                    self.names.remove(&before);
                }
                self.names.extend(now.map(|now| (now, index)));
            }
        }
        changes
            .iter()
            .any(|change| matches!(change, Change::Disappeared(..) | Change::Deactivated(_)))
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

    use super::*;

    fn link(index: u32, name: &str, flags: LinkFlags) -> LinkMessage {
        let mut message = LinkMessage::default();
        (message.header.index, message.header.flags) = (index, flags);
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message
    }

    #[test]
    fn an_interface_is_found_by_the_name_that_it_has_now() {
        let mut seen = Seen::default();
        let up = LinkFlags::Up;
        assert!(!seen.take(&Message::NewLink(link(2, "eth0", up))));
        assert!(!seen.take(&Message::NewLink(link(3, "eth1", up))));
        // As others may swap two names.
        for (index, name) in [(2, "spare"), (3, "eth0"), (2, "eth1")] {
            assert!(!seen.take(&Message::NewLink(link(index, name, up))));
        }
        assert_eq!((seen.index("eth0"), seen.index("eth1")), (Some(3), Some(2)));
        assert_eq!((seen.index("spare"), seen.name(2)), (None, Some("eth1")));
        assert!(seen.take(&Message::NewLink(link(2, "eth1", LinkFlags::empty()))));
        assert!(!seen.take(&Message::DelLink(link(2, "eth1", LinkFlags::empty()))));
        assert_eq!((seen.index("eth1"), seen.name(2)), (None, None));
    }
}
