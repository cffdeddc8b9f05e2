//! EAP payload (RFC 7296, 3.16; RFC 3748).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Code      | Identifier    |           Length              |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ~                     Type and Type_Data                        ~
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use crate::cursor::Cursor;
use crate::error::Error;

/// An EAP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eap {
    /// Request, response, success or failure.
    pub code: u8,
    /// Ties responses to requests.
    pub identifier: u8,
    /// Type and what belongs to it; nothing in success and failure.
    pub data: Vec<u8>,
}

impl Eap {
    /// The code of a request.
    pub const REQUEST: u8 = 1;
    /// The code of a response.
    pub const RESPONSE: u8 = 2;
    /// The code of the end of a successful method.
    pub const SUCCESS: u8 = 3;
    /// The code of the end of a failed method.
    pub const FAILURE: u8 = 4;

    /// The method's short name in log lines, if it is a usual one.
    pub fn type_name(&self) -> Option<&'static str> {
        Some(match self.data.first()? {
            1 => "ID",
            3 => "NAK",
            4 => "MD5",
            6 => "GTC",
            13 => "TLS",
            18 => "SIM",
            21 => "TTLS",
            23 => "AKA",
            25 => "PEAP",
            26 => "MSCHAPV2",
            _ => return None,
        })
    }

    pub(crate) fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        let offset = body.offset();
        let (code, identifier, len) = (body.u8()?, body.u8()?, body.u16()?);
        let data = body.rest().to_vec();
        if usize::from(len) == data.len() + 4 {
            Ok(Self {
                code,
                identifier,
                data,
            })
        } else {
            Err(Error::Field {
                field: "EAP length",
                offset,
            })
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.code, self.identifier]);
        out.extend((self.data.len() as u16 + 4).to_be_bytes());
        out.extend(&self.data);
    }
}
