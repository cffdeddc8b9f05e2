//! The [`KernelNet`] that the daemon sees.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteMetric, RouteProtocol, RouteScope};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage as Message};
use plugin_api::kernel::{LocalAddress, NextHop, Route};
use plugin_api::log::{CONTROL, DIAGNOSE, Group};
use plugin_api::{ErrorKind, Host, KernelNet, PluginError};

use crate::cache::{Cache, Seen};
use crate::connection::Connection;
use crate::lookup::{self, Candidate};
use crate::monitor::Monitor;
use crate::own_routes::OwnRoutes;
use crate::settings::Settings;
use crate::state;

/// Addresses that the daemon put there itself, whose coming and going is no news.
#[derive(Debug, Default)]
pub(crate) struct VirtualAddresses {
    /// They are there, or about to be.
    pub(crate) present: BTreeSet<IpAddr>,
    /// They were removed so often, and the monitor has not seen it yet.
    pub(crate) leaving: BTreeMap<IpAddr, usize>,
}

impl VirtualAddresses {
    /// Whether an address that went was one that we removed.
    pub(crate) fn has_left(&mut self, address: IpAddr) -> bool {
        let Some(count) = self.leaving.get_mut(&address) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.leaving.remove(&address);
        }
        true
    }
}

/// Addresses and routes by netlink. When it is dropped its thread ends and its rules go.
pub struct Netlink {
    host: Arc<dyn Host>,
    connection: Connection<Message>,
    cache: Cache,
    settings: Settings,
    virtual_addresses: Arc<Mutex<VirtualAddresses>>,
    routes: Arc<Mutex<OwnRoutes>>,
    rules: Vec<RuleMessage>,
    _monitor: Monitor,
}

impl Netlink {
    /// Installs the rules that lead to our routing table and starts to listen for changes, all in the calling thread's
    /// network namespace.
    ///
    /// # Errors
    ///
    /// If a setting is invalid or the system has no netlink socket or thread for us.
    pub fn new(host: Arc<dyn Host>) -> Result<Self, PluginError> {
        let settings = Settings::read(&*host)?;
        let connection =
            Connection::open().map_err(|error| PluginError::system("opening a netlink socket", &error))?;
        let virtual_addresses = Arc::<Mutex<VirtualAddresses>>::default();
        let routes = Arc::<Mutex<OwnRoutes>>::default();
        let port = connection.port();
        let cache = Cache::open(&settings, table(&settings), port).map_err(|error| {
            PluginError::system("opening a netlink socket for changes of interfaces", &error)
        })?;
        let monitor = Monitor::start(
            Arc::clone(&host),
            &settings,
            Arc::clone(&virtual_addresses),
            Arc::clone(&routes),
            port,
        )?;
        let mut net = Self {
            host,
            connection,
            cache,
            settings,
            virtual_addresses,
            routes,
            rules: Vec::new(),
            _monitor: monitor,
        };
        net.add_rules();
        Ok(net)
    }

    fn add_rules(&mut self) {
        if self.settings.table == 0 {
            return;
        }
        for (family, name) in [(AddressFamily::Inet, "IPv4"), (AddressFamily::Inet6, "IPv6")] {
            let rule = rule(family, &self.settings);
            match self
                .connection
                .request(Message::NewRule(rule.clone()), NLM_F_CREATE | NLM_F_EXCL)
            {
                Ok(_) => self.rules.push(rule),
                // Somebody else's, or ours from before a crash; it does what we need either way.
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => self.clear_table(family),
                Err(error) => {
                    let remedy = match error.raw_os_error() {
                        Some(libc::EPERM) => "; start as root or with CAP_NET_ADMIN",
                        Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => {
                            "; the kernel has none for this family"
                        }
                        _ => "",
                    };
                    let text = format!("unable to create {name} routing table rule: {error}{remedy}");
                    self.host.log(Group::Knl, CONTROL, &text);
                }
            }
        }
    }

    /// Takes out what a daemon that was killed has left in our table: tunnels that are gone with it.
    fn clear_table(&self, family: AddressFamily) {
        // Tables of the system, which others use too.
        let systems = [libc::RT_TABLE_DEFAULT, libc::RT_TABLE_MAIN, libc::RT_TABLE_LOCAL];
        if systems.map(u32::from).contains(&self.settings.table) {
            return;
        }
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let listed = self.connection.dump(&Message::GetRoute(message));
        let left = listed.map(|routes| {
            routes.into_iter().filter_map(|message| match message {
                Message::NewRoute(route) => Some(route),
                _ => None,
            })
        });
        let removed = left.and_then(|left| {
            left.filter(|route| Candidate::of(route).table == self.settings.table)
                .filter(|route| route.header.protocol == RouteProtocol::Static)
                .try_for_each(|route| self.connection.request(Message::DelRoute(route), 0).map(drop))
        });
        if let Err(error) = removed {
            let text = format!(
                "unable to remove what another daemon has left in routing table {0}: {error}; see `ip route show table {0}`",
                self.settings.table
            );
            self.host.log(Group::Knl, CONTROL, &text);
        }
    }

    fn interface_index(&self, name: &str) -> Result<u32, PluginError> {
        match self.seen(|seen| seen.index(name))? {
            Some(index) => Ok(index),
            None => self.ask_for_index(name),
        }
    }

    /// Of an interface that may have another name besides its own.
    fn ask_for_index(&self, name: &str) -> Result<u32, PluginError> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let answer = self.connection.request(Message::GetLink(message), 0);
        let missing = || {
            PluginError::new(
                ErrorKind::NotFound,
                format!("there is no network interface {name}"),
            )
        };
        let answer = answer.map_err(|error| match error.raw_os_error() {
            Some(libc::ENODEV) => missing(),
            _ => PluginError::system(format!("looking for network interface {name}"), &error),
        })?;
        let index = answer.iter().find_map(|message| match message {
            Message::NewLink(link) => Some(link.header.index),
            _ => None,
        });
        index.ok_or_else(missing)
    }

    fn interface_name(&self, index: u32) -> Result<String, PluginError> {
        if let Some(name) = self.seen(|seen| seen.name(index).map(str::to_owned))? {
            return Ok(name);
        }
        let mut message = LinkMessage::default();
        message.header.index = index;
        let answer = self
            .connection
            .request(Message::GetLink(message), 0)
            .map_err(|error| PluginError::system(format!("looking for network interface {index}"), &error))?;
        let name = answer.iter().find_map(|message| match message {
            Message::NewLink(link) => state::link_of(link).map(|(_, link)| link.name),
            _ => None,
        });
        name.ok_or_else(|| {
            PluginError::new(
                ErrorKind::NotFound,
                format!("network interface {index} has no name"),
            )
        })
    }

    fn seen<T>(&self, question: impl FnOnce(&Seen) -> T) -> Result<T, PluginError> {
        self.cache.read(&self.connection, question).map_err(not_listed)
    }

    /// Where the kernel would send a packet to, unless it asked our own table.
    fn ask(&self, destination: IpAddr, source: Option<IpAddr>) -> Result<Option<Candidate>, PluginError> {
        let question = Message::GetRoute(lookup::question(destination, source));
        let answer = match self.connection.request(question, 0) {
            Ok(answer) => answer,
            Err(error) => {
                return match error.raw_os_error() {
                    Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES) => {
                        Err(no_route(destination, source))
                    }
                    // So the kernel says that the source is none of its addresses, or a black hole.
                    Some(libc::EINVAL) => Err(no_route(destination, source)),
                    _ => Err(PluginError::system(
                        format!("asking for a route to {destination}"),
                        &error,
                    )),
                };
            }
        };
        Ok(answer.iter().find_map(route_of).filter(|route| {
            let own = self.settings.table != 0 && route.table == self.settings.table;
            !own && !self.settings.ignored_tables.contains(&route.table)
        }))
    }

    /// The best route of all tables but our own.
    fn search(&self, destination: IpAddr, source: Option<IpAddr>) -> Result<Candidate, PluginError> {
        let mut message = RouteMessage::default();
        message.header.address_family = lookup::family(destination);
        let answer = self
            .connection
            .dump(&Message::GetRoute(message))
            .map_err(|error| PluginError::system("listing routes", &error))?;
        let routes: Vec<_> = answer.iter().filter_map(route_of).collect();
        let owners = match source {
            Some(source) => self.seen(|seen| {
                let addresses = seen.state().addresses.iter();
                addresses
                    .filter(|(_, address, _)| *address == source)
                    .map(|(index, ..)| *index)
                    .collect()
            })?,
            None => BTreeSet::new(),
        };
        let mut ignored = self.settings.ignored_tables.clone();
        ignored.insert(self.settings.table);
        let found = lookup::best(&routes, destination, source, &owners, &ignored);
        found.cloned().ok_or_else(|| no_route(destination, source))
    }

    fn virtual_addresses(&self) -> std::sync::MutexGuard<'_, VirtualAddresses> {
        self.virtual_addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        for rule in self.rules.drain(..) {
            if let Err(error) = self.connection.request(Message::DelRule(rule), 0) {
                self.host.log(
                    Group::Knl,
                    DIAGNOSE,
                    &format!("unable to remove routing table rule: {error}"),
                );
            }
        }
    }
}

impl KernelNet for Netlink {
    fn addresses(&self) -> Result<Vec<LocalAddress>, PluginError> {
        let ours = self.virtual_addresses();
        self.seen(|seen| {
            let state = seen.state();
            let addresses = state.addresses.iter().filter_map(|(index, address, prefix)| {
                let link = state.links.get(index)?;
                Some(LocalAddress {
                    address: *address,
                    prefix: *prefix,
                    interface: link.name.clone(),
                    loopback: link.loopback,
                    up: link.up,
                    is_virtual: ours.present.contains(address),
                })
            });
            addresses.collect()
        })
    }

    fn next_hop(&self, destination: IpAddr, source: Option<IpAddr>) -> Result<NextHop, PluginError> {
        let source = source.filter(|source| !source.is_unspecified());
        let route = match self.ask(destination, source)? {
            Some(route) => route,
            None => self.search(destination, source)?,
        };
        let index = route.interface.ok_or_else(|| no_route(destination, source))?;
        Ok(NextHop {
            gateway: route.gateway,
            interface: self.interface_name(index)?,
            source: source.or(route.source),
        })
    }

    fn add_address(&self, address: IpAddr, prefix: u8, interface: &str) -> Result<(), PluginError> {
        let index = self.interface_index(interface)?;
        let message = address_message(address, prefix, index);
        // First, so that the monitor does not take it for news.
        let inserted = self.virtual_addresses().present.insert(address);
        self.connection
            .request(Message::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
            .map(|_| self.cache.add(index, address, prefix))
            .map_err(|error| {
                if inserted {
                    self.virtual_addresses().present.remove(&address);
                }
                let text = format!("adding {address}/{prefix} to {interface}");
                refused(text, &error)
            })
    }

    fn delete_address(&self, address: IpAddr, prefix: u8, interface: &str) -> Result<(), PluginError> {
        let message = address_message(address, prefix, self.interface_index(interface)?);
        let was_ours = {
            let mut ours = self.virtual_addresses();
            let was_ours = ours.present.remove(&address);
            if was_ours {
                *ours.leaving.entry(address).or_default() += 1;
            }
            was_ours
        };
        self.connection
            .request(Message::DelAddress(message), 0)
            .map(drop)
            .map_err(|error| {
                if was_ours {
                    self.virtual_addresses().has_left(address);
                }
                refused(format!("removing {address}/{prefix} from {interface}"), &error)
            })
    }

    fn add_route(&self, route: &Route) -> Result<(), PluginError> {
        let (index, losses) = self
            .cache
            .index_and_losses(&self.connection, &route.interface)
            .map_err(not_listed)?;
        // The lock is held so long that the monitor does not come in between.
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        // Without news of routes nobody would tell that others have removed it.
        if self.settings.process_route && index.is_some() && routes.is_there(route, losses) {
            return Err(PluginError::new(ErrorKind::AlreadyExists, "the route is there"));
        }
        let index = index.map_or_else(|| self.ask_for_index(&route.interface), Ok)?;
        let outcome = self.connection.request(
            Message::NewRoute(route_message(&self.settings, route, index)),
            NLM_F_CREATE | NLM_F_EXCL,
        );
        match outcome {
            Ok(_) => routes.insert(route, losses),
            Err(error) => {
                if error.raw_os_error() == Some(libc::EEXIST) && routes.contains(route) {
                    routes.insert(route, losses);
                }
                return Err(refused(format!("adding {}", described(route)), &error));
            }
        }
        Ok(())
    }

    fn delete_route(&self, route: &Route) -> Result<(), PluginError> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.remove(route);
        let index = self.interface_index(&route.interface)?;
        let mut message = lookup::message(route, table(&self.settings), index);
        message.header.scope = RouteScope::NoWhere;
        self.connection
            .request(Message::DelRoute(message), 0)
            .map(drop)
            .map_err(|error| refused(format!("removing {}", described(route)), &error))
    }
}

/// What installs a route of ours.
pub(crate) fn route_message(settings: &Settings, route: &Route, index: u32) -> RouteMessage {
    let mut message = lookup::message(route, table(settings), index);
    let Settings { mtu, mss, .. } = *settings;
    let metrics: Vec<_> = [(mtu, RouteMetric::Mtu(mtu)), (mss, RouteMetric::Advmss(mss))]
        .into_iter()
        .filter_map(|(value, metric)| (value > 0).then_some(metric))
        .collect();
    if !metrics.is_empty() {
        message.attributes.push(RouteAttribute::Metrics(metrics));
    }
    message
}

fn table(settings: &Settings) -> u32 {
    if settings.table == 0 {
        libc::RT_TABLE_MAIN.into()
    } else {
        settings.table
    }
}

fn route_of(message: &Message) -> Option<Candidate> {
    match message {
        Message::NewRoute(route) => Some(Candidate::of(route)),
        _ => None,
    }
}

fn rule(family: AddressFamily, settings: &Settings) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = family;
    rule.header.table = u8::try_from(settings.table).unwrap_or(0);
    rule.header.action = RuleAction::ToTable;
    rule.attributes.extend([
        RuleAttribute::Table(settings.table),
        RuleAttribute::Priority(settings.priority),
    ]);
    if let Some(mark) = settings.fwmark {
        rule.attributes.extend([
            RuleAttribute::FwMark(mark.value),
            RuleAttribute::FwMask(mark.mask),
        ]);
        if mark.inverted {
            rule.header.flags |= RuleFlags::Invert;
        }
    }
    rule
}

fn address_message(address: IpAddr, prefix: u8, index: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = lookup::family(address);
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.header.scope = AddressScope::Universe;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    if address.is_ipv6() {
        // The peer assigned it to us alone, so there are no duplicates to wait for.
        message.header.flags = AddressHeaderFlags::Nodad;
        if prefix == 128 {
            // Deprecated: a source for what a route says it is, but not the kernel's choice for anything else.
            let mut lifetimes = CacheInfo::default();
            (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (0, u32::MAX);
            message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
        }
    }
    message
}

fn not_listed(error: io::Error) -> PluginError {
    PluginError::system("listing interfaces and addresses", &error)
}

fn no_route(destination: IpAddr, source: Option<IpAddr>) -> PluginError {
    let from = source.map_or(String::new(), |source| format!(" from {source}"));
    PluginError::new(ErrorKind::NotFound, format!("no route to {destination}{from}"))
}

fn described(route: &Route) -> String {
    let Route {
        destination,
        prefix,
        gateway,
        source,
        interface,
    } = route;
    let via = gateway.map_or(String::new(), |gateway| format!(" via {gateway}"));
    let src = source.map_or(String::new(), |source| format!(" src {source}"));
    format!("route {destination}/{prefix}{via} dev {interface}{src}")
}

fn refused(attempt: String, error: &io::Error) -> PluginError {
    let kind = match error.raw_os_error() {
        Some(libc::EEXIST) => ErrorKind::AlreadyExists,
        Some(libc::ESRCH | libc::EADDRNOTAVAIL | libc::ENODEV) => ErrorKind::NotFound,
        _ => ErrorKind::System,
    };
    PluginError::new(kind, format!("{attempt}: {error}"))
}
