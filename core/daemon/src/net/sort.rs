//! What is IKE and what is ESP, where both may come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;

use plugin_api::KernelIpsec;
use plugin_api::kernel::ReceivedEsp;
use plugin_api::log::Group;

use super::{Bound, Message, Sockets};
use crate::log::Logger;
use crate::sys::Datagrams;

/// The port on which no message has a non-ESP marker, at either end (RFC 3948, 2.2; RFC 7296, 2.23).
const IKE_PORT: u16 = 500;

impl Sockets {
    /// Gives ESP to the kernel back end and IKE messages to `ike`.
    pub(super) fn sort(
        &self,
        socket: &Bound,
        datagrams: Datagrams<'_>,
        kernel: &dyn KernelIpsec,
        logger: &Logger,
        ike: &mut dyn FnMut(Message<&[u8]>),
    ) {
        if let Some(overflowed) = datagrams.overflowed {
            let before = socket.overflowed.swap(overflowed, Relaxed);
            self.lost(overflowed.wrapping_sub(before).into());
        }
        let unspecified = if socket.ipv6 {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        } else {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        };
        let local = SocketAddr::new(datagrams.local.unwrap_or(unspecified), socket.port);
        let remote = datagrams.remote;
        let segment = datagrams.segment.max(1);
        let received = ReceivedEsp {
            local,
            remote,
            tos: datagrams.tos,
            segment,
        };
        let kind = |octets: &[u8]| classify(octets, local.port(), remote.port(), socket.nat_t);
        // What comes together is nearly always ESP alone, and goes on as it came.
        if datagrams
            .octets
            .chunks(segment)
            .all(|octets| kind(octets) == Kind::Esp)
        {
            kernel.receive_esp(&received, datagrams.octets);
            return;
        }
        for octets in datagrams.octets.chunks_mut(segment) {
            match kind(octets) {
                Kind::Esp => kernel.receive_esp(&received, octets),
                Kind::Ignored => {}
                Kind::Ike { skip } => {
                    let octets = &octets[skip..];
                    if octets.len() > self.max_packet {
                        self.losses.too_long.fetch_add(1, Relaxed);
                        let len = octets.len();
                        let text = format!("{len} octets from {remote} exceed charon.max_packet - ignored");
                        logger.log(Group::Net, 2, text);
                    } else {
                        ike(Message {
                            local,
                            remote,
                            octets,
                        });
                    }
                }
            }
        }
    }

    /// There was no room for so many messages.
    pub(super) fn lost(&self, count: u64) {
        if count > 0 {
            self.dropped.fetch_add(count, Relaxed);
            self.losses.queue_full.fetch_add(count, Relaxed);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message behind so many octets.
    Ike {
        skip: usize,
    },
    Esp,
    Ignored,
}

/// What a datagram is (RFC 3948, 2).
pub(super) fn classify(octets: &[u8], local_port: u16, remote_port: u16, nat_t: bool) -> Kind {
    if local_port == IKE_PORT {
        return Kind::Ike { skip: 0 };
    }
    match octets {
        [0xff] | [] | [_] | [_, _] | [_, _, _] => Kind::Ignored,
        // No IKE message begins with zeros, since no SPI of an initiator is zero.
        [0, 0, 0, 0, ..] => Kind::Ike { skip: 4 },
        // A peer on port 500 sends no marker, not even to a port of our own choice.
        _ if !nat_t || remote_port == IKE_PORT => Kind::Ike { skip: 0 },
        _ => Kind::Esp,
    }
}
