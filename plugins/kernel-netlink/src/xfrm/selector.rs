//! Traffic selectors as the kernel compares packets with them: one subnet, one protocol, one masked port a side.

use std::net::IpAddr;

use iana::TrafficSelector;
use netlink_packet_xfrm::Address;
use netlink_packet_xfrm::Selector as Message;
use plugin_api::kernel::{PolicyParameters, PortAndMask, ports};

use super::sa::{address, family};

/// Both sides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoints<'a> {
    pub(super) src_ts: &'a TrafficSelector,
    pub(super) dst_ts: &'a TrafficSelector,
}

/// What the kernel makes of a pair of traffic selectors. Different pairs may come to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Selector {
    src: (IpAddr, u8),
    dst: (IpAddr, u8),
    protocol: u8,
    src_port: PortAndMask,
    dst_port: PortAndMask,
}

impl Selector {
    /// Ranges are widened to the subnet that covers them.
    pub(super) fn of(Endpoints { src_ts, dst_ts }: Endpoints<'_>) -> Self {
        let subnet = |ts: &TrafficSelector| {
            let (address, prefix, _) = ts.covering_subnet();
            (address, prefix)
        };
        let (src_port, dst_port) = ports(src_ts, dst_ts);
        Self {
            src: subnet(src_ts),
            dst: subnet(dst_ts),
            protocol: src_ts.protocol.max(dst_ts.protocol),
            src_port,
            dst_port,
        }
    }

    pub(super) fn of_policy(policy: &PolicyParameters) -> Self {
        Self::of(Endpoints {
            src_ts: &policy.src_ts,
            dst_ts: &policy.dst_ts,
        })
    }

    /// The addresses alone.
    pub(super) fn without_ports(self) -> Self {
        Self {
            protocol: 0,
            src_port: (0, 0),
            dst_port: (0, 0),
            ..self
        }
    }

    /// For packets by the interface with this index; 0 is any.
    pub(super) fn message(&self, interface: i32) -> Message {
        Message {
            saddr: Address::from_ip(&self.src.0),
            daddr: Address::from_ip(&self.dst.0),
            sport: self.src_port.0,
            sport_mask: self.src_port.1,
            dport: self.dst_port.0,
            dport_mask: self.dst_port.1,
            family: family(self.dst.0),
            prefixlen_s: self.src.1,
            prefixlen_d: self.dst.1,
            proto: self.protocol,
            ifindex: interface,
            user: 0,
        }
    }
}

/// The traffic selectors of a packet that met a trap.
pub(super) fn packet(message: &Message) -> (TrafficSelector, TrafficSelector) {
    let side = |own: &Address, prefix: u8, port: u16, mask: u16| {
        let (start_port, end_port) = if mask == 0 { (0, u16::MAX) } else { (port, port) };
        TrafficSelector {
            protocol: message.proto,
            start_port,
            end_port,
            ..TrafficSelector::subnet(address(own, message.family), prefix)
        }
    };
    let (mut src_port, mut dst_port) = (
        (message.sport, message.sport_mask),
        (message.dport, message.dport_mask),
    );
    if matches!(message.proto, 1 | 58) {
        // Type and code, which IKE has in one number.
        let packed = (message.sport << 8) | (message.dport & 0xff);
        src_port = (packed, message.sport_mask);
        dst_port = src_port;
    }
    (
        side(&message.saddr, message.prefixlen_s, src_port.0, src_port.1),
        side(&message.daddr, message.prefixlen_d, dst_port.0, dst_port.1),
    )
}

#[cfg(test)]
mod tests {
    use netlink_packet_xfrm::constants::{AF_INET, AF_INET6};

    use super::*;

    fn ts(text: &str, protocol: u8, ports: (u16, u16)) -> TrafficSelector {
        let (address, prefix) = text.split_once('/').unwrap();
        TrafficSelector {
            protocol,
            start_port: ports.0,
            end_port: ports.1,
            ..TrafficSelector::subnet(address.parse().unwrap(), prefix.parse().unwrap())
        }
    }

    const ANY: (u16, u16) = (0, u16::MAX);

    fn message(src_ts: &TrafficSelector, dst_ts: &TrafficSelector) -> Message {
        Selector::of(Endpoints { src_ts, dst_ts }).message(0)
    }

    #[test]
    fn ranges_become_the_subnet_and_the_block_of_ports_around_them() {
        let mut src = ts("10.0.0.0/8", 6, (1000, 1030));
        (src.start, src.end) = ([10, 0, 0, 5].into(), [10, 0, 0, 9].into());
        let message = message(&src, &ts("10.1.0.0/16", 6, (443, 443)));
        assert_eq!(
            (message.saddr.to_ipv4(), message.prefixlen_s),
            ([10, 0, 0, 0].into(), 28)
        );
        assert_eq!((message.sport, message.sport_mask), (0, 0xf800));
        assert_eq!((message.dport, message.dport_mask), (443, 0xffff));
        assert_eq!((message.proto, message.family), (6, AF_INET));
    }

    #[test]
    fn icmp_has_its_type_where_others_have_the_source_port() {
        let any = ts("fd00::/64", 58, ANY);
        let echo = message(&any, &ts("fd01::/64", 58, (0x8000, 0x80ff)));
        assert_eq!(echo.family, AF_INET6);
        assert_eq!((echo.sport, echo.sport_mask), (0x80, 0xffff));
        assert_eq!((echo.dport, echo.dport_mask), (0, 0));
        let all = message(&any, &ts("fd01::/64", 58, ANY));
        assert_eq!((all.sport_mask, all.dport_mask), (0, 0));
    }

    #[test]
    fn a_packet_comes_back_as_the_selectors_it_would_have_made() {
        for (protocol, ports) in [(0, ANY), (6, (22, 22)), (1, (0x0800, 0x0800))] {
            let (src, dst) = (
                ts("10.3.0.1/32", protocol, ports),
                ts("10.1.0.1/32", protocol, ports),
            );
            assert_eq!(packet(&message(&src, &dst)), (src, dst));
        }
    }
}
