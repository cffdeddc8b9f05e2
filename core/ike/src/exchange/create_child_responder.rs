//! CREATE_CHILD_SA and IKE_FOLLOWUP_KE as responder.

use std::sync::Arc;

use config::connection::Mode;
use crypto::proposal::Proposal;
use iana::{ExchangeType, KeyExchangeMethod, NotifyType, Protocol};
use plugin_api::Secret;
use wire::payload::{Ke, Nonce, Notify, Payload, TsKind};

use crate::child::negotiate::{self, Choice};
use crate::child::{ChildSa, ChildState};
use crate::error::Error;
use crate::exchange::creation::{Creation, Side, Step, link, link_of};
use crate::exchange::find;
use crate::exchange::ike_sa_init::status;
use crate::output::{Job, KernelResult};
use crate::proposals;
use crate::sa::{IkeSa, IkeSaState, Inbound, KernelWork};
use crate::selectors;
use crate::shared::{Owner, Shared, log};

/// What charon ties IKE_FOLLOWUP_KE to CREATE_CHILD_SA with. As windows are one, nothing has to be told apart.
const LINK: &[u8] = &[0x42];

impl IkeSa {
    pub(crate) fn on_creation_request(&mut self, shared: &mut Shared, inbound: Inbound) {
        // The peer has given up what it may have begun before.
        if let Some(mut abandoned) = self.answering.take() {
            self.discard(shared, &mut abandoned);
        }
        if let Err((kind, data)) = self.accept_creation_request(shared, &inbound) {
            let notify = Notify {
                kind,
                ..match kind {
                    NotifyType::CHILD_SA_NOT_FOUND => Notify {
                        protocol: Protocol::ESP.0,
                        spi: data.clone(),
                        kind,
                        data: Vec::new(),
                    },
                    _ => Notify::status(kind, data),
                }
            };
            log!(shared, self, Ike, 1, "answering CREATE_CHILD_SA with {kind}");
            self.respond(
                shared,
                ExchangeType::CREATE_CHILD_SA,
                vec![Payload::Notify(notify)],
            );
        }
    }

    fn accept_creation_request(
        &mut self,
        shared: &mut Shared,
        inbound: &Inbound,
    ) -> Result<(), (NotifyType, Vec<u8>)> {
        let refuse = |kind| (kind, Vec::new());
        let payloads = &inbound.payloads;
        let syntax = || refuse(NotifyType::INVALID_SYNTAX);
        if self.state == IkeSaState::Deleting {
            return Err(refuse(NotifyType::TEMPORARY_FAILURE));
        }
        let sa = find!(payloads, Payload::Sa(sa) => sa).ok_or_else(syntax)?;
        let nonce = find!(payloads, Payload::Nonce(nonce) => nonce).ok_or_else(syntax)?;
        let parts = (
            find!(payloads, Payload::Ts(TsKind::Initiator, ts) => selectors::from_wire(ts)),
            find!(payloads, Payload::Ts(TsKind::Responder, ts) => selectors::from_wire(ts)),
        );
        let (Some(tsi), Some(tsr)) = parts else {
            log!(
                shared,
                self,
                Ike,
                1,
                "peer wants to rekey the IKE_SA, which is not possible yet"
            );
            return Err(refuse(NotifyType::NO_ADDITIONAL_SAS));
        };
        let rekeys = self.to_be_rekeyed(payloads)?;
        let Some(peer) = self.config.clone() else {
            return Err(refuse(NotifyType::TEMPORARY_FAILURE));
        };
        let supplied = proposals::from_wire(sa, Protocol::ESP, 4);
        let how = proposals::selection(shared, self.peer.strongswan, true, false);
        let (ours, theirs) = ((&tsr[..], self.local), (&tsi[..], self.remote));
        let choice = match rekeys.and_then(|id| self.children.iter().find(|child| child.unique_id == id)) {
            Some(old) => negotiate::choose_for(shared, &old.config, &how, &supplied, ours, theirs),
            None => negotiate::choose(shared, &peer, &how, &supplied, ours, theirs),
        };
        let choice = match choice {
            Ok(choice) => choice,
            Err(refusal) => {
                let kind = self.log_refusal(shared, refusal, &supplied, (&tsr, &tsi));
                return Err(refuse(kind));
            }
        };
        let ke = find!(payloads, Payload::Ke(ke) => ke);
        let public = match choice.proposal.key_exchange() {
            None => None,
            Some(method) => match ke.filter(|ke| ke.method == method) {
                Some(ke) => Some((method, ke.data.clone())),
                None => {
                    let name = shared.registry.method_name(method);
                    log!(
                        shared,
                        self,
                        Ike,
                        1,
                        "key exchange method unacceptable, requesting {name}"
                    );
                    return Err((NotifyType::INVALID_KE_PAYLOAD, method.0.to_be_bytes().to_vec()));
                }
            },
        };
        let Choice {
            config,
            proposal,
            local_ts,
            remote_ts,
        } = choice;
        self.log_selected(shared, &proposal);
        let mut creation = Creation::new(config, rekeys, None);
        creation.plan = proposal.additional_key_exchanges().into();
        creation.selected = Some(proposal);
        (creation.local_ts, creation.remote_ts) = (local_ts, remote_ts);
        creation.nonce_i.clone_from(&nonce.data);
        creation.nonce_r = shared.nonce();
        if let Some((method, data)) = public {
            creation.step = Step::Answer(None, method, data);
        }
        self.answering = Some(Box::new(creation));
        let id = shared.reserve_spi(self.unique_id, self.remote.ip(), self.local.ip());
        self.kernel_work
            .insert(id, KernelWork::ReserveCreated(Side::Passive));
        Ok(())
    }

    /// Which CHILD_SA the peer wants to rekey, if it may (RFC 7296, 2.25.1).
    fn to_be_rekeyed(&self, payloads: &[Payload]) -> Result<Option<u32>, (NotifyType, Vec<u8>)> {
        let spi = find!(payloads, Payload::Notify(notify) if notify.kind == NotifyType::REKEY_SA => notify.spi.clone());
        let Some(spi) = spi else { return Ok(None) };
        let number = spi.as_slice().try_into().map(u32::from_be_bytes);
        let old = number.ok().and_then(|spi| {
            let live = |child: &&ChildSa| child.spi_out == spi && child.state != ChildState::Deleted;
            self.children.iter().find(live)
        });
        let Some(old) = old else {
            // It may be the one that this end is making, which the peer has already.
            return Err(if self.creating.is_some() {
                (NotifyType::TEMPORARY_FAILURE, Vec::new())
            } else {
                (NotifyType::CHILD_SA_NOT_FOUND, spi)
            });
        };
        let id = old.unique_id;
        let follows_up = self
            .creating
            .as_ref()
            .is_some_and(|creation| creation.rekeys == Some(id) && creation.is_past_first_response());
        match old.state {
            ChildState::Installed | ChildState::Rekeying if old.successor.is_none() && !follows_up => {
                Ok(Some(id))
            }
            _ => Err((NotifyType::TEMPORARY_FAILURE, Vec::new())),
        }
    }

    pub(crate) fn on_answer_spi(&mut self, shared: &mut Shared, spi: Option<u32>) {
        let Some(mut creation) = self.answering.take() else {
            return;
        };
        let Some(spi) = spi else {
            return self.respond_notify(
                shared,
                ExchangeType::CREATE_CHILD_SA,
                NotifyType::TEMPORARY_FAILURE,
                Vec::new(),
            );
        };
        creation.child = Some(ChildSa::new(
            shared.next_child_id(),
            Arc::clone(&creation.config),
            spi,
            self.local,
            self.remote,
        ));
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
        match shared.registry.key_exchange(method) {
            Some(exchange) => {
                creation.step = Step::Answer(number, method, Vec::new());
                self.answering = Some(creation);
                shared.start_job_of(Owner::Passive(self.unique_id), Job::Respond(exchange, data));
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

    /// Answers CREATE_CHILD_SA or an IKE_FOLLOWUP_KE: at once if key exchanges remain, else once the kernel has the SAs.
    fn answer_step(
        &mut self,
        shared: &mut Shared,
        mut creation: Box<Creation>,
        ke: Option<(Option<u8>, Ke)>,
    ) {
        let is_first = !matches!(ke, Some((Some(_), _)));
        let mut payloads = Vec::new();
        if is_first {
            payloads.extend(self.creation_answer(&creation));
        }
        payloads.extend(ke.map(|(_, ke)| Payload::Ke(ke)));
        let exchange = if is_first {
            ExchangeType::CREATE_CHILD_SA
        } else {
            self.profile.followup_exchange()
        };
        if !creation.plan.is_empty() {
            creation.link = LINK.to_vec();
            payloads.push(link(self.profile.additional_key_exchange(), LINK));
            self.answering = Some(creation);
            return self.respond(shared, exchange, payloads);
        }
        match self.install_created(shared, Side::Passive, &mut creation) {
            Ok(()) => {
                creation.step = Step::AnswerInstall(exchange, payloads);
                self.answering = Some(creation);
            }
            Err(error) => self.answer_failed(shared, creation, &error),
        }
    }

    fn creation_answer(&self, creation: &Creation) -> Vec<Payload> {
        let mut payloads = Vec::new();
        if let (Some(child), Some(proposal)) = (&creation.child, &creation.selected) {
            payloads.push(proposals::to_wire(&[Proposal {
                spi: child.spi_in.to_be_bytes().to_vec(),
                ..proposal.clone()
            }]));
        }
        payloads.push(Payload::Nonce(Nonce {
            data: creation.nonce_r.clone(),
        }));
        payloads.push(Payload::Ts(
            TsKind::Initiator,
            selectors::to_wire(&creation.remote_ts),
        ));
        payloads.push(Payload::Ts(
            TsKind::Responder,
            selectors::to_wire(&creation.local_ts),
        ));
        if creation.config.mode == Mode::Transport {
            payloads.push(status(NotifyType::USE_TRANSPORT_MODE, Vec::new()));
        }
        payloads
    }

    pub(crate) fn on_followup_request(&mut self, shared: &mut Shared, inbound: Inbound) {
        let exchange = inbound.header.exchange;
        let expected = link_of(&inbound, self.profile.additional_key_exchange());
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
            return self.respond_notify(shared, exchange, self.profile.state_not_found(), Vec::new());
        };
        let ke = find!(inbound.payloads, Payload::Ke(ke) => ke);
        match (creation.plan.pop_front(), ke) {
            (Some((number, method)), Some(ke)) if ke.method == method => {
                self.answer_public(shared, creation, Some(number), method, ke.data.clone());
            }
            (Some((_, expected)), Some(ke)) => {
                let got = ke.method;
                self.answer_followup_failed(shared, creation, &Error::WrongKeyExchange { got, expected });
            }
            _ => self.answer_followup_failed(shared, creation, &Error::Missing("KE")),
        }
    }

    fn answer_followup_failed(&mut self, shared: &mut Shared, mut creation: Box<Creation>, error: &Error) {
        creation.step = Step::Answer(Some(0), KeyExchangeMethod::NONE, Vec::new());
        self.answer_failed(shared, creation, error);
    }

    /// Tells the peer; what was to be rekeyed goes on.
    pub(crate) fn answer_failed(&mut self, shared: &mut Shared, mut creation: Box<Creation>, error: &Error) {
        let exchange = match &creation.step {
            Step::Answer(Some(_), ..) => self.profile.followup_exchange(),
            Step::AnswerInstall(exchange, _) => *exchange,
            _ => ExchangeType::CREATE_CHILD_SA,
        };
        log!(shared, self, Ike, 1, "{exchange} failed: {error}");
        self.discard(shared, &mut creation);
        let kind = error.notify().unwrap_or(NotifyType::NO_PROPOSAL_CHOSEN);
        self.respond_notify(shared, exchange, kind, Vec::new());
    }

    pub(crate) fn on_answer_installed(&mut self, shared: &mut Shared, result: &KernelResult) {
        let Some(mut creation) = self.answering.take() else {
            return;
        };
        let Some(child) = creation.child.take() else {
            return;
        };
        let Step::AnswerInstall(exchange, payloads) =
            std::mem::replace(&mut creation.step, Step::AwaitRequest)
        else {
            creation.child = Some(child);
            self.answering = Some(creation);
            return;
        };
        if result.is_err() {
            self.log_install_failed(shared, &child, result);
            creation.child = Some(child);
            self.discard(shared, &mut creation);
            return self.respond_notify(shared, exchange, NotifyType::NO_PROPOSAL_CHOSEN, Vec::new());
        }
        let rival = creation.lowest_nonce().to_vec();
        self.take_in(shared, Side::Passive, child, creation.rekeys);
        if let Some(old) = creation.rekeys.and_then(|id| self.child_mut(id)) {
            old.rival = Some(rival);
            // While this end rekeys it too, what becomes of it is decided when the peer has answered.
            if old.state == ChildState::Installed {
                old.transition_to(ChildState::succeed);
            }
        }
        self.respond(shared, exchange, payloads);
    }
}
