//! `install`, `uninstall` and `list-policies`: traps, whose first packet establishes a CHILD_SA, and shunts.

use std::collections::VecDeque;
use std::sync::Arc;

use config::connection::{ChildConfig, Mode, PeerConfig};
use control::vici::Message;
use ike::{CommandError, Initiate, PolicyInfo, takes_any_peer};
use plugin_api::Reply;
use plugin_api::log::Group;

use super::initiate::{Nobody, Target};
use super::message::Extra;
use super::operation::{Operation, OutOfTime, Work};
use super::{Answer, resolve, success};
use crate::run::Daemon;

/// What is left to be installed, the first one being in work.
pub(super) struct Installing {
    targets: VecDeque<Target>,
    /// The last one that could not be.
    failed: Option<String>,
    resolving: bool,
}

impl Installing {
    fn new(targets: VecDeque<Target>) -> Self {
        Self {
            targets,
            failed: None,
            resolving: false,
        }
    }

    pub(super) fn is_resolving(&self) -> bool {
        self.resolving
    }

    fn name(&self) -> &str {
        self.targets.front().map_or("", Target::name)
    }

    pub(super) fn out_of_time(&self) -> OutOfTime {
        let name = self.name();
        OutOfTime {
            error: failure(name),
            lines: vec![format!("routing '{name}' failed")],
        }
    }
}

fn failure(name: &str) -> String {
    format!("installing policy '{name}' failed")
}

impl Daemon {
    /// Addresses or routes have changed: traps are moved to where their CHILD_SAs would be established now.
    pub(crate) fn move_traps(&mut self) {
        let traps = self.endpoint.policies().filter(|policy| policy.ends.is_some());
        for policy in traps.collect::<Vec<_>>() {
            let target = Target {
                peer: policy.peer,
                child: Some(policy.child),
            };
            // Those whose peer has a name keep its address until they are installed again.
            if let Ok(what) = self.trap(&target, &Vec::new())
                && Some((what.local, what.remote)) != policy.ends
            {
                let (now, command) = (self.now(), self.operations.unattended());
                self.endpoint.install_trap(now, command, &what);
            }
        }
    }

    /// `install`: `child`, and `ike` if the name alone is not enough; `name` with `stroke`, for `ipsec route`.
    pub(super) fn start_install(&mut self, request: &Message, reply: &Arc<dyn Reply>) {
        let found = if request.is("stroke") {
            let name = request.get_str("name").ok_or("missing configuration name".into());
            name.and_then(|name: &str| self.named(name, |_| true))
        } else {
            self.policy(request).map(|target| VecDeque::from([target]))
        };
        let (targets, problem) = match found {
            Ok(targets) => (targets, None),
            Err(problem) => (VecDeque::new(), Some(problem)),
        };
        let work = Work::Install(Installing::new(targets));
        let mut operation = Operation::new(request, reply, self.now(), work);
        if let Some(problem) = problem {
            operation.lines.push(problem.clone());
            return operation.finish(Err(problem));
        }
        let id = self.operations.add(operation);
        self.next_policy(id);
    }

    /// Installs for somebody who does not wait.
    pub(super) fn install_detached(&mut self, peer: Arc<PeerConfig>, child: Arc<ChildConfig>) {
        let target = Target {
            peer,
            child: Some(child),
        };
        let work = Work::Install(Installing::new(VecDeque::from([target])));
        let reply: Arc<dyn Reply> = Arc::new(Nobody);
        let operation = Operation::new(&Message::default(), &reply, self.now(), work);
        let id = self.operations.add(operation);
        self.next_policy(id);
    }

    /// The configuration of a CHILD_SA that exists.
    fn policy(&self, request: &Message) -> Result<Target, String> {
        let name = request.get_str("child").ok_or("missing configuration name")?;
        self.logger.log(Group::Cfg, 1, format!("vici install '{name}'"));
        let ike = request.get_str("ike");
        let peers = self.endpoint.connections().iter();
        let mut peers = peers.filter(|peer| ike.is_none_or(|ike| ike == peer.name));
        let target = peers.find_map(|peer| {
            let child = peer.children.iter().find(|child| child.name == name)?;
            Some(Target {
                peer: Arc::clone(peer),
                child: Some(Arc::clone(child)),
            })
        });
        target.ok_or_else(|| "configuration name not found".into())
    }

    fn installing(&mut self, id: u64) -> Option<&mut Installing> {
        match self.operations.running.get_mut(&id).map(|it| &mut it.work) {
            Some(Work::Install(work)) => Some(work),
            _ => None,
        }
    }

    fn next_policy(&mut self, id: u64) {
        let Some(target) = self.installing(id).and_then(|work| work.targets.front().cloned()) else {
            return;
        };
        let Some(target) = self.renewed(&target) else {
            return self.not_installed(id, &resolve::Problem::Removed(target.peer.name.clone()));
        };
        if let Some(first) = self.installing(id).and_then(|work| work.targets.front_mut()) {
            *first = target.clone();
        }
        let names = match &target.child {
            Some(child) if !is_shunt(child) => resolve::names(&target.peer),
            _ => Vec::new(),
        };
        if names.is_empty() {
            return self.install_next(id, &Vec::new());
        }
        match resolve::look_up(id, names, self.operations.resolving(), self.input.clone()) {
            Ok(()) => {
                if let Some(work) = self.installing(id) {
                    work.resolving = true;
                }
            }
            Err(problem) => self.not_installed(id, &problem),
        }
    }

    /// Installs what is first, now that the addresses of names are known.
    pub(super) fn install_next(&mut self, id: u64, names: &resolve::Names) {
        let Some(work) = self.installing(id) else { return };
        work.resolving = false;
        let Some(target) = work.targets.front().cloned() else {
            return;
        };
        if !self
            .renewed(&target)
            .is_some_and(|now| Arc::ptr_eq(&now.peer, &target.peer))
        {
            // These names may not be its names any more.
            return self.next_policy(id);
        }
        let now = self.now();
        match &target.child {
            Some(child) if is_shunt(child) => {
                let command = self.operations.command(id);
                self.endpoint.install_shunt(now, command, &target.peer, child);
            }
            _ => match self.trap(&target, names) {
                Ok(what) => {
                    let command = self.operations.command(id);
                    self.endpoint.install_trap(now, command, &what);
                }
                Err(problem) => self.not_installed(id, &problem),
            },
        }
    }

    /// What a trap is to establish. Where the connection names no peer, its packets do.
    fn trap(&self, target: &Target, names: &resolve::Names) -> Result<Initiate, resolve::Problem> {
        let peer = &target.peer;
        let any_peer = |child: &Arc<ChildConfig>| takes_any_peer(peer, child);
        if !target.child.as_ref().is_some_and(any_peer) {
            return self.initiation(target, names);
        }
        let (local, remote) = resolve::any_peer(peer, names);
        Ok(self.between(target, local, remote))
    }

    fn not_installed(&mut self, id: u64, problem: &resolve::Problem) {
        self.logger.log(Group::Cfg, 1, problem.no_trap());
        self.installed(id, Err(CommandError::Failed));
    }

    /// A trap or shunt is installed, or could not be.
    pub(super) fn installed(&mut self, id: u64, result: Result<(), CommandError>) {
        let Some(work) = self.installing(id) else { return };
        let Some(target) = work.targets.pop_front() else {
            return;
        };
        let name = target.name();
        let shunt = target.child.as_ref().filter(|child| is_shunt(child));
        let line = match (shunt, &result) {
            (None, Ok(())) => format!("'{name}' routed"),
            (None, Err(_)) => format!("routing '{name}' failed"),
            (Some(child), Ok(())) => format!("'{name}' shunt {} policy installed", child.mode),
            (Some(child), Err(_)) => format!("'{name}' shunt {} policy installation failed", child.mode),
        };
        if result.is_err() {
            work.failed = Some(name.to_owned());
        }
        let answer = match (&work.failed, work.targets.is_empty()) {
            (_, false) => None,
            (None, true) => Some(Ok(success())),
            (Some(name), true) => Some(Err(failure(name))),
        };
        if let Some(operation) = self.operations.running.get_mut(&id) {
            operation.lines.push(line);
        }
        match answer {
            None => self.next_policy(id),
            Some(answer) => {
                if let Some(operation) = self.operations.remove(id) {
                    operation.finish(answer);
                }
            }
        }
    }

    /// `uninstall`: `child`, and `ike` if the name alone is not enough; `name` with `stroke`, for `ipsec unroute`.
    pub(super) fn uninstall(&mut self, request: &Message) -> Answer {
        let (stroke, now) = (request.is("stroke"), self.now());
        let key = if stroke { "name" } else { "child" };
        let name = request.get_str(key).ok_or("missing configuration name")?;
        if !stroke {
            self.logger.log(Group::Cfg, 1, format!("vici uninstall '{name}'"));
        }
        let removed = self.endpoint.uninstall(now, request.get_str("ike"), name);
        if !stroke {
            return match removed {
                Some(_) => Ok(success()),
                None => Err(format!("policy '{name}' not found")),
            };
        }
        let line = match removed {
            Some(policy) if is_shunt(&policy.child) => format!("shunt policy '{name}' uninstalled"),
            Some(_) => format!("trap policy '{name}' unrouted"),
            None => return Err(format!("configuration '{name}' not found")),
        };
        Ok(success().list("text", [line]))
    }

    /// `list-policies`: `drop`, `pass` and `trap` select by being there, `child` and `ike` by name. With `stroke` traps
    /// have a `uniqueid` too.
    pub(super) fn list_policies(&self, request: &Message, reply: &dyn Reply) -> Message {
        let named = |key: &str, name: &str| request.get_str(key).is_none_or(|only| only == name);
        let wanted = |policy: &PolicyInfo| {
            let kind = match policy.child.mode {
                Mode::Drop => "drop",
                Mode::Pass => "pass",
                Mode::Tunnel | Mode::Transport => "trap",
            };
            request.get(kind).is_some()
                && named("child", &policy.child.name)
                && named("ike", &policy.peer.name)
        };
        // Shunts come first.
        let (shunts, traps): (Vec<_>, Vec<_>) = self
            .endpoint
            .policies()
            .filter(wanted)
            .partition(|policy| is_shunt(&policy.child));
        for policy in shunts.iter().chain(&traps) {
            let mut event = Message::default();
            let name = format!("{}/{}", policy.peer.name, policy.child.name);
            event.push_section(&name, section(policy, request.is("stroke")));
            if !reply.event("list-policy", &event.encode_or_empty()) {
                break;
            }
        }
        Message::default()
    }
}

fn section(policy: &PolicyInfo, stroke: bool) -> Message {
    let mut out = Message::default();
    out.push_value("child", &policy.child.name);
    if let Some(reqid) = policy.reqid {
        out.push_value("reqid", reqid);
    }
    if let Some(unique_id) = policy.unique_id.filter(|_| stroke) {
        out.push_value("uniqueid", unique_id);
    }
    out.push_value("ike", &policy.peer.name);
    out.push_value("mode", policy.child.mode);
    match &policy.selectors {
        Some((local, remote)) => {
            out.push_list("local-ts", local);
            out.push_list("remote-ts", remote);
        }
        None => {
            out.push_list("local-ts", &policy.child.local_ts);
            out.push_list("remote-ts", &policy.child.remote_ts);
        }
    }
    out
}

/// Whether what is installed for a configuration is a shunt rather than a trap.
pub(super) fn is_shunt(child: &ChildConfig) -> bool {
    matches!(child.mode, Mode::Pass | Mode::Drop)
}
