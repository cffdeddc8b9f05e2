//! CREATE_CHILD_SA and IKE_FOLLOWUP_KE as responder.

use std::sync::Arc;
use std::time::Duration;

use crypto::proposal::Proposal;
use iana::{ExchangeType, KeyExchangeMethod, NotifyType, Profile, Protocol, TrafficSelector};
use plugin_api::Secret;
use wire::payload::{Ke, Nonce, Notify, Payload, Sa, TsKind};

use super::{Creation, PATIENCE, Side, Step, Subject, link, link_of};
use crate::child::negotiate::{self, Choice};
use crate::child::reservation::{Reserved, Wanted};
use crate::child::{ChildSa, ChildState};
use crate::error::Error;
use crate::exchange::find;
use crate::jobs::Owner;
use crate::output::{Job, KernelResult};
use crate::proposals;
use crate::sa::{IkeSa, IkeSaState, Inbound, KernelWork};
use crate::scripts::Then;
use crate::selectors;
use crate::shared::{Shared, log};
use crate::task::Task;
use crate::timer::Timer;

/// What charon ties IKE_FOLLOWUP_KE to CREATE_CHILD_SA with. As windows are one, nothing has to be told apart.
const LINK: &[u8] = &[0x42];

/// When a peer has most likely received the answer that its CHILD_SA is made by.
const SETTLED: Duration = Duration::from_secs(2);

/// Why a request is refused.
pub(super) struct Refusal {
    kind: NotifyType,
    /// Of what the data is an SPI, if it is one.
    protocol: Protocol,
    data: Vec<u8>,
}

impl Refusal {
    pub(super) fn of(kind: NotifyType) -> Self {
        Self::with(kind, Vec::new())
    }

    fn with(kind: NotifyType, data: Vec<u8>) -> Self {
        let protocol = Protocol::ESP;
        Self { kind, protocol, data }
    }

    fn notify(self) -> Notify {
        let Self { kind, protocol, data } = self;
        match kind {
            NotifyType::CHILD_SA_NOT_FOUND => Notify {
                protocol: protocol.0,
                spi: data,
                kind,
                data: Vec::new(),
            },
            _ => Notify::status(kind, data),
        }
    }
}

impl IkeSa {
    pub(crate) fn on_creation_request(&mut self, shared: &mut Shared, inbound: Inbound) {
        // The peer has given up what it may have begun before.
        if let Some(mut abandoned) = self.answering.take() {
            self.discard(shared, &mut abandoned);
        }
        if let Err(refusal) = self.accept_creation_request(shared, &inbound) {
            log!(
                shared,
                self,
                Ike,
                1,
                "answering CREATE_CHILD_SA with {}",
                refusal.kind
            );
            let payloads = vec![Payload::Notify(refusal.notify())];
            self.respond(shared, ExchangeType::CREATE_CHILD_SA, payloads);
        }
    }

    fn accept_creation_request(&mut self, shared: &mut Shared, inbound: &Inbound) -> Result<(), Refusal> {
        let payloads = &inbound.payloads;
        let syntax = || Refusal::of(NotifyType::INVALID_SYNTAX);
        let open = matches!(self.state, IkeSaState::Established | IkeSaState::Rekeying);
        if !open || self.undecided {
            return Err(Refusal::of(NotifyType::TEMPORARY_FAILURE));
        }
        let sa = find!(payloads, Payload::Sa(sa) => sa).ok_or_else(syntax)?;
        let nonce = find!(payloads, Payload::Nonce(nonce) => nonce).ok_or_else(syntax)?;
        let parts = (
            find!(payloads, Payload::Ts(TsKind::Initiator, ts) => selectors::from_wire(ts)),
            find!(payloads, Payload::Ts(TsKind::Responder, ts) => selectors::from_wire(ts)),
        );
        let mut creation = match parts {
            (Some(tsi), Some(tsr)) => self.accept_child_request(shared, payloads, sa, (&tsi, &tsr))?,
            (None, None) => self.accept_ike_request(shared, sa)?,
            _ => return Err(syntax()),
        };
        let Some(proposal) = &creation.selected else {
            return Err(Refusal::of(NotifyType::NO_PROPOSAL_CHOSEN));
        };
        if let Some(method) = proposal.key_exchange() {
            let ke = find!(payloads, Payload::Ke(ke) if ke.method == method => ke);
            let Some(ke) = ke else {
                let name = shared.registry.method_name(method);
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "key exchange method unacceptable, requesting {name}"
                );
                let data = method.0.to_be_bytes().to_vec();
                return Err(Refusal::with(NotifyType::INVALID_KE_PAYLOAD, data));
            };
            creation.step = Step::Answer(None, method, ke.data.clone());
        }
        self.log_selected(shared, proposal);
        self.learn_profile(shared, proposal);
        creation.plan = proposal.additional_key_exchanges().into();
        creation.nonce_i.clone_from(&nonce.data);
        creation.nonce_r = shared.nonce();
        if creation.is_ike() {
            self.answer_first(shared, Box::new(creation));
        } else {
            let wanted = creation.wanted_by_responder();
            self.answering = Some(Box::new(creation));
            self.reserve(shared, wanted, KernelWork::ReserveCreated(Side::Passive));
        }
        Ok(())
    }

    /// What the responder makes of a request for a CHILD_SA.
    fn accept_child_request(
        &mut self,
        shared: &mut Shared,
        payloads: &[Payload],
        sa: &Sa,
        (tsi, tsr): (&[TrafficSelector], &[TrafficSelector]),
    ) -> Result<Creation, Refusal> {
        if self.is_being_replaced() {
            return Err(Refusal::of(NotifyType::TEMPORARY_FAILURE));
        }
        let rekeys = self.to_be_rekeyed(payloads)?;
        let Some(peer) = self.config.clone() else {
            return Err(Refusal::of(NotifyType::TEMPORARY_FAILURE));
        };
        let supplied = proposals::of_child_from_wire(sa);
        let how = proposals::selection(shared, peer.profile, self.peer.strongswan, true, false);
        let (own, peers) = (self.own_hosts(), self.peer_hosts());
        let (ours, theirs) = ((tsr, &own[..]), (tsi, &peers[..]));
        let choice = match rekeys.and_then(|id| self.children.iter().find(|child| child.unique_id == id)) {
            Some(old) => self.choose_mode(payloads, ours, theirs, |ours, theirs| {
                negotiate::choose_for(shared, &old.config, &how, &supplied, ours, theirs)
            }),
            None => self.choose_mode(payloads, ours, theirs, |ours, theirs| {
                negotiate::choose(shared, &peer, &how, &supplied, ours, theirs)
            }),
        };
        let Choice {
            config,
            proposal,
            local_ts,
            remote_ts,
            transport,
            cpi: _,
        } = choice
            .map_err(|refusal| Refusal::of(self.log_refusal(shared, refusal, &supplied, (tsr, tsi))))?;
        let cpi = self.wanted_cpi(shared, &config, payloads);
        let mut creation = Creation::child(config, rekeys, None);
        if let Subject::Child(draft) = &mut creation.subject {
            (draft.local_ts, draft.remote_ts) = (local_ts, remote_ts);
            (draft.transport, draft.cpi) = (transport, cpi);
        }
        creation.selected = Some(proposal);
        Ok(creation)
    }

    /// Which CHILD_SA the peer wants to rekey, if it may (RFC 7296, 2.25.1).
    fn to_be_rekeyed(&self, payloads: &[Payload]) -> Result<Option<u32>, Refusal> {
        let asked = find!(payloads, Payload::Notify(notify) if notify.kind == NotifyType::REKEY_SA => (notify.protocol, notify.spi.clone()));
        let Some((protocol, spi)) = asked else {
            return Ok(None);
        };
        let protocol = match Protocol(protocol) {
            Protocol::AH => Protocol::AH,
            _ => Protocol::ESP,
        };
        let number = spi.as_slice().try_into().map(u32::from_be_bytes);
        let old = number.ok().and_then(|spi| {
            let live = |child: &&ChildSa| {
                (child.protocol, child.spi_out) == (protocol, spi) && child.state != ChildState::Deleted
            };
            self.children.iter().find(live)
        });
        let Some(old) = old else {
            // It may be the one that this end is making, which the peer has already.
            return Err(if self.creating.is_some() {
                Refusal::of(NotifyType::TEMPORARY_FAILURE)
            } else {
                Refusal {
                    kind: NotifyType::CHILD_SA_NOT_FOUND,
                    protocol,
                    data: spi,
                }
            });
        };
        let id = old.unique_id;
        let follows_up = self
            .creating
            .as_ref()
            .is_some_and(|creation| creation.rekeys() == Some(id) && creation.is_past_first_response());
        match old.state {
            ChildState::Installed | ChildState::Rekeying if old.successor.is_none() && !follows_up => {
                Ok(Some(id))
            }
            _ => Err(Refusal::of(NotifyType::TEMPORARY_FAILURE)),
        }
    }

    pub(crate) fn on_answer_spi(&mut self, shared: &mut Shared, reserved: Option<Reserved>) {
        let Some(mut creation) = self.answering.take() else {
            return;
        };
        let (Some(reserved), Subject::Child(draft)) = (reserved, &mut creation.subject) else {
            return self.respond_notify(
                shared,
                ExchangeType::CREATE_CHILD_SA,
                NotifyType::TEMPORARY_FAILURE,
                Vec::new(),
            );
        };
        let (id, config) = (shared.next_child_id(), Arc::clone(&draft.config));
        let mut child = ChildSa::new(id, config, reserved, self.local, self.remote);
        child.mode = draft.transport.mode(&child.config);
        child.agree_to_compress(draft.cpi);
        draft.child = Some(child);
        self.answer_first(shared, creation);
    }

    /// Answers the public value of CREATE_CHILD_SA, if there is one.
    fn answer_first(&mut self, shared: &mut Shared, mut creation: Box<Creation>) {
        match std::mem::replace(&mut creation.step, Step::AwaitRequest) {
            Step::Answer(_, method, data) => self.answer_public(shared, creation, None, method, data),
            _ => self.answer_step(shared, creation, None),
        }
    }

    fn answer_public(
        &mut self,
        shared: &mut Shared,
        mut creation: Box<Creation>,
        number: Option<u8>,
        method: KeyExchangeMethod,
        data: Vec<u8>,
    ) {
        match self.key_exchange(shared, method) {
            Some(exchange) => {
                creation.step = Step::Answer(number, method, Vec::new());
                self.answering = Some(creation);
                let job = Job::Respond(method, exchange, data);
                shared.start_job_of(Owner::Passive(self.unique_id), job);
            }
            None => self.answer_failed(shared, creation, &Error::Unsupported(method)),
        }
    }

    pub(crate) fn on_creation_answered(&mut self, shared: &mut Shared, public: Vec<u8>, secret: Secret) {
        let Some(mut creation) = self.answering.take() else {
            return;
        };
        let Step::Answer(number, method, _) = creation.step else {
            self.answering = Some(creation);
            return;
        };
        creation.step = Step::AwaitRequest;
        creation.secrets.push(secret);
        self.answer_step(shared, creation, Some((number, Ke { method, data: public })));
    }

    /// Answers CREATE_CHILD_SA or an IKE_FOLLOWUP_KE: at once if key exchanges remain, else once the SA is made.
    fn answer_step(
        &mut self,
        shared: &mut Shared,
        mut creation: Box<Creation>,
        ke: Option<(Option<u8>, Ke)>,
    ) {
        let is_first = !matches!(ke, Some((Some(_), _)));
        let mut payloads = Vec::new();
        if is_first {
            payloads.extend(creation_answer(&creation));
        }
        payloads.extend(ke.map(|(_, ke)| Payload::Ke(ke)));
        let exchange = if is_first {
            ExchangeType::CREATE_CHILD_SA
        } else {
            self.profile.followup_exchange()
        };
        if !creation.plan.is_empty() {
            creation.link = LINK.to_vec();
            creation.abandoned = Timer::after(shared.now, PATIENCE);
            payloads.push(link(self.profile.additional_key_exchange(), LINK));
            self.answering = Some(creation);
            return self.respond(shared, exchange, payloads);
        }
        if creation.is_ike() {
            return self.answer_ike_rekeying(shared, creation, exchange, payloads);
        }
        match self.install_created(shared, Side::Passive, &mut creation) {
            Ok(()) => {
                creation.step = Step::AnswerInstall(exchange, payloads);
                self.answering = Some(creation);
            }
            Err(error) => self.answer_failed(shared, creation, &error),
        }
    }

    pub(crate) fn on_followup_request(&mut self, shared: &mut Shared, inbound: Inbound) {
        let exchange = inbound.header.exchange;
        let profile = match exchange {
            ExchangeType::IKE_FOLLOWUP_KE_DRAFT => Profile::Draft,
            _ => Profile::Rfc,
        };
        let expected = link_of(&inbound, profile.additional_key_exchange());
        let fits = |creation: &Creation| {
            matches!(creation.step, Step::AwaitRequest)
                && !creation.plan.is_empty()
                && expected == Some(creation.link.as_slice())
        };
        let Some(mut creation) = self.answering.take_if(|creation| fits(creation)) else {
            log!(
                shared,
                self,
                Ike,
                1,
                "received {exchange} that belongs to no CREATE_CHILD_SA"
            );
            if let Some(mut other) = self.answering.take() {
                self.discard(shared, &mut other);
            }
            self.respond_notify(shared, exchange, profile.state_not_found(), Vec::new());
            return self.start_next_task(shared);
        };
        creation.abandoned = Timer::OFF;
        let ke = find!(inbound.payloads, Payload::Ke(ke) => ke);
        match (creation.plan.pop_front(), ke) {
            (Some((number, method)), Some(ke)) if ke.method == method => {
                self.answer_public(shared, creation, Some(number), method, ke.data.clone());
            }
            (Some((number, expected)), ke) => {
                let error = match ke {
                    Some(ke) => Error::WrongKeyExchange {
                        got: ke.method,
                        expected,
                    },
                    None => Error::Missing("KE"),
                };
                creation.step = Step::Answer(Some(number), expected, Vec::new());
                self.answer_failed(shared, creation, &error);
            }
            (None, _) => self.answering = Some(creation),
        }
    }

    /// Tells the peer; what was to be replaced goes on.
    pub(crate) fn answer_failed(&mut self, shared: &mut Shared, mut creation: Box<Creation>, error: &Error) {
        let exchange = match &creation.step {
            Step::Answer(Some(_), ..) => self.profile.followup_exchange(),
            Step::AnswerInstall(exchange, _) => *exchange,
            _ => ExchangeType::CREATE_CHILD_SA,
        };
        match creation.step {
            Step::Answer(Some(number), method, _) => {
                self.log_additional_failed(shared, number, method, error);
            }
            _ => log!(shared, self, Ike, 1, "{exchange} failed: {error}"),
        }
        self.discard(shared, &mut creation);
        let kind = error.notify().unwrap_or(NotifyType::NO_PROPOSAL_CHOSEN);
        self.respond_notify(shared, exchange, kind, Vec::new());
        self.start_next_task(shared);
    }

    pub(crate) fn on_answer_installed(&mut self, shared: &mut Shared, result: &KernelResult) {
        let Some(mut creation) = self.answering.take() else {
            return;
        };
        let Step::AnswerInstall(exchange, payloads) =
            std::mem::replace(&mut creation.step, Step::AwaitRequest)
        else {
            self.answering = Some(creation);
            return;
        };
        if result.is_err() {
            if let Some(child) = creation.child_mut() {
                self.log_install_failed(shared, child, result);
            }
            let refusal = creation.child_mut().map(|child| child.refusal(result));
            self.discard(shared, &mut creation);
            let refusal = refusal.unwrap_or(NotifyType::NO_PROPOSAL_CHOSEN);
            return self.respond_notify(shared, exchange, refusal, Vec::new());
        }
        let (rival, rekeys) = (creation.lowest_nonce().to_vec(), creation.rekeys());
        let child = creation.take_child();
        let up = child.and_then(|mut child| {
            child.unwanted |= creation.unwanted;
            if child.unwanted && rekeys.is_none() {
                // Not before the peer has it.
                let task = Task::DeleteChild(child.unique_id, None);
                self.later.push((Timer::after(shared.now, SETTLED), task));
            }
            self.take_in(shared, Side::Passive, child, rekeys)
        });
        if let Some(own) = self.creating.as_mut().filter(|own| own.is_rival_of(&creation)) {
            own.rival = Some(rival);
        }
        if let Some(old) = rekeys.and_then(|id| self.child_mut(id)) {
            // While this end rekeys it too, what becomes of it is decided when the peer has answered.
            if old.state == ChildState::Installed {
                old.transition_to(ChildState::succeed);
            }
        }
        self.after_up(shared, up, Then::Answer(exchange, payloads));
    }
}

impl Creation {
    /// What a responder needs for what it has agreed to.
    fn wanted_by_responder(&self) -> Wanted {
        let protocol = self.selected.as_ref().map(|proposal| proposal.protocol);
        Wanted {
            protocol: protocol.unwrap_or(Protocol::ESP),
            ipcomp: matches!(&self.subject, Subject::Child(draft) if draft.cpi.is_some()),
        }
    }
}

/// What the response to CREATE_CHILD_SA says besides the public value.
fn creation_answer(creation: &Creation) -> Vec<Payload> {
    let own_spi = match &creation.subject {
        Subject::Child(draft) => draft
            .child
            .as_ref()
            .map(|child| child.spi_in.to_be_bytes().to_vec()),
        Subject::Ike(draft) => Some(draft.spi.to_be_bytes().to_vec()),
    };
    let mut payloads = Vec::new();
    if let (Some(spi), Some(proposal)) = (own_spi, &creation.selected) {
        payloads.push(proposals::to_wire(&[Proposal {
            spi,
            ..proposal.clone()
        }]));
    }
    payloads.push(Payload::Nonce(Nonce {
        data: creation.nonce_r.clone(),
    }));
    if let Subject::Child(draft) = &creation.subject {
        let (tsr, tsi) = draft.transport.as_written(&draft.local_ts, &draft.remote_ts);
        payloads.push(Payload::Ts(TsKind::Initiator, selectors::to_wire(&tsi)));
        payloads.push(Payload::Ts(TsKind::Responder, selectors::to_wire(&tsr)));
        payloads.extend(draft.child.as_ref().and_then(ChildSa::ipcomp_notify));
        if draft.transport.agreed {
            payloads.push(Payload::status(NotifyType::USE_TRANSPORT_MODE, Vec::new()));
        }
    }
    payloads
}
