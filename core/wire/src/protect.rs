//! Encrypted payloads, whole or in fragments (RFC 7296, 3.14; RFC 5282; RFC 7383).
//!
//! The codec knows no algorithm: whoever has the keys implements [`Protection`].

use std::fmt;
use std::ops::Range;

use iana::PayloadType;
use zeroize::Zeroize;

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
/// If no plaintext fits into a fragment, they would be too many, the message is longer than an SK payload could be
/// (which IntAuth makes of it, RFC 9242, 3.3.2), or the keys are used up.
pub fn seal_fragments(
    protection: &dyn Protection,
    header: &Header,
    first: PayloadType,
    plaintext: &[u8],
    max_message_len: usize,
) -> Result<Vec<Vec<u8>>, Error> {
    let too_long = Error::TooLong(plaintext.len());
    if plaintext.len() + SK_HEADER_LEN > usize::from(u16::MAX) {
        return Err(too_long);
    }
    let overhead = HEADER_LEN + SKF_HEADER_LEN + protection.iv_len() + protection.icv_len();
    let block = block(protection);
    // One octet is the padding's length.
    let room = max_message_len.saturating_sub(overhead) / block * block;
    let Some(chunk) = room.checked_sub(1).filter(|chunk| *chunk > 0) else {
        return Err(too_long);
    };
    let Ok(total) = u16::try_from(plaintext.len().div_ceil(chunk).max(1)) else {
        return Err(too_long);
    };
    let mut rest = plaintext;
    let mut packets = Vec::with_capacity(usize::from(total));
    for number in 1..=total {
        let first = if number == 1 { first } else { PayloadType::NONE };
        let (content, later) = rest.split_at(chunk.min(rest.len()));
        packets.push(build(
            protection,
            header,
            PayloadType::SKF,
            first,
            content,
            Some((number, total)),
        )?);
        rest = later;
    }
    Ok(packets)
}

/// Verifies and decrypts a whole datagram whose IV begins at `body_offset`, and takes the padding off.
///
/// Nothing of the plaintext stays in `octets`.
///
/// # Errors
///
/// [`Error::Protect`] if it is not authentic, or its padding longer than it is.
pub fn open(protection: &dyn Protection, octets: &mut [u8], body_offset: usize) -> Result<Vec<u8>, Error> {
    let range = protection.open(octets, body_offset).map_err(|_| Error::Protect)?;
    let padded = octets.get_mut(range).ok_or(Error::Protect)?;
    let plaintext = without_padding(padded).map(<[u8]>::to_vec);
    padded.zeroize();
    plaintext.ok_or(Error::Protect)
}

/// The last octet counts those of the padding before it (RFC 7296, 3.14); more than the minimum is allowed.
fn without_padding(padded: &[u8]) -> Option<&[u8]> {
    let (padding, rest) = padded.split_last()?;
    let len = rest.len().checked_sub(usize::from(*padding))?;
    rest.get(..len)
}

/// The block length, which nobody may make zero.
fn block(protection: &dyn Protection) -> usize {
    protection.block().max(1)
}

fn padding_len(protection: &dyn Protection, plaintext_len: usize) -> usize {
    let block = block(protection);
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
    match protection.seal(&mut out, body_offset, header.message_id, number) {
        Ok(()) => Ok(out),
        Err(ProtectError) => {
            out.zeroize();
            Err(Error::Protect)
        }
    }
}

#[cfg(test)]
mod tests;
