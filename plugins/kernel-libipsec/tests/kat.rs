//! Packets that strongSwan made: opened, looked into, and made again octet by octet (RFC 4303, RFC 4106).

use charon_kernel_libipsec::esp::{HEADROOM, Header, Keys, TAILROOM};
use charon_kernel_libipsec::packet::{Flow, NEXT_HEADER_IPV4};
use iana::{EncryptionAlgorithm, IpProtocol};

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
        .collect()
}

fn vectors() -> Vec<(Vec<u8>, Vec<u8>)> {
    let lines = include_str!("data/strongswan-6.0dr3-esp.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').expect("key and packet"))
        .map(|(k, p)| (octets(k), octets(p)))
        .collect()
}

#[test]
fn packets_of_strongswan_open_to_echoes_and_are_made_again_alike() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 8);
    for (key, packet) in vectors {
        let keys = Keys::new(EncryptionAlgorithm::AES_GCM_16, &key, None, &[], false).expect("a key");
        let protection = keys.expand().expect("a key that the library takes");
        let header = Header::parse(&packet).expect("a header");
        let mut copy = packet.clone();
        let opened = protection
            .open(header.sequence.into(), &mut copy)
            .expect("authentic");
        assert_eq!(opened.next_header, NEXT_HEADER_IPV4);
        let inner = &copy[opened.payload];
        let flow = Flow::parse(inner).expect("an IPv4 packet");
        assert_eq!(flow.protocol, IpProtocol::ICMP.0);
        assert_eq!(flow.len, inner.len());
        let is_echo = matches!(flow.ports, Some((0x0000 | 0x0800, _)));
        assert!(is_echo, "{flow:?}");

        let mut buffer = vec![0; HEADROOM + inner.len() + TAILROOM];
        let range = HEADROOM..HEADROOM + inner.len();
        buffer[range.clone()].copy_from_slice(inner);
        let iv = u64::from_be_bytes(packet[8..16].try_into().expect("an IV"));
        let made = protection
            .seal(
                header.spi,
                header.sequence.into(),
                iv,
                NEXT_HEADER_IPV4,
                &mut buffer,
                range,
            )
            .expect("room");
        assert_eq!(buffer[made], packet);
    }
}
