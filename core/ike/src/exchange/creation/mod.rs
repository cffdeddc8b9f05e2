//! What CREATE_CHILD_SA and IKE_FOLLOWUP_KE make (RFC 7296, 1.3; RFC 9370, 2.2.4): a CHILD_SA, or the successor of the
//! IKE_SA. Both ends keep a [`Creation`] until the last key exchange is done.

mod child;
mod collision;
mod ike;
mod initiator;
mod install;
mod responder;

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use config::connection::ChildConfig;
use crypto::proposal::Proposal;
use iana::{ExchangeType, KeyExchangeMethod, NotifyType, TrafficSelector};
use plugin_api::{PendingKeyExchange, Secret};
use wire::payload::{Notify, Payload};

use crate::child::ChildSa;
use crate::child::transport::Transport;
use crate::exchange::find;
use crate::output::{CommandError, CommandId};
use crate::sa::{IkeSa, Inbound};
use crate::shared::{Shared, log};
use crate::timer::Timer;

pub(crate) use ike::Estate;

/// Which end asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Active,
    Passive,
}

/// See the module. An end has one of its own at most and one of its peer's, because windows are one.
pub(crate) struct Creation {
    pub(crate) subject: Subject,
    pub(crate) offered: Vec<Proposal>,
    /// With the peer's SPI.
    pub(crate) selected: Option<Proposal>,
    pub(crate) nonce_i: Vec<u8>,
    pub(crate) nonce_r: Vec<u8>,
    /// Of the key exchanges so far, in order.
    pub(crate) secrets: Vec<Secret>,
    /// Additional key exchanges still to be run: number and method.
    pub(crate) plan: VecDeque<(u8, KeyExchangeMethod)>,
    /// What ties the next IKE_FOLLOWUP_KE to it.
    pub(crate) link: Vec<u8>,
    pub(crate) step: Step,
    /// The method that the peer wants instead of the one offered first.
    pub(crate) wanted: Option<KeyExchangeMethod>,
    pub(crate) command: Option<CommandId>,
    /// Whether what it makes is closed as soon as it is there, because this end does not want it any more.
    pub(crate) unwanted: bool,
    /// The lowest nonce of the peer's exchange that has replaced the same SA in the meantime.
    pub(crate) rival: Option<Vec<u8>>,
    /// Responder: it is forgotten if the peer has not gone on by then (RFC 9370, 2.2.4).
    pub(crate) abandoned: Timer,
}

/// What is made.
pub(crate) enum Subject {
    Child(Box<ChildDraft>),
    Ike(IkeDraft),
}

/// A CHILD_SA in the making.
pub(crate) struct ChildDraft {
    pub(crate) config: Arc<ChildConfig>,
    /// The CHILD_SA that it replaces.
    pub(crate) rekeys: Option<u32>,
    /// Exists from the moment its SPI is reserved.
    pub(crate) child: Option<ChildSa>,
    pub(crate) local_ts: Vec<TrafficSelector>,
    pub(crate) remote_ts: Vec<TrafficSelector>,
    /// Whether it is transport mode that both ends want.
    pub(crate) transport: Transport,
    /// By which the peer takes compressed packets, if it offers that or agrees to it.
    pub(crate) cpi: Option<NonZeroU16>,
}

/// The successor of an IKE_SA in the making.
pub(crate) struct IkeDraft {
    pub(crate) unique_id: u32,
    pub(crate) spi: u64,
    /// Both ends rekey, and the peer's exchange stays: it is made only to be deleted (RFC 7296, 2.8.1).
    pub(crate) redundant: bool,
}

/// What it awaits.
pub(crate) enum Step {
    /// An SPI (kernel).
    ReserveSpi,
    /// The own public value (job).
    MakePublic(KeyExchangeMethod),
    /// The response to CREATE_CHILD_SA.
    AwaitResponse(Option<(KeyExchangeMethod, Box<dyn PendingKeyExchange>)>),
    /// The own public value for IKE_FOLLOWUP_KE (job).
    MakeAdditional(u8, KeyExchangeMethod),
    /// The response to IKE_FOLLOWUP_KE.
    AwaitFollowup(u8, KeyExchangeMethod, Box<dyn PendingKeyExchange>),
    /// The secret (job), of an additional key exchange with its number and method.
    Finish(Option<(u8, KeyExchangeMethod)>),
    /// The SAs (kernel).
    Install,

    /// Responder: the answer to the public value (job), of an additional key exchange with its number.
    Answer(Option<u8>, KeyExchangeMethod, Vec<u8>),
    /// Responder: the next IKE_FOLLOWUP_KE.
    AwaitRequest,
    /// Responder: the SAs (kernel), then this response.
    AnswerInstall(ExchangeType, Vec<Payload>),
}

/// How long a responder waits for the next IKE_FOLLOWUP_KE: longer than a peer takes that has to repeat it twice.
const PATIENCE: Duration = Duration::from_secs(30);

/// Seconds after which a failed rekeying is tried again, and how many fewer it may be.
const RETRY: u64 = 15;
const RETRY_JITTER: u64 = 10;

impl Creation {
    pub(crate) fn new(subject: Subject, command: Option<CommandId>) -> Self {
        Self {
            subject,
            offered: Vec::new(),
            selected: None,
            nonce_i: Vec::new(),
            nonce_r: Vec::new(),
            secrets: Vec::new(),
            plan: VecDeque::new(),
            link: Vec::new(),
            step: Step::ReserveSpi,
            wanted: None,
            command,
            unwanted: false,
            rival: None,
            abandoned: Timer::OFF,
        }
    }

    pub(crate) fn child(config: Arc<ChildConfig>, rekeys: Option<u32>, command: Option<CommandId>) -> Self {
        let draft = ChildDraft {
            config,
            rekeys,
            child: None,
            local_ts: Vec::new(),
            remote_ts: Vec::new(),
            transport: Transport::default(),
            cpi: None,
        };
        Self::new(Subject::Child(Box::new(draft)), command)
    }

    pub(crate) fn is_ike(&self) -> bool {
        matches!(self.subject, Subject::Ike(_))
    }

    /// Whether it is made only to be deleted.
    fn is_redundant(&self) -> bool {
        matches!(&self.subject, Subject::Ike(draft) if draft.redundant)
    }

    /// The CHILD_SA in the making, once its SPI is reserved.
    pub(crate) fn child_mut(&mut self) -> Option<&mut ChildSa> {
        match &mut self.subject {
            Subject::Child(draft) => draft.child.as_mut(),
            Subject::Ike(_) => None,
        }
    }

    pub(crate) fn take_child(&mut self) -> Option<ChildSa> {
        match &mut self.subject {
            Subject::Child(draft) => draft.child.take(),
            Subject::Ike(_) => None,
        }
    }

    /// The CHILD_SA that is to be replaced.
    pub(crate) fn rekeys(&self) -> Option<u32> {
        match &self.subject {
            Subject::Child(draft) => draft.rekeys,
            Subject::Ike(_) => None,
        }
    }

    /// Whether it makes a CHILD_SA of this configuration, and not in the place of another.
    pub(crate) fn makes(&self, name: &str) -> bool {
        self.makes_new().is_some_and(|config| config.name == name)
    }

    /// The configuration of a CHILD_SA that it makes, and not in the place of another.
    pub(crate) fn makes_new(&self) -> Option<Arc<ChildConfig>> {
        match &self.subject {
            Subject::Child(draft) if draft.rekeys.is_none() => Some(Arc::clone(&draft.config)),
            _ => None,
        }
    }

    /// Whether both replace the same SA.
    fn is_rival_of(&self, other: &Self) -> bool {
        match (&self.subject, &other.subject) {
            (Subject::Ike(_), Subject::Ike(_)) => true,
            (Subject::Child(own), Subject::Child(other)) => {
                own.rekeys.is_some() && own.rekeys == other.rekeys
            }
            _ => false,
        }
    }

    /// As log lines name what is made.
    fn what(&self) -> &'static str {
        match self.subject {
            Subject::Child(_) => "CHILD_SA",
            Subject::Ike(_) => "IKE_SA",
        }
    }

    /// The name in lists of tasks.
    pub(crate) fn task_name(&self) -> &'static str {
        match &self.subject {
            Subject::Ike(_) => "IKE_REKEY",
            Subject::Child(draft) if draft.rekeys.is_some() => "CHILD_REKEY",
            Subject::Child(_) => "CHILD_CREATE",
        }
    }

    /// Whether the peer's first response has been acted upon, so that a collision would have shown.
    pub(crate) fn is_past_first_response(&self) -> bool {
        !self.nonce_r.is_empty()
    }

    /// The lower of both nonces; of two exchanges that rekey the same SA the one with the lowest loses (RFC 7296,
    /// 2.8.1).
    pub(crate) fn lowest_nonce(&self) -> &[u8] {
        self.nonce_i.as_slice().min(self.nonce_r.as_slice())
    }
}

impl IkeSa {
    pub(crate) fn log_selected(&self, shared: &mut Shared, proposal: &Proposal) {
        log!(
            shared,
            self,
            Cfg,
            1,
            "selected proposal: {}",
            proposal.to_log(&shared.registry)
        );
    }

    /// An IKE_SA without additional key exchanges does not show which profile the peer speaks; the first one within it
    /// does.
    fn learn_profile(&mut self, shared: &Shared, proposal: &Proposal) {
        let shown = self.proposal.as_deref().is_some_and(Proposal::has_additional);
        if proposal.has_additional() && !shown {
            let additional = proposal.additional_key_exchanges();
            self.profile = self.profile_shown(shared, additional.into_iter().map(|(_, method)| method));
        }
    }

    /// Gives back what a creation that came to nothing has reserved.
    pub(crate) fn discard(&mut self, shared: &mut Shared, creation: &mut Creation) {
        if let Some(child) = creation.take_child() {
            self.run_kernel(shared, child.remove());
            child.release(shared);
        }
        if let Some(command) = creation.command.take() {
            shared.out.command_done(command, Err(CommandError::Failed));
        }
    }

    /// The peer began to make something and does not go on.
    pub(crate) fn forget_abandoned(&mut self, shared: &mut Shared) {
        if let Some(mut creation) = self.answering.take() {
            let what = creation.what();
            log!(
                shared,
                self,
                Ike,
                1,
                "peer did not finish creating the {what} within {} seconds, forgotten",
                PATIENCE.as_secs()
            );
            self.discard(shared, &mut creation);
            self.start_next_task(shared);
        }
    }
}

/// When to try again what failed.
pub(crate) fn retry_delay(shared: &mut Shared) -> Duration {
    Duration::from_secs(RETRY) - shared.random_below(Duration::from_secs(RETRY_JITTER))
}

/// The notify that ties an IKE_FOLLOWUP_KE to what went before.
fn link(kind: NotifyType, link: &[u8]) -> Payload {
    Payload::Notify(Notify::status(kind, link.to_vec()))
}

/// The link that a message carries.
fn link_of(inbound: &Inbound, kind: NotifyType) -> Option<&[u8]> {
    find!(inbound.payloads, Payload::Notify(notify) if notify.kind == kind => notify.data.as_slice())
}
