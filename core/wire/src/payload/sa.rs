//! Security Association payload (RFC 7296, 3.3): proposals and their transforms.
//!
//! ```text
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Last Substruc |   RESERVED    |         Proposal Length       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Proposal Num  |  Protocol ID  |    SPI Size   |Num  Transforms|
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ~                        SPI (variable)                         ~
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ~                        <Transforms>                           ~
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//!
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Last Substruc |   RESERVED    |        Transform Length       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Transform Type |   RESERVED    |          Transform ID         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ~                      Transform Attributes                     ~
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use iana::attribute::TransformAttribute;
use iana::keyword::Transform;
use iana::{Protocol, TransformType};

use crate::cursor::Cursor;
use crate::error::Error;

/// Attributes with this bit have a value of two octets and no length.
const SHORT: u16 = 0x8000;

/// What a peer offers or chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sa {
    /// In the order of preference.
    pub proposals: Vec<Proposal>,
}

/// A set of algorithms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Counted from 1.
    pub number: u8,
    /// IKE, AH or ESP.
    pub protocol: Protocol,
    /// The sender's SPI: none in IKE_SA_INIT, 8 octets when an IKE_SA is rekeyed, 4 for ESP.
    pub spi: Vec<u8>,
    /// The algorithms.
    pub transforms: Vec<Transform>,
    /// It has an attribute nobody here knows, or an unknown transform type, and must not be chosen
    /// (RFC 7296, 3.3.6).
    pub unusable: bool,
}

impl Sa {
    pub(crate) fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        let mut proposals = Vec::new();
        let mut more = true;
        while more {
            let offset = body.offset();
            more = match body.u8()? {
                0 => false,
                2 => true,
                _ => {
                    return Err(Error::Field {
                        field: "proposal chain",
                        offset,
                    });
                }
            };
            body.u8()?;
            let len = usize::from(body.u16()?);
            let len = len.checked_sub(4).ok_or(Error::Field {
                field: "proposal length",
                offset,
            })?;
            proposals.push(Proposal::parse(&mut body.sub(len)?)?);
        }
        Ok(Self { proposals })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for (index, proposal) in self.proposals.iter().enumerate() {
            let start = out.len();
            let more = if index + 1 < self.proposals.len() { 2 } else { 0 };
            // At most 255 transforms are counted by an octet; proposals of ours have some thirty.
            let count = proposal.transforms.len().min(255);
            out.extend([more, 0, 0, 0, proposal.number, proposal.protocol.0]);
            out.extend([proposal.spi.len() as u8, count as u8]);
            out.extend(&proposal.spi);
            for (index, transform) in proposal.transforms.iter().take(count).enumerate() {
                write_transform(transform, index + 1 < count, out);
            }
            let len = (out.len() - start) as u16;
            out[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
        }
    }
}

impl Proposal {
    fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        let number = body.u8()?;
        let protocol = Protocol(body.u8()?);
        let spi_len = usize::from(body.u8()?);
        let count = body.u8()?;
        let spi = body.take(spi_len)?.to_vec();
        let mut proposal = Self {
            number,
            protocol,
            spi,
            transforms: Vec::new(),
            unusable: false,
        };
        for index in 1..=count {
            let offset = body.offset();
            let more = body.u8()?;
            if more != if index < count { 3 } else { 0 } {
                return Err(Error::Field {
                    field: "transform chain",
                    offset,
                });
            }
            body.u8()?;
            let len = usize::from(body.u16()?);
            let len = len.checked_sub(4).ok_or(Error::Field {
                field: "transform length",
                offset,
            })?;
            proposal.parse_transform(&mut body.sub(len)?)?;
        }
        if body.is_empty() {
            Ok(proposal)
        } else {
            Err(Error::Field {
                field: "octets after the last transform",
                offset: body.offset(),
            })
        }
    }

    fn parse_transform(&mut self, body: &mut Cursor<'_>) -> Result<(), Error> {
        let kind = TransformType(body.u8()?);
        body.u8()?;
        let id = body.u16()?;
        let mut key_bits = None;
        while !body.is_empty() {
            let attribute = body.u16()?;
            let value = body.u16()?;
            if attribute & SHORT == 0 {
                body.take(usize::from(value))?;
                self.unusable = true;
            } else if attribute & !SHORT == TransformAttribute::KEY_LENGTH.0 && key_bits.is_none() {
                key_bits = Some(value);
            } else {
                self.unusable = true;
            }
        }
        self.unusable |= kind.name().is_none();
        self.transforms.push(Transform { kind, id, key_bits });
        Ok(())
    }
}

fn write_transform(transform: &Transform, more: bool, out: &mut Vec<u8>) {
    let len: u16 = if transform.key_bits.is_some() { 12 } else { 8 };
    out.extend([if more { 3 } else { 0 }, 0]);
    out.extend(len.to_be_bytes());
    out.extend([transform.kind.0, 0]);
    out.extend(transform.id.to_be_bytes());
    if let Some(bits) = transform.key_bits {
        out.extend((SHORT | TransformAttribute::KEY_LENGTH.0).to_be_bytes());
        out.extend(bits.to_be_bytes());
    }
}
