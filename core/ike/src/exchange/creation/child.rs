//! What is particular to a CHILD_SA, or the successor of one, when this end makes it.

use std::sync::Arc;

use config::connection::ChildConfig;
use iana::NotifyType;
use wire::payload::{Notify, Payload, TsKind};

use super::{ChildDraft, Creation, Side, Subject, retry_delay};
use crate::child::reservation::{Reserved, Wanted};
use crate::child::{ChildSa, ChildState, negotiate, transport};
use crate::error::Error;
use crate::exchange::find;
use crate::output::{CommandError, CommandId, KernelResult};
use crate::sa::{IkeSa, KernelWork};
use crate::scripts::Then;
use crate::selectors;
use crate::shared::{Shared, log};
use crate::task::Task;
use crate::timer::Timer;

impl ChildDraft {
    /// Takes over the selectors of the peer's answer, which may only be narrower than those offered.
    pub(super) fn accept_selectors(&mut self, payloads: &[Payload]) -> Result<(), Error> {
        let tsi = find!(payloads, Payload::Ts(TsKind::Initiator, ts) => selectors::from_wire(ts))
            .ok_or(Error::Missing("TSi"))?;
        let tsr = find!(payloads, Payload::Ts(TsKind::Responder, ts) => selectors::from_wire(ts))
            .ok_or(Error::Missing("TSr"))?;
        if !selectors::within(&tsi, &self.local_ts) || !selectors::within(&tsr, &self.remote_ts) {
            return Err(Error::TsUnacceptable);
        }
        (self.local_ts, self.remote_ts) = (tsi, tsr);
        self.transport.agreed = transport::is_in(payloads);
        Ok(())
    }
}

impl IkeSa {
    /// Starts to replace a CHILD_SA.
    pub(crate) fn rekey_child(&mut self, shared: &mut Shared, id: u32, command: Option<CommandId>) {
        let child = self
            .child_mut(id)
            .filter(|child| child.state == ChildState::Installed && child.successor.is_none());
        let Some(child) = child else {
            self.active = None;
            if let Some(command) = command {
                shared.out.command_done(command, Err(CommandError::NotFound));
            }
            return;
        };
        child.transition_to(ChildState::rekey);
        child.timer = Timer::OFF;
        let config = Arc::clone(&child.config);
        self.start_child(shared, Creation::child(config, Some(id), command));
    }

    /// Starts to make a CHILD_SA of a configuration.
    pub(crate) fn create_child(
        &mut self,
        shared: &mut Shared,
        config: Arc<ChildConfig>,
        command: Option<CommandId>,
    ) {
        self.start_child(shared, Creation::child(config, None, command));
    }

    fn start_child(&mut self, shared: &mut Shared, creation: Creation) {
        let wanted = match &creation.subject {
            Subject::Child(draft) => Wanted::of(&draft.config),
            Subject::Ike(_) => Wanted::ESP,
        };
        self.creating = Some(Box::new(creation));
        self.reserve(shared, wanted, KernelWork::ReserveCreated(Side::Active));
    }

    pub(crate) fn on_creation_spi(&mut self, shared: &mut Shared, reserved: Option<Reserved>) {
        let Some(mut creation) = self.creating.take() else {
            return;
        };
        let (Some(reserved), Subject::Child(draft)) = (reserved, &mut creation.subject) else {
            return self.creation_failed(shared, *creation);
        };
        let config = Arc::clone(&draft.config);
        let id = shared.next_child_id();
        let child = ChildSa::new(id, Arc::clone(&config), reserved, self.local, self.remote);
        let peer = self.remote.ip();
        let old = draft.rekeys.and_then(|id| self.child_mut(id));
        let awaited = shared.policies.awaited(&config, peer).map(|(_, reqid)| reqid);
        let label = match old.map(|old| old.reqid()).or(awaited) {
            Some(reqid) => format!("{} reqid {reqid}", child.label()),
            None => child.label(),
        };
        log!(shared, self, Ike, 0, "establishing CHILD_SA {label}");
        let (offered, messages) = negotiate::proposals(shared, &config, reserved.spi, false);
        for message in messages {
            log!(shared, self, Cfg, 1, "{message}");
        }
        draft.local_ts = selectors::resolve(&config.local_ts, &self.own_hosts());
        draft.remote_ts = selectors::resolve(&config.remote_ts, &self.peer_hosts());
        if draft.rekeys.is_none() {
            let Shared { policies, .. } = shared;
            policies.put_packet_first(&config, peer, &mut draft.local_ts, &mut draft.remote_ts);
        }
        draft.child = Some(child);
        creation.offered = offered;
        creation.nonce_i = shared.nonce();
        self.make_public(shared, creation);
    }

    /// What the request for a CHILD_SA has besides proposals, nonce and public value; nothing if what it should
    /// replace is gone.
    pub(super) fn child_request(&mut self, draft: &ChildDraft) -> Option<Vec<Payload>> {
        let mut payloads = Vec::new();
        if let Some(id) = draft.rekeys {
            let old = self.child_mut(id)?;
            payloads.push(Payload::Notify(Notify {
                protocol: old.protocol.0,
                spi: old.spi_in.to_be_bytes().to_vec(),
                kind: NotifyType::REKEY_SA,
                data: Vec::new(),
            }));
        }
        payloads.extend(draft.child.as_ref().and_then(ChildSa::ipcomp_notify));
        if draft.config.mode == config::connection::Mode::Transport {
            payloads.push(Payload::status(NotifyType::USE_TRANSPORT_MODE, Vec::new()));
        }
        let (tsi, tsr) = (&draft.local_ts, &draft.remote_ts);
        payloads.push(Payload::Ts(TsKind::Initiator, selectors::to_wire(tsi)));
        payloads.push(Payload::Ts(TsKind::Responder, selectors::to_wire(tsr)));
        Some(payloads)
    }

    pub(crate) fn on_created_installed(&mut self, shared: &mut Shared, result: &KernelResult) {
        let Some(mut creation) = self.creating.take() else {
            return;
        };
        let rekeys = creation.rekeys();
        let Some(mut child) = creation.take_child() else {
            return;
        };
        child.unwanted |= creation.unwanted;
        if result.is_err() {
            self.log_install_failed(shared, &child, result);
            if let Subject::Child(draft) = &mut creation.subject {
                draft.child = Some(child);
            }
            return self.withdraw(shared, *creation);
        }
        // The redundant one that the peer made at the same time is the peer's to delete.
        let up = self.take_in(shared, Side::Active, child, rekeys);
        if up.is_some() {
            return self.after_up(shared, up, Then::Created(creation.command));
        }
        if let Some(old) = rekeys
            && let Some(child) = self.child_mut(old).filter(|child| child.state.succeed().is_ok())
        {
            child.transition_to(ChildState::succeed);
            self.tasks.push_front(Task::DeleteChild(old, None));
        }
        self.on_created(shared, creation.command);
    }

    /// What this end made is there.
    pub(crate) fn on_created(&mut self, shared: &mut Shared, command: Option<CommandId>) {
        self.active = None;
        if let Some(command) = command {
            shared.out.command_done(command, Ok(()));
        }
        self.start_next_task(shared);
    }

    /// The peer made something of it that this end cannot or will not use.
    pub(crate) fn withdraw(&mut self, shared: &mut Shared, mut creation: Creation) {
        let spi = creation.child_mut().map(|child| child.spi_in);
        let selected = creation.selected.as_ref().map(|proposal| proposal.protocol);
        let made = selected.filter(|_| creation.plan.is_empty());
        self.creation_failed(shared, creation);
        if let (Some(protocol), Some(spi)) = (made, spi) {
            self.enqueue(shared, Task::WithdrawChild(protocol, spi));
        }
    }

    /// The peer cannot make a CHILD_SA right now.
    pub(super) fn create_later(&mut self, shared: &mut Shared, mut creation: Creation) {
        if creation.unwanted {
            return self.creation_failed(shared, creation);
        }
        let delay = retry_delay(shared);
        log!(
            shared,
            self,
            Ike,
            1,
            "creating CHILD_SA failed, trying again in {} seconds",
            delay.as_secs()
        );
        let command = creation.command.take();
        self.discard(shared, &mut creation);
        if let Subject::Child(draft) = creation.subject {
            let task = Task::CreateChild(draft.config, command);
            self.later.push((Timer::at(shared.now + delay), task));
        }
        self.active = None;
        self.start_next_task(shared);
    }

    /// A CHILD_SA whose rekeying failed goes on, and is tried again a little later.
    pub(super) fn retry_rekeying(&mut self, shared: &mut Shared, id: u32) {
        let delay = retry_delay(shared);
        let now = shared.now;
        let Some(child) = self.child_mut(id) else { return };
        if child.state != ChildState::Rekeying {
            return;
        }
        if child.successor.is_some() {
            // The peer has rekeyed it, and will delete it.
            return child.transition_to(ChildState::succeed);
        }
        child.transition_to(ChildState::keep);
        child.timer = Timer::at(now + delay);
        log!(
            shared,
            self,
            Ike,
            1,
            "CHILD_SA rekeying failed, trying again in {} seconds",
            delay.as_secs()
        );
    }

    /// The peer does not have the CHILD_SA any more. Unless it has been replaced, it is made anew (RFC 7296, 2.25.1).
    pub(super) fn rekeyed_is_unknown(&mut self, shared: &mut Shared, mut creation: Creation) {
        self.active = None;
        let command = creation.command.take();
        self.discard(shared, &mut creation);
        let Subject::Child(draft) = creation.subject else {
            return;
        };
        let gone = draft.rekeys.filter(|id| {
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
                self.lose_child(shared, id);
                self.active = Some(Box::new(Task::CreateChild(Arc::clone(&draft.config), command)));
                self.create_child(shared, draft.config, command);
            }
            None => {
                let old = draft.rekeys.and_then(|id| self.child_mut(id));
                if let Some(old) = old.filter(|old| old.state == ChildState::Rekeying) {
                    old.transition_to(ChildState::succeed);
                }
                if let Some(command) = command {
                    shared.out.command_done(command, Ok(()));
                }
                self.start_next_task(shared);
            }
        }
    }
}
