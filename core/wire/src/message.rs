//! Whole messages: the chain of payloads, and where the encrypted one begins (RFC 7296, 3.2 and 3.14; RFC 7383).

use iana::PayloadType;

use crate::cursor::Cursor;
use crate::error::Error;
use crate::header::{HEADER_LEN, Header};
use crate::payload::Payload;

/// No message has more payloads; the rules of the exchanges allow fewer.
const MAX_PAYLOADS: usize = 100;

/// A message without an encrypted payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its header.
    pub header: Header,
    /// Its payloads, in order.
    pub payloads: Vec<Payload>,
}

/// A datagram before decryption.
#[derive(Clone, Debug, PartialEq)]
pub enum Packet<'a> {
    /// Nothing is encrypted.
    Plain(Message),
    /// An SK payload holds the rest.
    Encrypted {
        /// The header.
        header: Header,
        /// Payloads before the encrypted one, covered by its integrity check.
        before: Vec<Payload>,
        /// Type of the first payload inside.
        inner_first: PayloadType,
        /// Where IV, ciphertext and ICV begin; everything before is associated data.
        body_offset: usize,
        /// IV, ciphertext and ICV.
        body: &'a [u8],
    },
    /// An SKF payload holds a part of the rest.
    Fragment {
        /// The header.
        header: Header,
        /// Type of the first payload inside, in fragment 1; NONE in others.
        inner_first: PayloadType,
        /// Which fragment, from 1.
        number: u16,
        /// Of how many.
        total: u16,
        /// Where IV, ciphertext and ICV begin; everything before is associated data.
        body_offset: usize,
        /// IV, ciphertext and ICV.
        body: &'a [u8],
    },
}

impl Packet<'_> {
    /// The header of any of them.
    pub fn header(&self) -> &Header {
        match self {
            Self::Plain(message) => &message.header,
            Self::Encrypted { header, .. } | Self::Fragment { header, .. } => header,
        }
    }
}

/// Reads a datagram up to its encrypted payload, which must be the last.
///
/// # Errors
///
/// If header, chain or a payload is malformed, or the major version is not 2.
pub fn parse_datagram(octets: &[u8]) -> Result<Packet<'_>, Error> {
    let header = Header::parse(octets)?;
    if header.version >> 4 != 2 {
        return Err(Error::Version(header.version));
    }
    let mut cursor = Cursor::new(&octets[HEADER_LEN..], HEADER_LEN);
    let mut payloads = Vec::new();
    let mut next = header.next_payload;
    while next != PayloadType::NONE {
        let kind = next;
        let (mut body, critical) = read_generic(&mut cursor, &mut next)?;
        match kind {
            PayloadType::SK => {
                return at_end(
                    &cursor,
                    Packet::Encrypted {
                        header,
                        before: payloads,
                        inner_first: next,
                        body_offset: body.offset(),
                        body: body.rest(),
                    },
                );
            }
            PayloadType::SKF => {
                if !payloads.is_empty() {
                    return Err(Error::MisplacedSk);
                }
                let offset = body.offset();
                let (number, total) = (body.u16()?, body.u16()?);
                if number == 0 || number > total {
                    return Err(Error::Field {
                        field: "fragment number",
                        offset,
                    });
                }
                return at_end(
                    &cursor,
                    Packet::Fragment {
                        header,
                        // Later fragments must say zero, and mean it if they do not (RFC 7383, 2.5).
                        inner_first: if number == 1 { next } else { PayloadType::NONE },
                        number,
                        total,
                        body_offset: body.offset(),
                        body: body.rest(),
                    },
                );
            }
            _ => push(&mut payloads, Payload::parse(kind, critical, body)?)?,
        }
    }
    at_end(&cursor, Packet::Plain(Message { header, payloads }))
}

/// Reads the payloads that were inside an encrypted one.
///
/// # Errors
///
/// If the chain or a payload is malformed.
pub fn parse_payloads(first: PayloadType, octets: &[u8]) -> Result<Vec<Payload>, Error> {
    let mut cursor = Cursor::new(octets, 0);
    let mut payloads = Vec::new();
    let mut next = first;
    while next != PayloadType::NONE {
        let kind = next;
        let (body, critical) = read_generic(&mut cursor, &mut next)?;
        if matches!(kind, PayloadType::SK | PayloadType::SKF) {
            return Err(Error::MisplacedSk);
        }
        push(&mut payloads, Payload::parse(kind, critical, body)?)?;
    }
    at_end(&cursor, payloads)
}

/// Most messages are not longer, so that their buffers need not grow.
const TYPICAL_LEN: usize = 512;

/// The octets of payloads, and the type of the first.
pub fn write_payloads(payloads: &[Payload]) -> (PayloadType, Vec<u8>) {
    let mut out = Vec::with_capacity(TYPICAL_LEN);
    for (index, payload) in payloads.iter().enumerate() {
        let next = payloads.get(index + 1).map_or(PayloadType::NONE, Payload::kind);
        let start = out.len();
        out.extend([next.0, if payload.is_critical() { 0x80 } else { 0 }, 0, 0]);
        payload.write_body(&mut out);
        // Nothing the daemon makes comes near 64 KiB; the rest of the message would be unreadable.
        let len = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
        out[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
    }
    (payloads.first().map_or(PayloadType::NONE, Payload::kind), out)
}

/// A message that nothing protects. The header's length and first payload are filled in.
pub fn write_plain(header: &Header, payloads: &[Payload]) -> Vec<u8> {
    let (next_payload, body) = write_payloads(payloads);
    let length = (HEADER_LEN + body.len()) as u32;
    let mut out = Vec::with_capacity(HEADER_LEN + body.len());
    Header {
        next_payload,
        length,
        ..header.clone()
    }
    .write(&mut out);
    out.extend(body);
    out
}

/// Reads a generic payload header (RFC 7296, 3.2): the body, and whether the payload is critical.
fn read_generic<'a>(cursor: &mut Cursor<'a>, next: &mut PayloadType) -> Result<(Cursor<'a>, bool), Error> {
    *next = PayloadType(cursor.u8()?);
    let critical = cursor.u8()? & 0x80 != 0;
    let len = usize::from(cursor.u16()?);
    let body = len.checked_sub(4).ok_or(Error::Field {
        field: "payload length",
        offset: cursor.offset(),
    })?;
    Ok((cursor.sub(body)?, critical))
}

fn push(payloads: &mut Vec<Payload>, payload: Payload) -> Result<(), Error> {
    if payloads.len() == MAX_PAYLOADS {
        return Err(Error::TooManyPayloads(MAX_PAYLOADS));
    }
    payloads.push(payload);
    Ok(())
}

fn at_end<T>(cursor: &Cursor<'_>, value: T) -> Result<T, Error> {
    if cursor.is_empty() {
        Ok(value)
    } else {
        Err(Error::Field {
            field: "octets after the last payload",
            offset: cursor.offset(),
        })
    }
}
