//! Policies that let the daemon's own ports pass, in place of those of its sockets (`port_bypass`).

use std::os::fd::RawFd;

use netlink_packet_xfrm::constants::{AF_INET, AF_INET6, XFRM_POLICY_ALLOW, XFRM_POLICY_IN, XFRM_POLICY_OUT};
use netlink_packet_xfrm::policy::{DelGetMessage, ModifyMessage};
use netlink_packet_xfrm::{Selector, UserPolicyId, UserPolicyInfo};
use nix::sys::socket::{SockaddrStorage, getsockname};

/// Before all policies of connections.
const PRIORITY: u32 = 32;

/// A port of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Port {
    ipv6: bool,
    port: u16,
}

impl Port {
    /// That of a socket.
    pub(super) fn of(socket: RawFd, ipv6: bool) -> std::io::Result<Self> {
        let name: SockaddrStorage = getsockname(socket)?;
        let v4 = name.as_sockaddr_in().map(|name| name.port());
        let v6 = name.as_sockaddr_in6().map(|name| name.port());
        let port = v4
            .or(v6)
            .ok_or_else(|| std::io::Error::from_raw_os_error(libc::EAFNOSUPPORT))?;
        Ok(Self { ipv6, port })
    }

    /// What installs its policies.
    pub(super) fn install(self) -> [ModifyMessage; 2] {
        self.selectors().map(|(direction, selector)| ModifyMessage {
            user_policy_info: UserPolicyInfo {
                selector,
                priority: PRIORITY,
                direction,
                action: XFRM_POLICY_ALLOW,
                ..UserPolicyInfo::default()
            },
            nlas: Vec::new(),
        })
    }

    /// What removes them.
    pub(super) fn remove(self) -> [DelGetMessage; 2] {
        self.selectors().map(|(direction, selector)| DelGetMessage {
            user_policy_id: UserPolicyId {
                selector,
                index: 0,
                direction,
            },
            nlas: Vec::new(),
        })
    }

    /// What comes to the port, and what goes from it.
    fn selectors(self) -> [(u8, Selector); 2] {
        let any = Selector {
            family: if self.ipv6 { AF_INET6 } else { AF_INET },
            proto: libc::IPPROTO_UDP as u8,
            ..Selector::default()
        };
        let (mut to, mut from) = (any, any);
        (to.dport, to.dport_mask) = (self.port, u16::MAX);
        (from.sport, from.sport_mask) = (self.port, u16::MAX);
        [(XFRM_POLICY_IN, to), (XFRM_POLICY_OUT, from)]
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_sockets_port_passes_both_ways() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let own = socket.local_addr().expect("a name").port();
        let port = Port::of(socket.as_raw_fd(), false).expect("a port");
        let [to, from] = port.install().map(|message| message.user_policy_info);
        assert_eq!((to.direction, from.direction), (XFRM_POLICY_IN, XFRM_POLICY_OUT));
        assert_eq!((to.selector.dport, to.selector.sport_mask), (own, 0));
        assert_eq!((from.selector.sport, from.selector.dport_mask), (own, 0));
        for info in [&to, &from] {
            assert_eq!((info.selector.family, info.selector.proto), (AF_INET, 17));
            assert_eq!((info.priority, info.action), (PRIORITY, XFRM_POLICY_ALLOW));
        }
        let removed = port.remove().map(|message| message.user_policy_id.selector);
        assert_eq!(removed, [to.selector, from.selector]);
        assert!(Port::of(-1, false).is_err());
    }
}
