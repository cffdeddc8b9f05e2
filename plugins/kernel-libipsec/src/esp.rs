//! ESP packets (RFC 4303): building and opening them in place, in a buffer with room around the payload.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |               Security Parameters Index (SPI)                 |
//! |                      Sequence Number                          |
//! |     IV: 8 octets for AEADs, counter mode and 3DES, 16 for CBC  |
//! |                        Payload Data                           |
//! |      Padding 1, 2, 3 …        |  Pad Length   |  Next Header  |
//! |         Integrity Check Value-ICV   (variable)                |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

mod algorithms;
mod keys;

use std::ops::Range;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use plugin_api::{AeadKey, CipherKey, ErrorKind, IntegrityKey, PluginError};
use subtle::ConstantTimeEq;

pub use keys::Keys;

/// Room to leave before a payload: SPI, sequence number and the longest IV.
pub const HEADROOM: usize = 8 + MAX_IV_LEN;
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
    Fast { key: LessSafeKey, salt: [u8; 4] },
    /// RFC 4543: additional data is the whole packet, nothing is encrypted.
    Gmac { key: LessSafeKey, salt: [u8; 4] },
    /// As the first, of another library: RFC 4106 with shorter tags, RFC 4309.
    Aead(Box<dyn AeadKey>),
    /// RFC 2451, RFC 3602, RFC 3686 and RFC 2410, where there is no cipher, with an integrity algorithm over the result.
    Classic {
        cipher: Option<Box<dyn CipherKey>>,
        integrity: Box<dyn IntegrityKey>,
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
const FAST_TAG_LEN: usize = 16;
/// What the end of a packet's text is aligned to at least (RFC 4303, 2.4).
const ALIGNMENT: usize = 4;
/// Octets of the longest IV.
const MAX_IV_LEN: usize = 16;

impl Protection {
    /// Octets before the payload.
    pub fn header_len(&self) -> usize {
        8 + match &self.algorithms {
            Algorithms::Fast { .. } | Algorithms::Gmac { .. } => AEAD_IV_LEN,
            Algorithms::Aead(key) => key.iv_len(),
            Algorithms::Classic { cipher, .. } => cipher.as_ref().map_or(0, |cipher| cipher.iv_len()),
        }
    }

    fn tag_len(&self) -> usize {
        match &self.algorithms {
            Algorithms::Fast { .. } | Algorithms::Gmac { .. } => FAST_TAG_LEN,
            Algorithms::Aead(key) => key.tag_len(),
            Algorithms::Classic { tag_len, .. } => *tag_len,
        }
    }

    /// What the text has to be a multiple of.
    fn block_len(&self) -> usize {
        match &self.algorithms {
            Algorithms::Classic {
                cipher: Some(cipher), ..
            } => cipher.block_len().max(1),
            _ => 1,
        }
    }

    /// Encrypts `buffer[payload]` in place, puts header and trailer around it, and returns where the packet is.
    ///
    /// `iv` must not repeat under the key. For AEADs and counter mode it is the IV itself (RFC 4106, 3.1 allows a counter); for
    /// CBC, where an IV must not be predictable, the IV is its encryption (NIST SP 800-38A, appendix C).
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
        let tag_len = self.tag_len();
        let padded = (payload.len() + 2).next_multiple_of(self.block_len().max(ALIGNMENT));
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
            Algorithms::Fast { key, salt } => {
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
            Algorithms::Gmac { key, salt } => {
                header[8..].copy_from_slice(&iv.to_be_bytes());
                tag.copy_from_slice(&self.gmac(key, *salt, header, text, sequence)?);
            }
            Algorithms::Aead(key) => {
                header[8..].copy_from_slice(&iv.to_be_bytes());
                let (aad, aad_len) = self.additional_data(spi, sequence);
                key.seal(&header[8..], &aad[..aad_len], text, tag)
                    .map_err(|_| Error::Length)?;
            }
            Algorithms::Classic {
                cipher, integrity, ..
            } => {
                if let Some(cipher) = cipher {
                    encrypt(&**cipher, iv, &mut header[8..], text).map_err(|_| Error::Length)?;
                }
                let high = high_half(sequence);
                integrity
                    .sign(&[header, text, self.beyond(&high)], tag)
                    .map_err(|_| Error::Length)?;
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
        let text_len = rest.len().checked_sub(self.tag_len()).ok_or(Error::Length)?;
        if text_len < 2 || text_len % self.block_len() != 0 {
            return Err(Error::Length);
        }
        let spi = Header::parse(header).ok_or(Error::Length)?.spi;
        let text: &mut [u8] = match &self.algorithms {
            Algorithms::Fast { key, salt } => {
                let iv = header[8..].try_into().map_err(|_| Error::Length)?;
                let (aad, aad_len) = self.additional_data(spi, sequence);
                key.open_in_place(nonce(*salt, iv), Aad::from(&aad[..aad_len]), rest)
                    .map_err(|_| Error::Authentication)?
            }
            Algorithms::Gmac { key, salt } => {
                let (text, tag) = rest.split_at_mut(text_len);
                let expected = self.gmac(key, *salt, header, text, sequence)?;
                if !bool::from(expected.ct_eq(tag)) {
                    return Err(Error::Authentication);
                }
                text
            }
            Algorithms::Aead(key) => {
                let (text, tag) = rest.split_at_mut(text_len);
                let (aad, aad_len) = self.additional_data(spi, sequence);
                key.open(&header[8..], &aad[..aad_len], text, tag)
                    .map_err(|_| Error::Authentication)?;
                text
            }
            Algorithms::Classic {
                cipher, integrity, ..
            } => {
                let (text, tag) = rest.split_at_mut(text_len);
                let high = high_half(sequence);
                integrity
                    .verify(&[header, text, self.beyond(&high)], tag)
                    .map_err(|error| match error.kind {
                        ErrorKind::AuthenticationFailed => Error::Authentication,
                        _ => Error::Length,
                    })?;
                if let Some(cipher) = cipher {
                    cipher.decrypt(&header[8..], text).map_err(|_| Error::Length)?;
                }
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
    fn beyond<'a>(&self, high: &'a [u8; 4]) -> &'a [u8] {
        if self.esn { high } else { &[] }
    }

    /// RFC 4543, 3.3: SPI, sequence number, IV and text are authenticated.
    fn gmac(
        &self,
        key: &LessSafeKey,
        salt: [u8; 4],
        header: &[u8],
        text: &[u8],
        sequence: u64,
    ) -> Result<[u8; FAST_TAG_LEN], Error> {
        let spi = Header::parse(header).ok_or(Error::Length)?.spi;
        let iv = header[8..].try_into().map_err(|_| Error::Length)?;
        let (start, start_len) = self.additional_data(spi, sequence);
        let aad = [&start[..start_len], &header[8..], text].concat();
        let tag = key
            .seal_in_place_separate_tag(nonce(salt, iv), Aad::from(aad), &mut [])
            .map_err(|_| Error::Length)?;
        tag.as_ref().try_into().map_err(|_| Error::Length)
    }
}

fn high_half(sequence: u64) -> [u8; 4] {
    ((sequence >> 32) as u32).to_be_bytes()
}

/// Encrypts with an IV of a number that is used once, and writes the IV.
fn encrypt(cipher: &dyn CipherKey, number: u64, iv: &mut [u8], text: &mut [u8]) -> Result<(), PluginError> {
    iv.fill(0);
    for (octet, value) in iv.iter_mut().rev().zip(number.to_be_bytes().into_iter().rev()) {
        *octet = value;
    }
    if cipher.block_len() > 1 {
        let zero = [0; MAX_IV_LEN];
        let zero = zero.get(..iv.len());
        let zero = zero.ok_or_else(|| PluginError::wrong_length("IV", iv.len(), MAX_IV_LEN))?;
        cipher.encrypt(zero, iv)?;
    }
    cipher.encrypt(iv, text)
}

fn nonce(salt: [u8; 4], iv: [u8; AEAD_IV_LEN]) -> Nonce {
    let mut octets = [0; 12];
    octets[..4].copy_from_slice(&salt);
    octets[4..].copy_from_slice(&iv);
    Nonce::assume_unique_for_key(octets)
}

#[cfg(test)]
mod tests;
