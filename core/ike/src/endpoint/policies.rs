//! Traps and shunts of an [`Endpoint`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use config::connection::{ChildConfig, PeerConfig};
use iana::TrafficSelector;

use super::{Endpoint, same_peer};
use crate::child::Numbers;
use crate::endpoint::Initiate;
use crate::output::{CommandError, CommandId, KernelId, KernelOp, KernelResult};
use crate::sa::IkeSa;
use crate::selectors;
use crate::shared::{Shared, log_plain};
use crate::trap::{Change, Packet, Policy, PolicyId, takes_any_peer};

/// A trap or a shunt, from outside.
#[derive(Clone, Debug)]
pub struct PolicyInfo {
    /// Its connection.
    pub peer: Arc<PeerConfig>,
    /// The configuration of its CHILD_SA, whose mode tells shunts from traps.
    pub child: Arc<ChildConfig>,
    /// A trap's number, of the same series as those of CHILD_SAs.
    pub unique_id: Option<u32>,
    /// A trap's reqid, which its CHILD_SAs share.
    pub reqid: Option<u32>,
    /// The addresses between which a trap's CHILD_SA will be established.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// A trap's selectors, for what is sent and for what is received.
    pub selectors: Option<(Vec<TrafficSelector>, Vec<TrafficSelector>)>,
}

impl Endpoint {
    /// Installs the trap of a CHILD_SA: the first packet that its selectors cover establishes it. One that there is
    /// already goes on with this configuration and these addresses.
    pub fn install_trap(&mut self, now: Instant, id: CommandId, what: &Initiate) {
        self.shared.now = now;
        self.install_trap_for(what, Some(id));
    }

    pub(super) fn install_trap_for(&mut self, what: &Initiate, command: Option<CommandId>) {
        let Some(child) = &what.child else {
            if let Some(command) = command {
                self.shared.out.command_done(command, Err(CommandError::NotFound));
            }
            return;
        };
        let shared = &mut self.shared;
        if what.remote.ip().is_unspecified() && !takes_any_peer(&what.peer, child) {
            log_plain!(shared, Cfg, 1, "installing trap failed, remote address unknown");
            if let Some(command) = command {
                shared.out.command_done(command, Err(CommandError::Failed));
            }
            return;
        }
        let known = shared.policies.find(Some(&what.peer.name), &child.name);
        if known.is_some() && command.is_some() {
            let name = &child.name;
            log_plain!(shared, Cfg, 1, "updating already routed CHILD_SA '{name}'");
        }
        let unique_id = if known.is_some() {
            0
        } else {
            shared.next_child_id()
        };
        let numbers = same_numbers(shared, known, &what.peer, child).unwrap_or_else(|| {
            let inherited = shared.chosen.if_ids(&what.peer);
            shared.chosen.numbers(child, inherited)
        });
        let policy = Policy::trap(what, child, unique_id, numbers, &mut shared.reqids);
        self.put_policy(known, policy, command);
    }

    /// Installs a shunt, which passes packets by or drops them.
    pub fn install_shunt(
        &mut self,
        now: Instant,
        id: CommandId,
        peer: &Arc<PeerConfig>,
        child: &Arc<ChildConfig>,
    ) {
        self.shared.now = now;
        let known = self.shared.policies.find(Some(&peer.name), &child.name);
        let same = known.and_then(|known| self.shared.policies.get(known));
        if same.is_some_and(|policy| policy.child == *child) {
            let (mode, name) = (child.mode, &child.name);
            log_plain!(
                self.shared,
                Cfg,
                1,
                "shunt {mode} policy '{name}' already installed"
            );
            return self.shared.out.command_done(id, Ok(()));
        }
        let chosen = &mut self.shared.chosen;
        let inherited = chosen.if_ids(peer);
        let numbers = chosen.numbers(child, inherited);
        self.put_policy(known, Policy::shunt(peer, child, numbers), Some(id));
    }

    /// Takes a policy in, in the place of another of its name.
    fn put_policy(&mut self, known: Option<PolicyId>, mut policy: Policy, command: Option<CommandId>) {
        let Shared {
            policies,
            reqids,
            out,
            ..
        } = &mut self.shared;
        let id = known.unwrap_or_else(|| policies.next_id());
        let added = policy.parameters.clone();
        let mut ops: Vec<_> = added.iter().cloned().map(KernelOp::AddPolicy).collect();
        let mut before = policies.take(id);
        if let Some(before) = &mut before {
            if let (Some(new), Some(old)) = (&mut policy.trap, &mut before.trap) {
                new.continue_from(old);
            }
            // Once the new ones are there; so nothing gets through in the meantime, and nothing is lost if they fail.
            ops.extend(before.removal());
        }
        let same = before.as_ref().is_some_and(|before| before.parameters == added);
        policies.insert(id, policy);
        if same {
            if let Some(before) = before {
                before.release(reqids);
            }
            if let Some(command) = command {
                out.command_done(command, Ok(()));
            }
            return;
        }
        let change = Change {
            id,
            command,
            added,
            before: before.map(Box::new),
        };
        let kernel = out.kernel(ops);
        policies.changing.insert(kernel, change);
    }

    /// Whether the operations were about a trap or shunt; those of one that failed are undone.
    pub(super) fn policy_changed(&mut self, kernel: KernelId, result: &KernelResult) -> bool {
        let Shared {
            policies,
            reqids,
            out,
            ..
        } = &mut self.shared;
        let Some(change) = policies.changing.remove(&kernel) else {
            return false;
        };
        let Change {
            id,
            command,
            mut added,
            before,
        } = change;
        if let Some(command) = command {
            let done = result.as_ref().map(drop).map_err(|_| CommandError::Failed);
            out.command_done(command, done);
        }
        let Err(failure) = result else {
            if let Some(before) = before {
                before.release(reqids);
            }
            return true;
        };
        let undo = |policies: &mut crate::trap::Policies, reqids: &mut crate::reqids::Reqids| {
            let failed = policies.take(id)?;
            failed.release(reqids);
            Some(failed)
        };
        // One that was taken out in the meantime has had its removal queued.
        let Some(failed) = undo(policies, reqids) else {
            if let Some(before) = before {
                before.release(reqids);
                out.kernel(before.removal());
            }
            return true;
        };
        added.truncate(failure.completed);
        let ops: Vec<_> = added.into_iter().rev().map(KernelOp::DeletePolicy).collect();
        if !ops.is_empty() {
            out.kernel(ops);
        }
        if let Some(before) = before {
            policies.insert(id, *before);
        }
        let what = if failed.trap.is_some() { "trap" } else { "shunt" };
        let (name, error) = (&failed.child.name, &failure.error);
        log_plain!(
            self.shared,
            Cfg,
            1,
            "installing {what} policies of '{name}' failed: {error}"
        );
        true
    }

    /// Takes out the trap or shunt of a CHILD_SA's configuration, within a connection if one is named. What it has
    /// established stays.
    pub fn uninstall(&mut self, now: Instant, ike: Option<&str>, child: &str) -> Option<PolicyInfo> {
        self.shared.now = now;
        let id = self.shared.policies.find(ike, child)?;
        self.remove_policy(id)
    }

    /// Takes out all traps and shunts of a connection. How many there were.
    pub fn uninstall_all(&mut self, now: Instant, ike: &str) -> usize {
        self.shared.now = now;
        let policies = self.shared.policies.iter();
        let ids: Vec<_> = policies
            .filter(|(_, policy)| policy.peer.name == ike)
            .map(|(id, _)| id)
            .collect();
        ids.into_iter().filter_map(|id| self.remove_policy(id)).count()
    }

    fn remove_policy(&mut self, id: PolicyId) -> Option<PolicyInfo> {
        let policy = self.shared.policies.take(id)?;
        policy.release(&mut self.shared.reqids);
        let ops = policy.removal();
        if !ops.is_empty() {
            self.shared.out.kernel(ops);
        }
        Some(info(&policy))
    }

    /// All traps and shunts, in the order of their installation.
    pub fn policies(&self) -> impl Iterator<Item = PolicyInfo> {
        self.shared.policies.iter().map(|(_, policy)| info(policy))
    }

    /// A packet has met a trap.
    pub(super) fn acquire(&mut self, reqid: u32, packet: Packet) {
        let now = self.shared.now;
        let Some(number) = self.shared.policies.meet(reqid, &packet, now) else {
            return;
        };
        let (src, dst) = &packet;
        log_plain!(
            self.shared,
            Knl,
            1,
            "creating acquire job for policy {src} === {dst} with reqid {{{reqid}}}"
        );
        self.attempt(number);
    }

    /// Traps that have paused long enough, and that a packet waits for.
    pub(super) fn attempt_due(&mut self) {
        while let Some(number) = self.shared.policies.next_due(self.shared.now) {
            self.attempt(number);
        }
    }

    /// Establishes the CHILD_SA of a trap.
    fn attempt(&mut self, number: u64) {
        let Some((what, packet)) = self.to_establish(number) else {
            self.shared.policies.end_attempt(number);
            return;
        };
        let child = what.child.as_deref();
        let current = self.shared.connections.current(&what.peer, child);
        let holds = current.is_some_and(|(peer, child)| same_peer(&peer, &what.peer) && child == what.child);
        if !holds {
            // It is about to be installed anew, or taken out.
            log_plain!(
                self.shared,
                Cfg,
                1,
                "the trap of '{}' is of a connection that was changed or removed, nothing is established",
                what.peer.name
            );
            let now = self.shared.now;
            if let Some((id, peer, _)) = self.shared.policies.end_attempt(number) {
                self.shared.policies.pause(id, peer, now);
            }
            return;
        }
        let any_peer = what
            .child
            .as_ref()
            .is_some_and(|child| takes_any_peer(&what.peer, child));
        let command = CommandId::of_attempt(number);
        let known = self.find_with_peer(&what.peer, any_peer.then_some(what.remote.ip()));
        match (known, what.child.clone()) {
            (Some(key), Some(child)) => {
                self.with_sa(key, |sa, shared| {
                    sa.add_child_for(shared, child, &packet, command);
                });
            }
            _ if what.local.ip().is_unspecified() => self.start_by_route(what, command),
            _ => {
                self.start(what, Some(command), false, |_, _| {});
            }
        }
    }

    /// What an attempt is to establish, and for which packet.
    fn to_establish(&self, number: u64) -> Option<(Initiate, Packet)> {
        let (id, peer) = self.shared.policies.attempt(number)?;
        let policy = self.shared.policies.get(id)?;
        let trap = policy.trap.as_ref()?;
        let packet = trap.awaited(peer)?.clone();
        let mut what = Initiate {
            peer: Arc::clone(&policy.peer),
            child: Some(Arc::clone(&policy.child)),
            local: trap.local,
            remote: SocketAddr::new(peer, trap.remote.port()),
        };
        let source = packet.0.start;
        if what.local.ip().is_unspecified() && self.shared.local_addresses.contains(&source) {
            what.local.set_ip(source);
        }
        Some((what, packet))
    }

    /// Attempts that have come to their end. One that was no use to its packet makes the trap pause.
    pub(super) fn end_attempts(&mut self) {
        for (number, established) in std::mem::take(&mut self.shared.out.attempts) {
            let now = self.shared.now;
            let Some((id, peer, packet)) = self.shared.policies.end_attempt(number) else {
                continue;
            };
            let served = established
                && self.shared.policies.get(id).is_some_and(|policy| {
                    let name = &policy.child.name;
                    self.sas.values().any(|entry| entry.sa.serves(name, &packet))
                });
            if !served {
                self.shared.policies.pause(id, peer, now);
            }
            if let Some(next) = self.shared.policies.next_waiting(id) {
                self.attempt(next);
            }
        }
    }
}

/// The numbers of a trap that goes on, if the configuration asks for the same.
fn same_numbers(
    shared: &Shared,
    known: Option<PolicyId>,
    peer: &PeerConfig,
    child: &ChildConfig,
) -> Option<Numbers> {
    let policy = shared.policies.get(known?)?;
    let same = policy.child.kernel == child.kernel && policy.peer.if_ids == peer.if_ids;
    policy
        .trap
        .as_ref()
        .filter(|_| same)
        .map(|trap| trap.selectors.numbers)
}

fn info(policy: &Policy) -> PolicyInfo {
    let trap = policy.trap.as_ref();
    PolicyInfo {
        peer: Arc::clone(&policy.peer),
        child: Arc::clone(&policy.child),
        unique_id: trap.map(|trap| trap.unique_id),
        reqid: trap.map(|trap| trap.reqid),
        ends: trap.map(|trap| (trap.local, trap.remote)),
        selectors: trap.map(|trap| (trap.selectors.local.to_vec(), trap.selectors.remote.to_vec())),
    }
}

impl IkeSa {
    /// Whether an installed CHILD_SA of a configuration carries a packet.
    pub(crate) fn serves(&self, name: &str, (src, dst): &Packet) -> bool {
        let covers = |wide: &[TrafficSelector], packet: &TrafficSelector| {
            selectors::within(std::slice::from_ref(packet), wide)
        };
        self.children.iter().any(|child| {
            child.config.name == name
                && child.stays()
                && covers(&child.selectors.local, src)
                && covers(&child.selectors.remote, dst)
        })
    }
}
