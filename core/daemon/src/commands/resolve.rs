//! The addresses of both ends, before an IKE_SA is initiated.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use config::connection::{Host, PeerConfig};
use plugin_api::{Host as _, KernelNet};

use crate::input::{Input, Sender};
use crate::run::Daemon;

/// Look-ups that may run at once; each has a thread, because getaddrinfo waits.
const LOOKUPS: usize = 16;

/// The addresses of names.
pub(super) type Names = Vec<(String, Vec<IpAddr>)>;

/// Why the ends of a connection have no addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The peer's is not known.
    Unresolved(String),
    /// The own one to reach it from is not.
    NoWay(String),
    /// Too much else is being looked up.
    Busy(String),
    /// The connection of this name has gone in the meantime.
    Removed(String),
}

impl Problem {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Unresolved(text) | Self::NoWay(text) | Self::Busy(text) => text.into(),
            Self::Removed(name) => format!("connection '{name}' was removed").into(),
        }
    }

    /// As the log has it if that is the end.
    pub(super) fn aborted(&self) -> String {
        format!("{}, initiate aborted", self.text())
    }

    /// As the log has it if it is not.
    pub(super) fn retrying(&self, delay: Duration) -> String {
        format!("{}, retrying in {}s", self.text(), delay.as_secs())
    }

    /// What is wrong with a trap between such ends.
    pub(super) fn no_trap(&self) -> String {
        let which = if matches!(self, Self::NoWay(_)) {
            "local"
        } else {
            "remote"
        };
        format!("installing trap failed, {which} address unknown: {}", self.text())
    }

    /// Whether it may be over without anybody changing the configuration.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::NoWay(_) | Self::Busy(_))
    }

    /// Whether there is nothing left to be tried.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Removed(_))
    }
}

/// The names that have to be looked up for a connection.
pub(super) fn names(peer: &PeerConfig) -> Vec<String> {
    let hosts = peer.local_addrs.iter().chain(&peer.remote_addrs);
    hosts
        .filter_map(|host| {
            if let Host::Name(name) = host {
                Some(name.clone())
            } else {
                None
            }
        })
        .collect()
}

/// Looks names up on a thread of its own, which hands the addresses to the loop.
///
/// # Errors
///
/// If too many look-ups run already or no thread can be started.
pub(super) fn look_up(
    operation: u64,
    names: Vec<String>,
    running: usize,
    input: Sender,
) -> Result<(), Problem> {
    let done = move |names| input.send(Input::Resolved(operation, names));
    start(names, running, done)
}

pub(super) fn start(
    names: Vec<String>,
    running: usize,
    done: impl FnOnce(Names) + Send + 'static,
) -> Result<(), Problem> {
    if running >= LOOKUPS {
        return Err(Problem::Busy(format!(
            "{LOOKUPS} names are being looked up already"
        )));
    }
    let work = move || {
        let addresses = names.into_iter().map(|name| {
            let found = (name.as_str(), 0).to_socket_addrs();
            let addresses = found
                .map(|found| found.map(|address| address.ip()).collect())
                .unwrap_or_default();
            (name, addresses)
        });
        done(addresses.collect());
    };
    let thread = std::thread::Builder::new().name("resolve".into()).spawn(work);
    thread
        .map(drop)
        .map_err(|error| Problem::Busy(format!("no thread to look a name up: {error}")))
}

impl Daemon {
    /// An IKE_SA is sent elsewhere, and has to know the addresses of both ends.
    pub(crate) fn find_way(&mut self, sa: u32, peer: &Arc<PeerConfig>) {
        let names = names(peer);
        if names.is_empty() {
            return self.answer_way(sa, peer, &Vec::new());
        }
        let (input, there) = (self.input.clone(), Arc::clone(peer));
        let done = move |names| input.send(Input::WayFound(sa, there, names));
        match start(names, self.operations.resolving(), done) {
            Ok(()) => self.operations.look_ups += 1,
            Err(problem) => {
                let now = self.now();
                self.endpoint
                    .handle_resolved(now, sa, Err(problem.text().into_owned()));
            }
        }
    }

    /// The names in it have been looked up.
    pub(crate) fn way_found(&mut self, sa: u32, peer: &PeerConfig, names: &Names) {
        self.operations.look_ups -= 1;
        self.answer_way(sa, peer, names);
    }

    fn answer_way(&mut self, sa: u32, peer: &PeerConfig, names: &Names) {
        let net = self.host.kernel_net();
        let found = addresses(peer, names, net.as_deref());
        let found = found.map_err(|problem| problem.text().into_owned());
        let now = self.now();
        self.endpoint.handle_resolved(now, sa, found);
    }
}

/// The addresses of a trap for any peer that a connection allows: the own one, unspecified if the routes say it, and an
/// unspecified one of the peers' family.
pub(super) fn any_peer(peer: &PeerConfig, names: &Names) -> (IpAddr, IpAddr) {
    let locals = candidates(&peer.local_addrs, names);
    let local = locals.into_iter().find(|local| !local.is_unspecified());
    let is_ipv6 = match peer.remote_addrs.first() {
        Some(Host::Any6) => true,
        Some(Host::Range(start, _)) => start.is_ipv6(),
        _ => local.is_some_and(|local| local.is_ipv6()),
    };
    let any = if is_ipv6 {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    };
    (
        local
            .filter(|local| local.is_ipv4() == any.is_ipv4())
            .unwrap_or(any),
        any,
    )
}

/// The addresses of hosts that are no ranges.
fn candidates(hosts: &[Host], names: &Names) -> Vec<IpAddr> {
    let of_host = |host: &Host| match host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => names
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, found)| found.clone())
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    hosts.iter().flat_map(of_host).collect()
}

/// The address of the peer and the own one to reach it from.
///
/// # Errors
///
/// With the reason, for the log.
pub(super) fn addresses(
    peer: &PeerConfig,
    names: &Names,
    net: Option<&dyn KernelNet>,
) -> Result<(IpAddr, IpAddr), Problem> {
    let locals = candidates(&peer.local_addrs, names);
    let local_may_be = |remote: &IpAddr| {
        locals.iter().any(|local| local.is_ipv4() == remote.is_ipv4())
            || peer.local_addrs.is_empty()
            || peer.local_addrs.iter().any(|host| match host {
                Host::Any => true,
                Host::Any4 => remote.is_ipv4(),
                Host::Any6 => remote.is_ipv6(),
                Host::Range(start, _) => start.is_ipv4() == remote.is_ipv4(),
                Host::Address(_) | Host::Name(_) => false,
            })
    };
    let written = |hosts: &[Host]| {
        hosts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let specific = |address: &IpAddr| !address.is_unspecified();
    let remotes = candidates(&peer.remote_addrs, names);
    let remote = remotes
        .into_iter()
        .filter(specific)
        .find(local_may_be)
        .ok_or_else(|| {
            let hosts = written(&peer.remote_addrs);
            let hosts = if hosts.is_empty() { "%any" } else { &hosts };
            Problem::Unresolved(format!("unable to resolve {hosts}"))
        })?;
    if let Some(local) = locals
        .into_iter()
        .filter(specific)
        .find(|local| local.is_ipv4() == remote.is_ipv4())
    {
        return Ok((local, remote));
    }
    let net = net.ok_or_else(|| {
        Problem::NoWay(format!(
            "no kernel-net plugin is loaded to find the own address for {remote}, set left"
        ))
    })?;
    let hop = net
        .next_hop(remote, None)
        .map_err(|error| Problem::NoWay(format!("no way to {remote}: {error}")))?;
    let source = hop
        .source
        .ok_or_else(|| Problem::NoWay(format!("no own address to reach {remote} from")))?;
    if peer.local_addrs.is_empty() || peer.local_addrs.iter().any(|host| host.matches(source)) {
        return Ok((source, remote));
    }
    // The address of the way out is not among those allowed; another one may be.
    let all = net
        .addresses()
        .map_err(|error| Problem::NoWay(format!("unable to list own addresses: {error}")))?;
    let usable = all
        .into_iter()
        .filter(|own| own.up && !own.loopback && own.address.is_ipv4() == remote.is_ipv4());
    usable
        .map(|own| own.address)
        .find(|own| peer.local_addrs.iter().any(|host| host.matches(*own)))
        .map_or_else(
            || {
                Err(Problem::NoWay(format!(
                    "no own address is one of {}",
                    written(&peer.local_addrs)
                )))
            },
            |own| Ok((own, remote)),
        )
}
