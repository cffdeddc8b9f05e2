//! Key Exchange payload (RFC 7296, 3.4): of a group or a KEM, in every exchange that has one.
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Key Exchange Method Num     |           RESERVED            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ~                       Key Exchange Data                       ~
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use iana::KeyExchangeMethod;

use crate::cursor::Cursor;
use crate::error::Error;

/// A public value, public key or ciphertext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ke {
    /// Of which method.
    pub method: KeyExchangeMethod,
    /// Its octets; their number is the method's to check.
    pub data: Vec<u8>,
}

impl Ke {
    pub(crate) fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        let method = KeyExchangeMethod(body.u16()?);
        body.u16()?;
        Ok(Self {
            method,
            data: body.rest().to_vec(),
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.method.0.to_be_bytes());
        out.extend([0, 0]);
        out.extend(&self.data);
    }
}
