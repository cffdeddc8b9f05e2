//! The first CHILD_SA, negotiated within IKE_AUTH (RFC 7296, 1.2 and 2.9).

use std::sync::Arc;

use config::connection::ChildConfig;
use crypto::proposal::Proposal;
use iana::{NotifyType, Protocol, TrafficSelector};
use wire::payload::{Payload, TsKind};

use crate::alert::Alert;
use crate::child::negotiate::{self, Choice, Refusal};
use crate::child::reservation::{Reserved, Wanted};
use crate::child::{Agreed, ChildSa, SendFrom, transport};
use crate::error::Error;
use crate::event::Event;
use crate::exchange::{AfterAuth, OfferedChild, Phase, error_notify, find};
use crate::output::{KernelOp, KernelResult};
use crate::proposals;
use crate::sa::{IkeSa, Inbound, KernelWork};
use crate::scripts::Then;
use crate::selectors;
use crate::shared::{Shared, log};
use crate::task::Task;

impl IkeSa {
    /// Adds the initiator's offer for the first CHILD_SA.
    pub(crate) fn offer_child(
        &mut self,
        shared: &mut Shared,
        reserved: Option<Reserved>,
        payloads: &mut Vec<Payload>,
    ) -> Option<Box<OfferedChild>> {
        let config = Arc::clone(self.initiate.as_ref()?.child.as_ref()?);
        let reserved = reserved?;
        let child = ChildSa::new(
            shared.next_child_id(),
            Arc::clone(&config),
            reserved,
            self.local,
            self.remote,
        );
        let peer = self.remote.ip();
        let label = match shared.policies.awaited(&config, peer) {
            Some((_, reqid)) => format!("{} reqid {reqid}", child.label()),
            None => child.label(),
        };
        log!(shared, self, Ike, 0, "establishing CHILD_SA {label}");
        let (proposals, messages) = negotiate::proposals(shared, &config, reserved.spi, true);
        for message in messages {
            log!(shared, self, Cfg, 1, "{message}");
        }
        let mut local_ts = selectors::resolve(&config.local_ts, &self.own_hosts());
        let mut remote_ts = selectors::resolve(&config.remote_ts, &self.peer_hosts());
        let policies = &shared.policies;
        policies.put_packet_first(&config, peer, &mut local_ts, &mut remote_ts);
        payloads.extend(child.ipcomp_notify());
        if child.mode == config::connection::Mode::Transport {
            payloads.push(Payload::status(NotifyType::USE_TRANSPORT_MODE, Vec::new()));
        }
        payloads.push(proposals::to_wire(&proposals));
        payloads.push(Payload::Ts(TsKind::Initiator, selectors::to_wire(&local_ts)));
        payloads.push(Payload::Ts(TsKind::Responder, selectors::to_wire(&remote_ts)));
        Some(Box::new(OfferedChild {
            child,
            proposals,
            local_ts,
            remote_ts,
        }))
    }

    /// The responder's choice for the first CHILD_SA.
    pub(crate) fn accept_child(
        &mut self,
        shared: &mut Shared,
        offered: Box<OfferedChild>,
        inbound: &Inbound,
        then: AfterAuth,
    ) {
        let OfferedChild {
            mut child,
            proposals,
            local_ts,
            remote_ts,
        } = *offered;
        if let Some(notify) = error_notify(&inbound.payloads) {
            log!(
                shared,
                self,
                Ike,
                1,
                "received {} notify, no CHILD_SA built",
                notify.kind
            );
            return self.first_child_failed(shared, &child, then);
        }
        let config = Arc::clone(&child.config);
        let agreed = self.agree(shared, (&config, &proposals), (&local_ts, &remote_ts), inbound);
        let agreed = agreed.and_then(|agreed| self.within_own_hosts(&child.config, agreed));
        let peers_cpi = self.peers_cpi(shared, &inbound.payloads);
        let agreed = agreed.and_then(|agreed| {
            self.settle_ipcomp(shared, &mut child, peers_cpi)?;
            Ok(agreed)
        });
        let mut agreed = match agreed {
            Ok(agreed) => agreed,
            Err(error) => {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "CHILD_SA {} refused: {error}",
                    child.label()
                );
                return self.first_child_failed(shared, &child, then);
            }
        };
        self.settle_mode(
            shared,
            &mut child,
            &mut agreed.local_ts,
            &mut agreed.remote_ts,
            transport::is_in(&inbound.payloads),
        );
        let numbers = self.numbers(shared, &child.config, None);
        let ops = child.install(shared, agreed, numbers, self.local, self.remote, SendFrom::Now);
        self.phase = Phase::InstallChild {
            child: Box::new(child),
            then,
        };
        self.install(shared, ops);
    }

    /// Checks the responder's choice and derives its keys.
    fn agree(
        &mut self,
        shared: &mut Shared,
        (config, offered): (&ChildConfig, &[Proposal]),
        (local_ts, remote_ts): (&[TrafficSelector], &[TrafficSelector]),
        inbound: &Inbound,
    ) -> Result<Agreed, Error> {
        let sa = find!(inbound.payloads, Payload::Sa(sa) => sa).ok_or(Error::Missing("SA"))?;
        let tsi = find!(inbound.payloads, Payload::Ts(TsKind::Initiator, ts) => selectors::from_wire(ts))
            .ok_or(Error::Missing("TSi"))?;
        let tsr = find!(inbound.payloads, Payload::Ts(TsKind::Responder, ts) => selectors::from_wire(ts))
            .ok_or(Error::Missing("TSr"))?;
        let [proposal] = &proposals::of_child_from_wire(sa)[..] else {
            return Err(Error::NoProposalChosen);
        };
        let how = proposals::selection(shared, self.pinned_profile(), self.peer.strongswan, true, true);
        crypto::select::acceptable(offered, proposal, &how)?;
        if !selectors::within(&tsi, local_ts) || !selectors::within(&tsr, remote_ts) {
            return Err(Error::TsUnacceptable);
        }
        self.agreed(shared, (config, proposal), tsi, tsr)
    }

    /// Of what was offered before this end knew its virtual addresses, only they are its own.
    fn within_own_hosts(&self, config: &ChildConfig, agreed: Agreed) -> Result<Agreed, Error> {
        if self.config.as_ref().is_none_or(|peer| peer.vips.is_empty()) {
            return Ok(agreed);
        }
        let own = selectors::resolve(&config.local_ts, &self.own_hosts());
        let local_ts = selectors::narrow(&own, &agreed.local_ts);
        if local_ts.is_empty() {
            return Err(Error::TsUnacceptable);
        }
        Ok(Agreed { local_ts, ..agreed })
    }

    /// Keys and parameters of a CHILD_SA with this proposal; the selectors are this end's and the peer's.
    fn agreed(
        &mut self,
        shared: &mut Shared,
        (config, proposal): (&ChildConfig, &Proposal),
        local_ts: Vec<TrafficSelector>,
        remote_ts: Vec<TrafficSelector>,
    ) -> Result<Agreed, Error> {
        self.log_selected(shared, proposal);
        let Some((ni, nr)) = self.nonces.as_deref() else {
            return Err(Error::NoProposalChosen);
        };
        let nonces = (ni.as_slice(), nr.as_slice());
        self.keyed(
            shared,
            (config, proposal),
            self.role,
            None,
            nonces,
            (local_ts, remote_ts),
        )
    }

    fn install(&mut self, shared: &mut Shared, ops: Vec<KernelOp>) {
        let id = shared.start_kernel(self.unique_id, ops);
        self.kernel_work.insert(id, KernelWork::Install);
    }

    /// The initiator's CHILD_SA failed; its IKE_SA stays (RFC 7296, 1.3.1).
    fn first_child_failed(&mut self, shared: &mut Shared, child: &ChildSa, then: AfterAuth) {
        shared.out.kernel(child.remove());
        child.release(shared);
        if shared.settings.close_ike_on_child_failure {
            log!(shared, self, Ike, 1, "closing IKE_SA due CHILD_SA setup failure");
            self.after_auth(shared, then);
            return self.enqueue(shared, Task::DeleteIke(None));
        }
        log!(
            shared,
            self,
            Ike,
            1,
            "failed to establish CHILD_SA, keeping IKE_SA"
        );
        self.alert(shared, Alert::KeepOnChildSaFailure);
        self.after_auth(shared, then);
    }

    /// The responder's answer for the first CHILD_SA; the request may ask for none (RFC 6023).
    pub(crate) fn answer_child(&mut self, shared: &mut Shared, mut answer: Vec<Payload>, inbound: &Inbound) {
        let parts = (
            find!(inbound.payloads, Payload::Sa(sa) => sa),
            find!(inbound.payloads, Payload::Ts(TsKind::Initiator, ts) => selectors::from_wire(ts)),
            find!(inbound.payloads, Payload::Ts(TsKind::Responder, ts) => selectors::from_wire(ts)),
        );
        let (Some(sa), Some(tsi), Some(tsr)) = parts else {
            return self.send_auth_response(shared, answer);
        };
        let Some(config) = self.config.clone() else { return };
        let supplied = proposals::of_child_from_wire(sa);
        let how = proposals::selection(shared, config.profile, self.peer.strongswan, true, true);
        let (own, peers) = (self.own_hosts(), self.peer_hosts());
        let (ours, theirs) = ((&tsr[..], &own[..]), (&tsi[..], &peers[..]));
        let choice = self.choose_mode(&inbound.payloads, ours, theirs, |ours, theirs| {
            negotiate::choose(shared, &config, &how, &supplied, ours, theirs)
        });
        match choice {
            Ok(mut choice) => {
                choice.cpi = self.wanted_cpi(shared, &choice.config, &inbound.payloads);
                let wanted = Wanted {
                    protocol: choice.proposal.protocol,
                    ipcomp: choice.cpi.is_some(),
                };
                self.phase = Phase::AnswerReserveSpi {
                    answer,
                    choice: Box::new(choice),
                };
                self.reserve(shared, wanted, KernelWork::ReserveSpi);
            }
            Err(refusal) => {
                let kind = self.log_refusal(shared, refusal, &supplied, (&tsr, &tsi));
                answer.push(Payload::status(kind, Vec::new()));
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "failed to establish CHILD_SA, keeping IKE_SA"
                );
                self.alert(shared, Alert::KeepOnChildSaFailure);
                self.send_auth_response(shared, answer);
            }
        }
    }

    pub(crate) fn log_refusal(
        &self,
        shared: &mut Shared,
        refusal: Refusal,
        supplied: &[Proposal],
        (local, remote): (&[TrafficSelector], &[TrafficSelector]),
    ) -> NotifyType {
        match refusal {
            Refusal::Selectors => {
                let (local, remote) = (selectors::list(local), selectors::list(remote));
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "traffic selectors {local} === {remote} unacceptable"
                );
                self.alert(shared, Alert::TsMismatch);
                NotifyType::TS_UNACCEPTABLE
            }
            Refusal::Proposals { configured, reasons } => {
                if reasons.private_skipped {
                    log!(
                        shared,
                        self,
                        Cfg,
                        1,
                        "an algorithm from private space would match, but peer implementation is unknown, skipped"
                    );
                }
                let protocol = configured.first().map_or(Protocol::ESP, |it| it.protocol);
                if let Some(text) = proposals::lacking(&shared.registry, protocol, &reasons.unimplemented) {
                    log!(shared, self, Cfg, 1, "{text}");
                }
                let received = crypto::select::list(supplied, &shared.registry);
                let configured = crypto::select::list(&configured, &shared.registry);
                log!(shared, self, Cfg, 1, "received proposals: {received}");
                log!(shared, self, Cfg, 1, "configured proposals: {configured}");
                log!(shared, self, Ike, 1, "no acceptable proposal found");
                self.alert(shared, Alert::ProposalMismatchChild);
                NotifyType::NO_PROPOSAL_CHOSEN
            }
        }
    }

    /// The kernel reserved what the first CHILD_SA needs, or could not.
    pub(crate) fn on_spi_reserved(&mut self, shared: &mut Shared, reserved: Option<Reserved>) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::ReserveSpi => {
                if reserved.is_none() {
                    return self.destroy();
                }
                self.send_auth(shared, reserved);
            }
            Phase::AnswerReserveSpi { mut answer, choice } => match reserved {
                Some(reserved) => self.install_answer(shared, answer, *choice, reserved),
                None => {
                    answer.push(Payload::status(NotifyType::NO_PROPOSAL_CHOSEN, Vec::new()));
                    log!(
                        shared,
                        self,
                        Ike,
                        1,
                        "failed to establish CHILD_SA, keeping IKE_SA"
                    );
                    self.send_auth_response(shared, answer);
                }
            },
            other => self.phase = other,
        }
    }

    fn install_answer(
        &mut self,
        shared: &mut Shared,
        mut answer: Vec<Payload>,
        choice: Choice,
        reserved: Reserved,
    ) {
        let Choice {
            config,
            proposal,
            local_ts,
            remote_ts,
            transport,
            cpi,
        } = choice;
        let mut child = ChildSa::new(shared.next_child_id(), config, reserved, self.local, self.remote);
        child.mode = transport.mode(&child.config);
        child.agree_to_compress(cpi);
        let (tsr, tsi) = transport.as_written(&local_ts, &remote_ts);
        let ts = (selectors::to_wire(&tsi), selectors::to_wire(&tsr));
        let config = Arc::clone(&child.config);
        let agreed = match self.agreed(shared, (&config, &proposal), local_ts, remote_ts) {
            Ok(agreed) => agreed,
            Err(error) => {
                log!(shared, self, Ike, 1, "CHILD_SA {} failed: {error}", child.label());
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "failed to establish CHILD_SA, keeping IKE_SA"
                );
                shared.out.kernel(child.remove());
                answer.push(Payload::status(NotifyType::NO_PROPOSAL_CHOSEN, Vec::new()));
                return self.send_auth_response(shared, answer);
            }
        };
        let numbers = self.numbers(shared, &child.config, None);
        let send = self.send_from(shared, &agreed, numbers);
        let ops = child.install(shared, agreed, numbers, self.local, self.remote, send);
        answer.extend(child.ipcomp_notify());
        if transport.agreed {
            answer.push(Payload::status(NotifyType::USE_TRANSPORT_MODE, Vec::new()));
        }
        answer.push(proposals::to_wire(&[Proposal {
            spi: reserved.spi.to_be_bytes().to_vec(),
            ..proposal
        }]));
        answer.push(Payload::Ts(TsKind::Initiator, ts.0));
        answer.push(Payload::Ts(TsKind::Responder, ts.1));
        self.phase = Phase::AnswerInstallChild {
            answer,
            child: Box::new(child),
        };
        self.install(shared, ops);
    }

    /// The kernel installed the first CHILD_SA, or could not.
    pub(crate) fn on_child_installed(&mut self, shared: &mut Shared, result: &KernelResult) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::InstallChild { child, then } => {
                let (protocol, spi) = (child.protocol, child.spi_in);
                let installed = self.finish_install(shared, *child, result);
                self.after_up(shared, installed, Then::Establish(then));
                if installed.is_none() {
                    // The responder has it installed, so it has to be told.
                    self.enqueue(shared, Task::WithdrawChild(protocol, spi));
                }
            }
            Phase::AnswerInstallChild { mut answer, child } => {
                let refusal = child.refusal(result);
                let installed = self.finish_install(shared, *child, result);
                if installed.is_none() {
                    answer.retain(|payload| matches!(payload, Payload::Id(..) | Payload::Auth(_)));
                    answer.push(Payload::status(refusal, Vec::new()));
                }
                self.after_up(shared, installed, Then::AnswerAuth(answer));
            }
            other => self.phase = other,
        }
    }

    /// The CHILD_SA takes its place among the others, or is given up.
    fn finish_install(
        &mut self,
        shared: &mut Shared,
        mut child: ChildSa,
        result: &KernelResult,
    ) -> Option<u32> {
        if result.is_err() {
            self.log_install_failed(shared, &child, result);
            log!(
                shared,
                self,
                Ike,
                1,
                "failed to establish CHILD_SA, keeping IKE_SA"
            );
            shared.out.kernel(child.remove());
            child.release(shared);
            return None;
        }
        child.on_installed(shared.now);
        self.children.reserve_exact(1);
        let (spi_in, spi_out) = (child.spi_in, child.spi_out);
        log!(
            shared,
            self,
            Ike,
            0,
            "CHILD_SA {} established with SPIs {spi_in:08x}_i {spi_out:08x}_o and TS {}",
            child.label(),
            child.list_selectors()
        );
        let (id, info) = (child.unique_id, child.info());
        self.children.push(child);
        shared
            .out
            .event(Event::ChildUp(Box::new(self.info()), Box::new(info)));
        Some(id)
    }
}
