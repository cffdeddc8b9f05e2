//! Cutting up a packet as the kernel would have (TCP segmentation offload and the like for UDP).

use super::{NEEDS_CHECKSUM, Transport, VnetHeader, checksum, is_ipv4, set_ip_len, u16_at, u32_at};

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// A packet from the device, and the pieces of its payload.
#[derive(Debug)]
pub struct Split<'a> {
    packet: &'a [u8],
    cut: Option<Cut>,
}

/// How to cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    transport: Transport,
    /// Where the transport header is.
    at: usize,
    /// Where the payload is.
    payload: usize,
    /// Octets of payload in each piece but the last.
    piece: usize,
}

/// The header in front of a packet does not fit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("offload header does not fit the packet")]
pub struct Mismatch;

impl<'a> Split<'a> {
    /// Takes a packet with the header that came before it, and completes its checksum if it is to stay whole.
    ///
    /// # Errors
    ///
    /// If the header speaks of octets that the packet does not have, or of an unknown way to cut it.
    pub fn new(header: &VnetHeader, packet: &'a mut [u8]) -> Result<Self, Mismatch> {
        let at = usize::from(header.checksum_start);
        if header.kind == 0 {
            if header.flags & NEEDS_CHECKSUM != 0 {
                complete(packet, at, usize::from(header.checksum_offset)).ok_or(Mismatch)?;
            }
            return Ok(Self { packet, cut: None });
        }
        let transport = Transport::of_kind(header.kind).ok_or(Mismatch)?;
        let ip = if is_ipv4(packet) { 20 } else { 40 };
        if at < ip || header.flags & NEEDS_CHECKSUM == 0 || header.piece == 0 {
            return Err(Mismatch);
        }
        let payload = at
            + match transport {
                Transport::Tcp => usize::from(packet.get(at + 12).ok_or(Mismatch)? >> 4) * 4,
                Transport::Udp => 8,
            };
        let least = at + if transport == Transport::Tcp { 20 } else { 8 };
        if payload < least || packet.len() <= payload {
            return Err(Mismatch);
        }
        let piece = header.piece.into();
        Ok(Self {
            packet,
            cut: Some(Cut {
                transport,
                at,
                payload,
                piece,
            }),
        })
    }

    /// The packet as it came.
    pub fn whole(&self) -> &[u8] {
        self.packet
    }

    /// How many packets it makes.
    pub fn pieces(&self) -> usize {
        self.cut
            .map_or(1, |cut| (self.packet.len() - cut.payload).div_ceil(cut.piece))
    }

    /// Octets of the longest of them.
    pub fn longest(&self) -> usize {
        self.cut.map_or(self.packet.len(), |cut| {
            self.packet.len().min(cut.payload + cut.piece)
        })
    }

    /// Writes one of them to the start of `into`, which has room for [`longest`](Self::longest), and says its length.
    pub fn write(&self, index: usize, into: &mut [u8]) -> usize {
        let Some(cut) = self.cut else {
            into[..self.packet.len()].copy_from_slice(self.packet);
            return self.packet.len();
        };
        let (headers, payload) = self.packet.split_at(cut.payload);
        let from = index * cut.piece;
        let to = payload.len().min(from + cut.piece);
        let len = headers.len() + to - from;
        let packet = &mut into[..len];
        packet[..headers.len()].copy_from_slice(headers);
        packet[headers.len()..].copy_from_slice(&payload[from..to]);
        if is_ipv4(packet) {
            let id = u16_at(packet, 4).wrapping_add(index as u16);
            packet[4..6].copy_from_slice(&id.to_be_bytes());
        }
        set_ip_len(packet, cut.at);
        match cut.transport {
            Transport::Tcp => {
                let tcp = &mut packet[cut.at..];
                let sequence = u32_at(tcp, 4).wrapping_add(from as u32);
                tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
                if to < payload.len() {
                    tcp[13] &= !(FIN | PSH);
                }
                if index > 0 {
                    tcp[13] &= !CWR;
                }
            }
            Transport::Udp => {
                let udp_len = (len - cut.at) as u16;
                packet[cut.at + 4..cut.at + 6].copy_from_slice(&udp_len.to_be_bytes());
            }
        }
        // The sum of the pseudo header is there, but with the length of the whole.
        let field = cut.at + cut.transport.checksum_offset();
        let whole = (self.packet.len() - cut.at) as u16;
        let pseudo = u64::from(u16_at(packet, field)) + u64::from(!whole) + (len - cut.at) as u64;
        packet[field..field + 2].fill(0);
        let sum = pseudo + checksum::sum(&packet[cut.at..]);
        set_checksum(packet, field, sum, cut.transport == Transport::Udp);
        len
    }
}

/// Completes the checksum of a packet whose field has the sum of the pseudo header.
fn complete(packet: &mut [u8], start: usize, offset: usize) -> Option<()> {
    let field = start + offset;
    if packet.len() < field + 2 {
        return None;
    }
    let sum = checksum::sum(&packet[start..]);
    set_checksum(packet, field, sum, offset == Transport::Udp.checksum_offset());
    Some(())
}

fn set_checksum(packet: &mut [u8], field: usize, sum: checksum::Sum, udp: bool) {
    let sum = match checksum::finish(sum) {
        // Zero would mean that there is none (RFC 768).
        0 if udp => 0xffff,
        sum => sum,
    };
    packet[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Kind, super_packet, valid};
    use super::*;

    fn pieces(split: &Split<'_>) -> Vec<Vec<u8>> {
        let mut room = vec![0xee; split.longest()];
        (0..split.pieces())
            .map(|index| {
                let len = split.write(index, &mut room);
                room[..len].to_vec()
            })
            .collect()
    }

    #[test]
    fn a_tcp_packet_becomes_segments_with_sequence_numbers_flags_and_checksums_of_their_own() {
        for ipv4 in [true, false] {
            let (header, mut packet) = super_packet(Kind { tcp: true, ipv4 }, 1000, 2500);
            let at = usize::from(header.checksum_start);
            packet[at + 13] = CWR | PSH | FIN | 0x10;
            let split = Split::new(&header, &mut packet).expect("it fits");
            let pieces = pieces(&split);
            let lens: Vec<_> = pieces
                .iter()
                .map(|piece| piece.len() + 1000 - split.longest())
                .collect();
            assert_eq!(lens, [1000, 1000, 500]);
            let flags: Vec<_> = pieces.iter().map(|piece| piece[at + 13]).collect();
            assert_eq!(flags, [CWR | 0x10, 0x10, FIN | PSH | 0x10]);
            let first = u32_at(&pieces[0], at + 4);
            assert_eq!(u32_at(&pieces[2], at + 4), first.wrapping_add(2000));
            for piece in &pieces {
                assert!(valid(piece), "{piece:x?}");
            }
            if ipv4 {
                assert_eq!(u16_at(&pieces[2], 4), u16_at(&pieces[0], 4).wrapping_add(2));
            }
        }
    }

    #[test]
    fn udp_datagrams_that_were_sent_as_one_are_many_again() {
        for ipv4 in [true, false] {
            let (header, mut packet) = super_packet(Kind { tcp: false, ipv4 }, 100, 250);
            let split = Split::new(&header, &mut packet).expect("it fits");
            let pieces = pieces(&split);
            assert_eq!(pieces.len(), 3);
            assert!(pieces.iter().all(|piece| valid(piece)));
        }
    }

    #[test]
    fn a_whole_packet_gets_its_checksum() {
        let (mut header, mut packet) = super_packet(
            Kind {
                tcp: false,
                ipv4: true,
            },
            100,
            100,
        );
        (header.kind, header.checksum_offset) = (0, 6);
        assert!(!valid(&packet));
        let split = Split::new(&header, &mut packet).expect("it fits");
        assert_eq!(split.pieces(), 1);
        assert!(valid(&pieces(&split)[0]));
    }

    #[test]
    fn a_header_that_does_not_fit_is_refused() {
        let (header, packet) = super_packet(
            Kind {
                tcp: true,
                ipv4: true,
            },
            1000,
            2500,
        );
        let broken = [
            VnetHeader { piece: 0, ..header },
            VnetHeader { kind: 3, ..header },
            VnetHeader { flags: 0, ..header },
            VnetHeader {
                checksum_start: 10,
                ..header
            },
            VnetHeader {
                checksum_start: 2545,
                ..header
            },
            VnetHeader {
                checksum_start: 2550,
                kind: 5,
                ..header
            },
            VnetHeader {
                checksum_start: u16::MAX,
                kind: 0,
                ..header
            },
        ];
        for header in broken {
            assert_eq!(
                Split::new(&header, &mut packet.clone()).err(),
                Some(Mismatch),
                "{header:?}"
            );
        }
        assert!(Split::new(&header, &mut []).is_err());
    }
}
