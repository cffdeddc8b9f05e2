//! The exchanges, one a file. Each state is named for what it awaits, is consumed by it, and leads to the next.

mod candidates;
mod child_delete;
pub(crate) mod configuration;
pub(crate) mod creation;
mod ike_auth;
mod ike_auth_child;
mod ike_intermediate;
pub(crate) mod ike_sa_init;
mod ike_sa_init_responder;
mod informational;
mod jobs;
mod unique;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use config::secret::SharedSecret;
use crypto::int_auth::IntAuth;
use crypto::proposal::Proposal;
use iana::{KeyExchangeMethod, TrafficSelector};
use plugin_api::PendingKeyExchange;
use wire::payload::Payload;

use crate::auth::Authenticated;
use crate::child::ChildSa;
use crate::extension::ppk::Mixed;
use unique::Unchecked;

/// What the exchanges up to the establishment have in common; dropped with it.
#[derive(Default)]
pub(crate) struct Negotiation {
    /// The last IKE_SA_INIT request, as AUTH covers it.
    pub(crate) init_request: Vec<u8>,
    /// The IKE_SA_INIT response.
    pub(crate) init_response: Vec<u8>,
    pub(crate) nonce_i: Vec<u8>,
    pub(crate) nonce_r: Vec<u8>,
    /// IntAuth over all IKE_INTERMEDIATE exchanges so far.
    pub(crate) int_auth: Option<IntAuth>,
    /// Additional key exchanges still to be run: number and method.
    pub(crate) plan: VecDeque<(u8, KeyExchangeMethod)>,
    /// The additional key exchange that was run last, for a message if keys turn out to differ.
    pub(crate) last_additional: Option<(u8, KeyExchangeMethod)>,
    /// The ID of the first IKE_AUTH request, which IntAuth covers.
    pub(crate) auth_message_id: u32,
    /// IKE_SA_INIT requests so far: cookies and other groups are asked for a bounded number of times.
    pub(crate) init_tries: u32,
    pub(crate) cookie: Vec<u8>,
    pub(crate) refused_method: Option<KeyExchangeMethod>,
    /// The address that the initiator had when it began; of a responder only.
    pub(crate) begun_at: Option<IpAddr>,
    /// Octets of the datagram of the request that is being answered; 0 if it came in several.
    pub(crate) request_octets: usize,
    /// The post-quantum preshared key that AUTH is computed with.
    pub(crate) ppk: Option<Mixed>,
    /// The peer has proved what its connection demands.
    pub(crate) authenticated: Option<Authenticated>,
    /// The shared key that the peer's AUTH was made with.
    pub(crate) peer_key: Option<Arc<SharedSecret>>,
}

/// What an IKE_SA awaits until it is established.
pub(crate) enum Phase {
    /// Nothing: it is new, or established.
    Idle,
    /// The own public value for IKE_SA_INIT (job).
    MakeInit {
        proposals: Vec<Proposal>,
        method: KeyExchangeMethod,
    },
    /// The response to IKE_SA_INIT.
    AwaitInit {
        offer: Box<Offer>,
        pending: Box<dyn PendingKeyExchange>,
    },
    /// The secret of IKE_SA_INIT (job).
    FinishInit,
    /// The own public value for IKE_INTERMEDIATE (job).
    MakeAdditional { number: u8, method: KeyExchangeMethod },
    /// The response to IKE_INTERMEDIATE.
    AwaitIntermediate {
        number: u8,
        method: KeyExchangeMethod,
        pending: Box<dyn PendingKeyExchange>,
    },
    /// The secret of an additional key exchange (job).
    FinishAdditional,
    /// An SPI for the first CHILD_SA (kernel).
    ReserveSpi,
    /// The response to IKE_AUTH.
    AwaitAuth { child: Option<Box<OfferedChild>> },
    /// Whether other IKE_SAs between the same identities let it be.
    CheckUnique(Unchecked),
    /// The first CHILD_SA (kernel), then what else the response said.
    InstallChild { child: Box<ChildSa>, then: AfterAuth },

    /// Responder: the public value for the IKE_SA_INIT response (job).
    AnswerInit {
        proposal: Box<Proposal>,
        method: KeyExchangeMethod,
    },
    /// Responder: IKE_INTERMEDIATE or IKE_AUTH, as the plan says.
    AwaitRequest,
    /// Responder: the ciphertext for the IKE_INTERMEDIATE response (job).
    AnswerAdditional { method: KeyExchangeMethod },
    /// Responder: an SPI for the first CHILD_SA (kernel).
    AnswerReserveSpi {
        answer: Vec<Payload>,
        choice: Box<crate::child::negotiate::Choice>,
    },
    /// Responder: the first CHILD_SA (kernel).
    AnswerInstallChild {
        answer: Vec<Payload>,
        child: Box<ChildSa>,
    },
}

/// What was offered in IKE_SA_INIT.
pub(crate) struct Offer {
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) method: KeyExchangeMethod,
    pub(crate) public: Vec<u8>,
}

/// What was offered for the first CHILD_SA.
pub(crate) struct OfferedChild {
    pub(crate) child: ChildSa,
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) local_ts: Vec<TrafficSelector>,
    pub(crate) remote_ts: Vec<TrafficSelector>,
}

/// What an IKE_AUTH response said that is acted upon when the CHILD_SA is installed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AfterAuth {
    pub(crate) auth_lifetime: Option<u32>,
    pub(crate) mobike: bool,
}

impl Phase {
    /// The CHILD_SA that is being negotiated, when the IKE_SA goes.
    pub(crate) fn take_child(&mut self) -> Option<Box<ChildSa>> {
        match std::mem::replace(self, Self::Idle) {
            Self::AwaitAuth { child: Some(offered) }
            | Self::CheckUnique(Unchecked::Response {
                child: Some(offered), ..
            }) => Some(Box::new(offered.child)),
            Self::InstallChild { child, .. } | Self::AnswerInstallChild { child, .. } => Some(child),
            _ => None,
        }
    }

    /// The names of what this end is doing.
    pub(crate) fn active_tasks(&self) -> &'static [&'static str] {
        match self {
            Self::MakeInit { .. }
            | Self::AwaitInit { .. }
            | Self::FinishInit
            | Self::MakeAdditional { .. }
            | Self::AwaitIntermediate { .. }
            | Self::FinishAdditional
            | Self::ReserveSpi
            | Self::AwaitAuth { .. }
            | Self::InstallChild { .. } => &["IKE_INIT", "IKE_NATD", "IKE_AUTH", "CHILD_CREATE"],
            _ => &[],
        }
    }

    /// The names of what the peer is doing.
    pub(crate) fn passive_tasks(&self) -> &'static [&'static str] {
        match self {
            Self::AnswerInit { .. }
            | Self::AwaitRequest
            | Self::AnswerAdditional { .. }
            | Self::AnswerReserveSpi { .. }
            | Self::AnswerInstallChild { .. } => &["IKE_INIT", "IKE_NATD", "IKE_AUTH", "CHILD_CREATE"],
            _ => &[],
        }
    }
}

/// The only payload of a kind, by a pattern.
macro_rules! find {
    ($payloads:expr, $pattern:pat $(if $guard:expr)? => $value:expr) => {
        $payloads.iter().find_map(|payload| match payload {
            $pattern $(if $guard)? => Some($value),
            _ => None,
        })
    };
}

pub(crate) use find;

/// The first error notify among payloads.
pub(crate) fn error_notify(payloads: &[Payload]) -> Option<&wire::payload::Notify> {
    find!(payloads, Payload::Notify(notify) if notify.kind.is_error() => notify)
}
