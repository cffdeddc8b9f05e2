//! A host whose packets carry source addresses of its choice, on a cable to the responder.
//!
//! It is a namespace of the run's own: packets to any address of 198.18.0.0/15 are routed to it and end there.

mod approach;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};
use xtask::netns::Namespace;

pub(crate) use self::approach::{Answer, Approach, Offer};

/// Addresses for benchmarks (RFC 2544): the first, and the bits in which others differ from it.
const CLAIMED: (u32, u32) = (0xc612_0000, 0x1_ffff);

/// Length of the headers of IP and UDP, which precede the message.
pub(crate) const HEADERS: usize = 28;

/// Where the source address and port are in a packet.
pub(crate) const SOURCE_ADDRESS: usize = 12;
const SOURCE_PORT: usize = 20;

/// The port of IKE.
const PORT: u16 = 500;

/// Makes the host and its cable to the responder.
///
/// # Errors
///
/// Without root, without the `ip` command, or if there is such a host already.
pub(crate) fn host(moon: &Namespace, target: Ipv4Addr) -> Result<Namespace, String> {
    let host = Namespace::new()?;
    moon.cable("flood0", &host, "flood1")?;
    moon.ip("addr add 192.168.9.1/24 dev flood0")?;
    moon.ip("route add 198.18.0.0/15 via 192.168.9.2")?;
    host.ip("addr add 192.168.9.2/24 dev flood1")?;
    host.ip(&format!("route add {target}/32 via 192.168.9.1"))?;
    Ok(host)
}

/// Opens a socket of the host that takes packets with their IP header.
///
/// # Errors
///
/// Without the right to open one.
pub(crate) fn raw_socket(host: &Namespace) -> Result<Socket, String> {
    host.run(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))))
        .flatten()
        .map_err(|error| format!("a raw socket for strangers: {error}"))
}

/// Makes a packet to UDP port 500. The kernel fills in the length and the checksum of IP; UDP does without a checksum.
pub(crate) fn packet(source: SocketAddrV4, target: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let total = (HEADERS + message.len()) as u16;
    let udp = (8 + message.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    debug_assert_eq!(packet.len(), SOURCE_ADDRESS);
    packet.extend(source.ip().octets());
    packet.extend(target.octets());
    debug_assert_eq!(packet.len(), SOURCE_PORT);
    packet.extend(source.port().to_be_bytes());
    packet.extend(PORT.to_be_bytes());
    packet.extend(udp.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(message);
    packet
}

/// Returns the n-th address that a stranger may claim.
pub(crate) fn claimed(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(CLAIMED.0 | n & CLAIMED.1)
}

/// See the module. These strangers also receive what is sent to the addresses that they claim.
pub(crate) struct Strangers {
    raw: Socket,
    ike: UdpSocket,
    target: Ipv4Addr,
    host: Namespace,
}

impl Strangers {
    /// Makes their host.
    ///
    /// # Errors
    ///
    /// See [`host`] and [`raw_socket`].
    pub(crate) fn new(moon: &Namespace, target: Ipv4Addr) -> Result<Self, String> {
        let host = host(moon, target)?;
        host.ip("route add local 198.18.0.0/15 dev lo")?;
        let raw = raw_socket(&host)?;
        let ike = listen(&host, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT))?;
        Ok(Self {
            raw,
            ike,
            target,
            host,
        })
    }

    /// Opens a socket for datagrams to one address and port that is not an IKE port.
    ///
    /// # Errors
    ///
    /// If the port is taken.
    pub(crate) fn listen(&self, at: SocketAddrV4) -> Result<UdpSocket, String> {
        listen(&self.host, at)
    }

    /// Sends a message from an address and port.
    ///
    /// # Errors
    ///
    /// If the kernel refuses the packet for another reason than a full queue.
    pub(crate) fn send(&self, source: SocketAddrV4, message: &[u8]) -> Result<(), String> {
        let to = SocketAddrV4::new(self.target, 0).into();
        match self.raw.send_to(&packet(source, self.target, message), &to) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            Err(error) => Err(format!("a stranger's packet: {error}")),
        }
    }

    /// Returns what has been sent to port 500 of any of the addresses, after waiting no longer than `patience`.
    ///
    /// # Errors
    ///
    /// If the socket fails.
    pub(crate) fn receive(&self, patience: Duration) -> Result<Option<Vec<u8>>, String> {
        receive(&self.ike, patience)
    }

    /// Sends the IKE_SA_INIT request of an approach until it is accepted. Cookies are returned.
    ///
    /// # Errors
    ///
    /// If the responder refuses it or does not answer within two seconds.
    pub(crate) fn open(&self, source: SocketAddrV4, approach: &mut Approach) -> Result<(), String> {
        const PATIENCE: Duration = Duration::from_secs(2);
        const AGAIN: Duration = Duration::from_millis(500);
        let began = Instant::now();
        self.send(source, approach.request())?;
        let mut sent = Instant::now();
        while began.elapsed() < PATIENCE {
            let heard = self.receive(Duration::from_millis(10))?;
            match heard.as_deref().and_then(|octets| approach.answered(octets)) {
                Some(Answer::Accepted) => return Ok(()),
                Some(Answer::Cookie) => {
                    self.send(source, approach.request())?;
                    sent = Instant::now();
                }
                Some(Answer::Refused(kind)) => {
                    return Err(format!("IKE_SA_INIT from {source} was refused: {kind}"));
                }
                None if sent.elapsed() > AGAIN => {
                    self.send(source, approach.request())?;
                    sent = Instant::now();
                }
                None => {}
            }
        }
        Err(format!(
            "IKE_SA_INIT from {source} was not answered within {} s",
            PATIENCE.as_secs()
        ))
    }
}

fn listen(host: &Namespace, at: SocketAddrV4) -> Result<UdpSocket, String> {
    let opened = host.run(|| UdpSocket::bind(at)).flatten().and_then(|socket| {
        socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    opened.map_err(|error| format!("a socket for strangers at {at}: {error}"))
}

/// Returns a datagram, after waiting no longer than `patience`.
///
/// # Errors
///
/// If the socket fails.
pub(crate) fn receive(socket: &UdpSocket, patience: Duration) -> Result<Option<Vec<u8>>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("a socket for strangers: {error}");
    if !patience.is_zero() {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::from(1_000_u16));
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => return Ok(None),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    let mut buffer = vec![0; 65_536];
    match socket.recv(&mut buffer) {
        Ok(len) => {
            buffer.truncate(len);
            Ok(Some(buffer))
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_its_source_length_and_target() {
        let source = SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 7), 53);
        let packet = packet(source, Ipv4Addr::new(192, 0, 2, 1), &[7; 100]);
        assert_eq!(packet.len(), 128);
        assert_eq!(packet[2..4], 128_u16.to_be_bytes());
        assert_eq!(packet[9], 17);
        assert_eq!(packet[SOURCE_ADDRESS..SOURCE_ADDRESS + 4], [198, 18, 0, 7]);
        assert_eq!(packet[16..20], [192, 0, 2, 1]);
        assert_eq!(packet[SOURCE_PORT..SOURCE_PORT + 2], 53_u16.to_be_bytes());
        assert_eq!(packet[24..26], 108_u16.to_be_bytes());
        assert_eq!(packet[HEADERS..], [7; 100]);
    }

    #[test]
    fn claimed_addresses_stay_within_their_network() {
        assert_eq!(claimed(0), Ipv4Addr::new(198, 18, 0, 0));
        assert_eq!(claimed(u32::MAX), Ipv4Addr::new(198, 19, 255, 255));
    }
}
