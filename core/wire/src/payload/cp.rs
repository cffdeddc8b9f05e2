//! Configuration payload (RFC 7296, 3.15).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   CFG Type    |                    RESERVED                   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |R|         Attribute Type      |            Length             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ~                             Value                             ~
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use iana::attribute::{ConfigurationAttribute, ConfigurationType};

use crate::cursor::Cursor;
use crate::error::Error;

/// Addresses and the like, asked for or given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cp {
    /// Request, reply, set or acknowledgement.
    pub kind: ConfigurationType,
    /// Attributes, in order; an empty value asks for any.
    pub attributes: Vec<(ConfigurationAttribute, Vec<u8>)>,
}

impl Cp {
    pub(crate) fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        let kind = ConfigurationType(body.u8()?);
        body.take(3)?;
        let mut attributes = Vec::new();
        while !body.is_empty() {
            let attribute = ConfigurationAttribute(body.u16()? & 0x7fff);
            let len = usize::from(body.u16()?);
            attributes.push((attribute, body.take(len)?.to_vec()));
        }
        Ok(Self { kind, attributes })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.kind.0, 0, 0, 0]);
        for (attribute, value) in &self.attributes {
            out.extend(attribute.0.to_be_bytes());
            out.extend((value.len() as u16).to_be_bytes());
            out.extend(value);
        }
    }
}
