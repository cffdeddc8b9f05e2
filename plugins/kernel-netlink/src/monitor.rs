//! Listens for changes of links, addresses and routes.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::poll::PollTimeout;
use nix::sys::eventfd::EventFd;
use plugin_api::kernel::KernelEvent;
use plugin_api::log::{CONTROL, DIAGNOSE, Group};
use plugin_api::{Host, PluginError};

use crate::connection::{self, Connection};
use crate::filter;
use crate::listener::{Drained, Listening, Worker};
use crate::lookup::Candidate;
use crate::net::{self, VirtualAddresses};
use crate::own_routes::OwnRoutes;
use crate::settings::Settings;
use crate::state::{Change, State};

/// Changes come in flocks; the daemon is told once of those within this time, but at once of an address that went.
const COLLECT: Duration = Duration::from_millis(100);

/// Bits of the groups of `linux/rtnetlink.h`, whose own names are those of their numbers.
const RTMGRP_IPV4_RULE: libc::c_int = 1 << (libc::RTNLGRP_IPV4_RULE - 1);
const RTMGRP_IPV6_RULE: libc::c_int = 1 << (libc::RTNLGRP_IPV6_RULE - 1);

/// The thread; it ends when this is dropped.
pub struct Monitor {
    _worker: Worker,
}

struct Listener {
    host: Arc<dyn Host>,
    listening: Listening,
    connection: Connection<Message>,
    state: State,
    virtual_addresses: Arc<Mutex<VirtualAddresses>>,
    routes: Arc<Mutex<OwnRoutes>>,
    settings: Settings,
    ignored_tables: BTreeSet<u32>,
    /// When to tell the daemon, and whether it is about addresses.
    pending: Option<(Instant, bool)>,
    /// When to look at everything, after messages were lost.
    stale: Option<Instant>,
}

impl Monitor {
    /// Starts the thread; from the return on no change goes unnoticed but of routes by `port`, which is ours.
    ///
    /// # Errors
    ///
    /// If the system refuses a socket or a thread.
    pub(crate) fn start(
        host: Arc<dyn Host>,
        settings: &Settings,
        virtual_addresses: Arc<Mutex<VirtualAddresses>>,
        routes: Arc<Mutex<OwnRoutes>>,
        port: u32,
    ) -> Result<Self, PluginError> {
        let failed =
            |error: io::Error| PluginError::system("listening for changes of addresses and routes", &error);
        let mut groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        if settings.process_route {
            groups |= libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_ROUTE;
        }
        if settings.process_rules {
            groups |= RTMGRP_IPV4_RULE | RTMGRP_IPV6_RULE;
        }
        let connection = Connection::open().map_err(failed)?;
        let ports = [port, connection.port()];
        // Before the first look, so that nothing falls between the two.
        let listening = Listening::open_filtered(
            NETLINK_ROUTE,
            groups as u32,
            settings.receive_buffer_size,
            |socket| filter::without_own_routes(socket, ports),
        )
        .map_err(failed)?;
        let state = look(&connection).map_err(failed)?;
        let mut ignored_tables = settings.ignored_tables.clone();
        // Our own routes are no news, and those of the local table come and go with addresses.
        ignored_tables.extend([settings.table, libc::RT_TABLE_LOCAL.into()]);
        let listener = Listener {
            host,
            listening,
            connection,
            state,
            virtual_addresses,
            routes,
            settings: settings.clone(),
            ignored_tables,
            pending: None,
            stale: None,
        };
        let worker = Worker::start("netlink-monitor", move |stop| listener.run(stop))?;
        Ok(Self { _worker: worker })
    }
}

/// All links and addresses at this moment.
pub(crate) fn look(connection: &Connection<Message>) -> io::Result<State> {
    let mut state = State::default();
    for all in [
        Message::GetLink(LinkMessage::default()),
        Message::GetAddress(AddressMessage::default()),
    ] {
        for message in connection.dump(&all)? {
            state.take(&message);
        }
    }
    Ok(state)
}

impl Listener {
    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    fn run(mut self, stop: &EventFd) {
        loop {
            let now = Instant::now();
            if self.stale.is_some_and(|due| due <= now) {
                self.resynchronize(now);
            }
            if let Some((due, address)) = self.pending
                && due <= now
            {
                self.pending = None;
                self.host.kernel_event(KernelEvent::Roam { address });
            }
            let next = self
                .stale
                .into_iter()
                .chain(self.pending.map(|(due, _)| due))
                .min();
            let timeout = next.map_or(PollTimeout::NONE, |due| {
                // One more millisecond, or the last one would be spent polling without waiting.
                let left = due.saturating_duration_since(now) + Duration::from_millis(1);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            });
            match self.listening.wait(stop, timeout) {
                Ok(true) => return,
                Ok(false) => {}
                Err(errno) => {
                    let text = format!("waiting for changes of addresses failed: {errno}, stopping");
                    self.host.log(Group::Knl, CONTROL, &text);
                    return;
                }
            }
            if let Err(error) = self.drain() {
                let text = format!("listening for changes of addresses failed: {error}, stopping");
                self.host.log(Group::Knl, CONTROL, &text);
                return;
            }
        }
    }

    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    fn drain(&mut self) -> io::Result<()> {
        let mut messages = Vec::new();
        let drained = self.listening.drain(|octets| {
            if let Some(NetlinkPayload::InnerMessage(message)) = connection::parse(octets) {
                messages.push(message);
            }
        })?;
        messages.into_iter().for_each(|message| self.take(message));
        if drained == Drained::Lost {
            self.stale = Some(Instant::now());
        }
        Ok(())
    }

    /// Compares what is with what was.
    fn resynchronize(&mut self, now: Instant) {
        self.stale = None;
        let fresh = match look(&self.connection) {
            Ok(fresh) => fresh,
            Err(error) => {
                let text = format!("listing interfaces and addresses failed, trying again: {error}");
                self.host.log(Group::Knl, DIAGNOSE, &text);
                self.stale = Some(now + COLLECT);
                return;
            }
        };
        let text = "changes of addresses came too fast, looked at all of them again";
        self.host.log(Group::Knl, DIAGNOSE, text);
        for change in self.state.replace(fresh) {
            self.tell(&change);
        }
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.lose_all();
        drop(routes);
        // Nobody will tell any more of those that were lost.
        self.virtual_addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .leaving
            .clear();
        // Routes and rules are not kept, so one may have changed among what was lost.
        if self.settings.process_route || self.settings.process_rules {
            self.roam(false);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::NewRoute(route) | Message::DelRoute(route) => self.take_route(&route),
            Message::NewRule(rule) | Message::DelRule(rule) => self.take_rule(&rule),
            other => {
                let changes = self.state.take(&other);
                changes.iter().for_each(|change| self.tell(change));
            }
        }
    }

    fn take_route(&mut self, route: &RouteMessage) {
        let route = Candidate::of(route);
        if self.settings.process_route && !route.cloned && !self.ignored_tables.contains(&route.table) {
            self.roam(false);
        }
    }

    fn take_rule(&mut self, rule: &RuleMessage) {
        if table_of(rule) != self.settings.table {
            self.roam(false);
        }
    }

    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    fn tell(&mut self, change: &Change) {
        let mut ours = self
            .virtual_addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_ours = match change {
            Change::Appeared(address, _) => {
                ours.present.contains(address) || ours.leaving.contains_key(address)
            }
            // One that somebody else takes away from us is news.
            Change::Disappeared(address, _) => ours.has_left(*address),
            _ => false,
        };
        drop(ours);
        self.follow_routes(change);
        if !is_ours {
            self.host.log(Group::Knl, CONTROL, &change.to_string());
            self.roam(true);
            // What goes by an address that is gone is lost until somebody does something about it.
            if let (Change::Disappeared(..), Some((due, _))) = (change, &mut self.pending) {
                *due = Instant::now();
            }
        }
    }

    /// Notes which of our routes the kernel may drop with a change, and adds those again that it has dropped before.
    fn follow_routes(&self, change: &Change) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Appeared(_, interface) | Change::Activated(interface) => {
                self.restore_routes(&mut routes, interface);
            }
            Change::Deactivated(interface) => routes.lose(interface),
            Change::Disappeared(address, interface) => {
                let index = self.index(interface);
                if !index.is_some_and(|index| self.state.has_address(index, address.is_ipv6())) {
                    routes.lose(interface);
                }
            }
        }
    }

    fn restore_routes(&self, routes: &mut OwnRoutes, interface: &str) {
        let Some(index) = self.index(interface) else {
            return;
        };
        routes.restore(interface, |route| {
            let message = net::route_message(&self.settings, route, index);
            let outcome = self
                .connection
                .request(Message::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL);
            // It is there in most cases, and in others its gateway may be out of reach.
            outcome.map_or_else(|error| error.raw_os_error() == Some(libc::EEXIST), |_| true)
        });
    }

    fn index(&self, interface: &str) -> Option<u32> {
        let mut links = self.state.links.iter();
        links
            .find(|(_, link)| link.name == interface)
            .map(|(index, _)| *index)
    }

    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    fn roam(&mut self, address: bool) {
        if !self.settings.roam_events {
            return;
        }
        self.pending = Some(match self.pending {
            None => (Instant::now() + COLLECT, address),
            Some((due, before)) => (due, before || address),
        });
    }
}

/// Where a rule leads; one that leads to our own table is no news.
fn table_of(rule: &RuleMessage) -> u32 {
    let table = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Table(table) => Some(*table),
        _ => None,
    });
    // Larger ones are in the attribute only.
    table.unwrap_or(rule.header.table.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_leads_to_the_table_of_its_attribute_or_of_its_header() {
        let mut rule = RuleMessage::default();
        rule.header.table = 220;
        assert_eq!(table_of(&rule), 220);
        rule.attributes.push(RuleAttribute::Table(1000));
        assert_eq!(table_of(&rule), 1000);
    }
}
