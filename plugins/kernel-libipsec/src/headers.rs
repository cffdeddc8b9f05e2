//! What goes from one header of a tunnel to the other (RFC 4301, 5.1.2): DSCP as configured, and news of congestion.
//!
//! The outer header is the daemon's socket's. Its DF bit is left to the system, which knows the path's MTU and fragments
//! what is longer, so `copy_df` changes nothing here.

use plugin_api::kernel::{CopyDscp, SaOptions};

use crate::offload::checksum;

const ECN: u8 = 0b11;
const CONGESTED: u8 = 0b11;

/// What is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copying {
    dscp: CopyDscp,
    ecn: bool,
}

impl From<&SaOptions> for Copying {
    fn from(options: &SaOptions) -> Self {
        Self {
            dscp: options.copy_dscp,
            ecn: options.copy_ecn,
        }
    }
}

impl Copying {
    /// DSCP and ECN of the outer header of an inner packet.
    pub fn outer(self, inner: &[u8]) -> u8 {
        let inner = tos(inner);
        let dscp = if self.dscp.out() { inner & !ECN } else { 0 };
        let ecn = if self.ecn { inner & ECN } else { 0 };
        dscp | ecn
    }

    /// Changes an inner packet as the outer header says.
    pub fn inward(self, outer: u8, inner: &mut [u8]) {
        let before = tos(inner);
        let mut now = before;
        if self.dscp.inward() {
            now = outer & !ECN | now & ECN;
        }
        // Who sent it has to know what that means.
        if self.ecn && outer & ECN == CONGESTED && before & ECN != 0 {
            now |= CONGESTED;
        }
        if now != before {
            set_tos(inner, now);
        }
    }
}

/// The octet with DSCP and ECN of an IP packet; 0 if it is none.
fn tos(packet: &[u8]) -> u8 {
    match packet {
        [first, second, ..] if first >> 4 == 6 => first << 4 | second >> 4,
        [_, tos, ..] => *tos,
        _ => 0,
    }
}

fn set_tos(packet: &mut [u8], tos: u8) {
    match packet {
        [first, second, ..] if *first >> 4 == 6 => {
            *first = *first & 0xf0 | tos >> 4;
            *second = tos << 4 | *second & 0x0f;
        }
        [first, second, _, _, _, _, _, _, _, _, high, low, ..] => {
            let before = u16::from_be_bytes([*first, *second]);
            *second = tos;
            let now = u16::from_be_bytes([*first, *second]);
            // RFC 1624, 3: the checksum changes with the word.
            let sum = u64::from(!u16::from_be_bytes([*high, *low])) + u64::from(!before) + u64::from(now);
            [*high, *low] = checksum::finish(sum).to_be_bytes();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn copying(dscp: CopyDscp, ecn: bool) -> Copying {
        Copying { dscp, ecn }
    }

    /// A header with a valid checksum.
    fn v4(tos: u8, ident: u16) -> [u8; 20] {
        let mut header = [
            0x45, tos, 0, 20, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        header[4..6].copy_from_slice(&ident.to_be_bytes());
        let sum = !folded(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }

    fn folded(header: &[u8]) -> u16 {
        let (words, _) = header.as_chunks::<2>();
        let mut sum: u32 = words
            .iter()
            .map(|word| u32::from(u16::from_be_bytes(*word)))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    fn v6(tos: u8) -> [u8; 40] {
        let mut header = [0; 40];
        (header[0], header[1], header[2]) = (0x60 | tos >> 4, tos << 4 | 0x0a, 0xbc);
        header
    }

    #[test]
    fn the_outer_header_has_what_is_copied_out() {
        const INNER: u8 = 0xb8 | 0b10;
        for (dscp, ecn, outer) in [
            (CopyDscp::Out, true, 0xba),
            (CopyDscp::Yes, false, 0xb8),
            (CopyDscp::In, true, 0b10),
            (CopyDscp::No, false, 0),
        ] {
            assert_eq!(copying(dscp, ecn).outer(&v4(INNER, 1)), outer, "{dscp:?}");
            assert_eq!(copying(dscp, ecn).outer(&v6(INNER)), outer, "{dscp:?}");
        }
        assert_eq!(copying(CopyDscp::Out, true).outer(&[]), 0);
    }

    #[test]
    fn the_inner_header_learns_of_congestion_if_its_sender_wants_to_know() {
        let default = Copying::from(&SaOptions::default());
        for (outer, inner, now) in [
            (0b11, 0b10, 0b11),
            (0b11, 0b01, 0b11),
            (0b11, 0b00, 0b00),
            (0b10, 0b01, 0b01),
            (0xb8, 0x20, 0x20),
        ] {
            let mut packet = v6(inner);
            default.inward(outer, &mut packet);
            assert_eq!(packet, v6(now), "{outer:#b} over {inner:#b}");
        }
        let mut packet = v4(0b10, 1);
        copying(CopyDscp::Out, false).inward(0b11, &mut packet);
        assert_eq!(packet, v4(0b10, 1), "unless it is not copied");
        copying(CopyDscp::In, false).inward(0xbb, &mut packet);
        assert_eq!(packet, v4(0xba, 1));
    }

    proptest! {
        #[test]
        fn the_checksum_stays_right(inner: u8, outer: u8, ident: u16) {
            let mut packet = v4(inner, ident);
            copying(CopyDscp::Yes, true).inward(outer, &mut packet);
            prop_assert_eq!(folded(&packet), 0xffff);
            prop_assert_eq!(packet[1] & !ECN, outer & !ECN);
        }

        #[test]
        fn no_octets_panic(outer: u8, mut octets in proptest::collection::vec(any::<u8>(), 0..24)) {
            let len = octets.len();
            copying(CopyDscp::Yes, true).inward(outer, &mut octets);
            prop_assert_eq!(octets.len(), len);
        }
    }
}
