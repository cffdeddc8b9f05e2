//! How CHILD_SAs end: by either end's DELETE (RFC 7296, 1.4.1), or by their limits.

use std::sync::Arc;
use std::time::Duration;

use iana::{ExchangeType, Protocol};
use plugin_api::kernel::SaUsage;
use wire::payload::{Delete, Payload};

use crate::child::{ChildSa, ChildState};
use crate::event::Event;
use crate::output::{CommandId, KernelAnswer, KernelResult};
use crate::sa::{IkeSa, KernelWork};
use crate::scripts::{Farewell, Then};
use crate::shared::{Shared, log};
use crate::task::Task;
use crate::timer::Timer;

/// How long a rekeyed CHILD_SA takes late packets after its deletion, as charon's delete_rekeyed_delay has it.
const LINGER: Duration = Duration::from_secs(5);

impl IkeSa {
    /// Removes a CHILD_SA from the kernel; the DELETE follows, with what it carried in the log.
    pub(crate) fn close_child(&mut self, shared: &mut Shared, id: u32, command: Option<CommandId>) {
        let child = self.child_mut(id);
        let Some(child) = child.filter(|child| child.state.delete().is_ok()) else {
            self.active = None;
            if let Some(command) = command {
                // It was there when the command came, and something else has closed it since.
                shared.out.command_done(command, Ok(()));
            }
            return;
        };
        child.transition_to(ChildState::delete);
        self.before_down(shared, &[id], Then::CloseByUs(id));
    }

    /// The script that closes a firewall has ended.
    pub(crate) fn remove_by_us(&mut self, shared: &mut Shared, id: u32) {
        let Some(child) = self.child_mut(id) else {
            // It has gone in the meantime.
            if let Some(command) = self.active.take().and_then(|task| task.command()) {
                shared.out.command_done(command, Ok(()));
            }
            return self.start_next_task(shared);
        };
        let mut ops = child.query();
        // What the peer still sends by one that was rekeyed is taken until it knows.
        if child.successor.is_none() {
            ops.extend(child.remove());
        }
        let kernel = shared.start_kernel(self.unique_id, ops);
        self.kernel_work.insert(kernel, KernelWork::CloseByUs(id));
    }

    pub(crate) fn on_closed_by_us(&mut self, shared: &mut Shared, id: u32, result: &KernelResult) {
        let Some(index) = self.children.iter().position(|child| child.unique_id == id) else {
            return;
        };
        self.log_closing(shared, index, usages(result));
        let child = &self.children[index];
        let (protocol, spi) = (child.protocol, child.spi_in);
        self.send_child_delete(shared, protocol, spi);
    }

    pub(crate) fn send_child_delete(&mut self, shared: &mut Shared, protocol: Protocol, spi: u32) {
        log!(
            shared,
            self,
            Ike,
            1,
            "sending DELETE for {protocol} CHILD_SA with SPI {spi:08x}"
        );
        let spis = vec![spi.to_be_bytes().to_vec()];
        let delete = Payload::Delete(Delete { protocol, spis });
        self.request(shared, ExchangeType::INFORMATIONAL, vec![delete]);
    }

    pub(crate) fn log_closing(
        &self,
        shared: &mut Shared,
        index: usize,
        (inbound, outbound): (SaUsage, SaUsage),
    ) {
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
            child.list_selectors()
        );
    }

    /// Both ends have deleted a CHILD_SA. One that was rekeyed takes late packets for a while.
    pub(crate) fn let_go(&mut self, shared: &mut Shared, id: u32) {
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
        } else if !self.take_over(shared) {
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
        let was_up = child.successor.is_none() && !self.take_back(id);
        child.transition_to(ChildState::destroy);
        child.release(shared);
        log!(shared, self, Ike, 1, "CHILD_SA closed");
        if was_up {
            shared
                .out
                .event(Event::ChildDown(Box::new(self.info()), Box::new(info)));
        }
    }

    /// The peer takes a rekeying back: the old CHILD_SA is the one again.
    fn take_back(&mut self, new: u32) -> bool {
        let old = self.children.iter_mut().find(|old| old.is_succeeded_by(new));
        let going = [ChildState::Deleting, ChildState::Deleted];
        let Some(old) = old.filter(|old| !going.contains(&old.state)) else {
            return false;
        };
        old.successor = None;
        if old.state == ChildState::Rekeyed {
            old.transition_to(ChildState::take_back);
        }
        true
    }

    /// The peer does not have a CHILD_SA any more.
    pub(crate) fn lose_child(&mut self, shared: &mut Shared, id: u32) {
        let Some(index) = self.children.iter().position(|child| child.unique_id == id) else {
            return;
        };
        let child = self.children.remove(index);
        log!(shared, self, Ike, 1, "CHILD_SA closed");
        let ike = self.info();
        if child.successor.is_none() && !self.take_back(id) {
            let info = Box::new(child.info());
            shared.out.event(Event::ChildDown(Box::new(ike.clone()), info));
        }
        Farewell::of(shared, &ike, vec![child]).begin(shared);
    }

    /// Which CHILD_SAs the peer deletes: it names its inbound SPIs, our outbound ones.
    pub(crate) fn closing_by_peer(&mut self, shared: &mut Shared, payloads: &[Payload]) -> Vec<u32> {
        let mut closing = Vec::new();
        for (protocol, spi) in deleted_spis(payloads) {
            let child = self.children.iter_mut().find(|child| {
                (child.protocol, child.spi_out) == (protocol, spi) && child.state != ChildState::Deleted
            });
            let Some(child) = child else {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "received DELETE for unknown {protocol} CHILD_SA with SPI {spi:08x}"
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
                "received DELETE for {protocol} CHILD_SA with SPI {spi:08x}"
            );
        }
        closing
    }

    /// Removes what the peer deletes; the answer follows, with what they carried in the log.
    pub(crate) fn close_for_peer(&mut self, shared: &mut Shared, closing: Vec<u32>) {
        for id in &closing {
            self.switch_to_successor(shared, *id);
        }
        self.before_down(shared, &closing.clone(), Then::CloseByPeer(closing));
    }

    /// The scripts that close a firewall have ended.
    pub(crate) fn remove_by_peer(&mut self, shared: &mut Shared, closing: Vec<u32>) {
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

    pub(crate) fn on_closed_by_peer(&mut self, shared: &mut Shared, ids: &[u32], result: &KernelResult) {
        let mut deleted: Vec<(Protocol, Vec<u8>)> = Vec::new();
        let answers = result.as_deref().unwrap_or_default();
        for (place, id) in ids.iter().enumerate() {
            let Some(index) = self.children.iter().position(|child| child.unique_id == *id) else {
                continue;
            };
            // Two answers each come first.
            let own = answers.get(2 * place..2 * place + 2).unwrap_or_default();
            self.log_closing(shared, index, usages(&Ok(own.to_vec())));
            let child = &self.children[index];
            let (protocol, spi) = (child.protocol, child.spi_in);
            log!(
                shared,
                self,
                Ike,
                1,
                "sending DELETE for {protocol} CHILD_SA with SPI {spi:08x}"
            );
            deleted.push((protocol, spi.to_be_bytes().to_vec()));
        }
        let mut lost = Vec::new();
        for id in ids {
            match self.child_mut(*id) {
                Some(child) if child.successor.is_some() => child.transition_to(ChildState::succeed),
                Some(child) if child.unwanted => {}
                Some(child) => lost.push(Arc::clone(&child.config)),
                None => {}
            }
            self.let_go(shared, *id);
        }
        self.respond(shared, ExchangeType::INFORMATIONAL, deletes(deleted));
        for config in lost {
            self.after_deletion(shared, &config);
        }
        self.start_next_task(shared);
    }

    /// A limit of a CHILD_SA was reached.
    pub(crate) fn on_expire(&mut self, shared: &mut Shared, protocol: Protocol, spi: u32, hard: bool) {
        let Some(child) = self.children.iter().find(|child| child.has_sa(protocol, spi)) else {
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
            "creating {job} job for CHILD_SA {protocol}/0x{spi:08x}/{}",
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
        let lost = (child.successor.is_none() && !child.unwanted).then(|| Arc::clone(&child.config));
        self.enqueue(shared, Task::DeleteChild(id, None));
        if let Some(config) = lost {
            self.recreate(shared, config);
            self.start_next_task(shared);
        }
    }
}

/// The payloads that delete CHILD_SAs: one of ESP, unless all are of AH, and one of AH if some are.
fn deletes(spis: Vec<(Protocol, Vec<u8>)>) -> Vec<Payload> {
    let (ah, esp): (Vec<_>, Vec<_>) = spis
        .into_iter()
        .partition(|(protocol, _)| *protocol == Protocol::AH);
    let payload = |protocol, spis: Vec<(Protocol, Vec<u8>)>| {
        let spis = spis.into_iter().map(|(_, spi)| spi).collect();
        Payload::Delete(Delete { protocol, spis })
    };
    let mut payloads = Vec::new();
    if !esp.is_empty() || ah.is_empty() {
        payloads.push(payload(Protocol::ESP, esp));
    }
    if !ah.is_empty() {
        payloads.push(payload(Protocol::AH, ah));
    }
    payloads
}

pub(crate) fn deleted_spis(payloads: &[Payload]) -> Vec<(Protocol, u32)> {
    let deletes = payloads.iter().filter_map(|payload| match payload {
        Payload::Delete(delete) if matches!(delete.protocol, Protocol::ESP | Protocol::AH) => Some(delete),
        _ => None,
    });
    let spis = deletes.flat_map(|delete| delete.spis.iter().map(|spi| (delete.protocol, spi)));
    spis.filter_map(|(protocol, spi)| {
        let spi = spi.as_slice().try_into().ok().map(u32::from_be_bytes)?;
        Some((protocol, spi))
    })
    .collect()
}

/// What both SAs carried: the first two answers of a removal.
pub(crate) fn usages(result: &KernelResult) -> (SaUsage, SaUsage) {
    let usage = |index: usize| match result.as_ref().ok().and_then(|answers| answers.get(index)) {
        Some(KernelAnswer::Usage(usage)) => *usage,
        _ => SaUsage::default(),
    };
    (usage(0), usage(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_a_payload_of_its_own() {
        let spi = |protocol, octet: u8| (protocol, vec![0, 0, 0, octet]);
        let (esp, ah) = (Protocol::ESP, Protocol::AH);
        let both = deletes(vec![spi(esp, 1), spi(ah, 2), spi(esp, 3)]);
        assert_eq!(both.len(), 2);
        assert_eq!(deleted_spis(&both), [(esp, 1), (esp, 3), (ah, 2)]);
        assert_eq!(deletes(vec![spi(ah, 2)]).len(), 1);
        assert_eq!(deletes(Vec::new()).len(), 1, "an answer that names none");
    }
}
