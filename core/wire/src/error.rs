//! Why octets are not a message, and where.

use iana::attribute::ConfigurationAttribute;
use iana::{ExchangeType, NotifyType, PayloadType};

/// Why a message was not accepted. Offsets are in octets from the start of what was parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The octets end too early.
    #[error("{missing} octets missing at offset {offset}")]
    Truncated {
        /// Where.
        offset: usize,
        /// How many.
        missing: usize,
    },
    /// The datagram is too short for a header.
    #[error("datagram of {0} octets is shorter than an IKE header")]
    NoHeader(usize),
    /// The major version is not 2.
    #[error("IKE version {}.{}", .0 >> 4, .0 & 0x0f)]
    Version(u8),
    /// The exchange is none that this daemon knows.
    #[error("unknown exchange type {}", .0.0)]
    UnknownExchange(ExchangeType),
    /// The header's length is not that of the datagram.
    #[error("header says {header} octets, the datagram has {datagram}")]
    Length {
        /// What the header says.
        header: u32,
        /// What came.
        datagram: usize,
    },
    /// The initiator's SPI is zero.
    #[error("initiator SPI is zero")]
    ZeroSpi,
    /// A field has a value that it must not have.
    #[error("invalid {field} at offset {offset}")]
    Field {
        /// Which.
        field: &'static str,
        /// Where.
        offset: usize,
    },
    /// There are more payloads than any message may have.
    #[error("more than {0} payloads")]
    TooManyPayloads(usize),
    /// A payload follows the encrypted one, or is nested in it.
    #[error("misplaced encrypted payload")]
    MisplacedSk,
    /// An unknown payload that must not be ignored (RFC 7296, 2.5).
    #[error("unknown critical payload of type {}", .0.0)]
    UnknownCritical(PayloadType),
    /// A payload that has no place in the exchange, or too many of it.
    #[error("{payload} payload has no place in {exchange}, or occurs too often")]
    Unexpected {
        /// Which.
        payload: PayloadType,
        /// Where.
        exchange: ExchangeType,
    },
    /// A payload is missing.
    #[error("{payload} payload missing in {exchange}")]
    Missing {
        /// Which.
        payload: PayloadType,
        /// Where.
        exchange: ExchangeType,
    },
    /// A notify whose data has the wrong length.
    #[error("{kind} notify with {len} octets of data")]
    NotifyData {
        /// Which.
        kind: NotifyType,
        /// Its length.
        len: usize,
    },
    /// A configuration attribute whose value has the wrong length.
    #[error("configuration attribute {kind} of {len} octets")]
    AttributeValue {
        /// Which.
        kind: ConfigurationAttribute,
        /// Its length.
        len: usize,
    },
    /// The message fits no packet, or no number of fragments.
    #[error("message of {0} octets cannot be sent")]
    TooLong(usize),
    /// Encryption, decryption or verification failed.
    #[error("integrity check failed")]
    Protect,
}

impl Error {
    /// What to answer a request with (RFC 7296, 3.10.1), or nothing where silence is right.
    pub fn notify(&self) -> Option<NotifyType> {
        match self {
            Self::UnknownCritical(_) => Some(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD),
            // Whoever speaks a lower version could not read the answer.
            Self::Version(version) => (version >> 4 > 2).then_some(NotifyType::INVALID_MAJOR_VERSION),
            Self::NoHeader(_)
            | Self::UnknownExchange(_)
            | Self::Length { .. }
            | Self::ZeroSpi
            | Self::Protect
            | Self::TooLong(_) => None,
            _ => Some(NotifyType::INVALID_SYNTAX),
        }
    }

    /// The type of the unknown critical payload, which the notify names.
    pub fn critical_type(&self) -> Option<PayloadType> {
        match self {
            Self::UnknownCritical(kind) => Some(*kind),
            _ => None,
        }
    }
}
