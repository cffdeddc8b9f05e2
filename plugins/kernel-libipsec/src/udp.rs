//! Sending ESP in UDP (RFC 3948) by the daemon's sockets, or without UDP by raw ones, from the SA's source address.
//!
//! Packets of equal length go to the kernel in one call and through its stack as one (`UDP_SEGMENT`).
#![allow(unsafe_code)] // ancillary data has no safe face without an allocation per call

use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::sad::{Endpoints, NO_UDP};

/// Most datagrams in one call, as the kernel limits them (`UDP_MAX_SEGMENTS`).
pub const MAX_SEGMENTS: usize = 64;
/// Most octets in one call: what an IPv4 datagram holds.
pub const MAX_OCTETS: usize = 65_535 - 20 - 8;

/// What the headers in front of a packet have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Addresses and ports.
    pub endpoints: Endpoints,
    /// DSCP and ECN.
    pub tos: u8,
}

/// A socket to send by.
pub struct Socket {
    fd: OwnedFd,
    /// Whether it is an IPv6 socket.
    pub ipv6: bool,
    /// The port it is bound to; [`NO_UDP`] of a raw one.
    pub port: u16,
    segmentation: AtomicBool,
}

impl Socket {
    /// Sends by `fd` from now on.
    pub fn new(fd: OwnedFd, ipv6: bool, port: u16) -> Self {
        Self {
            fd,
            ipv6,
            port,
            segmentation: AtomicBool::new(port != NO_UDP),
        }
    }

    /// Sends datagrams: all but the last have the length of the first, and the last is not longer.
    ///
    /// # Errors
    ///
    /// With how many were sent, the first one that was not. [`io::ErrorKind::WouldBlock`] if the kernel has no room for
    /// it at the moment.
    pub fn send(&self, datagrams: &[IoSlice<'_>], outer: &Outer) -> Result<(), (usize, io::Error)> {
        if let [first, _, ..] = datagrams
            && self.segmentation.load(Relaxed)
        {
            match self.send_one(datagrams, Some(first.len() as u16), outer) {
                Ok(()) => return Ok(()),
                // Longer than the path's MTU: segments are not fragmented, single datagrams are.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EMSGSIZE)) => {}
                // The device cannot compute checksums, or the kernel is older than UDP_SEGMENT.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::ENOPROTOOPT)) => {
                    self.segmentation.store(false, Relaxed);
                }
                Err(error) => return Err((0, error)),
            }
        }
        for (sent, datagram) in datagrams.iter().enumerate() {
            self.send_one(std::slice::from_ref(datagram), None, outer)
                .map_err(|error| (sent, error))?;
        }
        Ok(())
    }

    fn send_one(
        &self,
        octets: &[IoSlice<'_>],
        segment: Option<u16>,
        Outer { endpoints, tos }: &Outer,
    ) -> io::Result<()> {
        let mut name = Name::new(endpoints.remote);
        let mut control = Control::default();
        control.push_source(endpoints.local.ip());
        if let Some(segment) = segment {
            control.push(libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
        if *tos != 0 {
            let (level, kind) = if endpoints.remote.is_ipv6() {
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
            } else {
                (libc::IPPROTO_IP, libc::IP_TOS)
            };
            control.push(level, kind, libc::c_int::from(*tos));
        }
        // SAFETY: msghdr is a C struct of integers and pointers, for which zeros are valid.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_name = ptr::from_mut(&mut name.storage).cast();
        message.msg_namelen = name.len;
        // sendmsg only reads through this pointer; IoSlice has the layout of iovec.
        message.msg_iov = octets.as_ptr().cast_mut().cast();
        message.msg_iovlen = octets.len();
        if control.len > 0 {
            message.msg_control = control.buffer.as_mut_ptr().cast();
            message.msg_controllen = control.len;
        }
        // SAFETY: all pointers in `message` are to values that live to the end of this function, with their lengths.
        match unsafe {
            libc::sendmsg(
                self.fd.as_raw_fd(),
                &message,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

struct Name {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl Name {
    fn new(address: SocketAddr) -> Self {
        // SAFETY: sockaddr_storage is a C struct of integers, for which zeros are valid.
        let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
        let len = match address {
            SocketAddr::V4(v4) => {
                let name = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from(*v4.ip()).to_be(),
                    },
                    sin_zero: [0; 8],
                };
                // SAFETY: sockaddr_storage is as large as, and aligned for, every socket address.
                unsafe {
                    ptr::from_mut(&mut storage)
                        .cast::<libc::sockaddr_in>()
                        .write(name)
                };
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(v6) => {
                let name = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: 0,
                    sin6_addr: libc::in6_addr {
                        s6_addr: v6.ip().octets(),
                    },
                    sin6_scope_id: v6.scope_id(),
                };
                // SAFETY: as above.
                unsafe {
                    ptr::from_mut(&mut storage)
                        .cast::<libc::sockaddr_in6>()
                        .write(name)
                };
                size_of::<libc::sockaddr_in6>()
            }
        };
        Self {
            storage,
            len: len as libc::socklen_t,
        }
    }
}

/// Ancillary data: a source address, a segment size, and DSCP with ECN fit.
struct Control {
    buffer: [MaybeUninit<libc::cmsghdr>; 8],
    len: usize,
}

impl Default for Control {
    fn default() -> Self {
        // Zeros, because gaps between messages are the kernel's to look at.
        Self {
            buffer: [MaybeUninit::zeroed(); 8],
            len: 0,
        }
    }
}

impl Control {
    fn push_source(&mut self, address: IpAddr) {
        match address {
            _ if address.is_unspecified() => {}
            IpAddr::V4(v4) => {
                let source = libc::in_addr {
                    s_addr: u32::from(v4).to_be(),
                };
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: source,
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            IpAddr::V6(v6) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: v6.octets() },
                    ipi6_ifindex: 0,
                };
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
        }
    }

    fn push<T: Copy>(&mut self, level: libc::c_int, kind: libc::c_int, value: T) {
        let size = size_of::<T>() as libc::c_uint;
        // SAFETY: CMSG_SPACE and CMSG_LEN only compute.
        let (space, len) = unsafe { (libc::CMSG_SPACE(size) as usize, libc::CMSG_LEN(size) as usize) };
        assert!(
            self.len + space <= size_of_val(&self.buffer),
            "room for what this module sends"
        );
        // SAFETY: `space` octets are free from `self.len` on, which CMSG_SPACE keeps aligned for a header; the value is
        // written unaligned behind it, where CMSG_DATA says.
        unsafe {
            let header = self
                .buffer
                .as_mut_ptr()
                .cast::<u8>()
                .add(self.len)
                .cast::<libc::cmsghdr>();
            (*header).cmsg_len = len;
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        self.len += space;
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    #[test]
    fn datagrams_arrive_one_by_one_and_from_the_address_asked_for() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(receiver) = UdpSocket::bind(loopback) else {
                assert!(loopback.starts_with('['), "every host has an IPv4 loopback");
                println!("skipped {loopback}: this host has no IPv6");
                continue;
            };
            receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let any = if loopback.starts_with('[') {
                "[::]:0"
            } else {
                "0.0.0.0:0"
            };
            let sender = UdpSocket::bind(any).unwrap();
            let port = sender.local_addr().unwrap().port();
            let mut source = receiver.local_addr().unwrap();
            if source.is_ipv4() {
                source.set_ip([127, 0, 0, 9].into());
            }
            source.set_port(port);
            let socket = Socket::new(sender.into(), source.is_ipv6(), port);
            let outer = Outer {
                endpoints: Endpoints {
                    local: source,
                    remote: receiver.local_addr().unwrap(),
                },
                tos: 0xb9,
            };
            let sent: [&[u8]; 3] = [&[1; 1200], &[2; 1200], &[3; 7]];
            socket.send(&sent.map(IoSlice::new), &outer).expect("sent");
            for expected in sent {
                let mut buffer = [0; 2000];
                let (len, from) = receiver.recv_from(&mut buffer).expect("a datagram");
                assert_eq!((&buffer[..len], from), (expected, source));
            }
        }
    }
}
