//! Putting packets together that came in one after the other, where the kernel would have (receive offload).
//!
//! Only what can be taken apart again without a trace is put together: packets of one connection that follow each other,
//! of equal length but the last, whose headers differ in nothing else, and whose checksums are right.

use std::ops::Range;

use super::{NEEDS_CHECKSUM, Transport, VnetHeader, checksum, is_ipv4, set_ip_len_of, u16_at, u32_at};

const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Most packets that are put together: as many as the kernel sends at once (`UDP_MAX_SEGMENTS`).
pub const MAX_PARTS: usize = 128;
/// Most octets that an IP packet says it has.
const MAX_LEN: usize = 65_535;

/// Packets that go to the kernel as one, by where they are in a buffer.
#[derive(Debug, Default)]
pub struct Merged {
    /// Whether the kernel takes UDP datagrams that were put together.
    udp: bool,
    /// The first packet, then the payloads of the others.
    parts: Vec<Range<usize>>,
    /// What the first is, if others may join.
    shape: Option<Shape>,
    /// Octets of payload.
    payload: usize,
    /// Whether the first has a right checksum; not looked at before there is a second.
    checked: bool,
    /// The flag of the last.
    push: bool,
}

/// What a packet that may be put together with others is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    transport: Transport,
    ipv4: bool,
    /// Where the transport header is.
    at: usize,
    /// Where the payload is.
    headers: usize,
    /// Octets of payload.
    payload: usize,
}

impl Shape {
    /// Of a packet without IP options or extension headers that is no fragment.
    fn of(packet: &[u8]) -> Option<Self> {
        let ipv4 = is_ipv4(packet);
        let (at, protocol) = if ipv4 {
            // A header of 20 octets, no fragment.
            let plain = packet.len() > 20 && packet[0] == 0x45 && u16_at(packet, 6) & 0x3fff == 0;
            (20, plain.then(|| packet[9])?)
        } else {
            (40, (packet.len() > 40).then(|| packet[6])?)
        };
        let (transport, headers) = match protocol {
            TCP => {
                let words = usize::from(packet.get(at + 12)? >> 4);
                (Transport::Tcp, at + (words >= 5).then_some(words * 4)?)
            }
            UDP => (Transport::Udp, at + 8),
            _ => return None,
        };
        let payload = packet.len().checked_sub(headers)?;
        let fits = transport == Transport::Tcp || usize::from(u16_at(packet, at + 4)) == packet.len() - at;
        (payload > 0 && fits).then_some(Self {
            transport,
            ipv4,
            at,
            headers,
            payload,
        })
    }

    /// Whether others may follow a packet.
    fn is_open(&self, packet: &[u8], udp: bool) -> bool {
        match self.transport {
            Transport::Tcp => packet[self.at + 13] == ACK,
            Transport::Udp => udp && u16_at(packet, self.at + 6) != 0,
        }
    }

    /// Whether the headers of two packets of the same shape, but for the payload, say the same; what differs by design
    /// (lengths, numbers, checksums) is not compared.
    fn same_headers(&self, first: &[u8], next: &[u8]) -> bool {
        let same = |range: Range<usize>| first[range.clone()] == next[range];
        let ip = if self.ipv4 {
            same(0..2) && same(6..10) && same(12..20)
        } else {
            same(0..4) && same(6..40)
        };
        let at = self.at;
        ip && same(at..at + 4)
            && match self.transport {
                // Acknowledgement, length, window, urgent pointer and options; not the sequence number and flags.
                Transport::Tcp => {
                    same(at + 8..at + 13) && same(at + 14..at + 16) && same(at + 18..self.headers)
                }
                Transport::Udp => true,
            }
    }

    fn has_right_checksum(&self, packet: &[u8]) -> bool {
        let protocol = if self.transport == Transport::Tcp {
            TCP
        } else {
            UDP
        };
        let pseudo = checksum::pseudo_header(packet, protocol, packet.len() - self.at);
        checksum::finish(pseudo + checksum::sum(&packet[self.at..])) == 0
    }
}

impl Merged {
    /// An empty one; with `udp`, UDP datagrams are put together as well.
    pub fn new(udp: bool) -> Self {
        Self {
            udp,
            ..Self::default()
        }
    }

    /// Adds a whole IP packet, if there is none or the packet goes on where its last one ends.
    #[must_use]
    pub fn push(&mut self, buffer: &[u8], range: Range<usize>) -> bool {
        let packet = &buffer[range.clone()];
        let shape = Shape::of(packet);
        let Some(first) = self.parts.first() else {
            self.shape = shape.filter(|shape| shape.is_open(packet, self.udp));
            self.payload = shape.map_or(0, |shape| shape.payload);
            (self.checked, self.push) = (false, false);
            self.parts.push(range);
            return true;
        };
        let (Some(own), Some(shape)) = (self.shape, shape) else {
            return false;
        };
        let head = &buffer[first.clone()];
        if !self.goes_on(head, packet, own, shape) {
            return false;
        }
        if !self.checked {
            if !own.has_right_checksum(head) {
                self.shape = None;
                return false;
            }
            self.checked = true;
        }
        if !shape.has_right_checksum(packet) {
            return false;
        }
        self.payload += shape.payload;
        self.push = shape.transport == Transport::Tcp && packet[shape.at + 13] & PSH != 0;
        if self.push || shape.payload < own.payload {
            self.shape = None;
        }
        self.parts.push(range.start + shape.headers..range.end);
        true
    }

    fn goes_on(&self, head: &[u8], packet: &[u8], own: Shape, shape: Shape) -> bool {
        let same_kind =
            (own.transport, own.ipv4, own.headers) == (shape.transport, shape.ipv4, shape.headers);
        if !same_kind
            || self.parts.len() == MAX_PARTS
            || shape.payload > own.payload
            || own.headers + self.payload + shape.payload > MAX_LEN
            || !own.same_headers(head, packet)
        {
            return false;
        }
        // Without DF, the number tells fragments of one packet from those of another (RFC 6864).
        if own.ipv4 && head[6] & 0x40 == 0 {
            let next = u16_at(head, 4).wrapping_add(self.parts.len() as u16);
            if u16_at(packet, 4) != next {
                return false;
            }
        }
        match own.transport {
            Transport::Tcp => {
                let next = u32_at(head, own.at + 4).wrapping_add(self.payload as u32);
                u32_at(packet, own.at + 4) == next && packet[own.at + 13] & !PSH == ACK
            }
            Transport::Udp => u16_at(packet, own.at + 6) != 0,
        }
    }

    /// Takes what is here as one packet: the header that goes before it and its parts in order. The first
    /// packet's headers are changed to those of the whole.
    pub fn take<'a>(&'a mut self, buffer: &mut [u8]) -> Option<(VnetHeader, Parts<'a>)> {
        let first = self.parts.first()?.clone();
        let mut header = VnetHeader::default();
        if self.parts.len() > 1
            && let Some(shape) = Shape::of(&buffer[first.clone()])
        {
            let head = &mut buffer[first];
            let len = shape.headers + self.payload;
            set_ip_len_of(head, shape.at, len);
            let (protocol, upper) = match shape.transport {
                Transport::Tcp => {
                    head[shape.at + 13] |= if self.push { PSH } else { 0 };
                    (TCP, len - shape.at)
                }
                Transport::Udp => {
                    let upper = len - shape.at;
                    head[shape.at + 4..shape.at + 6].copy_from_slice(&(upper as u16).to_be_bytes());
                    (UDP, upper)
                }
            };
            let pseudo = checksum::fold(checksum::pseudo_header(head, protocol, upper));
            let field = shape.at + shape.transport.checksum_offset();
            head[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
            header = VnetHeader {
                flags: NEEDS_CHECKSUM,
                kind: shape.transport.kind(shape.ipv4),
                header_len: shape.headers as u16,
                piece: shape.payload as u16,
                checksum_start: shape.at as u16,
                checksum_offset: shape.transport.checksum_offset() as u16,
            };
        }
        Some((header, Parts(&mut self.parts)))
    }
}

/// The parts of a packet in their buffer; there is nothing here any more once they are dropped.
#[derive(Debug)]
pub struct Parts<'a>(&'a mut Vec<Range<usize>>);

impl std::ops::Deref for Parts<'_> {
    type Target = [Range<usize>];

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl Drop for Parts<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::split::Split;
    use super::super::testing::{Kind, super_packet};
    use super::*;

    const TCP4: Kind = Kind {
        tcp: true,
        ipv4: true,
    };

    /// The pieces of a packet in one buffer, with room between them, as ESP leaves it.
    fn laid_out(kind: Kind, piece: u16, payload: usize) -> (Vec<u8>, Vec<Range<usize>>) {
        let (header, mut packet) = super_packet(kind, piece, payload);
        let split = Split::new(&header, &mut packet).expect("it fits");
        let mut room = vec![0; split.longest()];
        let (mut buffer, mut ranges) = (Vec::new(), Vec::new());
        for index in 0..split.pieces() {
            buffer.extend([0xaa; 24]);
            let len = split.write(index, &mut room);
            ranges.push(buffer.len()..buffer.len() + len);
            buffer.extend(&room[..len]);
        }
        (buffer, ranges)
    }

    fn whole(merged: &mut Merged, buffer: &mut [u8]) -> Option<(VnetHeader, Vec<u8>)> {
        let (header, parts) = merged.take(buffer)?;
        let octets = parts.iter().flat_map(|part| buffer[part.clone()].to_vec());
        Some((header, octets.collect()))
    }

    proptest! {
        #[test]
        fn what_was_cut_up_is_one_again(tcp: bool, ipv4: bool, piece in 200u16..1500, payload in 2usize..20_000) {
            let kind = Kind { tcp, ipv4 };
            let (header, mut original) = super_packet(kind, piece, payload);
            let (mut buffer, ranges) = laid_out(kind, piece, payload);
            let mut merged = Merged::new(true);
            for range in &ranges {
                prop_assert!(merged.push(&buffer, range.clone()));
            }
            let (again, packet) = whole(&mut merged, &mut buffer).expect("a packet");
            if ranges.len() > 1 {
                prop_assert_eq!(again, header);
                prop_assert_eq!(packet, original);
            } else {
                let split = Split::new(&header, &mut original).expect("it fits");
                let mut room = vec![0; split.longest()];
                split.write(0, &mut room);
                prop_assert_eq!((again, packet), (VnetHeader::default(), room));
            }
            prop_assert!(whole(&mut merged, &mut buffer).is_none());
        }

        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..120), at in 0usize..60) {
            let mut buffer = octets;
            let at = at.min(buffer.len());
            let mut merged = Merged::new(true);
            let _ = merged.push(&buffer, 0..at);
            let _ = merged.push(&buffer, at..buffer.len());
            prop_assert!(whole(&mut merged, &mut buffer).is_some());
        }
    }

    #[test]
    fn a_packet_whose_headers_say_something_else_stays_by_itself() {
        let (original, ranges) = laid_out(TCP4, 100, 200);
        let ip = ranges[1].start;
        let tcp = ip + 20;
        // Octets of the second packet: TOS, DF, TTL, source, port, sequence and acknowledgement numbers, flags, window,
        // urgent pointer, an option, the payload.
        for at in [
            ip + 1,
            ip + 6,
            ip + 8,
            ip + 15,
            tcp + 1,
            tcp + 7,
            tcp + 11,
            tcp + 13,
            tcp + 15,
            tcp + 19,
            tcp + 27,
            tcp + 40,
        ] {
            let mut buffer = original.clone();
            buffer[at] ^= 0x40;
            // With its checksum made right again, it is the header that tells them apart; not so the payload.
            if at > tcp && at < tcp + 40 {
                buffer[tcp + 16..tcp + 18].fill(0);
                let upper = &buffer[tcp..ranges[1].end];
                let sum = checksum::pseudo_header(&buffer[ranges[1].clone()], TCP, upper.len())
                    + checksum::sum(upper);
                let sum = checksum::finish(sum).to_be_bytes();
                buffer[tcp + 16..tcp + 18].copy_from_slice(&sum);
            }
            let mut merged = Merged::new(true);
            assert!(merged.push(&buffer, ranges[0].clone()));
            assert!(!merged.push(&buffer, ranges[1].clone()), "octet {}", at - ip);
            let (header, packet) = whole(&mut merged, &mut buffer).expect("the first");
            assert_eq!(header, VnetHeader::default());
            assert_eq!(packet, original[ranges[0].clone()], "as it came");
        }
    }

    #[test]
    fn a_first_packet_with_a_wrong_checksum_is_handed_on_as_it_came() {
        let (mut buffer, ranges) = laid_out(TCP4, 100, 200);
        buffer[ranges[0].end - 1] ^= 1;
        let before = buffer.clone();
        let mut merged = Merged::new(true);
        assert!(merged.push(&buffer, ranges[0].clone()));
        assert!(!merged.push(&buffer, ranges[1].clone()));
        whole(&mut merged, &mut buffer).expect("the first");
        assert_eq!(buffer, before);
    }

    #[test]
    fn nothing_follows_a_pushed_or_a_shorter_packet() {
        let (mut buffer, ranges) = laid_out(TCP4, 100, 250);
        // The last is shorter; then one more that would go on after it.
        let (first, short) = (ranges[0].clone(), ranges[2].clone());
        let mut merged = Merged::new(true);
        for range in &ranges {
            assert!(merged.push(&buffer, range.clone()));
        }
        assert!(!merged.push(&buffer, short));
        let (header, packet) = whole(&mut merged, &mut buffer).expect("three");
        assert_eq!((header.piece, packet.len()), (100, first.len() + 150));

        let (mut buffer, ranges) = laid_out(TCP4, 100, 300);
        let flags = ranges[0].start + 33;
        buffer[flags] |= PSH;
        assert!(merged.push(&buffer, ranges[0].clone()));
        assert!(!merged.push(&buffer, ranges[1].clone()));
    }

    #[test]
    fn datagrams_are_put_together_only_where_the_kernel_takes_them() {
        let (buffer, ranges) = laid_out(
            Kind {
                tcp: false,
                ipv4: true,
            },
            100,
            200,
        );
        for udp in [false, true] {
            let mut merged = Merged::new(udp);
            assert!(merged.push(&buffer, ranges[0].clone()));
            assert_eq!(merged.push(&buffer, ranges[1].clone()), udp);
        }
    }

    #[test]
    fn what_is_merged_is_no_longer_than_a_packet_may_be() {
        let (mut buffer, mut ranges) = laid_out(TCP4, 1400, 65_000);
        // Another after the last that fits.
        ranges.truncate(46);
        let mut merged = Merged::new(true);
        let joined = ranges
            .iter()
            .take_while(|range| merged.push(&buffer, (*range).clone()))
            .count();
        assert_eq!(joined, 46);
        let (_, packet) = whole(&mut merged, &mut buffer).expect("a packet");
        assert_eq!(packet.len(), 52 + 46 * 1400);

        let (buffer, ranges) = laid_out(TCP4, 1, 200);
        let joined = ranges
            .iter()
            .take_while(|range| merged.push(&buffer, (*range).clone()))
            .count();
        assert_eq!(joined, MAX_PARTS);
    }
}
