//! The UDP sockets of IKE and of ESP in UDP.
//!
//! The loop sends and receives IKE messages itself, see `inbox`; a thread of its own receives ESP, see `receive`. Where both
//! come to one port the kernel tells them apart, see `open`.

mod inbox;
mod open;
mod receive;
mod sort;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use ike::Transmit;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use plugin_api::KernelIpsec;

use open::Opening;

pub use inbox::Inbox;
pub use receive::Receiver;

/// What the sockets are opened by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// `charon.port`; 0 takes a free one.
    pub ike: u16,
    /// `charon.port_nat_t`; 0 takes a free one.
    pub nat_t: u16,
    /// `charon.plugins.socket-default.use_ipv4`.
    pub ipv4: bool,
    /// `charon.plugins.socket-default.use_ipv6`.
    pub ipv6: bool,
    /// Octets of the longest IKE message, `charon.max_packet`.
    pub max_packet: usize,
    /// The mark that all packets get, `charon.plugins.socket-default.fwmark`.
    pub mark: Option<u32>,
}

/// An IKE message that came in, marker removed.
#[derive(Debug)]
pub struct Message<T> {
    /// Own address and port.
    pub local: SocketAddr,
    /// The sender's.
    pub remote: SocketAddr,
    /// The message.
    pub octets: T,
}

/// A socket that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken or forbidden.
    #[error(
        "cannot bind UDP port {port} for {family}: {error}; end the program that has it, or set {option} in \
         strongswan.conf to another port"
    )]
    Bind {
        /// The port.
        port: u16,
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// What to change.
        option: &'static str,
        /// Why.
        error: io::Error,
    },
    /// Packets cannot be marked.
    #[error(
        "cannot mark packets of the UDP socket for {family}: {error}; it takes CAP_NET_ADMIN, or no \
         charon.plugins.socket-default.fwmark in strongswan.conf"
    )]
    Mark {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// Why.
        error: io::Error,
    },
    /// Anything else.
    #[error("cannot open a UDP socket for {family}: {error}")]
    Open {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// Why.
        error: io::Error,
    },
    /// Both families are switched off or missing.
    #[error(
        "no UDP socket is left to open: see use_ipv4 and use_ipv6 of charon.plugins.socket-default in strongswan.conf"
    )]
    None,
}

/// One of the sockets.
struct Bound {
    socket: UdpSocket,
    ipv6: bool,
    port: u16,
    nat_t: bool,
    /// Who receives by it.
    reader: Reader,
    /// Datagrams that its buffer had no room for, as the kernel last counted them.
    overflowed: AtomicU32,
}

/// Who receives by a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// The loop, which need not be woken up by another thread then.
    Loop,
    /// The thread for ESP, which a busy loop does not hold up. It hands on the IKE messages that it meets.
    Thread,
}

/// All sockets, to send by.
pub struct Sockets {
    bound: Vec<Bound>,
    max_packet: usize,
    /// Of those that found the queue full, how many nobody was told of.
    dropped: AtomicU64,
    losses: Losses<AtomicU64>,
}

/// Datagrams that came to nothing here, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses<T = u64> {
    /// IKE messages that found the buffer of their socket, or the queue to the loop, full.
    pub queue_full: T,
    /// IKE messages longer than `charon.max_packet`.
    pub too_long: T,
    /// IKE messages that could not be sent.
    pub not_sent: T,
}

impl Sockets {
    /// Opens them. A host without IPv6 is no failure.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn open(ports: &Ports) -> Result<Self, Error> {
        let mut bound: Vec<Bound> = Vec::new();
        for ipv6 in [false, true] {
            if !(if ipv6 { ports.ipv6 } else { ports.ipv4 }) {
                continue;
            }
            for nat_t in [false, true] {
                // Both families share a port that was chosen at random.
                let known = bound
                    .iter()
                    .find(|other| other.nat_t == nat_t)
                    .map(|other| other.port);
                let port = known.unwrap_or(if nat_t { ports.nat_t } else { ports.ike });
                let opening = Opening {
                    ipv6,
                    nat_t,
                    mark: ports.mark,
                };
                match opening.bind(port) {
                    Ok(sockets) => bound.extend(sockets),
                    Err(Error::Open { error, .. })
                        if ipv6 && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
                    Err(Error::Bind { error, .. })
                        if ipv6 && error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if bound.is_empty() {
            return Err(Error::None);
        }
        Ok(Self {
            bound,
            max_packet: ports.max_packet,
            dropped: AtomicU64::new(0),
            losses: Losses::default(),
        })
    }

    /// The ports in use: of IKE, and of IKE and ESP behind NATs.
    pub fn ports(&self) -> (u16, u16) {
        let port = |nat_t| {
            self.bound
                .iter()
                .find(|socket| socket.nat_t == nat_t)
                .map_or(0, |socket| socket.port)
        };
        (port(false), port(true))
    }

    /// Exempts the sockets from policies and lets ESP in UDP be received; returns what the back end could not do.
    pub fn prepare(&self, kernel: &dyn KernelIpsec) -> Vec<String> {
        let mut problems = Vec::new();
        for socket in &self.bound {
            let family = family(socket.ipv6);
            let fd = socket.socket.as_raw_fd();
            if let Err(error) = kernel.bypass_socket(fd, socket.ipv6) {
                problems.push(format!(
                    "cannot exempt the {family} socket on port {} from IPsec policies: {error}",
                    socket.port
                ));
            }
            if socket.nat_t
                && let Err(error) = kernel.enable_udp_decap(fd, socket.ipv6, socket.port)
            {
                problems.push(format!(
                    "cannot receive ESP in UDP on the {family} socket on port {}: {error}",
                    socket.port
                ));
            }
        }
        problems
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// If there is no socket for it or the network refuses it; retransmission makes good for it.
    pub fn send(&self, transmit: &Transmit) -> io::Result<()> {
        let sent = self.try_send(transmit);
        if sent.is_err() {
            self.losses.not_sent.fetch_add(1, Relaxed);
        }
        sent
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        let ipv6 = transmit.remote.is_ipv6();
        let port = transmit.local.port();
        let socket = self
            .bound
            .iter()
            .filter(|socket| socket.ipv6 == ipv6 && socket.port == port)
            .min_by_key(|socket| socket.reader != Reader::Loop)
            .ok_or_else(|| io::Error::other(format!("there is no {} socket on port {port}", family(ipv6))))?;
        let marker: &[u8] = if transmit.non_esp_marker { &[0; 4] } else { &[] };
        let vectors = [IoSlice::new(marker), IoSlice::new(&transmit.octets)];
        let remote = SockaddrStorage::from(transmit.remote);
        let fd = socket.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let (v4, v6);
        let (tos, class) = (transmit.dscp << 2, i32::from(transmit.dscp) << 2);
        let mut control = Vec::with_capacity(2);
        match transmit.local.ip() {
            ip if ip.is_unspecified() => {}
            IpAddr::V4(ip) => {
                v4 = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr {
                        s_addr: u32::from(ip).to_be(),
                    },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                control.push(ControlMessage::Ipv4PacketInfo(&v4));
            }
            IpAddr::V6(ip) => {
                v6 = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                    ipi6_ifindex: 0,
                };
                control.push(ControlMessage::Ipv6PacketInfo(&v6));
            }
        }
        if transmit.dscp != 0 {
            control.push(match ipv6 {
                true => ControlMessage::Ipv6TClass(&class),
                false => ControlMessage::Ipv4Tos(&tos),
            });
        }
        let sent = sendmsg(fd, &vectors, &control, flags, Some(&remote));
        sent.map(drop).map_err(io::Error::from)
    }

    /// How many IKE messages found no room since the last time this was asked.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Relaxed)
    }

    /// What was lost here so far.
    pub fn losses(&self) -> Losses {
        Losses {
            queue_full: self.losses.queue_full.load(Relaxed),
            too_long: self.losses.too_long.load(Relaxed),
            not_sent: self.losses.not_sent.load(Relaxed),
        }
    }
}

fn family(ipv6: bool) -> &'static str {
    if ipv6 { "IPv6" } else { "IPv4" }
}
