//! The IKE header (RFC 7296, 3.1).
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                       IKE SA Initiator's SPI                  |
//! |                                                               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                       IKE SA Responder's SPI                  |
//! |                                                               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Next Payload | MjVer | MnVer | Exchange Type |     Flags     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                          Message ID                           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                            Length                             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use std::fmt;

use iana::{ExchangeType, PayloadType};

use crate::cursor::Cursor;
use crate::error::Error;

/// Length of the header in octets.
pub const HEADER_LEN: usize = 28;

/// The SPI of an IKE_SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IkeSpi(pub u64);

impl fmt::Display for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The SPI of an ESP SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EspSpi(pub u32);

impl fmt::Display for EspSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The flags of the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The sender is the original initiator of the IKE_SA.
    pub const INITIATOR: Self = Self(0x08);
    /// The sender could speak a higher version.
    pub const VERSION: Self = Self(0x10);
    /// The message is a response.
    pub const RESPONSE: Self = Self(0x20);

    /// No flag.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets or clears the flags of `other`.
    pub fn set(&mut self, other: Self, on: bool) {
        if on {
            self.0 |= other.0;
        } else {
            self.0 &= !other.0;
        }
    }
}

/// The IKE header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The original initiator's SPI.
    pub spi_i: IkeSpi,
    /// The original responder's SPI; zero in the first message.
    pub spi_r: IkeSpi,
    /// Type of the first payload.
    pub next_payload: PayloadType,
    /// Major and minor version, four bits each.
    pub version: u8,
    /// What the message is part of.
    pub exchange: ExchangeType,
    /// See [`Flags`].
    pub flags: Flags,
    /// Number of the exchange, counted by each end for its own requests.
    pub message_id: u32,
    /// Length of the whole message in octets.
    pub length: u32,
}

impl Header {
    /// Reads the header of a datagram, whose length it must tell. The version is left to [`parse_datagram`], because
    /// the fields up to here are those of every version and needed to answer (RFC 7296, 2.5).
    ///
    /// # Errors
    ///
    /// If the datagram is too short, has another length, or an initiator SPI of zero.
    ///
    /// [`parse_datagram`]: crate::parse_datagram
    pub fn parse(octets: &[u8]) -> Result<Self, Error> {
        if octets.len() < HEADER_LEN {
            return Err(Error::NoHeader(octets.len()));
        }
        let mut cursor = Cursor::new(octets, 0);
        let header = Self {
            spi_i: IkeSpi(cursor.u64()?),
            spi_r: IkeSpi(cursor.u64()?),
            next_payload: PayloadType(cursor.u8()?),
            version: cursor.u8()?,
            exchange: ExchangeType(cursor.u8()?),
            flags: Flags(cursor.u8()?),
            message_id: cursor.u32()?,
            length: cursor.u32()?,
        };
        if header.length as usize != octets.len() {
            return Err(Error::Length {
                header: header.length,
                datagram: octets.len(),
            });
        }
        if header.spi_i.0 == 0 {
            return Err(Error::ZeroSpi);
        }
        Ok(header)
    }

    /// Whether the message is a response.
    pub fn is_response(&self) -> bool {
        self.flags.contains(Flags::RESPONSE)
    }

    /// Whether the sender is the original initiator of the IKE_SA.
    pub fn is_initiator(&self) -> bool {
        self.flags.contains(Flags::INITIATOR)
    }

    /// Appends the header.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.spi_i.0.to_be_bytes());
        out.extend(self.spi_r.0.to_be_bytes());
        out.extend([self.next_payload.0, self.version, self.exchange.0, self.flags.0]);
        out.extend(self.message_id.to_be_bytes());
        out.extend(self.length.to_be_bytes());
    }
}
