//! The Internet checksum (RFC 1071).

/// A sum that is not folded yet.
pub type Sum = u64;

/// The sum of all words, of which the last may lack its second octet.
pub fn sum(octets: &[u8]) -> Sum {
    // The sum does not depend on the order of octets (RFC 1071, 2 B), so it is taken in the machine's, four at a time,
    // which compilers make vectors of; the carries gather in the upper half.
    let (words, rest) = octets.as_chunks::<4>();
    let mut sum: u64 = words
        .iter()
        .map(|word| u64::from(u32::from_ne_bytes(*word)))
        .sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum += u64::from(u32::from_ne_bytes(last));
    u64::from(u16::from_be(fold(sum)))
}

/// The sum in 16 bits.
pub fn fold(mut sum: Sum) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// What stands in a header for this sum.
pub fn finish(sum: Sum) -> u16 {
    !fold(sum)
}

/// The sum of the pseudo header of a packet without a routing header (RFC 9293, 3.1; RFC 8200, 8.1).
pub fn pseudo_header(packet: &[u8], protocol: u8, len: usize) -> Sum {
    let addresses = if super::is_ipv4(packet) {
        &packet[12..20]
    } else {
        &packet[8..40]
    };
    sum(addresses) + Sum::from(protocol) + len as Sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&octets)), 0xddf2);
        assert_eq!(finish(sum(&octets)), 0x220d);
    }

    proptest! {
        #[test]
        fn it_is_the_sum_word_by_word(octets in proptest::collection::vec(any::<u8>(), 0..70)) {
            let words = octets.chunks(2).map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0)));
            prop_assert_eq!(fold(sum(&octets)), fold(words.sum()));
        }
    }
}
