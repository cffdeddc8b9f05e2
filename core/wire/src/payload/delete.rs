//! Delete payload (RFC 7296, 3.11).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Protocol ID   |   SPI Size    |          Num of SPIs          |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ~               Security Parameter Index(es) (SPI)              ~
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use iana::Protocol;

use crate::cursor::Cursor;
use crate::error::Error;

/// Deletes the IKE_SA, or CHILD_SAs by the sender's inbound SPIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// What is deleted.
    pub protocol: Protocol,
    /// Which; none for the IKE_SA. All have the length of the first.
    pub spis: Vec<Vec<u8>>,
}

impl Delete {
    pub(crate) fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        let offset = body.offset();
        let protocol = Protocol(body.u8()?);
        let spi_len = usize::from(body.u8()?);
        let count = body.u16()?;
        // SPIs of no or one octet would make a datagram cost many times its size in memory.
        let fits = match protocol {
            Protocol::IKE => spi_len == 0 && count == 0,
            Protocol::AH | Protocol::ESP => spi_len == 4 || count == 0,
            _ => spi_len >= 4 || count == 0,
        };
        if !fits {
            return Err(Error::Field {
                field: "number of SPIs",
                offset,
            });
        }
        let spis = (0..count)
            .map(|_| Ok(body.take(spi_len)?.to_vec()))
            .collect::<Result<_, Error>>()?;
        Ok(Self { protocol, spis })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let spi_len = self.spis.first().map_or(0, Vec::len);
        out.extend([self.protocol.0, spi_len as u8]);
        out.extend((self.spis.len() as u16).to_be_bytes());
        for spi in &self.spis {
            out.extend(spi);
        }
    }
}
