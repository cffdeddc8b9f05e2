//! Packets for tests.

use super::{NEEDS_CHECKSUM, Transport, VnetHeader, checksum, is_ipv4, set_ip_len, u16_at};

/// What a packet is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) tcp: bool,
    pub(super) ipv4: bool,
}

/// A packet as the kernel hands it over to be cut into pieces with `piece` octets of payload.
pub(super) fn super_packet(kind: Kind, piece: u16, payload: usize) -> (VnetHeader, Vec<u8>) {
    let mut packet = if kind.ipv4 {
        let mut header = vec![0x45, 0x02, 0, 0, 0xff, 0xff, 0x40, 0, 64, 0, 0, 0];
        header.extend([10, 3, 0, 1, 10, 1, 0, 2]);
        header
    } else {
        let mut header = vec![0x60, 0, 0, 1, 0, 0, 0, 64];
        header.extend((0..32).map(|octet| octet * 7));
        header
    };
    let at = packet.len();
    let (transport, protocol) = if kind.tcp {
        packet.extend([0x13, 0x88, 0xc0, 1, 0xff, 0xff, 0xfc, 0, 1, 2, 3, 4]);
        packet.extend([0x80, 0x10, 2, 0, 0, 0, 0, 0]);
        packet.extend([1, 1, 8, 10, 9, 9, 9, 9, 8, 8, 8, 8]);
        (Transport::Tcp, 6)
    } else {
        packet.extend([0x13, 0x88, 0xc0, 1, 0, 0, 0, 0]);
        (Transport::Udp, 17)
    };
    packet[if kind.ipv4 { 9 } else { 6 }] = protocol;
    let headers = packet.len();
    packet.extend((0..payload).map(|octet| (octet * 31 % 251) as u8));
    set_ip_len(&mut packet, at);
    let upper = packet.len() - at;
    if !kind.tcp {
        packet[at + 4..at + 6].copy_from_slice(&(upper as u16).to_be_bytes());
    }
    let pseudo = checksum::fold(checksum::pseudo_header(&packet, protocol, upper));
    let field = at + transport.checksum_offset();
    packet[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
    let header = VnetHeader {
        flags: NEEDS_CHECKSUM,
        kind: transport.kind(kind.ipv4),
        header_len: headers as u16,
        piece,
        checksum_start: at as u16,
        checksum_offset: transport.checksum_offset() as u16,
    };
    (header, packet)
}

/// Whether lengths and checksums of a packet are right.
pub(super) fn valid(packet: &[u8]) -> bool {
    let (at, len, header) = if is_ipv4(packet) {
        let header = checksum::finish(checksum::sum(&packet[..20])) == 0;
        (20, usize::from(u16_at(packet, 2)), header)
    } else {
        (40, 40 + usize::from(u16_at(packet, 4)), true)
    };
    let protocol = packet[if at == 20 { 9 } else { 6 }];
    let udp_len = protocol != 17 || usize::from(u16_at(packet, at + 4)) == packet.len() - at;
    let pseudo = checksum::pseudo_header(packet, protocol, packet.len() - at);
    header && len == packet.len() && udp_len && checksum::finish(pseudo + checksum::sum(&packet[at..])) == 0
}
