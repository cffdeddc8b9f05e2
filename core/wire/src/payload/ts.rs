//! Traffic Selector payloads (RFC 7296, 3.13).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Number of TSs |                 RESERVED                      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   TS Type     |IP Protocol ID |       Selector Length         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |           Start Port          |           End Port            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ~                         Starting Address                      ~
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ~                         Ending Address                        ~
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use std::net::IpAddr;

use iana::TrafficSelectorType;

use crate::cursor::Cursor;
use crate::error::Error;

/// Whose side the selectors are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsKind {
    /// The initiator's.
    Initiator,
    /// The responder's.
    Responder,
}

/// Selectors of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ts {
    /// Selectors of known types; others are left out.
    pub selectors: Vec<Selector>,
}

/// A range of addresses and ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Protocol number of the IP header; 0 is any.
    pub protocol: u8,
    /// First port.
    pub start_port: u16,
    /// Last port, included.
    pub end_port: u16,
    /// First address.
    pub start: IpAddr,
    /// Last address, included, of the family of the first.
    pub end: IpAddr,
}

impl Ts {
    pub(crate) fn parse(body: &mut Cursor<'_>) -> Result<Self, Error> {
        let count = body.u8()?;
        body.take(3)?;
        let mut selectors = Vec::new();
        for _ in 0..count {
            let offset = body.offset();
            let kind = TrafficSelectorType(body.u8()?);
            let protocol = body.u8()?;
            let len = usize::from(body.u16()?);
            let len = len.checked_sub(4).ok_or(Error::Field {
                field: "selector length",
                offset,
            })?;
            let mut selector = body.sub(len)?;
            let expected = match kind {
                TrafficSelectorType::IPV4_ADDR_RANGE => 12,
                TrafficSelectorType::IPV6_ADDR_RANGE => 36,
                _ => continue,
            };
            if len != expected {
                return Err(Error::Field {
                    field: "selector length",
                    offset,
                });
            }
            let (start_port, end_port) = (selector.u16()?, selector.u16()?);
            let (start, end) = if kind == TrafficSelectorType::IPV4_ADDR_RANGE {
                (selector.array::<4>()?.into(), selector.array::<4>()?.into())
            } else {
                (selector.array::<16>()?.into(), selector.array::<16>()?.into())
            };
            selectors.push(Selector {
                protocol,
                start_port,
                end_port,
                start,
                end,
            });
        }
        Ok(Self { selectors })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.selectors.len() as u8, 0, 0, 0]);
        for selector in &self.selectors {
            let (kind, len): (_, u16) = match selector.start {
                IpAddr::V4(_) => (TrafficSelectorType::IPV4_ADDR_RANGE, 16),
                IpAddr::V6(_) => (TrafficSelectorType::IPV6_ADDR_RANGE, 40),
            };
            out.extend([kind.0, selector.protocol]);
            out.extend(len.to_be_bytes());
            out.extend(selector.start_port.to_be_bytes());
            out.extend(selector.end_port.to_be_bytes());
            for address in [selector.start, selector.end] {
                match address {
                    IpAddr::V4(v4) => out.extend(v4.octets()),
                    IpAddr::V6(v6) => out.extend(v6.octets()),
                }
            }
        }
    }
}
