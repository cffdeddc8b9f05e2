//! Certificate and Certificate Request payloads (RFC 7296, 3.6 and 3.7).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Cert Encoding |                                               |
//! +-+-+-+-+-+-+-+-+       Certificate Data or Authority           ~
//! ~                                                               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use iana::CertificateEncoding;

use crate::cursor::Cursor;
use crate::error::Error;

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cert {
    /// What the data is.
    pub encoding: CertificateEncoding,
    /// The certificate.
    pub data: Vec<u8>,
}

/// A request for certificates of certain authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertReq {
    /// What is asked for.
    pub encoding: CertificateEncoding,
    /// SHA-1 hashes of the authorities' public keys, 20 octets each.
    pub data: Vec<u8>,
}

impl Cert {
    pub(crate) fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        Ok(Self {
            encoding: CertificateEncoding(body.u8()?),
            data: body.rest().to_vec(),
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.encoding.0);
        out.extend(&self.data);
    }
}

impl CertReq {
    pub(crate) fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        Ok(Self {
            encoding: CertificateEncoding(body.u8()?),
            data: body.rest().to_vec(),
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.encoding.0);
        out.extend(&self.data);
    }
}
