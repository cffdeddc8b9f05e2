//! Why an exchange fails, and what the peer is told.

use iana::{KeyExchangeMethod, NotifyType};
use plugin_api::{ErrorKind, PluginError};

/// Why an exchange failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The octets are not what they should be.
    #[error("message parsing failed: {0}")]
    Wire(#[from] wire::Error),
    /// A payload is missing that the exchange needs.
    #[error("{0} payload missing in message")]
    Missing(&'static str),
    /// None of the peer's proposals is acceptable.
    #[error("no proposal chosen")]
    NoProposalChosen,
    /// The peer chose what it may not choose.
    #[error("{0}")]
    Unacceptable(#[from] crypto::Unacceptable),
    /// The peer skipped a key exchange that was agreed on.
    #[error("peer skips additional key exchange {0} ({1})")]
    Skipped(u8, String),
    /// The peer's key exchange payload is of another method than the negotiated one.
    #[error("key exchange method in received payload {got} doesn't match negotiated {expected}")]
    WrongKeyExchange {
        /// The method of the payload.
        got: KeyExchangeMethod,
        /// The negotiated one.
        expected: KeyExchangeMethod,
    },
    /// No plugin implements the negotiated method.
    #[error("negotiated key exchange method {0} not supported")]
    Unsupported(KeyExchangeMethod),
    /// A plugin failed.
    #[error("{0}")]
    Plugin(#[from] PluginError),
    /// The peer's ML-KEM public key fails the checks of FIPS 203, 7.2.
    #[error("{0}")]
    MalformedKey(PluginError),
    /// The peer could not prove who it is.
    #[error("authentication failed")]
    AuthenticationFailed,
    /// Addresses are part of what AH authenticates, and only ESP goes in UDP (RFC 3948).
    #[error(
        "AH is not compatible with encapsulation: there is a NAT between the ends, or encap is set; use ESP proposals"
    )]
    AhInUdp,
    /// The peer compresses though nothing was said of that.
    #[error("received an IPCOMP_SUPPORTED notify without requesting one, no CHILD_SA built")]
    IpcompUnasked,
    /// The IKE_SA would be childless where it may not be, or the other way round.
    #[error("childless IKE_SA")]
    Childless,
    /// The selectors have nothing in common with the configured ones.
    #[error("traffic selectors unacceptable")]
    TsUnacceptable,
    /// It is not known yet what the names in connections stand for.
    #[error("names of connections are being looked up")]
    NotYet,
    /// The peer answered with an error.
    #[error("received {0} notify error")]
    Notified(NotifyType),
}

impl Error {
    /// Why the peer's public value could not be answered, before there is an established IKE_SA.
    pub(crate) fn of_answer(method: KeyExchangeMethod, error: PluginError) -> Self {
        if method.is_ml_kem() && error.kind == ErrorKind::InvalidPublicValue {
            Self::MalformedKey(error)
        } else {
            Self::Plugin(error)
        }
    }

    /// What to answer a request with that failed so (RFC 7296, 3.10.1), or nothing where silence is right.
    pub fn notify(&self) -> Option<NotifyType> {
        match self {
            Self::Wire(error) => error.notify(),
            // Of a malformed key: draft-ietf-ipsecme-ikev2-mlkem; other methods have strongSwan's NO_PROPOSAL_CHOSEN.
            Self::Missing(_) | Self::MalformedKey(_) | Self::Childless | Self::Skipped(..) => {
                Some(NotifyType::INVALID_SYNTAX)
            }
            Self::NoProposalChosen
            | Self::Unacceptable(_)
            | Self::WrongKeyExchange { .. }
            | Self::AhInUdp
            | Self::IpcompUnasked
            | Self::Unsupported(_) => Some(NotifyType::NO_PROPOSAL_CHOSEN),
            Self::Plugin(error) => match error.kind {
                ErrorKind::InvalidPublicValue => Some(NotifyType::NO_PROPOSAL_CHOSEN),
                ErrorKind::AuthenticationFailed => None,
                _ => Some(NotifyType::NO_PROPOSAL_CHOSEN),
            },
            Self::AuthenticationFailed => Some(NotifyType::AUTHENTICATION_FAILED),
            Self::TsUnacceptable => Some(NotifyType::TS_UNACCEPTABLE),
            Self::NotYet | Self::Notified(_) => None,
        }
    }
}
