//! What IntAuth covers of an IKE_INTERMEDIATE message (RFC 9242, 3.3.2).

use iana::PayloadType;

use crate::header::{HEADER_LEN, Header};

/// The message as it would be if nothing were encrypted: header and SK header with the lengths of the plaintext,
/// then the inner payloads. A fragmented message is covered as the whole it was.
pub fn int_auth_octets(header: &Header, first_inner: PayloadType, plaintext: &[u8]) -> Vec<u8> {
    let sk_len = 4 + plaintext.len();
    let length = HEADER_LEN + sk_len;
    let mut out = Vec::with_capacity(length);
    Header {
        next_payload: PayloadType::SK,
        length: length as u32,
        ..header.clone()
    }
    .write(&mut out);
    out.extend([first_inner.0, 0]);
    // seal_fragments makes no message that is longer; for the peer's there is no right value.
    out.extend(u16::try_from(sk_len).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(plaintext);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Flags, IkeSpi};
    use iana::ExchangeType;

    #[test]
    fn a_frodo_key_is_covered_as_one_message_of_15672_octets() {
        let header = Header {
            spi_i: IkeSpi(0x0102_0304_0506_0708),
            spi_r: IkeSpi(0x1112_1314_1516_1718),
            next_payload: PayloadType::SKF,
            version: 0x20,
            exchange: ExchangeType::IKE_INTERMEDIATE,
            flags: Flags::INITIATOR,
            message_id: 1,
            length: 1448,
        };
        let octets = int_auth_octets(&header, PayloadType::KE, &[7; 15640]);
        assert_eq!(octets.len(), 15672);
        let expected = [
            1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, // SPIs
            46, 0x20, 43, 0x08, 0, 0, 0, 1, 0, 0, 0x3d, 0x38, // 15672
            34, 0, 0x3d, 0x1c, // 15644
        ];
        assert_eq!(octets[..32], expected);
        assert!(octets[32..].iter().all(|octet| *octet == 7));
    }
}
