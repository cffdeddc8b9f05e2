//! ESP packets (RFC 4303): building and opening them in place, in a buffer with room around the payload.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |               Security Parameters Index (SPI)                 |
//! |                      Sequence Number                          |
//! |          IV: 8 octets for AEADs, 16 for AES-CBC               |
//! |                        Payload Data                           |
//! |      Padding 1, 2, 3 …        |  Pad Length   |  Next Header  |
//! |         Integrity Check Value-ICV   (variable)                |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

mod cbc_hmac;
mod keys;

use std::ops::Range;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;

use cbc_hmac::{BLOCK_LEN, Cbc};
pub use keys::Keys;

/// Room to leave before a payload: SPI, sequence number and the longest IV.
pub const HEADROOM: usize = 8 + 16;
/// Room to leave after a payload: padding to a block, pad length, next header, and the longest ICV.
pub const TAILROOM: usize = 15 + 2 + 32;

/// What stands in clear at the start of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The receiver's name of the SA.
    pub spi: u32,
    /// The sequence number, of an extended one the low half.
    pub sequence: u32,
}

impl Header {
    /// Reads it, if the packet is long enough.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = *packet.first_chunk()?;
        Some(Self {
            spi: u32::from_be_bytes([a, b, c, d]),
            sequence: u32::from_be_bytes([e, f, g, h]),
        })
    }
}

/// Why a packet was not opened or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too short, or no multiple of the block size.
    #[error("impossible length")]
    Length,
    /// The ICV does not fit.
    #[error("authentication failed")]
    Authentication,
    /// Authentic, but the padding is not 1, 2, 3 … or longer than the packet.
    #[error("invalid padding")]
    Padding,
    /// The library refuses a key that it should take.
    #[error("key refused")]
    Key,
}

/// The algorithms and keys of one SA in one direction, ready to use: hundreds of octets, which the libraries that made them zeroize.
pub struct Protection {
    algorithms: Algorithms,
    esn: bool,
}

enum Algorithms {
    /// RFC 4106 and RFC 7634: nonce is salt and IV, additional data is SPI and sequence number.
    Aead { key: LessSafeKey, salt: [u8; 4] },
    /// RFC 3602 with the HMACs of RFC 2404 and RFC 4868.
    CbcHmac {
        cipher: Cbc,
        hmac: Box<hmac::Key>,
        tag_len: usize,
    },
}

/// An opened packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Where the payload is in the packet.
    pub payload: Range<usize>,
    /// What it is.
    pub next_header: u8,
}

const AEAD_IV_LEN: usize = 8;
const AEAD_TAG_LEN: usize = 16;

impl Protection {
    /// Octets before the payload.
    pub fn header_len(&self) -> usize {
        8 + match self.algorithms {
            Algorithms::Aead { .. } => AEAD_IV_LEN,
            Algorithms::CbcHmac { .. } => BLOCK_LEN,
        }
    }

    /// Encrypts `buffer[payload]` in place, puts header and trailer around it, and returns where the packet is.
    ///
    /// `iv` must not repeat under the key. For AEADs it is the IV itself (RFC 4106, 3.1 allows a counter); for CBC,
    /// where an IV must not be predictable, the IV is its encryption (NIST SP 800-38A, appendix C).
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if [`HEADROOM`] or [`TAILROOM`] is missing.
    pub fn seal(
        &self,
        spi: u32,
        sequence: u64,
        iv: u64,
        next_header: u8,
        buffer: &mut [u8],
        payload: Range<usize>,
    ) -> Result<Range<usize>, Error> {
        let start = payload
            .start
            .checked_sub(self.header_len())
            .ok_or(Error::Length)?;
        let (alignment, tag_len) = match &self.algorithms {
            Algorithms::Aead { .. } => (4, AEAD_TAG_LEN),
            Algorithms::CbcHmac { tag_len, .. } => (BLOCK_LEN, *tag_len),
        };
        let padded = (payload.len() + 2).next_multiple_of(alignment);
        let end = payload.start + padded;
        let packet = buffer.get_mut(start..end + tag_len).ok_or(Error::Length)?;
        let (header, rest) = packet.split_at_mut(payload.start - start);
        let (text, tag) = rest.split_at_mut(padded);

        header[..4].copy_from_slice(&spi.to_be_bytes());
        header[4..8].copy_from_slice(&(sequence as u32).to_be_bytes());
        let pad_len = padded - payload.len() - 2;
        for (octet, value) in text[payload.len()..].iter_mut().zip(1..=pad_len) {
            *octet = value as u8;
        }
        text[padded - 2] = pad_len as u8;
        text[padded - 1] = next_header;

        match &self.algorithms {
            Algorithms::Aead { key, salt } => {
                header[8..].copy_from_slice(&iv.to_be_bytes());
                let (aad, aad_len) = self.additional_data(spi, sequence);
                let made = key
                    .seal_in_place_separate_tag(
                        nonce(*salt, iv.to_be_bytes()),
                        Aad::from(&aad[..aad_len]),
                        text,
                    )
                    .map_err(|_| Error::Length)?;
                tag.copy_from_slice(made.as_ref());
            }
            Algorithms::CbcHmac { cipher, hmac, .. } => {
                let iv = cipher.unpredictable(iv);
                header[8..].copy_from_slice(&iv);
                cipher.encrypt(&iv, text);
                let made = self.icv(hmac, header, text, sequence);
                tag.copy_from_slice(&made.as_ref()[..tag_len]);
            }
        }
        Ok(start..end + tag_len)
    }

    /// Authenticates and decrypts a packet in place.
    ///
    /// # Errors
    ///
    /// See [`Error`]; the packet's octets are worthless then.
    pub fn open(&self, sequence: u64, packet: &mut [u8]) -> Result<Opened, Error> {
        let header_len = self.header_len();
        let (header, rest) = packet.split_at_mut_checked(header_len).ok_or(Error::Length)?;
        let text: &mut [u8] = match &self.algorithms {
            Algorithms::Aead { key, salt } => {
                if rest.len() < AEAD_TAG_LEN + 2 {
                    return Err(Error::Length);
                }
                let (spi, iv) = match *header {
                    [a, b, c, d, _, _, _, _, ref iv @ ..] => (
                        u32::from_be_bytes([a, b, c, d]),
                        <[u8; AEAD_IV_LEN]>::try_from(iv).map_err(|_| Error::Length)?,
                    ),
                    _ => return Err(Error::Length),
                };
                let (aad, aad_len) = self.additional_data(spi, sequence);
                key.open_in_place(nonce(*salt, iv), Aad::from(&aad[..aad_len]), rest)
                    .map_err(|_| Error::Authentication)?
            }
            Algorithms::CbcHmac {
                cipher,
                hmac,
                tag_len,
            } => {
                let text_len = rest.len().checked_sub(*tag_len).ok_or(Error::Length)?;
                if text_len == 0 || text_len % BLOCK_LEN != 0 {
                    return Err(Error::Length);
                }
                let (text, tag) = rest.split_at_mut(text_len);
                let expected = self.icv(hmac, header, text, sequence);
                if !bool::from(expected.as_ref()[..*tag_len].ct_eq(tag)) {
                    return Err(Error::Authentication);
                }
                let iv = <[u8; BLOCK_LEN]>::try_from(&header[8..]).map_err(|_| Error::Length)?;
                cipher.decrypt(&iv, text);
                text
            }
        };
        let [inner @ .., pad_len, next_header] = &*text else {
            return Err(Error::Padding);
        };
        let len = inner
            .len()
            .checked_sub(usize::from(*pad_len))
            .ok_or(Error::Padding)?;
        if inner[len..]
            .iter()
            .zip(1u8..)
            .any(|(octet, expected)| *octet != expected)
        {
            return Err(Error::Padding);
        }
        Ok(Opened {
            payload: header_len..header_len + len,
            next_header: *next_header,
        })
    }

    /// RFC 4106, section 5: SPI and sequence number, the extended one with its high half first.
    fn additional_data(&self, spi: u32, sequence: u64) -> ([u8; 12], usize) {
        let mut aad = [0; 12];
        aad[..4].copy_from_slice(&spi.to_be_bytes());
        if self.esn {
            aad[4..].copy_from_slice(&sequence.to_be_bytes());
            (aad, 12)
        } else {
            aad[4..8].copy_from_slice(&(sequence as u32).to_be_bytes());
            (aad, 8)
        }
    }

    /// RFC 4303, 2.2.1: the high half of an extended sequence number is authenticated after the packet.
    fn icv(&self, key: &hmac::Key, header: &[u8], text: &[u8], sequence: u64) -> hmac::Tag {
        let mut context = hmac::Context::with_key(key);
        context.update(header);
        context.update(text);
        if self.esn {
            context.update(&((sequence >> 32) as u32).to_be_bytes());
        }
        context.sign()
    }
}

fn nonce(salt: [u8; 4], iv: [u8; AEAD_IV_LEN]) -> Nonce {
    let mut octets = [0; 12];
    octets[..4].copy_from_slice(&salt);
    octets[4..].copy_from_slice(&iv);
    Nonce::assume_unique_for_key(octets)
}

#[cfg(test)]
mod tests;
