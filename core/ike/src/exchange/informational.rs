//! INFORMATIONAL (RFC 7296, 1.4): the end of an IKE_SA, liveness, notifies; and what this end does next.

use config::connection::VICI;
use iana::{ExchangeType, NotifyType, Protocol};
use wire::payload::{Delete, Notify, Payload};

use crate::alert::Alert;
use crate::exchange::Phase;
use crate::exchange::child_delete::deleted_spis;
use crate::exchange::creation::Side;
use crate::output::{CommandId, KernelResult};
use crate::sa::restart::Gone;
use crate::sa::{IkeSa, IkeSaState, Inbound, KernelWork};
use crate::shared::{Shared, Wish, log};
use crate::task::Task;

impl IkeSa {
    /// Starts what waits first, if the window is free.
    pub(crate) fn start_next_task(&mut self, shared: &mut Shared) {
        self.queue_unwanted();
        // What is established in IKE_AUTH may be what the first task wants.
        let is_made = |sa: &Self| sa.is_established() && matches!(sa.phase, Phase::Idle);
        while is_made(self) && !self.window.is_busy() && self.active.is_none() && !self.owes_auth_response() {
            // While the peer replaces the IKE_SA, its CHILD_SAs stay as they are (RFC 7296, 2.25.2). Whether the peer lives,
            // and where, is to be known all the same.
            let replaced = self.answering.as_ref().is_some_and(|creation| creation.is_ike());
            let next = self
                .tasks
                .iter()
                .position(|task| !replaced || task.is_about_peer());
            let Some(task) = next.and_then(|at| self.tasks.remove(at)) else {
                return;
            };
            self.active = Some(Box::new(task.clone()));
            match task {
                Task::DeleteIke(_) => self.send_ike_delete(shared),
                Task::DeleteChild(id, command) => self.close_child(shared, id, command),
                Task::WithdrawChild(protocol, spi) => self.send_child_delete(shared, protocol, spi),
                Task::RekeyChild(id, command) => self.rekey_child(shared, id, command),
                Task::RekeyIke(command) => self.rekey_ike(shared, command),
                // A trap may need one with other selectors.
                Task::CreateChild(config, command)
                    if !command.is_some_and(CommandId::is_of_trap) && self.has_installed(&config) =>
                {
                    self.active = None;
                    if let Some(command) = command {
                        shared.out.command_done(command, Ok(()));
                    }
                }
                Task::CreateChild(config, command) => self.create_child(shared, config, command),
                Task::Report(command) => {
                    self.active = None;
                    shared.out.command_done(command, Ok(()));
                }
                Task::Retire(old) => {
                    self.active = None;
                    shared.wishes.push(Wish::Retire(old));
                }
                Task::Redirect(gateway) => self.send_redirect(shared, &gateway),
                Task::Liveness => {
                    log!(shared, self, Ike, 1, "sending DPD request");
                    let payloads = self.liveness_payloads(shared);
                    self.request(shared, ExchangeType::INFORMATIONAL, payloads);
                }
                Task::UpdateAddresses => self.update_addresses(shared),
                Task::ReturnRoutability => self.check_return_routability(shared),
            }
        }
    }

    fn send_ike_delete(&mut self, shared: &mut Shared) {
        log!(
            shared,
            self,
            Ike,
            0,
            "deleting IKE_SA {} between {}",
            self.label(),
            self.ends()
        );
        log!(shared, self, Ike, 1, "sending DELETE for IKE_SA {}", self.label());
        self.transition_to(IkeSaState::delete);
        let delete = Payload::Delete(Delete {
            protocol: Protocol::IKE,
            spis: Vec::new(),
        });
        self.request(shared, ExchangeType::INFORMATIONAL, vec![delete]);
    }

    /// The kernel is done with something.
    pub(crate) fn on_kernel_done(&mut self, shared: &mut Shared, work: KernelWork, result: &KernelResult) {
        match work {
            KernelWork::Install => self.on_child_installed(shared, result),
            KernelWork::CloseByUs(id) => self.on_closed_by_us(shared, id, result),
            KernelWork::FindUse(id) => self.on_use_found(shared, id, result),
            KernelWork::CloseByPeer(ids) => self.on_closed_by_peer(shared, &ids, result),
            KernelWork::InstallCreated(Side::Active) => self.on_created_installed(shared, result),
            KernelWork::InstallCreated(Side::Passive) => self.on_answer_installed(shared, result),
            KernelWork::Unattended => {
                if let Err(failure) = result {
                    log!(
                        shared,
                        self,
                        Knl,
                        1,
                        "changing IPsec SAs failed: {}",
                        failure.error
                    );
                }
            }
            KernelWork::InstallAddress(address) => {
                if let Err(failure) = result {
                    log!(
                        shared,
                        self,
                        Ike,
                        1,
                        "installing virtual IP {address} failed: {}",
                        failure.error
                    );
                }
            }
            KernelWork::Relocate(child, from) => self.on_child_moved(shared, child, from, result),
            // Answered by on_reserved, on_sources and after_scripts.
            KernelWork::ReserveSpi
            | KernelWork::ReserveCreated(_)
            | KernelWork::FindSources(_)
            | KernelWork::Scripts(_) => {}
        }
    }

    pub(crate) fn on_informational_response(&mut self, shared: &mut Shared, inbound: Inbound) {
        match self.active.take().map(|task| *task) {
            Some(Task::DeleteIke(command)) => self.on_deleted(shared, command),
            Some(Task::DeleteChild(id, command)) => {
                for (protocol, spi) in deleted_spis(&inbound.payloads) {
                    log!(
                        shared,
                        self,
                        Ike,
                        1,
                        "received DELETE for {protocol} CHILD_SA with SPI {spi:08x}"
                    );
                }
                self.let_go(shared, id);
                if let Some(command) = command {
                    shared.out.command_done(command, Ok(()));
                }
            }
            Some(task @ (Task::RekeyChild(..) | Task::RekeyIke(_) | Task::CreateChild(..))) => {
                self.active = Some(Box::new(task));
            }
            Some(Task::Redirect(_)) => self.on_redirect_answered(shared),
            Some(Task::Liveness) => self.on_liveness_response(shared, &inbound.payloads),
            Some(Task::UpdateAddresses) => self.on_addresses_updated(shared, &inbound),
            Some(Task::ReturnRoutability) => self.on_return_routability(shared, &inbound.payloads),
            Some(Task::WithdrawChild(..) | Task::Report(_) | Task::Retire(_)) | None => {}
        }
    }

    fn on_deleted(&mut self, shared: &mut Shared, command: Option<CommandId>) {
        log!(shared, self, Ike, 0, "IKE_SA deleted");
        self.report_end(command);
        if self.reauthenticate {
            self.wish_again(shared, |_| true);
        }
        self.destroy();
    }

    pub(crate) fn on_informational_request(&mut self, shared: &mut Shared, inbound: Inbound) {
        let payloads = &inbound.payloads;
        if let Some(kind) = notifies(payloads).find(|n| n.kind == NotifyType::AUTHENTICATION_FAILED) {
            log!(shared, self, Ike, 1, "received {} notify error", kind.kind);
            self.alert(shared, Alert::LocalAuthFailed);
            self.respond(shared, ExchangeType::INFORMATIONAL, Vec::new());
            return self.destroy();
        }
        let deletes_ike = payloads
            .iter()
            .any(|payload| matches!(payload, Payload::Delete(delete) if delete.protocol == Protocol::IKE));
        if deletes_ike {
            log!(
                shared,
                self,
                Ike,
                1,
                "received DELETE for IKE_SA {}",
                self.label()
            );
            log!(
                shared,
                self,
                Ike,
                0,
                "deleting IKE_SA {} between {}",
                self.label(),
                self.ends()
            );
            if shared.overlapping.is_empty() {
                return self.answer_delete(shared);
            }
            return shared.wishes.push(Wish::HandOver(self.unique_id));
        }
        if let Some(seconds) = notifies(payloads)
            .find(|notify| notify.kind == NotifyType::AUTH_LIFETIME)
            .and_then(|notify| notify.data.as_slice().try_into().ok())
        {
            self.on_auth_lifetime(shared, u32::from_be_bytes(seconds));
        }
        self.on_redirect_request(shared, payloads);
        let answer = self.answer_address_update(shared, &inbound);
        let closing = self.closing_by_peer(shared, payloads);
        if closing.is_empty() {
            self.respond(shared, ExchangeType::INFORMATIONAL, answer);
            // The answer may have moved the IKE_SA, and that made further work.
            return self.start_next_task(shared);
        }
        self.close_for_peer(shared, closing);
    }

    /// The peer deletes the IKE_SA. Nothing is sent under it any more: with the answer the peer forgets it.
    pub(crate) fn answer_delete(&mut self, shared: &mut Shared) {
        self.respond(shared, ExchangeType::INFORMATIONAL, Vec::new());
        log!(shared, self, Ike, 0, "IKE_SA deleted");
        if !self.adopt_rival(shared) && matches!(self.state, IkeSaState::Established | IkeSaState::Rekeying) {
            self.reestablish(shared, Gone::Deleted);
        }
        self.destroy();
    }

    /// The peer did not answer: the IKE_SA is tried again, or is over.
    pub(crate) fn on_peer_dead(&mut self, shared: &mut Shared) {
        match self.state {
            IkeSaState::Connecting => self.try_again(shared),
            IkeSaState::Deleting => {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "proper IKE_SA delete failed, peer not responding"
                );
                if self.reauthenticate {
                    self.wish_again(shared, |_| true);
                }
                self.destroy();
            }
            state => {
                // The peer may have gone on under its own successor.
                if self.adopt_rival(shared) {
                    return self.destroy();
                }
                if state == IkeSaState::Rekeying {
                    log!(
                        shared,
                        self,
                        Ike,
                        1,
                        "rekeying IKE_SA failed, peer not responding"
                    );
                }
                if let Some((local, remote)) = shared.established.get(self.unique_id).cloned() {
                    let address = self.remote.ip();
                    shared.wishes.push(Wish::PeerDead {
                        local,
                        remote,
                        address,
                    });
                }
                self.reestablish(shared, Gone::Dead);
                self.destroy();
            }
        }
    }

    fn try_again(&mut self, shared: &mut Shared) {
        if self.return_home(shared) {
            self.prepare_anew(shared);
            return self.connect(shared);
        }
        let tries = self.config.as_ref().map_or(Some(1), |config| config.keying_tries);
        if tries.is_some_and(|tries| self.attempts >= tries) || self.initiate.is_none() {
            log!(
                shared,
                self,
                Ike,
                1,
                "establishing IKE_SA failed, peer not responding"
            );
            self.say_what_to_check(shared);
            self.alert(shared, Alert::PeerInitUnreachable);
            return self.destroy();
        }
        self.attempts += 1;
        let (attempt, of) = (self.attempts, tries.unwrap_or(0));
        log!(
            shared,
            self,
            Ike,
            1,
            "peer not responding, trying again ({attempt}/{of})"
        );
        self.prepare_anew(shared);
        self.find_way(shared);
    }

    /// What may be the reason that the peer does not answer.
    fn say_what_to_check(&self, shared: &mut Shared) {
        let Some(config) = self.config.clone() else { return };
        let (name, peer) = (&config.name, self.remote.ip());
        let ports = (shared.settings.port, shared.settings.port_nat_t);
        if self.spi_r != 0 {
            let port = self.remote.port();
            return log!(
                shared,
                self,
                Ike,
                1,
                "{peer} has answered IKE_SA_INIT, but not the request on UDP port {port}: check that what is between lets that port \
                 and fragments pass, or lower charon.fragment_size"
            );
        }
        let key = if config.source == VICI {
            "remote_addrs"
        } else {
            "right"
        };
        log!(
            shared,
            self,
            Ike,
            1,
            "nothing came back from {peer}: check {key} of '{name}', that a daemon runs there, and that UDP ports {} and {} reach it",
            ports.0,
            ports.1
        );
    }

    fn prepare_anew(&mut self, shared: &mut Shared) {
        if let Some(child) = self.phase.take_child() {
            shared.out.kernel(child.remove());
        }
        self.start_over(shared);
    }

    /// A command that wants the IKE_SA gone.
    pub(crate) fn terminate(&mut self, shared: &mut Shared, command: CommandId) {
        if self.is_established() {
            return self.close(shared, Some(command));
        }
        self.destroy_silently(shared, Some(command));
    }

    /// A command that wants the IKE_SA gone at once: the peer is told, if nothing else is on its way, and not waited for.
    pub(crate) fn terminate_now(&mut self, shared: &mut Shared, command: CommandId) {
        if !self.is_established() || self.window.is_busy() {
            return self.destroy_silently(shared, Some(command));
        }
        self.send_ike_delete(shared);
        self.report_end(Some(command));
        self.destroy();
    }

    /// It is over, and the peer is not told.
    pub(crate) fn destroy_silently(&mut self, shared: &mut Shared, command: Option<CommandId>) {
        log!(
            shared,
            self,
            Ike,
            0,
            "destroying IKE_SA in state {} without notification",
            self.state
        );
        self.report_end(command);
        self.phase_child_removed(shared);
        self.destroy();
    }

    /// Has a command wait until everything of the IKE_SA is gone.
    fn report_end(&mut self, command: Option<CommandId>) {
        if command.is_some() {
            self.tasks.push_front(Task::DeleteIke(command));
        }
    }

    fn phase_child_removed(&mut self, shared: &mut Shared) {
        if let Some(child) = std::mem::replace(&mut self.phase, Phase::Idle).take_child() {
            shared.out.kernel(child.remove());
            child.release(shared);
        }
    }
}

fn notifies(payloads: &[Payload]) -> impl Iterator<Item = &Notify> {
    payloads.iter().filter_map(|payload| match payload {
        Payload::Notify(notify) => Some(notify),
        _ => None,
    })
}
