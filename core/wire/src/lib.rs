//! IKEv2 messages: octets to payloads and back, without cryptography or clock.
//!
//! A datagram goes through [`parse_datagram`], [`open`] where it is encrypted, [`parse_payloads`] and [`verify`]; a
//! message of ours through [`sort`], [`write_payloads`] and [`seal`] or [`seal_fragments`].

mod cursor;
mod error;
mod header;
mod int_auth;
mod message;
mod order;
pub mod payload;
mod protect;
mod rules;
mod summary;

pub use error::Error;
pub use header::{EspSpi, Flags, HEADER_LEN, Header, IkeSpi};
pub use int_auth::int_auth_octets;
pub use message::{Message, Packet, parse_datagram, parse_payloads, write_payloads, write_plain};
pub use order::sort;
pub use payload::Payload;
pub use protect::{ProtectError, Protection, open, seal, seal_fragments, sealed_len};
pub use rules::verify;
pub use summary::{fragment_summary, summary};
