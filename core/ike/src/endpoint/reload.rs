//! Connections that come, change and go, and what becomes of what was established, installed or attempted for them.
//!
//! All of it is decided here, on what will be once queued requests are done. What has to be started is for the caller to
//! do, because only it knows addresses: of names, and the own one to reach a peer from.

use std::sync::Arc;
use std::time::Instant;

use config::connection::{ChildConfig, Mode, PeerConfig, VICI};

use super::Endpoint;
use super::connections::PutOutcome;
use crate::lookup::SaKey;
use crate::output::{CommandError, CommandId};
use crate::sa::change::Change;
use crate::sa::unwanted::Wanted;
use crate::shared::log_plain;

/// What became of a connection that was loaded.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// How it relates to what was there.
    pub outcome: PutOutcome,
    /// What is to be done for it, in this order.
    pub start: Vec<Start>,
}

/// Something that is to be done for a connection.
#[derive(Clone, Debug)]
pub struct Start {
    /// The connection.
    pub peer: Arc<PeerConfig>,
    /// The CHILD_SA.
    pub child: Arc<ChildConfig>,
    /// What is to be done.
    pub how: How,
    /// Commands that wait for it since before the connection changed, in whose names it is to be done.
    pub commands: Vec<CommandId>,
}

/// See [`Start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Install its trap or shunt.
    Install,
    /// Establish it.
    Initiate,
}

impl Endpoint {
    /// Loads a connection of vici in the place of the one of its name. What was started for that one and is not to be any
    /// more is closed, and attempts to establish it are given up.
    pub fn load_connection(&mut self, now: Instant, peer: PeerConfig) -> Loaded {
        self.shared.now = now;
        let (name, source) = (peer.name.clone(), peer.source.clone());
        let outcome = self.put_connection(peer);
        let mut known = self.connections().iter();
        let new = known.find(|known| known.name == name && known.source == source);
        let Some(new) = new.cloned() else {
            return Loaded {
                outcome,
                start: Vec::new(),
            };
        };
        let (old, same) = match &outcome {
            PutOutcome::Added => (None, false),
            PutOutcome::Updated(old) => (Some(Arc::clone(old)), true),
            PutOutcome::Replaced(old) => (Some(Arc::clone(old)), false),
        };
        let kept = |child: &Arc<ChildConfig>, others: &PeerConfig| same && others.children.contains(child);
        let started = new
            .children
            .iter()
            .filter(|child| old.as_ref().is_none_or(|old| !kept(child, old)));
        let mut start: Vec<Start> = started.flat_map(|child| actions(&new, child)).collect();
        if let Some(old) = &old {
            let gone: Vec<_> = old
                .children
                .iter()
                .filter(|child| !kept(child, &new))
                .cloned()
                .collect();
            start.extend(self.undo_policies(old, &new, &gone));
            let begins = |name: &str| {
                start
                    .iter()
                    .any(|it| it.how == How::Initiate && it.child.name == name)
            };
            let closed = gone
                .iter()
                .filter(|child| child.start_action.starts() || begins(&child.name));
            let initiates = start.iter().any(|it| it.how == How::Initiate);
            let change = Change {
                closed: closed.map(|child| child.name.clone()).collect(),
                closes_ike: !same || !initiates,
                new: Some(Arc::clone(&new)),
                same_peer: same,
                gone,
            };
            let wanted = self.apply(old, &change);
            self.carry_over(&new, wanted, &mut start);
        }
        Loaded { outcome, start }
    }

    /// Takes a connection of vici out, with its traps and shunts. What was started for it is closed, and it does not connect
    /// any more; what a command has established stays.
    pub fn unload_connection(&mut self, now: Instant, name: &str) -> Option<Arc<PeerConfig>> {
        self.shared.now = now;
        let old = self.take_connection(name, VICI)?;
        for child in old.children.iter().filter(|child| is_installed_by_action(child)) {
            log_plain!(self.shared, Cfg, 1, "vici uninstalling '{}'", child.name);
        }
        // Those that were installed by a command, too: nothing is left that they could establish.
        self.uninstall_all(now, name);
        let started = old.children.iter().filter(|child| child.start_action.starts());
        let change = Change {
            closed: started.map(|child| child.name.clone()).collect(),
            closes_ike: true,
            new: None,
            same_peer: false,
            gone: old.children.clone(),
        };
        let wanted = self.apply(&old, &change);
        self.fail(wanted);
        Some(old)
    }

    /// Gives up a CHILD_SA that is wanted and not yet made, of the IKE_SAs of a name if one is given. How often it was wanted.
    pub fn give_up_child(&mut self, now: Instant, ike: Option<&str>, child: &str) -> usize {
        self.shared.now = now;
        let named = |sa: &crate::sa::IkeSa| ike.is_none_or(|ike| *sa.name == *ike);
        let entries = self.sas.iter().filter(|(_, entry)| named(&entry.sa));
        let keys: Vec<SaKey> = entries.map(|(key, _)| *key).collect();
        let mut given_up = Vec::new();
        for key in keys {
            self.with_sa(key, |sa, shared| sa.give_up_named(shared, child, &mut given_up));
        }
        let count = given_up.len();
        self.fail(given_up);
        count
    }

    /// The IKE_SAs of a connection act on its change. Returns what was wanted of them.
    pub(super) fn apply(&mut self, old: &PeerConfig, change: &Change) -> Vec<Wanted> {
        if let Some(new) = change.new.as_ref().filter(|_| change.same_peer) {
            self.shared.policies.follow(old, new);
        }
        let concerned = |sa: &crate::sa::IkeSa| sa.config.as_ref().is_some_and(|config| is_of(config, old));
        let keys: Vec<SaKey> = self
            .sas
            .iter()
            .filter(|(_, entry)| concerned(&entry.sa))
            .map(|(key, _)| *key)
            .collect();
        let mut wanted = Vec::new();
        for key in keys {
            self.with_sa(key, |sa, shared| {
                sa.on_connection_change(shared, change, &mut wanted)
            });
        }
        wanted
    }

    /// What was wanted of a connection as it was is wanted of what it is now.
    pub(super) fn carry_over(&mut self, new: &Arc<PeerConfig>, wanted: Vec<Wanted>, start: &mut Vec<Start>) {
        for (child, command) in wanted {
            // A trap has its own idea of when to try again.
            let of_trap = command.is_some_and(CommandId::is_of_trap);
            let found = new.children.iter().find(|known| known.name == child.name);
            let Some(child) = found.filter(|child| !of_trap && !is_shunt(child)) else {
                self.fail(vec![(child, command)]);
                continue;
            };
            let known = start
                .iter_mut()
                .find(|it| it.how == How::Initiate && it.child.name == child.name);
            match known {
                Some(known) => known.commands.extend(command),
                None => start.push(Start {
                    peer: Arc::clone(new),
                    child: Arc::clone(child),
                    how: How::Initiate,
                    commands: command.into_iter().collect(),
                }),
            }
        }
    }

    /// Commands wait in vain.
    pub(super) fn fail(&mut self, wanted: Vec<Wanted>) {
        for command in wanted.into_iter().filter_map(|(_, command)| command) {
            self.shared.out.command_done(command, Err(CommandError::Failed));
        }
        self.end_attempts();
    }

    /// Traps and shunts that go with a connection as it was. One that comes again stays until it is replaced, so that
    /// nothing gets past it; one that a command has installed comes again.
    fn undo_policies(
        &mut self,
        old: &PeerConfig,
        new: &Arc<PeerConfig>,
        gone: &[Arc<ChildConfig>],
    ) -> Vec<Start> {
        let (now, mut again) = (self.shared.now, Vec::new());
        for child in gone {
            let next = new.children.iter().find(|next| next.name == child.name);
            let by_action = is_installed_by_action(child);
            let installed = self.shared.policies.find(Some(&old.name), &child.name).is_some();
            match next {
                Some(next) if is_installed_by_action(next) => {}
                Some(next) if installed && !by_action => again.push(Start {
                    peer: Arc::clone(new),
                    child: Arc::clone(next),
                    how: How::Install,
                    commands: Vec::new(),
                }),
                _ if installed => {
                    if by_action {
                        log_plain!(self.shared, Cfg, 1, "vici uninstalling '{}'", child.name);
                    }
                    self.uninstall(now, Some(&old.name), &child.name);
                }
                _ => {}
            }
        }
        again
    }
}

/// What its `start_action` wants done with a CHILD_SA.
fn actions(peer: &Arc<PeerConfig>, child: &Arc<ChildConfig>) -> Vec<Start> {
    let start = |how| Start {
        peer: Arc::clone(peer),
        child: Arc::clone(child),
        how,
        commands: Vec::new(),
    };
    let mut actions = Vec::new();
    if is_installed_by_action(child) {
        actions.push(start(How::Install));
    }
    if child.start_action.starts() && !is_shunt(child) {
        actions.push(start(How::Initiate));
    }
    actions
}

/// Whether its `start_action` installs a trap or shunt. There is nothing to negotiate about a shunt.
fn is_installed_by_action(child: &ChildConfig) -> bool {
    child.start_action.traps() || (child.start_action.starts() && is_shunt(child))
}

fn is_shunt(child: &ChildConfig) -> bool {
    matches!(child.mode, Mode::Pass | Mode::Drop)
}

/// Whether a connection is another version of one: of the same name, from the same place.
pub(crate) fn is_of(config: &PeerConfig, other: &PeerConfig) -> bool {
    config.name == other.name && (config.source == VICI) == (other.source == VICI)
}
