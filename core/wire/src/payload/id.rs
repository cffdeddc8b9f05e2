//! Identification payloads (RFC 7296, 3.5).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   ID Type     |                 RESERVED                      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ~                   Identification Data                         ~
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use iana::IdType;

use crate::cursor::Cursor;
use crate::error::Error;

/// Whose identity it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// The initiator's.
    Initiator,
    /// The responder's.
    Responder,
}

/// An identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// What the data is.
    pub kind: IdType,
    /// As received: AUTH covers it.
    pub reserved: [u8; 3],
    /// The identity.
    pub data: Vec<u8>,
}

impl Id {
    /// What AUTH covers: the payload without its generic header (RFC 7296, 2.15).
    pub fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(4 + self.data.len());
        self.write(&mut body);
        body
    }

    pub(crate) fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        Ok(Self {
            kind: IdType(body.u8()?),
            reserved: body.array()?,
            data: body.rest().to_vec(),
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.kind.0);
        out.extend(self.reserved);
        out.extend(&self.data);
    }
}
