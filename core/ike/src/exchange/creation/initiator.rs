//! CREATE_CHILD_SA and IKE_FOLLOWUP_KE as initiator: what all that they make has in common.

use crypto::proposal::Proposal;
use iana::{ExchangeType, KeyExchangeMethod, NotifyType, TransformType};
use plugin_api::PendingKeyExchange;
use wire::payload::{Ke, Nonce, Notify, Payload};

use super::{Creation, Side, Step, Subject, link, link_of};
use crate::error::Error;
use crate::exchange::{error_notify, find};
use crate::jobs::Owner;
use crate::output::Job;
use crate::proposals;
use crate::sa::{IkeSa, Inbound};
use crate::shared::{Shared, log};

impl IkeSa {
    /// The public value of the method that the peer wants, or else of the one to begin with; without one at once.
    pub(super) fn make_public(&mut self, shared: &mut Shared, mut creation: Box<Creation>) {
        let method = creation.wanted.or_else(|| self.first_method(&creation));
        let Some(method) = method else {
            return self.send_creation(shared, creation, None);
        };
        match self.key_exchange(shared, method) {
            Some(exchange) => {
                creation.step = Step::MakePublic(method);
                self.creating = Some(creation);
                shared.start_job_of(Owner::Active(self.unique_id), Job::Initiate(method, exchange));
            }
            None => {
                log!(shared, self, Ike, 1, "{}", Error::Unsupported(method));
                self.creation_failed(shared, *creation);
            }
        }
    }

    /// The first method offered; for the IKE_SA the one that the peer has accepted before.
    fn first_method(&self, creation: &Creation) -> Option<KeyExchangeMethod> {
        let offers = |method: &KeyExchangeMethod| offers(&creation.offered, *method);
        let before = self.proposal.as_deref().and_then(Proposal::key_exchange);
        let before = before.filter(|method| creation.is_ike() && offers(method));
        before.or_else(|| creation.offered.iter().find_map(Proposal::key_exchange))
    }

    fn send_creation(
        &mut self,
        shared: &mut Shared,
        mut creation: Box<Creation>,
        made: Option<(KeyExchangeMethod, Vec<u8>, Box<dyn PendingKeyExchange>)>,
    ) {
        let mut payloads = vec![
            proposals::to_wire(&creation.offered),
            Payload::Nonce(Nonce {
                data: creation.nonce_i.clone(),
            }),
        ];
        if let Subject::Child(draft) = &creation.subject {
            let Some(own) = self.child_request(draft) else {
                // What was to be rekeyed was deleted in the meantime.
                return self.creation_failed(shared, *creation);
            };
            payloads.extend(own);
        }
        let pending = made.map(|(method, public, pending)| {
            payloads.push(Payload::Ke(Ke { method, data: public }));
            (method, pending)
        });
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
        let done = match std::mem::replace(&mut creation.step, Step::Finish(None)) {
            Step::AwaitResponse(pending) => self
                .accept_creation(shared, &mut creation, &inbound, pending.as_ref().map(|it| it.0))
                .map(|data| {
                    pending
                        .zip(data)
                        .map(|((method, pending), data)| Job::Finish(method, pending, data))
                }),
            Step::AwaitFollowup(number, method, pending) => {
                creation.step = Step::Finish(Some((number, method)));
                self.accept_followup(&mut creation, &inbound, method)
                    .map(|data| Some(Job::Finish(method, pending, data)))
                    .inspect_err(|error| self.log_additional_failed(shared, number, method, error))
            }
            step => {
                creation.step = step;
                self.creating = Some(creation);
                return;
            }
        };
        match done {
            Ok(finish) => {
                if let Some(creation) = self.settle_collision(shared, creation) {
                    self.go_on(shared, creation, finish);
                }
            }
            Err(error) => {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "creating {} failed: {error}",
                    creation.what()
                );
                self.withdraw(shared, *creation);
            }
        }
    }

    fn go_on(&mut self, shared: &mut Shared, creation: Box<Creation>, finish: Option<Job>) {
        match finish {
            Some(job) => {
                self.creating = Some(creation);
                shared.start_job_of(Owner::Active(self.unique_id), job);
            }
            None => self.next_creation_step(shared, creation),
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
        let chosen = match &creation.subject {
            Subject::Child(_) => proposals::of_child_from_wire(sa),
            Subject::Ike(_) => proposals::from_wire(sa, 8),
        };
        let [proposal] = &chosen[..] else {
            return Err(Error::NoProposalChosen);
        };
        let how = proposals::selection(shared, self.pinned_profile(), self.peer.strongswan, true, false);
        match (&creation.subject, self.config.as_deref()) {
            (Subject::Ike(_), Some(config)) => {
                proposals::check_ike_choice(shared, config, &creation.offered, proposal, &how)?;
            }
            _ => crypto::select::acceptable(&creation.offered, proposal, &how)?,
        }
        match &mut creation.subject {
            Subject::Child(draft) => {
                draft.accept_selectors(payloads)?;
                draft.cpi = self.peers_cpi(shared, payloads);
            }
            Subject::Ike(_) if proposal.spi.iter().all(|octet| *octet == 0) => {
                return Err(Error::NoProposalChosen);
            }
            Subject::Ike(_) => {}
        }
        self.log_selected(shared, proposal);
        self.learn_profile(shared, proposal);
        creation.nonce_r.clone_from(&nonce.data);
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
            return self.complete_creation(shared, creation);
        };
        match self.key_exchange(shared, method) {
            Some(exchange) => {
                creation.step = Step::MakeAdditional(number, method);
                self.creating = Some(creation);
                shared.start_job_of(Owner::Active(self.unique_id), Job::Initiate(method, exchange));
            }
            None => {
                self.log_additional_failed(shared, number, method, Error::Unsupported(method));
                self.creation_failed(shared, *creation);
            }
        }
    }

    fn complete_creation(&mut self, shared: &mut Shared, mut creation: Box<Creation>) {
        if creation.is_ike() {
            return self.complete_ike_rekeying(shared, *creation);
        }
        match self.install_created(shared, Side::Active, &mut creation) {
            Ok(()) => {
                creation.step = Step::Install;
                self.creating = Some(creation);
            }
            Err(error) => {
                log!(shared, self, Ike, 1, "creating CHILD_SA failed: {error}");
                self.withdraw(shared, *creation);
            }
        }
    }

    /// The attempt is over; what should have been replaced goes on.
    pub(crate) fn creation_failed(&mut self, shared: &mut Shared, mut creation: Creation) {
        self.active = None;
        self.discard(shared, &mut creation);
        if creation.is_ike() {
            self.ike_rekeying_failed(shared);
        } else if let Some(old) = creation.rekeys() {
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
                let offered = |method: &KeyExchangeMethod| offers(&creation.offered, *method);
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
            NotifyType::CHILD_SA_NOT_FOUND if creation.rekeys().is_some() => {
                return self.rekeyed_is_unknown(shared, *creation);
            }
            NotifyType::TEMPORARY_FAILURE if !creation.is_ike() && creation.rekeys().is_none() => {
                return self.create_later(shared, *creation);
            }
            NotifyType::NO_ADDITIONAL_SAS if creation.is_ike() && self.initiate.is_some() => {
                return self.reauthenticate_instead(shared, *creation);
            }
            _ => {}
        }
        let (kind, what) = (notify.kind, creation.what());
        log!(shared, self, Ike, 1, "received {kind} notify, no {what} built");
        if !creation.is_ike() && creation.rekeys().is_none() {
            let line = "failed to establish CHILD_SA, keeping IKE_SA";
            log!(shared, self, Ike, 1, "{line}");
        }
        if notify.kind == NotifyType::INVALID_SYNTAX {
            // Both ends have lost the thread (RFC 7296, 2.21.3).
            self.creating = Some(creation);
            return self.destroy();
        }
        self.creation_failed(shared, *creation);
    }
}

fn offers(proposals: &[Proposal], method: KeyExchangeMethod) -> bool {
    proposals
        .iter()
        .any(|proposal| proposal.offers(TransformType::KE, method.0))
}
