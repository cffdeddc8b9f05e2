//! Traffic selectors and addresses in few octets, for there are several for each SA.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use iana::TrafficSelector;

use crate::packet::Flow;

/// Two addresses; of IPv4 they take no memory elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pair {
    /// Both of IPv4.
    V4(Ipv4Addr, Ipv4Addr),
    /// Any others.
    Other(Box<(IpAddr, IpAddr)>),
}

impl Pair {
    /// Packs them.
    pub fn new(one: IpAddr, other: IpAddr) -> Self {
        match (one, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => Self::V4(one, other),
            both => Self::Other(Box::new(both)),
        }
    }

    /// Whether an address lies between them, or is one of them.
    fn span(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4(start, end), IpAddr::V4(address)) => *start <= address && address <= *end,
            (Self::V4(..), IpAddr::V6(_)) => false,
            (Self::Other(both), _) => {
                let (start, end) = **both;
                start.is_ipv4() == address.is_ipv4() && start <= address && address <= end
            }
        }
    }

    /// Both.
    pub fn get(&self) -> (IpAddr, IpAddr) {
        match self {
            Self::V4(one, other) => ((*one).into(), (*other).into()),
            Self::Other(both) => **both,
        }
    }
}

/// One traffic selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    addresses: Pair,
    start_port: u16,
    end_port: u16,
    protocol: u8,
}

impl From<&TrafficSelector> for Selector {
    fn from(selector: &TrafficSelector) -> Self {
        Self {
            addresses: Pair::new(selector.start, selector.end),
            start_port: selector.start_port,
            end_port: selector.end_port,
            protocol: selector.protocol,
        }
    }
}

impl Selector {
    /// Whether it admits a packet's source.
    pub fn admits_source(&self, flow: &Flow) -> bool {
        self.admits(flow, flow.src, flow.ports.map(|(src, _)| src))
    }

    /// Whether it admits a packet's destination.
    pub fn admits_destination(&self, flow: &Flow) -> bool {
        self.admits(flow, flow.dst, flow.ports.map(|(_, dst)| dst))
    }

    fn admits(&self, flow: &Flow, address: IpAddr, port: Option<u16>) -> bool {
        (self.protocol == 0 || self.protocol == flow.protocol)
            && self.addresses.span(address)
            && match ((self.start_port, self.end_port), port) {
                ((0, u16::MAX), _) => true,
                ((start, end), Some(port)) => start <= port && port <= end,
                // OPAQUE is for packets whose ports cannot be seen (RFC 4301, 4.4.1.1).
                (ports, None) => ports == (u16::MAX, 0),
            }
    }

    /// As everybody else has it.
    pub fn get(&self) -> TrafficSelector {
        let (start, end) = self.addresses.get();
        TrafficSelector {
            protocol: self.protocol,
            start_port: self.start_port,
            end_port: self.end_port,
            start,
            end,
        }
    }
}

/// The selectors of both ends. An SA and the policies of both directions share them.
#[derive(Debug, PartialEq, Eq)]
pub struct Selectors {
    local: Selector,
    remote: Selector,
}

/// Those asked for last: what belongs to one CHILD_SA is installed in one go.
static RECENT: Mutex<Weak<Selectors>> = Mutex::new(Weak::new());

impl Selectors {
    /// Those of packets from `src` to `dst` that come in or go out.
    pub fn new(src: &TrafficSelector, dst: &TrafficSelector, inbound: bool) -> Arc<Self> {
        let (local, remote) = if inbound { (dst, src) } else { (src, dst) };
        let new = Self {
            local: local.into(),
            remote: remote.into(),
        };
        shared(&RECENT, new)
    }

    /// Source and destination of packets that come in or go out.
    pub fn get(&self, inbound: bool) -> (TrafficSelector, TrafficSelector) {
        let (local, remote) = (self.local.get(), self.remote.get());
        if inbound { (remote, local) } else { (local, remote) }
    }

    /// Whether they admit a packet that comes in or goes out.
    pub fn admit(&self, flow: &Flow, inbound: bool) -> bool {
        let (src, dst) = if inbound {
            (&self.remote, &self.local)
        } else {
            (&self.local, &self.remote)
        };
        src.admits_source(flow) && dst.admits_destination(flow)
    }
}

/// What was asked for last, if this equals it.
pub(crate) fn shared<T: PartialEq>(recent: &Mutex<Weak<T>>, new: T) -> Arc<T> {
    let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
    match recent.upgrade() {
        Some(same) if *same == new => same,
        _ => {
            let new = Arc::new(new);
            *recent = Arc::downgrade(&new);
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selectors() -> Vec<TrafficSelector> {
        let mut ports = TrafficSelector::subnet([10, 1, 0, 0].into(), 16);
        (ports.protocol, ports.start_port, ports.end_port) = (6, 80, 443);
        let mut range = TrafficSelector::host([10, 2, 0, 1].into());
        range.end = [10, 2, 0, 9].into();
        let six = TrafficSelector::subnet("fd00::".parse().expect("an address"), 64);
        vec![ports, range, six]
    }

    #[test]
    fn what_is_packed_is_what_comes_out() {
        for selector in selectors() {
            assert_eq!(Selector::from(&selector).get(), selector);
        }
        for pair in [
            ([192, 0, 2, 1].into(), [192, 0, 2, 2].into()),
            ([192, 0, 2, 1].into(), IpAddr::from([0; 16])),
        ] {
            assert_eq!(Pair::new(pair.0, pair.1).get(), pair);
        }
    }

    #[test]
    fn both_directions_have_their_own_source_and_destination() {
        let all = selectors();
        for inbound in [false, true] {
            let selectors = Selectors::new(&all[0], &all[1], inbound);
            assert_eq!(selectors.get(inbound), (all[0].clone(), all[1].clone()));
            assert_eq!(selectors.get(!inbound), (all[1].clone(), all[0].clone()));
        }
    }

    #[test]
    fn what_equals_the_last_is_shared() {
        let recent = Mutex::new(Weak::new());
        let one = shared(&recent, 1);
        assert!(Arc::ptr_eq(&one, &shared(&recent, 1)));
        let other = shared(&recent, 2);
        assert_eq!((*one, *other), (1, 2));
        drop(other);
        assert_eq!(*shared(&recent, 2), 2, "what nobody has any more is made anew");
    }
}
