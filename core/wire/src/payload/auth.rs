//! Authentication payload (RFC 7296, 3.8).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Auth Method   |                RESERVED                       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ~                      Authentication Data                      ~
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use iana::AuthMethod;

use crate::cursor::Cursor;
use crate::error::Error;

/// A proof of identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// How it was made.
    pub method: AuthMethod,
    /// The MAC or signature.
    pub data: Vec<u8>,
}

impl Auth {
    pub(crate) fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        let method = AuthMethod(body.u8()?);
        body.take(3)?;
        Ok(Self {
            method,
            data: body.rest().to_vec(),
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.method.0, 0, 0, 0]);
        out.extend(&self.data);
    }
}
