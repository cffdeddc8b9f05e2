//! Nonce payload (RFC 7296, 3.9): 16 to 256 octets.

use crate::cursor::Cursor;
use crate::error::Error;

/// A nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// Its octets.
    pub data: Vec<u8>,
}

impl Nonce {
    pub(crate) fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        let offset = body.offset();
        let data = body.rest().to_vec();
        if (16..=256).contains(&data.len()) {
            Ok(Self { data })
        } else {
            Err(Error::Field {
                field: "nonce length",
                offset,
            })
        }
    }
}
