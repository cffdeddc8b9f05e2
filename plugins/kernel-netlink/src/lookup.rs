//! Routes of other tables than our own.
//!
//! The kernel's own look-up (`RTM_GETROUTE`) honours rules, marks and the source, so it is asked first, and told to say
//! which table the route came from. Only if that is our own (a peer inside a tunnel's remote selector) its answer is not
//! what IKE needs; then all routes are read and the best of the other tables is chosen here, without rules.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHopFlags, RouteProtocol,
    RouteScope, RouteType, RouteVia,
};
use plugin_api::kernel::Route;

/// A route as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its table.
    pub table: u32,
    /// Whether packets go anywhere by it, and not to a black hole or a broadcast.
    pub forwards: bool,
    /// Destination, or none for the default route.
    pub destination: Option<IpAddr>,
    /// Length of the destination's prefix in bits.
    pub prefix: u8,
    /// Metric, the lower the better.
    pub metric: u32,
    /// Gateway, unless on link.
    pub gateway: Option<IpAddr>,
    /// Index of the outbound interface.
    pub interface: Option<u32>,
    /// Preferred source.
    pub source: Option<IpAddr>,
    /// Whether it is the clone of another for one destination.
    pub cloned: bool,
}

impl Candidate {
    /// Reads a route message.
    pub fn of(message: &RouteMessage) -> Self {
        let header = &message.header;
        let mut candidate = Self {
            table: header.table.into(),
            forwards: matches!(header.kind, RouteType::Unicast | RouteType::Local)
                && !header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown),
            destination: None,
            prefix: header.destination_prefix_length,
            metric: 0,
            gateway: None,
            interface: None,
            source: None,
            cloned: header.flags.contains(RouteFlags::Cloned),
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Table(table) => candidate.table = *table,
                RouteAttribute::Destination(address) => candidate.destination = address_of(address),
                RouteAttribute::Priority(metric) => candidate.metric = *metric,
                RouteAttribute::PrefSource(address) => candidate.source = address_of(address),
                RouteAttribute::MultiPath(hops) => {
                    let dead = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
                    if let Some(hop) = hops.iter().find(|hop| !hop.flags.intersects(dead)) {
                        candidate.interface = Some(hop.interface_index);
                        hop.attributes
                            .iter()
                            .for_each(|attribute| candidate.read_hop(attribute));
                    }
                }
                other => candidate.read_hop(other),
            }
        }
        candidate
    }

    fn read_hop(&mut self, attribute: &RouteAttribute) {
        match attribute {
            RouteAttribute::Gateway(address) => self.gateway = address_of(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => self.gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => self.gateway = Some((*address).into()),
            RouteAttribute::Oif(index) => self.interface = Some(*index),
            _ => {}
        }
    }

    fn leads_to(&self, address: IpAddr) -> bool {
        match self.destination {
            None => self.prefix == 0,
            Some(destination) => common_prefix(destination, address) >= Some(self.prefix),
        }
    }
}

/// The best way to `destination` among routes of tables not `ignored`: the longest prefix, then one for `source`, then the
/// lowest metric. `owners` are the interfaces that have `source`, or nothing if any source will do.
pub fn best<'a>(
    routes: &'a [Candidate],
    destination: IpAddr,
    source: Option<IpAddr>,
    owners: &BTreeSet<u32>,
    ignored: &BTreeSet<u32>,
) -> Option<&'a Candidate> {
    let fits = |route: &&Candidate| {
        route.forwards
            && !route.cloned
            && route.interface.is_some()
            && !ignored.contains(&route.table)
            && route.leads_to(destination)
    };
    let suits = |route: &Candidate| {
        source.is_some()
            && (route.source == source || route.interface.is_some_and(|index| owners.contains(&index)))
    };
    routes
        .iter()
        .filter(fits)
        .min_by_key(|route| (u8::MAX - route.prefix, !suits(route), route.metric))
}

/// The question by which way the kernel would send.
pub fn question(destination: IpAddr, source: Option<IpAddr>) -> RouteMessage {
    let mut message = RouteMessage::default();
    let width = width(destination);
    message.header = RouteHeader {
        address_family: family(destination),
        destination_prefix_length: width,
        source_prefix_length: if source.is_some() { width } else { 0 },
        flags: RouteFlags::LookupTable,
        ..Default::default()
    };
    message
        .attributes
        .push(RouteAttribute::Destination(destination.into()));
    message
        .attributes
        .extend(source.map(|source| RouteAttribute::Source(source.into())));
    message
}

/// A route of ours, to be added.
pub fn message(route: &Route, table: u32, interface: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(route.destination),
        destination_prefix_length: route.prefix,
        // Larger ones are in the attribute only.
        table: u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC),
        protocol: RouteProtocol::Static,
        scope: if route.destination.is_ipv4() && route.gateway.is_none() {
            RouteScope::Link
        } else {
            RouteScope::Universe
        },
        kind: RouteType::Unicast,
        ..Default::default()
    };
    message
        .attributes
        .extend([RouteAttribute::Table(table), RouteAttribute::Oif(interface)]);
    if route.prefix > 0 {
        message
            .attributes
            .push(RouteAttribute::Destination(route.destination.into()));
    }
    message.attributes.extend(
        route
            .source
            .map(|source| RouteAttribute::PrefSource(source.into())),
    );
    message.attributes.extend(route.gateway.map(|gateway| {
        if gateway.is_ipv4() == route.destination.is_ipv4() {
            RouteAttribute::Gateway(gateway.into())
        } else {
            RouteAttribute::Via(gateway.into())
        }
    }));
    message
}

/// The address family of an address.
pub fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

/// The number of bits of an address.
pub fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn address_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

fn common_prefix(one: IpAddr, other: IpAddr) -> Option<u8> {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => Some((one.to_bits() ^ other.to_bits()).leading_zeros() as u8),
        (IpAddr::V6(one), IpAddr::V6(other)) => Some((one.to_bits() ^ other.to_bits()).leading_zeros() as u8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(table: u32, destination: [u8; 4], prefix: u8, interface: u32, metric: u32) -> Candidate {
        Candidate {
            table,
            forwards: true,
            destination: (prefix > 0).then_some(destination.into()),
            prefix,
            metric,
            gateway: None,
            interface: Some(interface),
            source: None,
            cloned: false,
        }
    }

    fn chosen(routes: &[Candidate], to: [u8; 4], owners: &[u32]) -> Option<u32> {
        let source = (!owners.is_empty()).then_some([192, 0, 2, 1].into());
        let owners = owners.iter().copied().collect();
        best(routes, to.into(), source, &owners, &BTreeSet::from([220])).and_then(|route| route.interface)
    }

    #[test]
    fn the_longest_prefix_wins_and_our_own_table_never_does() {
        let routes = [
            route(254, [0; 4], 0, 1, 0),
            route(254, [10, 0, 0, 0], 8, 2, 0),
            route(220, [10, 1, 0, 0], 16, 3, 0),
            route(254, [10, 2, 0, 0], 16, 4, 0),
        ];
        assert_eq!(chosen(&routes, [10, 1, 0, 1], &[]), Some(2));
        assert_eq!(chosen(&routes, [10, 2, 0, 1], &[]), Some(4));
        assert_eq!(chosen(&routes, [11, 0, 0, 1], &[]), Some(1));
        assert_eq!(chosen(&routes[2..], [11, 0, 0, 1], &[]), None);
    }

    #[test]
    fn among_equals_the_sources_interface_wins_then_the_metric() {
        let routes = [route(254, [0; 4], 0, 1, 100), route(254, [0; 4], 0, 2, 600)];
        assert_eq!(chosen(&routes, [198, 51, 100, 1], &[]), Some(1));
        assert_eq!(chosen(&routes, [198, 51, 100, 1], &[2]), Some(2));
        assert_eq!(chosen(&routes, [198, 51, 100, 1], &[7]), Some(1));
    }

    #[test]
    fn dead_routes_and_black_holes_lead_nowhere() {
        let mut message = message(
            &Route {
                destination: [10, 0, 0, 0].into(),
                prefix: 8,
                gateway: Some([192, 0, 2, 254].into()),
                source: None,
                interface: "eth0".into(),
            },
            254,
            2,
        );
        assert!(Candidate::of(&message).forwards);
        assert_eq!(Candidate::of(&message).gateway, Some([192, 0, 2, 254].into()));
        message.header.flags = RouteFlags::Dead;
        assert!(!Candidate::of(&message).forwards);
        message.header.flags = RouteFlags::empty();
        message.header.kind = RouteType::BlackHole;
        assert!(!Candidate::of(&message).forwards);
    }

    #[test]
    fn addresses_of_another_family_are_not_led_to() {
        assert!(!route(254, [10, 0, 0, 0], 8, 1, 0).leads_to("fd00::1".parse().unwrap()));
    }
}
