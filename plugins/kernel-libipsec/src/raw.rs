//! ESP without UDP (RFC 4303): raw sockets to send and receive it by, for peers that no NAT hides.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::cmsg_space;
use nix::poll::PollFlags;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt};
use plugin_api::PluginError;
use plugin_api::kernel::ReceivedEsp;
use plugin_api::log::{CONTROL, Group};
use socket2::{Domain, Protocol, Type};

use crate::io::{DataPath, wait};
use crate::sad::NO_UDP;
use crate::udp::Socket;

/// Room for a burst in each direction.
const BUFFER: usize = 4 << 20;

/// Octets of the longest packet.
const MAX_PACKET: usize = 65_535;

/// Packets that are received before it is looked whether to stop.
const ROUND: usize = 1024;

/// Threads that receive, one for each family of addresses.
pub(crate) struct Raw {
    threads: Vec<(bool, JoinHandle<()>)>,
}

impl Raw {
    /// Opens the sockets, with a mark of their packets, and receives by them until the data path stops. None where the
    /// system has no such sockets; ESP goes in UDP then.
    ///
    /// # Errors
    ///
    /// If packets cannot be marked, or threads cannot be started.
    pub(crate) fn start(path: &Arc<DataPath>, mark: Option<u32>) -> Result<Option<Self>, PluginError> {
        let mut threads = Vec::new();
        for ipv6 in [false, true] {
            let socket = match open(ipv6) {
                Ok(socket) => socket,
                Err(error) => {
                    let family = if ipv6 { "IPv6" } else { "IPv4" };
                    let text = format!("unable to open a raw socket for ESP over {family}: {error}");
                    path.host.log(Group::Knl, CONTROL, &text);
                    continue;
                }
            };
            if let Some(mark) = mark {
                let marked = socket.set_mark(mark);
                marked.map_err(|error| {
                    PluginError::system("marking packets, charon.plugins.kernel-libipsec.fwmark", &error)
                })?;
            }
            let socket = Arc::new(Socket::new(socket.into(), ipv6, NO_UDP));
            path.sockets.rcu(|sockets| {
                let mut sockets = Vec::clone(sockets);
                sockets.push(Arc::clone(&socket));
                sockets
            });
            let path = Arc::clone(path);
            let thread = thread::Builder::new()
                .name("libipsec-raw".into())
                .spawn(move || run(&path, &socket))
                .map_err(|error| PluginError::system("starting the thread libipsec-raw", &error))?;
            threads.push((ipv6, thread));
        }
        Ok((!threads.is_empty()).then_some(Self { threads }))
    }

    /// Whether there is a socket of a family.
    pub(crate) fn has(&self, ipv6: bool) -> bool {
        self.threads.iter().any(|(family, _)| *family == ipv6)
    }

    /// Waits for the end of the threads.
    pub(crate) fn join(self) -> thread::Result<()> {
        let ended: Vec<_> = self
            .threads
            .into_iter()
            .map(|(_, thread)| thread.join())
            .collect();
        ended.into_iter().collect()
    }
}

fn open(ipv6: bool) -> io::Result<socket2::Socket> {
    let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    let protocol = Protocol::from(libc::IPPROTO_ESP);
    let socket = socket2::Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(protocol))?;
    if ipv6 {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        socket.set_recv_tclass_v6(true)?;
    }
    // Smaller buffers than asked for only cost throughput.
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
    let _ = setsockopt(&socket, sockopt::SndBufForce, &BUFFER);
    Ok(socket)
}

/// Opens what comes in until told to stop.
fn run(path: &DataPath, socket: &Socket) {
    let mut buffer = vec![0; MAX_PACKET];
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        let text = format!("{what} ESP without UDP failed: {error}, stopping");
        path.host.log(Group::Esp, CONTROL, &text);
    };
    loop {
        let fds = [
            (socket.as_fd(), PollFlags::POLLIN),
            (path.stop.as_fd(), PollFlags::POLLIN),
        ];
        match wait(&fds) {
            Ok([_, false]) => {}
            Ok(_) => return,
            Err(errno) => return failed("waiting for", &errno),
        }
        for _ in 0..ROUND {
            let received = match socket.ipv6 {
                true => receive_v6(socket, &mut buffer),
                false => receive_v4(socket, &mut buffer),
            };
            match received {
                Ok(Some((received, packet))) => path.receive(&received, packet),
                Ok(None) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => break,
                    // What routers say of packets that were sent is unauthenticated, and of no use here.
                    ErrorKind::Interrupted | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {}
                    ErrorKind::ConnectionRefused => {}
                    _ => return failed("receiving", &error),
                },
            }
        }
    }
}

type Received<'a> = Option<(ReceivedEsp, &'a mut [u8])>;

/// With the header of the packet; without a packet if that makes no sense.
fn receive_v4<'a>(socket: &Socket, buffer: &'a mut [u8]) -> io::Result<Received<'a>> {
    let mut slices = [IoSliceMut::new(buffer)];
    let descriptor = socket.as_fd().as_raw_fd();
    let length = recvmsg::<()>(descriptor, &mut slices, None, MsgFlags::MSG_DONTWAIT)?.bytes;
    Ok(split_v4(&mut buffer[..length]))
}

/// Takes the header off, in which the kernel has checked what it needs.
fn split_v4(packet: &mut [u8]) -> Received<'_> {
    let [first, tos, _, _, _, _, _, _, _, protocol, ..] = *packet else {
        return None;
    };
    let header = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header < 20 || i32::from(protocol) != libc::IPPROTO_ESP {
        return None;
    }
    let address = |at: usize| {
        let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::from(Ipv4Addr::from(octets)))
    };
    let (remote, local) = (address(12)?, address(16)?);
    let esp = packet.get_mut(header..)?;
    Some((received(local, remote, tos, esp.len()), esp))
}

fn receive_v6<'a>(socket: &Socket, buffer: &'a mut [u8]) -> io::Result<Received<'a>> {
    let mut control = cmsg_space!(libc::in6_pktinfo, libc::c_int);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrIn6>(
        socket.as_fd().as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let remote = message.address.map(|address| IpAddr::from(address.ip()));
    let (mut local, mut tos) = (None, 0);
    for one in message.cmsgs()? {
        match one {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                local = Some(IpAddr::from(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
            }
            ControlMessageOwned::Ipv6TClass(class) => tos = class as u8,
            _ => {}
        }
    }
    let length = message.bytes;
    let ends = local.zip(remote);
    Ok(ends.map(|(local, remote)| (received(local, remote, tos, length), &mut buffer[..length])))
}

fn received(local: IpAddr, remote: IpAddr, tos: u8, length: usize) -> ReceivedEsp {
    ReceivedEsp {
        local: SocketAddr::new(local, NO_UDP),
        remote: SocketAddr::new(remote, NO_UDP),
        tos,
        segment: length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_taken_off_with_its_options() {
        let mut packet = [0; 32];
        packet[..2].copy_from_slice(&[0x46, 0xb8]);
        packet[9] = 50;
        packet[12..20].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
        packet[24..].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let (received, esp) = split_v4(&mut packet).expect("a packet");
        assert_eq!(esp, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(
            (received.remote, received.local, received.tos, received.segment),
            (([192, 0, 2, 1], 0).into(), ([192, 0, 2, 2], 0).into(), 0xb8, 8)
        );
    }

    #[test]
    fn what_is_no_packet_of_esp_is_none() {
        let mut packet = [0; 20];
        packet[0] = 0x45;
        packet[9] = 50;
        assert!(split_v4(&mut packet.clone()).is_some_and(|(_, esp)| esp.is_empty()));
        for (at, octet) in [(0, 0x65), (0, 0x44), (0, 0x46), (9, 17)] {
            let mut bad = packet;
            bad[at] = octet;
            assert!(split_v4(&mut bad).is_none(), "{at}: {octet}");
        }
        assert!(split_v4(&mut packet[..19]).is_none());
        assert!(split_v4(&mut []).is_none());
    }
}
