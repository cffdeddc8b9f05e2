//! Encrypted payloads, whole or in fragments (RFC 7296, 3.14; RFC 5282; RFC 7383).
//!
//! The codec knows no algorithm: whoever has the keys implements [`Protection`].

use std::ops::Range;

use iana::PayloadType;
use std::fmt;

use crate::error::Error;
use crate::header::{HEADER_LEN, Header};

/// Octets before the IV: of the generic header, and of the fragment numbers.
const SK_HEADER_LEN: usize = 4;
const SKF_HEADER_LEN: usize = 8;

/// Encryption, decryption or verification failed; nothing more is to be known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectError;

impl fmt::Display for ProtectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("integrity check failed")
    }
}

impl std::error::Error for ProtectError {}

/// The keys of an IKE_SA, one pair for each direction.
pub trait Protection {
    /// Length of the IV in octets.
    fn iv_len(&self) -> usize;

    /// Length of the integrity check value in octets.
    fn icv_len(&self) -> usize;

    /// Block length in octets; 1 for AEADs.
    fn block(&self) -> usize;

    /// Writes the IV at `body_offset`, encrypts what follows up to the last `icv_len` octets in place, and writes the
    /// check value there. Everything before `body_offset` is covered by it.
    ///
    /// # Errors
    ///
    /// If the keys are used up.
    fn seal(
        &self,
        message: &mut [u8],
        body_offset: usize,
        message_id: u32,
        fragment: u16,
    ) -> Result<(), ProtectError>;

    /// Verifies a message and decrypts it in place; the range is that of the plaintext with its padding.
    ///
    /// # Errors
    ///
    /// If the check value does not fit.
    fn open(&self, message: &mut [u8], body_offset: usize) -> Result<Range<usize>, ProtectError>;
}

/// Length of the unfragmented message that holds this much plaintext.
pub fn sealed_len(protection: &dyn Protection, plaintext_len: usize) -> usize {
    HEADER_LEN + SK_HEADER_LEN + body_len(protection, plaintext_len)
}

/// A message with these payloads in an SK payload.
///
/// # Errors
///
/// If it is too long for a payload, or the keys are used up.
pub fn seal(
    protection: &dyn Protection,
    header: &Header,
    first: PayloadType,
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    build(protection, header, PayloadType::SK, first, plaintext, None)
}

/// The same in fragments, none longer than `max_message_len`.
///
/// # Errors
///
/// If no plaintext fits into a fragment, or they would be too many.
pub fn seal_fragments(
    protection: &dyn Protection,
    header: &Header,
    first: PayloadType,
    plaintext: &[u8],
    max_message_len: usize,
) -> Result<Vec<Vec<u8>>, Error> {
    let overhead = HEADER_LEN + SKF_HEADER_LEN + protection.iv_len() + protection.icv_len();
    let block = protection.block();
    // One octet is the padding's length.
    let room = max_message_len.saturating_sub(overhead) / block * block;
    let chunk = room
        .checked_sub(1)
        .filter(|chunk| *chunk > 0)
        .ok_or(Error::TooLong(plaintext.len()))?;
    let total =
        u16::try_from(plaintext.len().div_ceil(chunk).max(1)).map_err(|_| Error::TooLong(plaintext.len()))?;
    let mut packets = Vec::with_capacity(usize::from(total));
    for (number, chunk) in (1..=total).zip(plaintext.chunks(chunk)) {
        let first = if number == 1 { first } else { PayloadType::NONE };
        packets.push(build(
            protection,
            header,
            PayloadType::SKF,
            first,
            chunk,
            Some((number, total)),
        )?);
    }
    Ok(packets)
}

/// Verifies and decrypts a whole datagram whose IV begins at `body_offset`, and takes the padding off.
///
/// # Errors
///
/// [`Error::Protect`] if it is not authentic, or its padding longer than it is.
pub fn open(protection: &dyn Protection, octets: &mut [u8], body_offset: usize) -> Result<Vec<u8>, Error> {
    let range = protection.open(octets, body_offset).map_err(|_| Error::Protect)?;
    let padded = octets.get(range).ok_or(Error::Protect)?;
    let (padding, rest) = padded.split_last().ok_or(Error::Protect)?;
    let len = rest
        .len()
        .checked_sub(usize::from(*padding))
        .ok_or(Error::Protect)?;
    Ok(rest[..len].to_vec())
}

fn padding_len(protection: &dyn Protection, plaintext_len: usize) -> usize {
    let block = protection.block();
    (block - (plaintext_len + 1) % block) % block
}

/// IV, padded plaintext and check value.
fn body_len(protection: &dyn Protection, plaintext_len: usize) -> usize {
    protection.iv_len() + plaintext_len + padding_len(protection, plaintext_len) + 1 + protection.icv_len()
}

fn build(
    protection: &dyn Protection,
    header: &Header,
    kind: PayloadType,
    first: PayloadType,
    plaintext: &[u8],
    fragment: Option<(u16, u16)>,
) -> Result<Vec<u8>, Error> {
    let generic_len = if fragment.is_some() {
        SKF_HEADER_LEN
    } else {
        SK_HEADER_LEN
    };
    let payload_len = generic_len + body_len(protection, plaintext.len());
    let payload_field = u16::try_from(payload_len).map_err(|_| Error::TooLong(plaintext.len()))?;
    let length = HEADER_LEN + payload_len;
    let mut out = Vec::with_capacity(length);
    Header {
        next_payload: kind,
        length: length as u32,
        ..header.clone()
    }
    .write(&mut out);
    out.extend([first.0, 0]);
    out.extend(payload_field.to_be_bytes());
    if let Some((number, total)) = fragment {
        out.extend(number.to_be_bytes());
        out.extend(total.to_be_bytes());
    }
    let body_offset = out.len();
    out.resize(body_offset + protection.iv_len(), 0);
    out.extend(plaintext);
    let padding = padding_len(protection, plaintext.len());
    out.resize(out.len() + padding, 0);
    // Blocks have at most 255 octets, or the padding's length would not fit.
    out.push(padding as u8);
    out.resize(length, 0);
    let number = fragment.map_or(0, |(number, _)| number);
    protection
        .seal(&mut out, body_offset, header.message_id, number)
        .map_err(|_| Error::Protect)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Flags, IkeSpi};
    use crate::{Packet, parse_datagram};
    use iana::ExchangeType;

    /// Adds a number to each octet and appends a sum.
    struct Toy {
        iv: usize,
        icv: usize,
        block: usize,
    }

    impl Protection for Toy {
        fn iv_len(&self) -> usize {
            self.iv
        }

        fn icv_len(&self) -> usize {
            self.icv
        }

        fn block(&self) -> usize {
            self.block
        }

        fn seal(&self, message: &mut [u8], body: usize, id: u32, _: u16) -> Result<(), ProtectError> {
            let end = message.len() - self.icv;
            assert_eq!((end - body - self.iv) % self.block, 0);
            message[body..body + self.iv].fill(id as u8);
            message[body + self.iv..end]
                .iter_mut()
                .for_each(|octet| *octet = octet.wrapping_add(1));
            let sum = message[..end]
                .iter()
                .fold(0u8, |sum, octet| sum.wrapping_add(*octet));
            message[end..].fill(sum);
            Ok(())
        }

        fn open(&self, message: &mut [u8], body: usize) -> Result<Range<usize>, ProtectError> {
            let end = message.len().checked_sub(self.icv).ok_or(ProtectError)?;
            let start = Some(body + self.iv)
                .filter(|start| *start <= end)
                .ok_or(ProtectError)?;
            let sum = message[..end]
                .iter()
                .fold(0u8, |sum, octet| sum.wrapping_add(*octet));
            if message[end..].iter().any(|octet| *octet != sum) {
                return Err(ProtectError);
            }
            message[start..end]
                .iter_mut()
                .for_each(|octet| *octet = octet.wrapping_sub(1));
            Ok(start..end)
        }
    }

    const GCM: Toy = Toy {
        iv: 8,
        icv: 16,
        block: 1,
    };
    const CBC: Toy = Toy {
        iv: 16,
        icv: 32,
        block: 16,
    };

    fn header() -> Header {
        Header {
            spi_i: IkeSpi(1),
            spi_r: IkeSpi(2),
            next_payload: PayloadType::NONE,
            version: 0x20,
            exchange: ExchangeType::IKE_INTERMEDIATE,
            flags: Flags::INITIATOR,
            message_id: 7,
            length: 0,
        }
    }

    #[test]
    fn lengths_are_those_of_the_seed() {
        assert_eq!(sealed_len(&GCM, 0), 57);
        assert_eq!(sealed_len(&GCM, 8 + 1184), 1249);
        assert_eq!(sealed_len(&GCM, 8 + 15632), 15697);
    }

    #[test]
    fn a_frodo_key_takes_twelve_fragments() {
        let packets = seal_fragments(&GCM, &header(), PayloadType::KE, &[5; 15640], 1448).expect("sealed");
        let lengths: Vec<_> = packets.iter().map(Vec::len).collect();
        assert_eq!(lengths[..11], [1448; 11]);
        assert_eq!(lengths[11..], [444]);
        let packets = seal_fragments(&CBC, &header(), PayloadType::KE, &[5; 2 * 1359], 1448).expect("sealed");
        assert_eq!(packets.len(), 2, "1359 octets fit beside CBC and HMAC-SHA-512");
    }

    #[test]
    fn what_was_sealed_opens_again() {
        for (toy, len) in [
            (&GCM, 0),
            (&GCM, 33),
            (&CBC, 0),
            (&CBC, 15),
            (&CBC, 16),
            (&CBC, 500),
        ] {
            let plaintext: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let mut sealed = seal(toy, &header(), PayloadType::KE, &plaintext).expect("sealed");
            assert_eq!(sealed.len(), sealed_len(toy, plaintext.len()));
            let Ok(Packet::Encrypted {
                inner_first,
                body_offset,
                ..
            }) = parse_datagram(&sealed)
            else {
                panic!("not an encrypted message");
            };
            assert_eq!((inner_first, body_offset), (PayloadType::KE, 32));
            assert_eq!(open(toy, &mut sealed, 32), Ok(plaintext));
        }
    }

    #[test]
    fn fragments_put_together_are_the_plaintext() {
        let plaintext: Vec<u8> = (0..1000).map(|n| n as u8).collect();
        let mut whole = Vec::new();
        for mut packet in seal_fragments(&CBC, &header(), PayloadType::SA, &plaintext, 300).expect("sealed") {
            assert!(packet.len() <= 300);
            let Ok(Packet::Fragment {
                number,
                inner_first,
                body_offset,
                ..
            }) = parse_datagram(&packet)
            else {
                panic!("not a fragment");
            };
            let expected = if number == 1 {
                PayloadType::SA
            } else {
                PayloadType::NONE
            };
            assert_eq!((inner_first, body_offset), (expected, 36));
            whole.extend(open(&CBC, &mut packet, 36).expect("opens"));
        }
        assert_eq!(whole, plaintext);
    }

    #[test]
    fn a_changed_or_cut_message_does_not_open() {
        let sealed = seal(&GCM, &header(), PayloadType::KE, b"payload").expect("sealed");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(open(&GCM, &mut changed, 32), Err(Error::Protect), "octet {index}");
            assert!(
                open(&GCM, &mut sealed[..index].to_vec(), 32).is_err(),
                "cut at {index}"
            );
        }
    }
}
