//! INFORMATIONAL (RFC 7296, 1.4): deletes, liveness, notifies; and CHILD_SAs as they end.

use std::time::Duration;

use iana::{ExchangeType, NotifyType, Protocol};
use plugin_api::kernel::SaUsage;
use wire::payload::{Delete, Notify, Payload};

use crate::child::{ChildSa, ChildState};
use crate::event::Event;
use crate::exchange::Phase;
use crate::exchange::creation::Side;
use crate::output::{CommandError, CommandId, KernelAnswer, KernelResult};
use crate::sa::{IkeSa, IkeSaState, Inbound, KernelWork};
use crate::shared::{Shared, log};
use crate::task::Task;
use crate::timer::Timer;

/// How long a rekeyed CHILD_SA takes late packets after its deletion, as charon's delete_rekeyed_delay has it.
const LINGER: Duration = Duration::from_secs(5);

impl IkeSa {
    /// Starts what waits first, if the window is free.
    pub(crate) fn start_next_task(&mut self, shared: &mut Shared) {
        while self.is_established() && !self.window.is_busy() && self.active.is_none() {
            let Some(task) = self.tasks.pop_front() else {
                return;
            };
            self.active = Some(task);
            match task {
                Task::DeleteIke(_) => self.send_ike_delete(shared),
                Task::DeleteChild(id, command) => self.close_child(shared, id, command),
                Task::WithdrawChild(spi) => self.send_child_delete(shared, spi),
                Task::RekeyChild(id, command) => self.rekey_child(shared, id, command),
                Task::CreateChild => self.active = None,
                Task::Liveness => {
                    log!(shared, self, Ike, 1, "sending DPD request");
                    self.request(shared, ExchangeType::INFORMATIONAL, Vec::new());
                }
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

    /// Removes a CHILD_SA from the kernel; the DELETE follows, with what it carried in the log.
    fn close_child(&mut self, shared: &mut Shared, id: u32, command: Option<CommandId>) {
        let child = self.child_mut(id);
        let Some(child) = child.filter(|child| child.state.delete().is_ok()) else {
            self.active = None;
            if let Some(command) = command {
                shared.out.command_done(command, Err(CommandError::NotFound));
            }
            return;
        };
        child.transition_to(ChildState::delete);
        let mut ops = child.query();
        // What the peer still sends by one that was rekeyed is taken until it knows.
        if child.successor.is_none() {
            ops.extend(child.remove());
        }
        let kernel = shared.start_kernel(self.unique_id, ops);
        self.kernel_work.insert(kernel, KernelWork::CloseByUs(id));
    }

    /// The kernel is done with something.
    pub(crate) fn on_kernel_done(&mut self, shared: &mut Shared, work: KernelWork, result: &KernelResult) {
        match work {
            KernelWork::ReserveSpi => {
                let spi = self.reserved(shared, result);
                self.on_spi_reserved(shared, spi);
            }
            KernelWork::Install => self.on_child_installed(shared, result),
            KernelWork::CloseByUs(id) => self.on_closed_by_us(shared, id, result),
            KernelWork::CloseByPeer(ids) => self.on_closed_by_peer(shared, &ids, result),
            KernelWork::ReserveCreated(side) => {
                let spi = self.reserved(shared, result);
                match side {
                    Side::Active => self.on_creation_spi(shared, spi),
                    Side::Passive => self.on_answer_spi(shared, spi),
                }
            }
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
            KernelWork::Relocate => {
                if let Err(failure) = result {
                    log!(
                        shared,
                        self,
                        Knl,
                        1,
                        "moving IPsec SAs to other addresses failed: {}",
                        failure.error
                    );
                }
            }
        }
    }

    fn reserved(&self, shared: &mut Shared, result: &KernelResult) -> Option<u32> {
        match result.as_ref().map(|answers| answers.first()) {
            Ok(Some(KernelAnswer::Spi(spi))) => Some(*spi),
            Ok(_) => None,
            Err(failure) => {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "unable to allocate SPI from kernel: {}",
                    failure.error
                );
                None
            }
        }
    }

    fn on_closed_by_us(&mut self, shared: &mut Shared, id: u32, result: &KernelResult) {
        let Some(index) = self.children.iter().position(|child| child.unique_id == id) else {
            return;
        };
        self.log_closing(shared, index, usages(result));
        let spi = self.children[index].spi_in;
        self.send_child_delete(shared, spi);
    }

    fn send_child_delete(&mut self, shared: &mut Shared, spi: u32) {
        log!(
            shared,
            self,
            Ike,
            1,
            "sending DELETE for ESP CHILD_SA with SPI {spi:08x}"
        );
        let spis = vec![spi.to_be_bytes().to_vec()];
        let delete = Payload::Delete(Delete {
            protocol: Protocol::ESP,
            spis,
        });
        self.request(shared, ExchangeType::INFORMATIONAL, vec![delete]);
    }

    fn log_closing(&self, shared: &mut Shared, index: usize, (inbound, outbound): (SaUsage, SaUsage)) {
        let child = &self.children[index];
        log!(
            shared,
            self,
            Ike,
            0,
            "closing CHILD_SA {} with SPIs {:08x}_i ({} bytes) {:08x}_o ({} bytes) and TS {}",
            child.label(),
            child.spi_in,
            inbound.octets,
            child.spi_out,
            outbound.octets,
            child.selectors()
        );
    }

    /// Both ends have deleted a CHILD_SA. One that was rekeyed takes late packets for a while.
    fn let_go(&mut self, shared: &mut Shared, id: u32) {
        let now = shared.now;
        let Some(child) = self.child_mut(id).filter(|child| child.successor.is_some()) else {
            return self.drop_child(shared, id);
        };
        let ops = child.stop_sending();
        child.transition_to(ChildState::linger);
        child.timer = Timer::at(now + LINGER);
        self.run_kernel(shared, ops);
        log!(shared, self, Ike, 1, "CHILD_SA closed");
    }

    /// The timer of a CHILD_SA: a deleted one has taken its last packet, others are rekeyed once more.
    pub(crate) fn on_child_timer(&mut self, shared: &mut Shared, index: usize) {
        let child = &mut self.children[index];
        let id = child.unique_id;
        if child.state == ChildState::Deleted {
            let mut child = self.children.remove(index);
            let ops = child.remove();
            child.transition_to(ChildState::destroy);
            child.release(shared);
            self.run_kernel(shared, ops);
        } else {
            self.enqueue(shared, Task::RekeyChild(id, None));
        }
    }

    /// A CHILD_SA is gone.
    pub(crate) fn drop_child(&mut self, shared: &mut Shared, id: u32) {
        let Some(index) = self.children.iter().position(|child| child.unique_id == id) else {
            return;
        };
        let mut child = self.children.remove(index);
        let info = child.info();
        let mut was_up = child.successor.is_none();
        // The peer takes a rekeying back: the old one is the one again.
        let old = self.children.iter_mut().find(|old| old.successor == Some(id));
        if let Some(old) = old.filter(|old| old.state != ChildState::Deleted) {
            old.successor = None;
            old.rival = None;
            was_up = false;
        }
        child.transition_to(ChildState::destroy);
        child.release(shared);
        log!(shared, self, Ike, 1, "CHILD_SA closed");
        if was_up {
            shared
                .out
                .event(Event::ChildDown(Box::new(self.info()), Box::new(info)));
        }
    }

    pub(crate) fn on_informational_response(&mut self, shared: &mut Shared, inbound: Inbound) {
        match self.active.take() {
            Some(Task::DeleteIke(command)) => self.on_deleted(shared, command),
            Some(Task::DeleteChild(id, command)) => {
                for spi in deleted_spis(&inbound.payloads) {
                    log!(
                        shared,
                        self,
                        Ike,
                        1,
                        "received DELETE for ESP CHILD_SA with SPI {spi:08x}"
                    );
                }
                self.let_go(shared, id);
                if let Some(command) = command {
                    shared.out.command_done(command, Ok(()));
                }
            }
            Some(task @ (Task::RekeyChild(..) | Task::CreateChild)) => self.active = Some(task),
            Some(Task::Liveness | Task::WithdrawChild(_)) | None => {}
        }
    }

    fn on_deleted(&mut self, shared: &mut Shared, command: Option<CommandId>) {
        log!(shared, self, Ike, 0, "IKE_SA deleted");
        if let Some(command) = command {
            shared.out.command_done(command, Ok(()));
        }
        if self.reauthenticate {
            self.wish_again(shared);
        }
        self.destroy();
    }

    pub(crate) fn on_informational_request(&mut self, shared: &mut Shared, inbound: Inbound) {
        let payloads = &inbound.payloads;
        if let Some(kind) = notifies(payloads).find(|n| n.kind == NotifyType::AUTHENTICATION_FAILED) {
            log!(shared, self, Ike, 1, "received {} notify error", kind.kind);
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
            self.respond(shared, ExchangeType::INFORMATIONAL, Vec::new());
            log!(shared, self, Ike, 0, "IKE_SA deleted");
            return self.destroy();
        }
        if let Some(seconds) = notifies(payloads)
            .find(|notify| notify.kind == NotifyType::AUTH_LIFETIME)
            .and_then(|notify| notify.data.as_slice().try_into().ok())
        {
            self.on_auth_lifetime(shared, u32::from_be_bytes(seconds));
        }
        let answer = self.answer_address_update(shared, &inbound);
        let closing = self.closing_by_peer(shared, payloads);
        if closing.is_empty() {
            return self.respond(shared, ExchangeType::INFORMATIONAL, answer);
        }
        for id in &closing {
            self.switch_to_successor(shared, *id);
        }
        let closing_children = || {
            self.children
                .iter()
                .filter(|child| closing.contains(&child.unique_id))
        };
        let mut ops: Vec<_> = closing_children().flat_map(ChildSa::query).collect();
        ops.extend(
            closing_children()
                .filter(|child| child.successor.is_none())
                .flat_map(ChildSa::remove),
        );
        let closing = closing_children().map(|child| child.unique_id).collect();
        let kernel = shared.start_kernel(self.unique_id, ops);
        self.kernel_work.insert(kernel, KernelWork::CloseByPeer(closing));
    }

    /// Which CHILD_SAs the peer deletes: it names its inbound SPIs, our outbound ones.
    fn closing_by_peer(&mut self, shared: &mut Shared, payloads: &[Payload]) -> Vec<u32> {
        let mut closing = Vec::new();
        for spi in deleted_spis(payloads) {
            let child = self
                .children
                .iter_mut()
                .find(|child| child.spi_out == spi && child.state != ChildState::Deleted);
            let Some(child) = child else {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "received DELETE for unknown ESP CHILD_SA with SPI {spi:08x}"
                );
                continue;
            };
            // Both ends may delete it at once; who asked first removes it from the kernel (RFC 7296, 1.4.1).
            if child.state != ChildState::Deleting && !closing.contains(&child.unique_id) {
                closing.push(child.unique_id);
            }
            log!(
                shared,
                self,
                Ike,
                1,
                "received DELETE for ESP CHILD_SA with SPI {spi:08x}"
            );
        }
        closing
    }

    fn on_closed_by_peer(&mut self, shared: &mut Shared, ids: &[u32], result: &KernelResult) {
        let mut spis = Vec::new();
        let answers = result.as_deref().unwrap_or_default();
        for (place, id) in ids.iter().enumerate() {
            let Some(index) = self.children.iter().position(|child| child.unique_id == *id) else {
                continue;
            };
            // Two answers each come first.
            let own = answers.get(2 * place..2 * place + 2).unwrap_or_default();
            self.log_closing(shared, index, usages(&Ok(own.to_vec())));
            let spi = self.children[index].spi_in;
            log!(
                shared,
                self,
                Ike,
                1,
                "sending DELETE for ESP CHILD_SA with SPI {spi:08x}"
            );
            spis.push(spi.to_be_bytes().to_vec());
        }
        for id in ids {
            if let Some(child) = self.child_mut(*id).filter(|child| child.successor.is_some()) {
                child.transition_to(ChildState::succeed);
            }
            self.let_go(shared, *id);
        }
        let delete = Payload::Delete(Delete {
            protocol: Protocol::ESP,
            spis,
        });
        self.respond(shared, ExchangeType::INFORMATIONAL, vec![delete]);
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
                    self.wish_again(shared);
                }
                self.destroy();
            }
            _ => {
                let restart = self
                    .children
                    .iter()
                    .any(|child| child.config.dpd_action == config::connection::Action::Start);
                if restart {
                    for child in &self.children {
                        log!(shared, self, Ike, 1, "restarting CHILD_SA {}", child.config.name);
                    }
                    self.wish_again(shared);
                }
                self.destroy();
            }
        }
    }

    fn try_again(&mut self, shared: &mut Shared) {
        let tries = self.config.as_ref().map_or(Some(1), |config| config.keying_tries);
        if tries.is_some_and(|tries| self.attempts >= tries) || self.initiate.is_none() {
            log!(
                shared,
                self,
                Ike,
                1,
                "establishing IKE_SA failed, peer not responding"
            );
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
        if let Some(child) = self.phase.take_child() {
            shared.out.kernel(child.remove());
        }
        self.start_over(shared);
        self.connect(shared);
    }

    /// A limit of a CHILD_SA was reached.
    pub(crate) fn on_expire(&mut self, shared: &mut Shared, spi: u32, hard: bool) {
        let Some(child) = self
            .children
            .iter()
            .find(|child| child.spi_in == spi || child.spi_out == spi)
        else {
            return;
        };
        let (id, state) = (child.unique_id, child.state);
        let job = match (hard, state) {
            (false, ChildState::Installed) => "rekey",
            (true, ChildState::Installed | ChildState::Rekeying | ChildState::Rekeyed) => "delete",
            _ => return,
        };
        log!(
            shared,
            self,
            Knl,
            1,
            "creating {job} job for CHILD_SA ESP/0x{spi:08x}/{}",
            self.local.ip()
        );
        if !hard {
            // Both of its SAs may say so.
            let queued = |task: &Task| matches!(task, Task::RekeyChild(other, _) if *other == id);
            if !self.tasks.iter().any(queued) {
                self.enqueue(shared, Task::RekeyChild(id, None));
            }
            return;
        }
        self.enqueue(shared, Task::DeleteChild(id, None));
    }

    /// A command that wants the IKE_SA gone.
    pub(crate) fn terminate(&mut self, shared: &mut Shared, command: CommandId) {
        if self.is_established() {
            self.reauthenticate = false;
            return self.enqueue(shared, Task::DeleteIke(Some(command)));
        }
        log!(
            shared,
            self,
            Ike,
            0,
            "destroying IKE_SA in state {} without notification",
            self.state
        );
        shared.out.command_done(command, Ok(()));
        self.phase_child_removed(shared);
        self.destroy();
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

fn deleted_spis(payloads: &[Payload]) -> Vec<u32> {
    payloads
        .iter()
        .filter_map(|payload| match payload {
            Payload::Delete(delete) if delete.protocol == Protocol::ESP => Some(&delete.spis),
            _ => None,
        })
        .flatten()
        .filter_map(|spi| spi.as_slice().try_into().ok().map(u32::from_be_bytes))
        .collect()
}

/// What both SAs carried: the first two answers of a removal.
fn usages(result: &KernelResult) -> (SaUsage, SaUsage) {
    let usage = |index: usize| match result.as_ref().ok().and_then(|answers| answers.get(index)) {
        Some(KernelAnswer::Usage(usage)) => *usage,
        _ => SaUsage::default(),
    };
    (usage(0), usage(1))
}
