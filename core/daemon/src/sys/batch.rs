//! Receiving many datagrams at once, with what the kernel knows of them.

use std::io;
use std::mem::{self, offset_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Datagrams taken in one call.
const SLOTS: usize = 16;
/// Octets of ancillary data, with their headers: the local address, the length of segments, DSCP and ECN, what was lost.
const CONTROL_LEN: usize = 128;
/// Most octets in one buffer: a UDP datagram, or as many as the kernel joined.
const BUFFER_LEN: usize = 65_536;

/// Buffers for datagrams, used again and again.
pub struct Batch {
    octets: Vec<u8>,
    names: [libc::sockaddr_storage; SLOTS],
    controls: [Control; SLOTS],
    lens: [Received; SLOTS],
}

// cmsghdr wants the alignment of usize.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_LEN]);

#[derive(Clone, Copy, Default)]
struct Received {
    octets: usize,
    control: usize,
    truncated: bool,
}

/// What came in, until the next call: one datagram, or several of equal length.
pub struct Datagrams<'a> {
    /// Where they come from.
    pub remote: SocketAddr,
    /// The address they were sent to.
    pub local: Option<IpAddr>,
    /// DSCP and ECN of their IP headers, if the socket asks for them.
    pub tos: u8,
    /// How many datagrams the socket's buffer had no room for so far, if the socket counts them.
    pub overflowed: Option<u32>,
    /// Length of each but the last; that of the only one if there is one.
    pub segment: usize,
    /// All octets.
    pub octets: &'a mut [u8],
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            octets: vec![0; SLOTS * BUFFER_LEN],
            // SAFETY: sockaddr_storage is a C struct of integers, for which zeros are valid.
            names: unsafe { mem::zeroed() },
            controls: [Control([0; CONTROL_LEN]); SLOTS],
            lens: [Received::default(); SLOTS],
        }
    }
}

impl Batch {
    /// Receives what is there without waiting, and says how much is now in the slots.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if nothing is there; what the network reported for an earlier datagram otherwise.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        // SAFETY: mmsghdr is a C struct of integers and pointers, for which zeros are valid.
        let mut headers: [libc::mmsghdr; SLOTS] = unsafe { mem::zeroed() };
        let mut vectors = [libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        }; SLOTS];
        let slots = self
            .octets
            .chunks_exact_mut(BUFFER_LEN)
            .zip(&mut self.names)
            .zip(&mut self.controls);
        for (((buffer, name), control), (header, vector)) in slots.zip(headers.iter_mut().zip(&mut vectors)) {
            *vector = libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: BUFFER_LEN,
            };
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_LEN;
        }
        // SAFETY: every header points to a name, a vector, a buffer and a control buffer of its own that outlive the
        // call, with their true lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                SLOTS as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (len, header) in self.lens.iter_mut().zip(&headers).take(count) {
            *len = Received {
                octets: header.msg_len as usize,
                control: header.msg_hdr.msg_controllen,
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            };
        }
        Ok(count)
    }

    /// Whether so many are all that there are slots for, so that more may be there.
    pub fn is_full(count: usize) -> bool {
        count == SLOTS
    }

    /// What is in a slot below the number that [`receive`](Self::receive) returned; nothing if it was cut off or is of
    /// no family that we know.
    pub fn slot(&mut self, index: usize) -> Option<Datagrams<'_>> {
        let len = self.lens.get(index).filter(|len| !len.truncated)?;
        let remote = socket_address(&self.names[index])?;
        let mut local = None;
        let mut segment = len.octets;
        let (mut tos, mut overflowed) = (0, None);
        for (level, kind, data) in messages(&self.controls[index].0[..len.control.min(CONTROL_LEN)]) {
            match (level, kind) {
                // struct in_pktinfo: index, local address, destination address of the header.
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let octets = data
                        .get(offset_of!(libc::in_pktinfo, ipi_addr)..)
                        .and_then(<[u8]>::first_chunk::<4>);
                    local = octets.map(|octets| IpAddr::V4(Ipv4Addr::from(*octets)));
                }
                // struct in6_pktinfo: destination address, index.
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    local = data
                        .first_chunk::<16>()
                        .map(|octets| IpAddr::V6(Ipv6Addr::from(*octets)));
                }
                (libc::IPPROTO_IP, libc::IP_TOS) => tos = data.first().copied().unwrap_or(0),
                // An int.
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    let class = data.first_chunk().map_or(0, |octets| i32::from_ne_bytes(*octets));
                    tos = u8::try_from(class).unwrap_or(0);
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    overflowed = data.first_chunk().map(|octets| u32::from_ne_bytes(*octets));
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    if let Some(octets) = data.first_chunk::<4>() {
                        segment = usize::try_from(i32::from_ne_bytes(*octets))
                            .ok()
                            .filter(|len| *len > 0)?;
                    }
                }
                _ => {}
            }
        }
        let start = index * BUFFER_LEN;
        Some(Datagrams {
            remote,
            local,
            tos,
            overflowed,
            segment,
            octets: &mut self.octets[start..start + len.octets],
        })
    }
}

/// The ancillary messages in a control buffer: level, type and data, padding included.
fn messages(mut control: &[u8]) -> impl Iterator<Item = (i32, i32, &[u8])> {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    std::iter::from_fn(move || {
        let field = |at: usize| {
            control
                .get(at..)?
                .first_chunk::<4>()
                .map(|octets| i32::from_ne_bytes(*octets))
        };
        let level = field(offset_of!(libc::cmsghdr, cmsg_level))?;
        let kind = field(offset_of!(libc::cmsghdr, cmsg_type))?;
        let len = usize::from_ne_bytes(*control.first_chunk()?);
        let data = control.get(HEADER..len)?;
        control = control
            .get(len.next_multiple_of(size_of::<usize>())..)
            .unwrap_or_default();
        Some((level, kind, data))
    })
}

fn socket_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage, which is large and aligned enough for all, holds this type.
            let name = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let address = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddrV4::new(address, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let name = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let address = Ipv6Addr::from(name.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(address, u16::from_be(name.sin6_port), 0, name.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_batch_has_every_datagram_with_its_sender() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        nix::sys::socket::setsockopt(&receiver, nix::sys::socket::sockopt::Ipv4PacketInfo, &true).unwrap();
        socket2::SockRef::from(&receiver).set_recv_tos_v4(true).unwrap();
        for (text, tos) in [("one", 0), ("twenty", 0xb9)] {
            socket2::SockRef::from(&sender).set_tos_v4(tos).unwrap();
            sender
                .send_to(text.as_bytes(), receiver.local_addr().unwrap())
                .unwrap();
        }
        let mut batch = Batch::default();
        assert_eq!(batch.receive(receiver.as_fd()).unwrap(), 2);
        let second = batch.slot(1).unwrap();
        assert_eq!(second.octets, b"twenty");
        assert_eq!(second.tos, 0xb9);
        assert_eq!(second.segment, 6);
        assert_eq!(second.local, Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(second.remote, sender.local_addr().unwrap());
        let first = batch.slot(0).unwrap();
        assert_eq!((&*first.octets, first.tos), (&b"one"[..], 0));
        assert_eq!(
            batch.receive(receiver.as_fd()).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn ipv6_datagrams_know_their_local_address() {
        let Ok(receiver) = UdpSocket::bind("[::1]:0") else {
            return;
        };
        nix::sys::socket::setsockopt(&receiver, nix::sys::socket::sockopt::Ipv6RecvPacketInfo, &true)
            .unwrap();
        let options = socket2::SockRef::from(&receiver);
        options.set_recv_tclass_v6(true).unwrap();
        options.set_tclass_v6(3).unwrap();
        receiver.send_to(b"six", receiver.local_addr().unwrap()).unwrap();
        let mut batch = Batch::default();
        assert_eq!(batch.receive(receiver.as_fd()).unwrap(), 1);
        let slot = batch.slot(0).unwrap();
        assert_eq!(slot.local, Some("::1".parse().unwrap()));
        assert_eq!(slot.remote, receiver.local_addr().unwrap());
        assert_eq!(slot.tos, 3);
    }

    #[test]
    fn a_control_buffer_cut_short_ends_the_messages() {
        assert_eq!(messages(&[1, 0, 0, 0, 0, 0, 0, 0, 9, 9]).count(), 0);
        assert_eq!(messages(&[0xff; CONTROL_LEN]).count(), 0);
    }
}
