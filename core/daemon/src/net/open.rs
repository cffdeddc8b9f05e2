//! Opening the sockets, and who gets what where IKE and ESP share a port.
//!
//! There are two sockets for such a port then, and the kernel looks for the non-ESP marker (RFC 3948, 2.2): what begins with
//! four zeros goes to the socket that the loop reads, the rest to that of the thread for ESP. A kernel that cannot do
//! that costs a hop from thread to thread for each IKE message.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::AtomicU32;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Bound, Error, Reader, family};
use crate::sys;

/// Room for a burst in each direction; without CAP_NET_ADMIN net.core.rmem_max and wmem_max limit it.
const BUFFER: usize = 4 << 20;

/// A kind of socket.
#[derive(Clone, Copy)]
pub(super) struct Opening {
    pub(super) ipv6: bool,
    pub(super) nat_t: bool,
    /// The mark of its packets.
    pub(super) mark: Option<u32>,
}

impl Opening {
    /// The sockets for a port, which are one or two.
    pub(super) fn bind(self, port: u16) -> Result<Vec<Bound>, Error> {
        let Self { ipv6, nat_t, .. } = self;
        if !nat_t {
            return Ok(vec![bind_to(self.open()?, ipv6, port, nat_t, Reader::Loop)?]);
        }
        // Bound without SO_REUSEPORT, so that the port is nobody else's.
        let first = bind_to(self.open()?, ipv6, port, nat_t, Reader::Thread)?;
        let second = self.second(&first);
        Ok([first].into_iter().chain(second.ok()).collect())
    }

    /// The socket for IKE beside the one for ESP.
    fn second(self, first: &Bound) -> io::Result<Bound> {
        setsockopt(&first.socket, sockopt::ReusePort, &true)?;
        let made = || {
            let failed = |error| match error {
                Error::Bind { error, .. } | Error::Mark { error, .. } | Error::Open { error, .. } => error,
                Error::None => io::Error::other(error),
            };
            let socket = self.open().map_err(failed)?;
            setsockopt(&socket, sockopt::ReusePort, &true)?;
            let second =
                bind_to(socket, first.ipv6, first.port, first.nat_t, Reader::Loop).map_err(failed)?;
            sys::part_by_marker(&second.socket)?;
            Ok(second)
        };
        made().inspect_err(|_| {
            let _ = setsockopt(&first.socket, sockopt::ReusePort, &false);
        })
    }

    fn open(self) -> Result<Socket, Error> {
        let Self { ipv6, nat_t, mark } = self;
        let name = family(ipv6);
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let open = |error| Error::Open { family: name, error };
        let socket =
            Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP)).map_err(open)?;
        if let Some(mark) = mark {
            let marked = socket.set_mark(mark);
            marked.map_err(|error| Error::Mark { family: name, error })?;
        }
        if ipv6 {
            socket.set_only_v6(true).map_err(open)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true).map_err(|error| open(error.into()))?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true).map_err(|error| open(error.into()))?;
        }
        // A smaller buffer than asked for only costs throughput.
        if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
            let _ = socket.set_recv_buffer_size(BUFFER);
        }
        if nat_t && setsockopt(&socket, sockopt::SndBufForce, &BUFFER).is_err() {
            let _ = socket.set_send_buffer_size(BUFFER);
        }
        Ok(socket)
    }
}

fn bind_to(socket: Socket, ipv6: bool, port: u16, nat_t: bool, reader: Reader) -> Result<Bound, Error> {
    let name = family(ipv6);
    match reader {
        // A kernel that does not count what there was no room for only leaves it unsaid.
        Reader::Loop => _ = setsockopt(&socket, sockopt::RxqOvfl, &1),
        Reader::Thread => {
            // A kernel that does not join datagrams only costs throughput.
            let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
            // Without it, what routers say of congestion does not reach the inner packets.
            let _ = if ipv6 {
                socket.set_recv_tclass_v6(true)
            } else {
                socket.set_recv_tos_v4(true)
            };
        }
    }
    let address: SocketAddr = if ipv6 {
        (Ipv6Addr::UNSPECIFIED, port).into()
    } else {
        (Ipv4Addr::UNSPECIFIED, port).into()
    };
    socket.bind(&address.into()).map_err(|error| Error::Bind {
        port,
        family: name,
        option: if nat_t { "charon.port_nat_t" } else { "charon.port" },
        error,
    })?;
    let socket = UdpSocket::from(socket);
    let bound = socket
        .local_addr()
        .map_err(|error| Error::Open { family: name, error })?;
    Ok(Bound {
        port: bound.port(),
        socket,
        ipv6,
        nat_t,
        reader,
        overflowed: AtomicU32::new(0),
    })
}
