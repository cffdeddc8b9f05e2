//! CREATE_CHILD_SA and IKE_FOLLOWUP_KE as initiator: a CHILD_SA, or the successor of one.

use crypto::proposal::Proposal;
use iana::{ExchangeType, KeyExchangeMethod, NotifyType, Protocol, TransformType};
use plugin_api::PendingKeyExchange;
use wire::payload::{Ke, Nonce, Notify, Payload, TsKind};

use crate::child::{ChildSa, ChildState, negotiate};
use crate::error::Error;
use crate::exchange::creation::{Creation, Side, Step, link, link_of};
use crate::exchange::ike_sa_init::status;
use crate::exchange::{error_notify, find};
use crate::output::{CommandError, CommandId, Job, KernelResult};
use crate::proposals;
use crate::sa::{IkeSa, Inbound};
use crate::selectors;
use crate::shared::{Owner, Shared, log};
use crate::task::Task;

impl IkeSa {
    /// Starts to replace a CHILD_SA.
    pub(crate) fn rekey_child(&mut self, shared: &mut Shared, id: u32, command: Option<CommandId>) {
        let child = self
            .child_mut(id)
            .filter(|child| child.state == ChildState::Installed);
        let Some(child) = child else {
            self.active = None;
            if let Some(command) = command {
                shared.out.command_done(command, Err(CommandError::NotFound));
            }
            return;
        };
        child.transition_to(ChildState::rekey);
        child.timer = crate::timer::Timer::OFF;
        let config = std::sync::Arc::clone(&child.config);
        self.start_creation(shared, Creation::new(config, Some(id), command));
    }

    pub(crate) fn start_creation(&mut self, shared: &mut Shared, creation: Creation) {
        self.creating = Some(Box::new(creation));
        let id = shared.reserve_spi(self.unique_id, self.remote.ip(), self.local.ip());
        self.kernel_work
            .insert(id, crate::sa::KernelWork::ReserveCreated(Side::Active));
    }

    pub(crate) fn on_creation_spi(&mut self, shared: &mut Shared, spi: Option<u32>) {
        let Some(mut creation) = self.creating.take() else {
            return;
        };
        let Some(spi) = spi else {
            return self.creation_failed(shared, *creation);
        };
        let config = &creation.config;
        let child = ChildSa::new(
            shared.next_child_id(),
            std::sync::Arc::clone(config),
            spi,
            self.local,
            self.remote,
        );
        let old = creation.rekeys.and_then(|id| self.child_mut(id));
        let label = match old {
            Some(old) => format!("{} reqid {}", child.label(), old.reqid()),
            None => child.label(),
        };
        log!(shared, self, Ike, 0, "establishing CHILD_SA {label}");
        let (offered, messages) = negotiate::proposals(shared, config, spi, false);
        for message in messages {
            log!(shared, self, Cfg, 1, "{message}");
        }
        creation.local_ts = selectors::resolve(&config.local_ts, self.local.ip());
        creation.remote_ts = selectors::resolve(&config.remote_ts, self.remote.ip());
        creation.offered = offered;
        creation.child = Some(child);
        creation.nonce_i = shared.nonce();
        self.make_public(shared, creation);
    }

    /// The public value of the method that the peer wants, or else of the first offered; without one at once.
    fn make_public(&mut self, shared: &mut Shared, mut creation: Box<Creation>) {
        let wanted = creation.wanted;
        let method = wanted.or_else(|| creation.offered.iter().find_map(Proposal::key_exchange));
        let Some(method) = method else {
            return self.send_creation(shared, creation, None);
        };
        match shared.registry.key_exchange(method) {
            Some(exchange) => {
                creation.step = Step::MakePublic(method);
                self.creating = Some(creation);
                shared.start_job_of(Owner::Active(self.unique_id), Job::Initiate(exchange));
            }
            None => {
                log!(shared, self, Ike, 1, "{}", Error::Unsupported(method));
                self.creation_failed(shared, *creation);
            }
        }
    }

    fn send_creation(
        &mut self,
        shared: &mut Shared,
        mut creation: Box<Creation>,
        made: Option<(KeyExchangeMethod, Vec<u8>, Box<dyn PendingKeyExchange>)>,
    ) {
        let mut payloads = Vec::new();
        if let Some(id) = creation.rekeys {
            let Some(old) = self.child_mut(id) else {
                // It was deleted in the meantime.
                return self.creation_failed(shared, *creation);
            };
            payloads.push(Payload::Notify(Notify {
                protocol: Protocol::ESP.0,
                spi: old.spi_in.to_be_bytes().to_vec(),
                kind: NotifyType::REKEY_SA,
                data: Vec::new(),
            }));
        }
        if creation.config.mode == config::connection::Mode::Transport {
            payloads.push(status(NotifyType::USE_TRANSPORT_MODE, Vec::new()));
        }
        payloads.push(proposals::to_wire(&creation.offered));
        payloads.push(Payload::Nonce(Nonce {
            data: creation.nonce_i.clone(),
        }));
        let pending = made.map(|(method, public, pending)| {
            payloads.push(Payload::Ke(Ke { method, data: public }));
            (method, pending)
        });
        payloads.push(Payload::Ts(
            TsKind::Initiator,
            selectors::to_wire(&creation.local_ts),
        ));
        payloads.push(Payload::Ts(
            TsKind::Responder,
            selectors::to_wire(&creation.remote_ts),
        ));
        creation.step = Step::AwaitResponse(pending);
        self.creating = Some(creation);
        self.request(shared, ExchangeType::CREATE_CHILD_SA, payloads);
    }

    pub(crate) fn on_creation_initiated(
        &mut self,
        shared: &mut Shared,
        public: Vec<u8>,
        pending: Box<dyn PendingKeyExchange>,
    ) {
        let Some(mut creation) = self.creating.take() else {
            return;
        };
        match creation.step {
            Step::MakePublic(method) => {
                self.send_creation(shared, creation, Some((method, public, pending)));
            }
            Step::MakeAdditional(number, method) => {
                let payloads = vec![
                    Payload::Ke(Ke { method, data: public }),
                    link(self.profile.additional_key_exchange(), &creation.link),
                ];
                creation.step = Step::AwaitFollowup(number, method, pending);
                self.creating = Some(creation);
                self.request(shared, self.profile.followup_exchange(), payloads);
            }
            _ => self.creating = Some(creation),
        }
    }

    pub(crate) fn on_creation_response(&mut self, shared: &mut Shared, inbound: Inbound) {
        let Some(mut creation) = self.creating.take() else {
            return;
        };
        if let Some(notify) = error_notify(&inbound.payloads) {
            let notify = notify.clone();
            return self.creation_refused(shared, creation, &notify);
        }
        let done = match std::mem::replace(&mut creation.step, Step::Finish) {
            Step::AwaitResponse(pending) => self
                .accept_creation(shared, &mut creation, &inbound, pending.as_ref().map(|it| it.0))
                .map(|data| pending.zip(data).map(|((_, pending), data)| (pending, data))),
            Step::AwaitFollowup(number, method, pending) => self
                .accept_followup(&mut creation, &inbound, method)
                .map(|data| Some((pending, data)))
                .inspect_err(|error| self.log_additional_failed(shared, number, method, error)),
            step => {
                creation.step = step;
                self.creating = Some(creation);
                return;
            }
        };
        match done {
            Ok(_) if self.lost_collision(&creation) => self.yield_to_peer(shared, *creation),
            Ok(Some((pending, data))) => {
                self.abandon_rival(shared, &creation);
                self.creating = Some(creation);
                shared.start_job_of(Owner::Active(self.unique_id), Job::Finish(pending, data));
            }
            Ok(None) => {
                self.abandon_rival(shared, &creation);
                self.next_creation_step(shared, creation);
            }
            Err(error) => {
                log!(shared, self, Ike, 1, "creating CHILD_SA failed: {error}");
                self.withdraw(shared, *creation);
            }
        }
    }

    /// Checks the response to CREATE_CHILD_SA; the data of its KE payload, if there is to be one.
    fn accept_creation(
        &mut self,
        shared: &mut Shared,
        creation: &mut Creation,
        inbound: &Inbound,
        method: Option<KeyExchangeMethod>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let payloads = &inbound.payloads;
        let sa = find!(payloads, Payload::Sa(sa) => sa).ok_or(Error::Missing("SA"))?;
        let nonce = find!(payloads, Payload::Nonce(nonce) => nonce).ok_or(Error::Missing("Nr"))?;
        let tsi = find!(payloads, Payload::Ts(TsKind::Initiator, ts) => selectors::from_wire(ts))
            .ok_or(Error::Missing("TSi"))?;
        let tsr = find!(payloads, Payload::Ts(TsKind::Responder, ts) => selectors::from_wire(ts))
            .ok_or(Error::Missing("TSr"))?;
        let [proposal] = &proposals::from_wire(sa, Protocol::ESP, 4)[..] else {
            return Err(Error::NoProposalChosen);
        };
        let how = proposals::selection(shared, self.peer.strongswan, true, false);
        if crypto::select::acceptable(&creation.offered, proposal, &how).is_err() {
            return Err(Error::NoProposalChosen);
        }
        if !selectors::within(&tsi, &creation.local_ts) || !selectors::within(&tsr, &creation.remote_ts) {
            return Err(Error::TsUnacceptable);
        }
        self.log_selected(shared, proposal);
        creation.nonce_r.clone_from(&nonce.data);
        (creation.local_ts, creation.remote_ts) = (tsi, tsr);
        creation.plan = proposal.additional_key_exchanges().into();
        creation.selected = Some(proposal.clone());
        self.take_link(creation, inbound)?;
        let Some(expected) = proposal.key_exchange() else {
            return Ok(None);
        };
        let ke = find!(payloads, Payload::Ke(ke) => ke).ok_or(Error::Missing("KE"))?;
        if Some(expected) != method || ke.method != expected {
            return Err(Error::WrongKeyExchange {
                got: ke.method,
                expected,
            });
        }
        Ok(Some(ke.data.clone()))
    }

    fn accept_followup(
        &mut self,
        creation: &mut Creation,
        inbound: &Inbound,
        expected: KeyExchangeMethod,
    ) -> Result<Vec<u8>, Error> {
        let ke = find!(inbound.payloads, Payload::Ke(ke) => ke).ok_or(Error::Missing("KE"))?;
        if ke.method != expected {
            return Err(Error::WrongKeyExchange {
                got: ke.method,
                expected,
            });
        }
        self.take_link(creation, inbound)?;
        Ok(ke.data.clone())
    }

    /// As long as key exchanges remain, a response says what ties the next one to it.
    fn take_link(&self, creation: &mut Creation, inbound: &Inbound) -> Result<(), Error> {
        if !creation.plan.is_empty() {
            let link = link_of(inbound, self.profile.additional_key_exchange());
            creation.link = link.ok_or(Error::Missing("ADDITIONAL_KEY_EXCHANGE"))?.to_vec();
        }
        Ok(())
    }

    /// The next additional key exchange, or the end.
    pub(crate) fn next_creation_step(&mut self, shared: &mut Shared, mut creation: Box<Creation>) {
        let Some((number, method)) = creation.plan.pop_front() else {
            return match self.install_created(shared, Side::Active, &mut creation) {
                Ok(()) => {
                    creation.step = Step::Install;
                    self.creating = Some(creation);
                }
                Err(error) => {
                    log!(shared, self, Ike, 1, "creating CHILD_SA failed: {error}");
                    self.withdraw(shared, *creation);
                }
            };
        };
        match shared.registry.key_exchange(method) {
            Some(exchange) => {
                creation.step = Step::MakeAdditional(number, method);
                self.creating = Some(creation);
                shared.start_job_of(Owner::Active(self.unique_id), Job::Initiate(exchange));
            }
            None => {
                self.log_additional_failed(shared, number, method, Error::Unsupported(method));
                self.creation_failed(shared, *creation);
            }
        }
    }

    pub(crate) fn on_created_installed(&mut self, shared: &mut Shared, result: &KernelResult) {
        let Some(mut creation) = self.creating.take() else {
            return;
        };
        let Some(child) = creation.child.take() else {
            return;
        };
        if result.is_err() {
            self.log_install_failed(shared, &child, result);
            creation.child = Some(child);
            return self.withdraw(shared, *creation);
        }
        // The redundant one that the peer made at the same time is the peer's to delete.
        self.take_in(shared, Side::Active, child, creation.rekeys);
        self.active = None;
        if let Some(command) = creation.command {
            shared.out.command_done(command, Ok(()));
        }
        if let Some(old) = creation.rekeys
            && let Some(child) = self.child_mut(old).filter(|child| child.state.succeed().is_ok())
        {
            child.transition_to(ChildState::succeed);
            self.tasks.push_front(Task::DeleteChild(old, None));
        }
        self.start_next_task(shared);
    }

    /// The peer made a CHILD_SA of it that this end cannot or will not use.
    pub(crate) fn withdraw(&mut self, shared: &mut Shared, creation: Creation) {
        let spi = creation.child.as_ref().map(|child| child.spi_in);
        let complete = creation.plan.is_empty() && creation.selected.is_some();
        self.creation_failed(shared, creation);
        if let Some(spi) = spi.filter(|_| complete) {
            self.enqueue(shared, Task::WithdrawChild(spi));
        }
    }

    /// The attempt is over; what should have been rekeyed goes on.
    pub(crate) fn creation_failed(&mut self, shared: &mut Shared, mut creation: Creation) {
        self.active = None;
        self.discard(shared, &mut creation);
        if let Some(old) = creation.rekeys {
            self.retry_rekeying(shared, old);
        }
        self.start_next_task(shared);
    }

    fn creation_refused(&mut self, shared: &mut Shared, mut creation: Box<Creation>, notify: &Notify) {
        let first = matches!(creation.step, Step::AwaitResponse(_));
        match notify.kind {
            NotifyType::INVALID_KE_PAYLOAD if first && creation.wanted.is_none() => {
                let wanted = notify
                    .data
                    .as_slice()
                    .try_into()
                    .map(u16::from_be_bytes)
                    .map(KeyExchangeMethod);
                let offered = |method: &KeyExchangeMethod| {
                    creation
                        .offered
                        .iter()
                        .any(|proposal| proposal.offers(TransformType::KE, method.0))
                };
                if let Some(method) = wanted.ok().filter(offered) {
                    let name = shared.registry.method_name(method);
                    log!(
                        shared,
                        self,
                        Ike,
                        1,
                        "peer didn't accept key exchange method, it requested {name}"
                    );
                    creation.wanted = Some(method);
                    return self.make_public(shared, creation);
                }
            }
            NotifyType::CHILD_SA_NOT_FOUND if creation.rekeys.is_some() => {
                return self.rekeyed_is_unknown(shared, *creation);
            }
            _ => {}
        }
        log!(
            shared,
            self,
            Ike,
            1,
            "received {} notify, no CHILD_SA built",
            notify.kind
        );
        if notify.kind == NotifyType::INVALID_SYNTAX {
            // Both ends have lost the thread (RFC 7296, 2.21.3).
            self.creating = Some(creation);
            return self.destroy();
        }
        self.creation_failed(shared, *creation);
    }

    /// The peer does not have the CHILD_SA any more. Unless it has been replaced, it is made anew (RFC 7296, 2.25.1).
    fn rekeyed_is_unknown(&mut self, shared: &mut Shared, mut creation: Creation) {
        self.active = None;
        let config = std::sync::Arc::clone(&creation.config);
        let command = creation.command.take();
        self.discard(shared, &mut creation);
        let gone = creation.rekeys.filter(|id| {
            self.child_mut(*id)
                .is_some_and(|child| child.state == ChildState::Rekeying && child.successor.is_none())
        });
        match gone {
            Some(id) => {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "peer does not know the CHILD_SA to be rekeyed, creating it anew"
                );
                if let Some(child) = self.child_mut(id) {
                    let ops = child.remove();
                    self.run_kernel(shared, ops);
                }
                self.drop_child(shared, id);
                self.active = Some(Task::CreateChild);
                self.start_creation(shared, Creation::new(config, None, command));
            }
            None => {
                if let Some(command) = command {
                    shared.out.command_done(command, Ok(()));
                }
                self.start_next_task(shared);
            }
        }
    }

    /// Whether the peer rekeys the same CHILD_SA, and its exchange is the one that stays.
    fn lost_collision(&mut self, creation: &Creation) -> bool {
        let Some(old) = creation.rekeys.and_then(|id| self.child_mut(id)) else {
            return false;
        };
        let rival = old.rival.clone().filter(|_| old.successor.is_some());
        let rival = rival.or_else(|| {
            let answering = self.answering.as_ref()?;
            (answering.rekeys == creation.rekeys).then(|| answering.lowest_nonce().to_vec())
        });
        rival.is_some_and(|rival| creation.lowest_nonce() < rival.as_slice())
    }

    /// Ours is the one that stays: the peer will not go on with its own.
    fn abandon_rival(&mut self, shared: &mut Shared, creation: &Creation) {
        let same = |answering: &mut Box<Creation>| {
            answering.rekeys.is_some()
                && answering.rekeys == creation.rekeys
                && matches!(answering.step, Step::AwaitRequest)
        };
        if let Some(mut rival) = self.answering.take_if(same) {
            self.discard(shared, &mut rival);
        }
    }

    /// The peer's exchange is the one that stays: what ours made is redundant, and ours to delete.
    fn yield_to_peer(&mut self, shared: &mut Shared, mut creation: Creation) {
        log!(
            shared,
            self,
            Ike,
            1,
            "peer is rekeying the same CHILD_SA, its exchange takes precedence"
        );
        if let Some(command) = creation.command.take() {
            shared.out.command_done(command, Ok(()));
        }
        let spi = creation.child.as_ref().map(|child| child.spi_in);
        let complete = creation.plan.is_empty();
        self.active = None;
        self.discard(shared, &mut creation);
        let old = creation.rekeys.and_then(|id| self.child_mut(id));
        if let Some(old) = old.filter(|old| old.successor.is_some() && old.state.succeed().is_ok()) {
            old.transition_to(ChildState::succeed);
        }
        if let Some(spi) = spi.filter(|_| complete) {
            self.tasks.push_front(Task::WithdrawChild(spi));
        }
        self.start_next_task(shared);
    }
}
