//! Headers of inner packets: what a policy is looked up by (RFC 4301, 4.4.1.1). Nothing here trusts a length field.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use iana::IpProtocol;

use crate::sad::{Endpoints, NO_UDP};

/// Next header values of ESP in tunnel mode (RFC 4303, 2.6): IPv4, IPv6, and the dummy packet to be dropped.
pub const NEXT_HEADER_IPV4: u8 = 4;
/// See [`NEXT_HEADER_IPV4`].
pub const NEXT_HEADER_IPV6: u8 = 41;
/// See [`NEXT_HEADER_IPV4`].
pub const NEXT_HEADER_NONE: u8 = 59;

/// What an inner packet says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Upper layer protocol.
    pub protocol: u8,
    /// Source and destination port, ICMP type and code in both; none where there are none or a fragment hides them.
    pub ports: Option<(u16, u16)>,
    /// Length of the whole packet; what follows in the buffer is padding.
    pub len: usize,
}

/// Why octets are not an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither 4 nor 6.
    #[error("IP version {0}")]
    Version(u8),
    /// A header or the packet itself reaches past the end.
    #[error("truncated IP packet")]
    Truncated,
    /// More extension headers than any honest packet has.
    #[error("too many IPv6 extension headers")]
    Extensions,
}

impl Flow {
    /// Reads the headers of an IP packet; octets after it are left alone.
    ///
    /// # Errors
    ///
    /// If the octets are no whole packet.
    pub fn parse(packet: &[u8]) -> Result<Self, Error> {
        match packet.first().map(|first| first >> 4) {
            Some(4) => Self::parse_v4(packet),
            Some(6) => Self::parse_v6(packet),
            Some(version) => Err(Error::Version(version)),
            None => Err(Error::Truncated),
        }
    }

    fn parse_v4(packet: &[u8]) -> Result<Self, Error> {
        let header: &[u8; 20] = packet.first_chunk().ok_or(Error::Truncated)?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header_len < 20 || len < header_len || packet.len() < len {
            return Err(Error::Truncated);
        }
        let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
        let protocol = header[9];
        let upper = &packet[header_len..len];
        Ok(Self {
            src: Ipv4Addr::new(header[12], header[13], header[14], header[15]).into(),
            dst: Ipv4Addr::new(header[16], header[17], header[18], header[19]).into(),
            protocol,
            ports: if fragment_offset == 0 {
                ports(protocol, upper)
            } else {
                None
            },
            len,
        })
    }

    fn parse_v6(packet: &[u8]) -> Result<Self, Error> {
        let header: &[u8; 40] = packet.first_chunk().ok_or(Error::Truncated)?;
        let len = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
        if packet.len() < len {
            return Err(Error::Truncated);
        }
        let address = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&header[at..at + 16]);
            IpAddr::V6(Ipv6Addr::from(octets))
        };
        let (mut protocol, mut at, mut later_fragment) = (header[6], 40, false);
        // RFC 8200, 4.1 lists seven extension headers, of which one may come twice.
        for _ in 0..8 {
            let upper = &packet[at..len];
            let skip = match protocol {
                // Hop-by-hop options, routing, destination options, mobility: length in units of 8, the first left out.
                0 | 43 | 60 | 135 if !later_fragment => {
                    let [_, units, ..] = *upper else {
                        return Err(Error::Truncated);
                    };
                    (usize::from(units) + 1) * 8
                }
                44 if !later_fragment => {
                    let [_, _, high, low, ..] = *upper else {
                        return Err(Error::Truncated);
                    };
                    later_fragment = u16::from_be_bytes([high, low]) >> 3 != 0;
                    8
                }
                _ => {
                    let ports = if later_fragment {
                        None
                    } else {
                        ports(protocol, upper)
                    };
                    return Ok(Self {
                        src: address(8),
                        dst: address(24),
                        protocol,
                        ports,
                        len,
                    });
                }
            };
            if upper.len() < skip {
                return Err(Error::Truncated);
            }
            protocol = upper[0];
            at += skip;
        }
        Err(Error::Extensions)
    }

    /// Whether this is ESP between these two endpoints, in UDP or without it: one of our own that a route led back to us.
    pub fn is_between(&self, Endpoints { local, remote }: &Endpoints) -> bool {
        let protocol = match remote.port() {
            NO_UDP => self.protocol == IpProtocol::ESP.0,
            _ => self.protocol == IpProtocol::UDP.0 && self.ports == Some((local.port(), remote.port())),
        };
        protocol && self.src == local.ip() && self.dst == remote.ip()
    }

    /// What ESP calls the packet in its next header field.
    pub fn next_header(&self) -> u8 {
        if self.src.is_ipv4() {
            NEXT_HEADER_IPV4
        } else {
            NEXT_HEADER_IPV6
        }
    }
}

fn ports(protocol: u8, upper: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d, ..] = *upper else { return None };
    match IpProtocol(protocol) {
        // 136 is UDP-Lite, 33 DCCP; both start like UDP.
        IpProtocol::TCP | IpProtocol::UDP | IpProtocol::SCTP | IpProtocol(33 | 136) => {
            Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
        }
        // RFC 7296, 3.13.1: type and code make one port, the type in its high octet.
        IpProtocol::ICMP | IpProtocol::ICMPV6 => {
            let both = u16::from_be_bytes([a, b]);
            Some((both, both))
        }
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use iana::TrafficSelector;

    use super::*;
    use crate::selectors::Selector;

    /// An IPv4 packet with a UDP header and `len` octets of payload.
    pub(crate) fn udp4(src: [u8; 4], dst: [u8; 4], ports: (u16, u16), len: usize) -> Vec<u8> {
        let mut packet = vec![0x45, 0];
        packet.extend(((28 + len) as u16).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend(src);
        packet.extend(dst);
        packet.extend(ports.0.to_be_bytes());
        packet.extend(ports.1.to_be_bytes());
        packet.extend(((8 + len) as u16).to_be_bytes());
        packet.extend([0, 0]);
        packet.resize(28 + len, 0xab);
        packet
    }

    #[test]
    fn a_udp_packet_shows_addresses_and_ports() {
        let mut packet = udp4([10, 0, 0, 1], [10, 0, 0, 2], (5000, 53), 3);
        packet.extend([0; 9]);
        let flow = Flow::parse(&packet).expect("a packet");
        assert_eq!(flow.src, IpAddr::from([10, 0, 0, 1]));
        assert_eq!((flow.protocol, flow.ports, flow.len), (17, Some((5000, 53)), 31));
        let between = |local: &str, remote: &str| {
            flow.is_between(&Endpoints {
                local: local.parse().unwrap(),
                remote: remote.parse().unwrap(),
            })
        };
        assert!(between("10.0.0.1:5000", "10.0.0.2:53"));
        assert!(!between("10.0.0.1:5000", "10.0.0.2:54"));
        assert!(!between("10.0.0.1:0", "10.0.0.2:0"), "it is no ESP");
    }

    #[test]
    fn a_later_fragment_has_no_ports_and_meets_no_port_selector() {
        let mut packet = udp4([10, 0, 0, 1], [10, 0, 0, 2], (5000, 53), 3);
        packet[7] = 1;
        let flow = Flow::parse(&packet).expect("a packet");
        assert_eq!(flow.ports, None);
        let mut selector = TrafficSelector::host([10, 0, 0, 2].into());
        let admits = |selector: &TrafficSelector| Selector::from(selector).admits_destination(&flow);
        assert!(admits(&selector));
        (selector.start_port, selector.end_port) = (53, 53);
        assert!(!admits(&selector));
        (selector.start_port, selector.end_port) = (u16::MAX, 0);
        assert!(admits(&selector), "OPAQUE admits it");
    }

    #[test]
    fn extension_headers_of_ipv6_are_skipped() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 24, 0, 64];
        packet.extend([0xfe; 32]);
        packet.extend([60, 0, 0, 0, 0, 0, 0, 0]); // hop-by-hop, then destination options
        packet.extend([58, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend([128, 0, 0, 0, 0, 0, 0, 0]);
        let flow = Flow::parse(&packet).expect("a packet");
        assert_eq!((flow.protocol, flow.ports), (58, Some((0x8000, 0x8000))));
        packet.truncate(60);
        assert_eq!(Flow::parse(&packet), Err(Error::Truncated));
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let packet = udp4([10, 0, 0, 1], [10, 0, 0, 2], (1, 2), 4);
        assert_eq!(Flow::parse(&packet[..31]), Err(Error::Truncated));
        assert_eq!(Flow::parse(&[]), Err(Error::Truncated));
        assert_eq!(Flow::parse(&[0x15; 40]), Err(Error::Version(1)));
        let mut short = packet.clone();
        short[0] = 0x44;
        assert_eq!(Flow::parse(&short), Err(Error::Truncated));
    }

    proptest! {
        #[test]
        fn no_octets_panic(version in 0u8..16, mut octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(first) = octets.first_mut() {
                *first = version << 4 | *first & 0x0f;
            }
            if let Ok(flow) = Flow::parse(&octets) {
                prop_assert!(flow.len <= octets.len());
            }
        }
    }
}
