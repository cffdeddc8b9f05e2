//! Traffic selector types and the IP protocols that selectors name (RFC 7296, 3.13.1).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::registry::registry;

registry! {
    /// The address family of a traffic selector.
    pub struct TrafficSelectorType(u8) {
        IPV4_ADDR_RANGE = 7 "TS_IPV4_ADDR_RANGE",
        IPV6_ADDR_RANGE = 8 "TS_IPV6_ADDR_RANGE",
    }
}

registry! {
    /// Protocols of the IP header; the name is that of the system's protocol database.
    pub struct IpProtocol(u8) {
        /// Any protocol.
        ANY = 0 "0",
        ICMP = 1 "icmp",
        IGMP = 2 "igmp",
        IPIP = 4 "ipencap",
        TCP = 6 "tcp",
        UDP = 17 "udp",
        IPV6 = 41 "ipv6",
        GRE = 47 "gre",
        ESP = 50 "esp",
        AH = 51 "ah",
        ICMPV6 = 58 "ipv6-icmp",
        EIGRP = 88 "eigrp",
        OSPF = 89 "ospf",
        PIM = 103 "pim",
        VRRP = 112 "vrrp",
        L2TP = 115 "l2tp",
        SCTP = 132 "sctp",
    }
}

/// Which packets a CHILD_SA carries: a range of addresses, of ports, and a protocol (RFC 7296, 3.13.1).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrafficSelector {
    /// Protocol number of the IP header; 0 is any.
    pub protocol: u8,
    /// First port; for ICMP type and code, packed.
    pub start_port: u16,
    /// Last port, included; 0 with a start of 65535 is OPAQUE.
    pub end_port: u16,
    /// First address.
    pub start: IpAddr,
    /// Last address, included and of the family of the first.
    pub end: IpAddr,
}

impl TrafficSelector {
    /// All protocols and ports of the subnet that `address` lies in; host bits are cleared.
    pub fn subnet(address: IpAddr, prefix: u8) -> Self {
        let (bits, width) = to_bits(address);
        let mask = host_mask(prefix.min(width), width);
        Self {
            protocol: 0,
            start_port: 0,
            end_port: u16::MAX,
            start: from_bits(bits & !mask, width),
            end: from_bits(bits | mask, width),
        }
    }

    /// All protocols and ports of one address.
    pub fn host(address: IpAddr) -> Self {
        Self::subnet(address, 128)
    }

    /// Whether the selector is exactly one address.
    pub fn is_host(&self, address: IpAddr) -> bool {
        self.start == address && self.end == address
    }

    /// Whether the address lies in the range.
    pub fn contains_address(&self, address: IpAddr) -> bool {
        self.start.is_ipv4() == address.is_ipv4() && self.start <= address && address <= self.end
    }

    /// What both selectors cover, if anything.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let protocol = match (self.protocol, other.protocol) {
            (a, b) if a == b => a,
            (0, p) | (p, 0) => p,
            _ => return None,
        };
        let (start_port, end_port) = if self.is_opaque() || other.is_opaque() {
            let (opaque, peer) = if self.is_opaque() {
                (self, other)
            } else {
                (other, self)
            };
            if !peer.is_opaque() && !peer.all_ports() {
                return None;
            }
            (opaque.start_port, opaque.end_port)
        } else {
            let (start, end) = (
                self.start_port.max(other.start_port),
                self.end_port.min(other.end_port),
            );
            if start > end {
                return None;
            }
            (start, end)
        };
        if self.start.is_ipv4() != other.start.is_ipv4() {
            return None;
        }
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start <= end).then_some(Self {
            protocol,
            start_port,
            end_port,
            start,
            end,
        })
    }

    /// Whether everything `other` covers is covered by this selector.
    pub fn covers(&self, other: &Self) -> bool {
        self.intersection(other).as_ref() == Some(other)
    }

    /// Whether no port is excluded.
    pub fn all_ports(&self) -> bool {
        self.start_port == 0 && self.end_port == u16::MAX
    }

    /// Whether the ports are hidden, as in fragments (RFC 7296, 3.13.1).
    pub fn is_opaque(&self) -> bool {
        self.start_port == u16::MAX && self.end_port == 0
    }

    /// The smallest block of ports that covers the range, as a port and a mask; no mask if that is every port, or if the
    /// ports are hidden.
    pub fn covering_ports(&self) -> (u16, u16) {
        if self.is_opaque() {
            return (0, 0);
        }
        let differing = (self.start_port ^ self.end_port)
            .checked_ilog2()
            .map_or(0, |bit| bit + 1);
        let mask = u16::MAX.checked_shl(differing).unwrap_or(0);
        (self.start_port & mask, mask)
    }

    fn write_ports(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_icmp = matches!(IpProtocol(self.protocol), IpProtocol::ICMP | IpProtocol::ICMPV6);
        let is_one = self.start_port == self.end_port;
        match (is_icmp, is_one, service(self.start_port)) {
            (true, true, _) => write!(f, "/{}", Icmp(self.start_port)),
            (true, false, _) => write!(f, "/{}-{}", Icmp(self.start_port), Icmp(self.end_port)),
            (false, true, Some(name)) => write!(f, "/{name}"),
            (false, true, None) => write!(f, "/{}", self.start_port),
            (false, false, _) => write!(f, "/{}-{}", self.start_port, self.end_port),
        }
    }

    /// The smallest subnet that covers the range, and whether it covers nothing else.
    pub fn covering_subnet(&self) -> (IpAddr, u8, bool) {
        let (start, width) = to_bits(self.start);
        let (end, _) = to_bits(self.end);
        let differing = (start ^ end).checked_ilog2().map_or(0, |bit| bit as u8 + 1);
        let prefix = width - differing;
        let mask = host_mask(prefix, width);
        let exact = start & mask == 0 && end & mask == mask;
        (from_bits(start & !mask, width), prefix, exact)
    }
}

fn to_bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

fn from_bits(bits: u128, width: u8) -> IpAddr {
    if width == 32 {
        IpAddr::V4(Ipv4Addr::from_bits(bits as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    }
}

fn host_mask(prefix: u8, width: u8) -> u128 {
    1u128
        .checked_shl(u32::from(width - prefix))
        .map_or(u128::MAX, |bit| bit - 1)
}

impl fmt::Display for TrafficSelector {
    /// `10.1.0.0/16`, `10.0.0.1..10.0.0.9`, with `[tcp/80]` behind it where it does not cover everything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (network, prefix, exact) = self.covering_subnet();
        if exact {
            write!(f, "{network}/{prefix}")?;
        } else {
            write!(f, "{}..{}", self.start, self.end)?;
        }
        if self.protocol == 0 && self.all_ports() {
            return Ok(());
        }
        write!(f, "[")?;
        match IpProtocol(self.protocol).name() {
            Some(name) => write!(f, "{name}")?,
            None => write!(f, "{}", self.protocol)?,
        }
        if self.is_opaque() {
            write!(f, "/OPAQUE")?;
        } else if !self.all_ports() {
            self.write_ports(f)?;
        }
        write!(f, "]")
    }
}

/// Type and code, packed like a port; a code of 0 goes without saying.
struct Icmp(u16);

impl fmt::Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, code] = self.0.to_be_bytes();
        match code {
            0 => write!(f, "{kind}"),
            _ => write!(f, "{kind}({code})"),
        }
    }
}

/// Names of ports that selectors commonly have; the system's database would make the output depend on the machine.
fn service(port: u16) -> Option<&'static str> {
    Some(match port {
        22 => "ssh",
        25 => "smtp",
        53 => "domain",
        80 => "http",
        123 => "ntp",
        443 => "https",
        500 => "isakmp",
        4500 => "ipsec-nat-t",
        1701 => "l2f",
        _ => return None,
    })
}

impl fmt::Debug for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> TrafficSelector {
        let (address, prefix) = text.split_once('/').expect("a subnet");
        TrafficSelector::subnet(address.parse().expect("address"), prefix.parse().expect("prefix"))
    }

    #[test]
    fn host_bits_are_cleared_and_the_subnet_prints_again() {
        assert_eq!(subnet("10.3.0.1/16").to_string(), "10.3.0.0/16");
        assert_eq!(subnet("fec0::1/64").to_string(), "fec0::/64");
        assert_eq!(subnet("0.0.0.0/0").to_string(), "0.0.0.0/0");
        assert_eq!(subnet("::/0").to_string(), "::/0");
        assert_eq!(subnet("10.0.0.7/32").to_string(), "10.0.0.7/32");
    }

    #[test]
    fn ranges_protocols_and_ports_print() {
        let mut selector = subnet("10.0.0.0/30");
        selector.start = "10.0.0.1".parse().expect("address");
        assert_eq!(selector.to_string(), "10.0.0.1..10.0.0.3");
        selector.protocol = 6;
        (selector.start_port, selector.end_port) = (80, 80);
        assert_eq!(selector.to_string(), "10.0.0.1..10.0.0.3[tcp/http]");
        (selector.start_port, selector.end_port) = (1000, 2000);
        assert_eq!(selector.to_string(), "10.0.0.1..10.0.0.3[tcp/1000-2000]");
    }

    #[test]
    fn icmp_types_print_with_their_codes() {
        let icmp = |start_port, end_port| {
            let selector = TrafficSelector {
                protocol: IpProtocol::ICMP.0,
                start_port,
                end_port,
                ..subnet("10.1.0.0/16")
            };
            selector.to_string().replace("10.1.0.0/16", "")
        };
        assert_eq!(icmp(0x0800, 0x0800), "[icmp/8]");
        assert_eq!(icmp(0x0303, 0x0303), "[icmp/3(3)]");
        assert_eq!(icmp(0, 0), "[icmp/0]");
        assert_eq!(icmp(0, 0x08ff), "[icmp/0-8(255)]");
        assert_eq!(icmp(0, u16::MAX), "[icmp]");
    }

    #[test]
    fn the_intersection_is_never_wider_than_either_side() {
        let (wide, narrow) = (subnet("10.0.0.0/8"), subnet("10.1.0.0/16"));
        assert_eq!(wide.intersection(&narrow), Some(narrow.clone()));
        assert!(wide.covers(&narrow) && !narrow.covers(&wide));
        assert_eq!(narrow.intersection(&subnet("10.2.0.0/16")), None);
        assert_eq!(narrow.intersection(&subnet("fec0::/16")), None);
    }

    #[test]
    fn a_range_of_ports_is_covered_by_a_block_of_a_power_of_two() {
        let ports = |start_port, end_port| {
            TrafficSelector {
                start_port,
                end_port,
                ..TrafficSelector::host([192, 0, 2, 1].into())
            }
            .covering_ports()
        };
        assert_eq!(ports(0, 65535), (0, 0));
        assert_eq!(ports(80, 80), (80, 0xffff));
        assert_eq!(ports(1024, 1279), (1024, 0xff00));
        assert_eq!(ports(1000, 1030), (0, 0xf800));
        assert_eq!(ports(65535, 0), (0, 0), "OPAQUE");
    }
}
