//! Packets that pass between the TUN device and us as one, though they are many on the wire.
//!
//! With `IFF_VNET_HDR` each packet of the device has a [`VnetHeader`] in front. The kernel may hand over a packet of up to
//! 64 KiB with the size of the pieces that it is to be cut into ([`split`]), and takes such packets, made of pieces
//! that came in ([`merge`]). So most of the way through its stack, and through system calls, is gone once for many.

pub mod checksum;
pub mod merge;
pub mod split;

/// Octets of a [`VnetHeader`].
pub const VNET_LEN: usize = 10;

/// The checksum has to be completed: what its field has is the sum of the pseudo header.
const NEEDS_CHECKSUM: u8 = 1;

/// `struct virtio_net_hdr` (Virtual I/O Device 1.2, 5.1.6), in the octet order of the machine, as TUN devices have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHeader {
    flags: u8,
    kind: u8,
    header_len: u16,
    piece: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

/// The transport protocol whose payload is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// Where its header has the checksum.
    fn checksum_offset(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }

    /// `gso_type` in a header.
    fn kind(self, ipv4: bool) -> u8 {
        match (self, ipv4) {
            (Self::Tcp, true) => 1,
            (Self::Tcp, false) => 4,
            (Self::Udp, _) => 5,
        }
    }

    fn of_kind(kind: u8) -> Option<Self> {
        // The flag says that ECN is in use, which the TCP header says as well.
        match kind & 0x7f {
            1 | 4 => Some(Self::Tcp),
            5 => Some(Self::Udp),
            _ => None,
        }
    }
}

impl VnetHeader {
    /// Reads one.
    pub fn from_octets(octets: [u8; VNET_LEN]) -> Self {
        let [flags, kind, a, b, c, d, e, f, g, h] = octets;
        Self {
            flags,
            kind,
            header_len: u16::from_ne_bytes([a, b]),
            piece: u16::from_ne_bytes([c, d]),
            checksum_start: u16::from_ne_bytes([e, f]),
            checksum_offset: u16::from_ne_bytes([g, h]),
        }
    }

    /// Writes it.
    pub fn to_octets(self) -> [u8; VNET_LEN] {
        let [a, b] = self.header_len.to_ne_bytes();
        let [c, d] = self.piece.to_ne_bytes();
        let [e, f] = self.checksum_start.to_ne_bytes();
        let [g, h] = self.checksum_offset.to_ne_bytes();
        [self.flags, self.kind, a, b, c, d, e, f, g, h]
    }
}

/// Sets the total length of an IPv4 packet, the payload length of an IPv6 one, and the header checksum.
fn set_ip_len(packet: &mut [u8], header_len: usize) {
    let len = packet.len();
    set_ip_len_of(packet, header_len, len);
}

/// The same, of a packet of which only the start is here.
fn set_ip_len_of(start: &mut [u8], header_len: usize, len: usize) {
    if is_ipv4(start) {
        start[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        start[10..12].fill(0);
        let sum = checksum::finish(checksum::sum(&start[..header_len]));
        start[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        start[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
    }
}

fn is_ipv4(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 4 == 4)
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

#[cfg(test)]
mod testing;
