//! Scripts for CHILD_SAs, and what waits for them.
//!
//! A script opens a firewall when a CHILD_SA goes up, and closes it when it goes down. So that no packet meets it closed,
//! the peer has its answer and a command its end after the script; so that no packet leaves unprotected through it, the
//! policies go after the one that closes it. Only the CHILD_SA in question waits, and not for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use config::identity::Identity;
use iana::ExchangeType;
use wire::payload::Payload;

use crate::child::ChildSa;
use crate::event::{ChildSaInfo, Event, IkeSaInfo, ScriptRun};
use crate::exchange::AfterAuth;
use crate::exchange::configuration::Given;
use crate::output::{CommandError, CommandId, KernelId};
use crate::rare::Rare;
use crate::sa::{IkeSa, KernelWork};
use crate::shared::Shared;

/// The scripts that run.
#[derive(Default)]
pub(crate) struct Scripts {
    /// How long a run is waited for; `None` if nobody runs scripts.
    pub(crate) patience: Option<Duration>,
    /// Until when each is waited for, and a name for the log.
    running: BTreeMap<KernelId, (Instant, String)>,
    due: BTreeSet<(Instant, KernelId)>,
    /// What waits for scripts and has no IKE_SA any more, by a number of its own.
    farewells: BTreeMap<u64, Farewell>,
    awaited: BTreeMap<KernelId, u64>,
    last_farewell: u64,
}

/// What of an IKE_SA that is gone stays until the scripts of its CHILD_SAs have ended.
#[derive(Default)]
pub(crate) struct Farewell {
    waits_for: BTreeSet<KernelId>,
    children: Vec<ChildSa>,
    /// Virtual addresses, and the peer that has them.
    pub(crate) given: Option<(Rare<Given>, Option<Identity>)>,
    /// Commands that wanted the IKE_SA gone.
    pub(crate) commands: Vec<CommandId>,
}

/// What an IKE_SA does after a script.
#[derive(Debug)]
pub(crate) struct Waiting {
    then: Then,
    /// The CHILD_SA that went up.
    child: Option<u32>,
    /// Commands that wanted it as well.
    also: Vec<CommandId>,
}

/// See [`Waiting`].
#[derive(Debug)]
pub(crate) enum Then {
    /// The initiator of the IKE_SA has its first CHILD_SA.
    Establish(AfterAuth),
    /// The responder answers IKE_AUTH.
    AnswerAuth(Vec<Payload>),
    /// The CHILD_SA that this end made is there.
    Created(Option<CommandId>),
    /// The peer has its answer to the exchange that made a CHILD_SA.
    Answer(ExchangeType, Vec<Payload>),
    /// This end removes a CHILD_SA, and tells the peer.
    CloseByUs(u32),
    /// CHILD_SAs that the peer deletes are removed.
    CloseByPeer(Vec<u32>),
}

impl Scripts {
    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.due.is_empty() && self.farewells.is_empty() && self.awaited.is_empty()
    }

    /// Whether a CHILD_SA has a script that anybody runs.
    pub(crate) fn are_run_for(&self, child: &ChildSa) -> bool {
        self.patience.is_some() && child.config.updown.is_some()
    }

    /// When the first run has lasted too long.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(when, _)| *when)
    }

    fn begin(&mut self, id: KernelId, now: Instant, name: String) {
        let until = now + self.patience.unwrap_or_default();
        self.running.insert(id, (until, name));
        self.due.insert((until, id));
    }

    /// A run has ended; its name, if it is waited for.
    pub(crate) fn end(&mut self, id: KernelId) -> Option<String> {
        let (until, name) = self.running.remove(&id)?;
        self.due.remove(&(until, id));
        Some(name)
    }

    /// A run that has lasted too long, which is not waited for any more.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<(KernelId, String)> {
        let (_, id) = self.due.first().copied().filter(|(until, _)| *until <= now)?;
        Some((id, self.end(id)?))
    }

    /// What has waited for this run and for no other any more.
    pub(crate) fn farewell_after(&mut self, id: KernelId) -> Option<Farewell> {
        let number = self.awaited.remove(&id)?;
        let farewell = self.farewells.get_mut(&number)?;
        farewell.waits_for.remove(&id);
        if farewell.waits_for.is_empty() {
            self.farewells.remove(&number)
        } else {
            None
        }
    }

    fn keep(&mut self, farewell: Farewell) {
        self.last_farewell += 1;
        let number = self.last_farewell;
        self.awaited
            .extend(farewell.waits_for.iter().map(|id| (*id, number)));
        self.farewells.insert(number, farewell);
    }
}

impl Shared {
    /// Has scripts run for CHILD_SAs.
    fn run_scripts(&mut self, up: bool, ike: IkeSaInfo, children: Vec<ChildSaInfo>) -> KernelId {
        let id = self.out.next_scripts();
        let names: Vec<&str> = children.iter().map(|child| child.config.name.as_str()).collect();
        let name = names.join(", ");
        self.scripts.begin(id, self.now, name);
        self.out.event(Event::Scripts(ScriptRun {
            id,
            up,
            ike: Box::new(ike),
            children,
        }));
        id
    }
}

impl Farewell {
    /// Of CHILD_SAs that are gone with their IKE_SA or from it: those with a script stay in the kernel until it has run, the
    /// others are removed.
    pub(crate) fn of(shared: &mut Shared, ike: &IkeSaInfo, children: Vec<ChildSa>) -> Self {
        let mut farewell = Self::default();
        let (mut infos, mut ops) = (Vec::new(), Vec::new());
        for mut child in children {
            child.unlist(shared);
            if !child.is_installed() || !shared.scripts.are_run_for(&child) {
                ops.extend(child.remove());
                child.release_reqid(shared);
                continue;
            }
            if !std::mem::replace(&mut child.told_down, true) {
                infos.push(child.info());
            }
            farewell.children.push(child);
        }
        if !infos.is_empty() {
            farewell
                .waits_for
                .insert(shared.run_scripts(false, ike.clone(), infos));
        }
        if !ops.is_empty() {
            shared.out.kernel(ops);
        }
        farewell
    }

    /// Waits for its scripts; without any it is over at once.
    pub(crate) fn begin(self, shared: &mut Shared) {
        if self.waits_for.is_empty() {
            self.finish(shared);
        } else {
            shared.scripts.keep(self);
        }
    }

    /// The scripts have ended.
    pub(crate) fn finish(self, shared: &mut Shared) {
        let ops: Vec<_> = self.children.iter().flat_map(ChildSa::remove).collect();
        if !ops.is_empty() {
            shared.out.kernel(ops);
        }
        for child in self.children {
            child.release_reqid(shared);
        }
        if let Some((mut given, peer)) = self.given {
            given.release(shared, peer.as_ref());
        }
        for command in self.commands {
            shared.out.command_done(command, Ok(()));
        }
    }
}

impl IkeSa {
    /// A CHILD_SA went up: its script comes before what follows.
    pub(crate) fn after_up(&mut self, shared: &mut Shared, child: Option<u32>, then: Then) {
        let up = self.children.iter().find(|one| Some(one.unique_id) == child);
        let Some(up) = up.filter(|up| shared.scripts.are_run_for(up)) else {
            return self.after_scripts(shared, Waiting::new(then));
        };
        let infos = vec![up.info()];
        self.run_scripts(
            shared,
            true,
            infos,
            Waiting {
                child,
                ..Waiting::new(then)
            },
        );
    }

    /// CHILD_SAs are about to go down: their scripts come before what follows.
    pub(crate) fn before_down(&mut self, shared: &mut Shared, ids: &[u32], then: Then) {
        let replaces = |id: u32| self.children.iter().any(|old| old.is_succeeded_by(id));
        let going: Vec<u32> = ids.iter().copied().filter(|id| !replaces(*id)).collect();
        let mut infos = Vec::new();
        for child in self
            .children
            .iter_mut()
            .filter(|child| going.contains(&child.unique_id))
        {
            if child.successor.is_none()
                && shared.scripts.are_run_for(child)
                && !std::mem::replace(&mut child.told_down, true)
            {
                infos.push(child.info());
            }
        }
        if infos.is_empty() {
            return self.after_scripts(shared, Waiting::new(then));
        }
        self.run_scripts(shared, false, infos, Waiting::new(then));
    }

    fn run_scripts(&mut self, shared: &mut Shared, up: bool, infos: Vec<ChildSaInfo>, waiting: Waiting) {
        let id = shared.run_scripts(up, self.info(), infos);
        shared.kernel_ops.insert(id, self.unique_id);
        self.kernel_work
            .insert(id, KernelWork::Scripts(Box::new(waiting)));
    }

    /// The scripts have ended, or there were none.
    pub(crate) fn after_scripts(&mut self, shared: &mut Shared, waiting: Waiting) {
        match waiting.then {
            Then::Establish(then) => self.after_auth(shared, then),
            Then::AnswerAuth(answer) => self.send_auth_response(shared, answer),
            Then::Created(command) => self.on_created(shared, command),
            Then::Answer(exchange, payloads) => self.respond(shared, exchange, payloads),
            Then::CloseByUs(id) => self.remove_by_us(shared, id),
            Then::CloseByPeer(ids) => self.remove_by_peer(shared, ids),
        }
        for command in waiting.also {
            shared.out.command_done(command, Ok(()));
        }
    }

    /// Whether a script runs for one of its CHILD_SAs.
    pub(crate) fn awaits_scripts(&self) -> bool {
        let mut work = self.kernel_work.values();
        work.any(|work| matches!(work, KernelWork::Scripts(_)))
    }

    /// Whether the peer waits for the answer to IKE_AUTH, before which it takes no request.
    pub(crate) fn owes_auth_response(&self) -> bool {
        let mut work = self.kernel_work.values();
        work.any(|work| {
            matches!(work, KernelWork::Scripts(waiting) if matches!(waiting.then, Then::AnswerAuth(_)))
        })
    }

    /// Has a command wait for the script of a CHILD_SA that went up, if it runs still.
    pub(crate) fn wait_for_up(&mut self, child: u32, command: CommandId) -> bool {
        let waiting = self.kernel_work.values_mut().find_map(|work| match work {
            KernelWork::Scripts(waiting) if waiting.child == Some(child) => Some(waiting),
            _ => None,
        });
        match waiting {
            Some(waiting) => {
                waiting.also.push(command);
                true
            }
            None => false,
        }
    }

    /// The IKE_SA goes while scripts run: commands that waited for CHILD_SAs to go up have failed, and what is removed waits
    /// for those of CHILD_SAs that go down.
    pub(crate) fn leave_scripts(&mut self, shared: &mut Shared, farewell: &mut Farewell) {
        for (id, work) in std::mem::take(&mut self.kernel_work) {
            let KernelWork::Scripts(waiting) = work else {
                continue;
            };
            match waiting.then {
                Then::CloseByUs(_) | Then::CloseByPeer(_) => _ = farewell.waits_for.insert(id),
                Then::Created(Some(command)) => {
                    shared.out.command_done(command, Err(CommandError::Failed));
                }
                _ => {}
            }
            for command in waiting.also {
                shared.out.command_done(command, Err(CommandError::Failed));
            }
        }
    }
}

impl Waiting {
    fn new(then: Then) -> Self {
        Self {
            then,
            child: None,
            also: Vec::new(),
        }
    }
}
