//! `initiate`: establish CHILD_SAs, or an IKE_SA without one.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::connection::{ChildConfig, Mode, PeerConfig};
use control::vici::Message;
use ike::{CommandError, Initiate, LogLine};
use plugin_api::log::Group;
use plugin_api::{Host, Reply};

use super::message::Extra;
use super::operation::{Operation, OutOfTime, Work};
use super::resolve;
use crate::run::Daemon;

/// When an own address to reach a peer from is looked for again, and how often in the time in which a peer that does not
/// answer is given up once.
const RETRY: Duration = Duration::from_secs(30);
const RETRIES_A_TRY: u32 = 6;

/// What is left to be established, the first one being in work.
pub(super) struct Initiating {
    /// `CHILD_SA` or `IKE_SA`, for messages.
    noun: &'static str,
    targets: VecDeque<Target>,
    failed: bool,
    resolving: bool,
    /// Nobody waits for it.
    unattended: bool,
    /// When the addresses are looked for again, and how often they were.
    retry: Option<Instant>,
    retries: u32,
}

#[derive(Clone)]
pub(super) struct Target {
    pub(super) peer: Arc<PeerConfig>,
    pub(super) child: Option<Arc<ChildConfig>>,
}

impl Target {
    pub(super) fn name(&self) -> &str {
        self.child.as_ref().map_or(&self.peer.name, |child| &child.name)
    }
}

impl Initiating {
    fn new(noun: &'static str, targets: VecDeque<Target>) -> Self {
        Self {
            noun,
            targets,
            failed: false,
            resolving: false,
            unattended: false,
            retry: None,
            retries: 0,
        }
    }

    pub(super) fn is_resolving(&self) -> bool {
        self.resolving
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry
    }

    fn name(&self) -> &str {
        self.targets.front().map_or("", Target::name)
    }

    pub(super) fn out_of_time(&self, timeout: Duration) -> OutOfTime {
        let (name, ms) = (self.name(), timeout.as_millis());
        OutOfTime {
            error: format!("{} '{name}' not established after {ms}ms", self.noun),
            lines: vec![format!(
                "connection '{name}' not established after {ms}ms, detaching"
            )],
        }
    }
}

impl Daemon {
    pub(super) fn start_initiate(&mut self, request: &Message, reply: &Arc<dyn Reply>) {
        let detached = request
            .get_str("timeout")
            .is_some_and(|timeout| timeout.starts_with('-'));
        let found = if request.is("stroke") {
            self.find_by_name(request)
        } else {
            self.find_selected(request)
        };
        let (noun, targets, problem) = match found {
            Ok((noun, targets)) => (noun, targets, None),
            Err(problem) => ("CHILD_SA", VecDeque::new(), Some(problem)),
        };
        let work = Initiating::new(noun, targets);
        let mut operation = Operation::new(request, reply, self.now(), Work::Initiate(work));
        if let Some(problem) = problem {
            operation.lines.push(problem.clone());
            return operation.finish(Err(problem));
        }
        if detached {
            // Nobody waits: the answer goes out now, and what happens is in the log.
            let Work::Initiate(work) = operation.work else {
                return;
            };
            reply.done(&super::success().encode_or_empty());
            for Target { peer, child } in work.targets {
                self.initiate_detached(peer, child);
            }
            return;
        }
        let id = self.operations.add(operation);
        self.apply_log_levels();
        self.next_target(id);
    }

    /// The addresses of names have been looked up.
    pub(crate) fn resolved(&mut self, id: u64, names: &resolve::Names) {
        let Some(operation) = self.operations.running.get_mut(&id) else {
            return;
        };
        let work = match &mut operation.work {
            Work::Initiate(work) => work,
            Work::Install(_) => return self.install_next(id, names),
            Work::Terminate(_) => return,
        };
        work.resolving = false;
        let Some(target) = work.targets.front().cloned() else {
            return;
        };
        match self.renewed(&target) {
            Some(now) if Arc::ptr_eq(&now.peer, &target.peer) => self.initiate_or_fail(id, &target, names),
            // These names may not be its names any more.
            _ => self.next_target(id),
        }
    }

    /// A CHILD_SA or IKE_SA is established, or failed to be.
    pub(super) fn initiated(&mut self, id: u64, result: Result<(), CommandError>) {
        let Some(operation) = self.operations.running.get_mut(&id) else {
            return;
        };
        let Work::Initiate(work) = &mut operation.work else {
            return;
        };
        let Some(target) = work.targets.pop_front() else {
            return;
        };
        let name = target.name();
        let line = match result {
            Ok(()) => format!("connection '{name}' established successfully"),
            Err(_) => {
                work.failed = true;
                format!("establishing connection '{name}' failed")
            }
        };
        operation.lines.push(line);
        if !work.targets.is_empty() {
            return self.next_target(id);
        }
        let answer = if work.failed {
            Err(format!("establishing {} '{name}' failed", work.noun))
        } else {
            Ok(super::success())
        };
        if let Some(operation) = self.operations.remove(id) {
            operation.finish(answer);
        }
        self.apply_log_levels();
    }

    /// What a target is by now: its connection may have been changed or removed while it waited.
    pub(super) fn renewed(&self, target: &Target) -> Option<Target> {
        let (peer, child) = self.endpoint.current(&target.peer, target.child.as_deref())?;
        Some(Target { peer, child })
    }

    pub(super) fn next_target(&mut self, id: u64) {
        let running = &self.operations.running;
        let Some(Work::Initiate(work)) = running.get(&id).map(|operation| &operation.work) else {
            return;
        };
        let Some(target) = work.targets.front() else {
            return;
        };
        let Some(target) = self.renewed(target) else {
            let name = target.peer.name.clone();
            return self.target_failed(id, resolve::Problem::Removed(name));
        };
        if let Some(Work::Initiate(work)) = self.operations.running.get_mut(&id).map(|it| &mut it.work)
            && let Some(first) = work.targets.front_mut()
        {
            *first = target.clone();
        }
        let names = resolve::names(&target.peer);
        if names.is_empty() {
            return self.initiate_or_fail(id, &target, &Vec::new());
        }
        let resolving = self.operations.resolving();
        match resolve::look_up(id, names, resolving, self.input.clone()) {
            Ok(()) => {
                if let Some(Work::Initiate(work)) =
                    self.operations.running.get_mut(&id).map(|it| &mut it.work)
                {
                    work.resolving = true;
                }
            }
            Err(problem) => self.target_failed(id, problem),
        }
    }

    fn initiate_or_fail(&mut self, id: u64, target: &Target, names: &resolve::Names) {
        if let Err(problem) = self.initiate_target(id, target, names) {
            self.target_failed(id, problem);
        }
    }

    fn target_failed(&mut self, id: u64, problem: resolve::Problem) {
        let problem = match self.try_later(id, problem) {
            Ok(()) => return,
            Err(problem) => problem,
        };
        let line = LogLine {
            group: Group::Ike,
            level: 1,
            sa: None,
            text: problem,
        };
        if let Some(operation) = self.operations.running.get_mut(&id) {
            operation.stream(&line);
        }
        self.logger.write(line);
        self.initiated(id, Err(CommandError::Failed));
    }

    /// Looks for the addresses again later, if somebody will be glad of it; the problem as text if not.
    fn try_later(&mut self, id: u64, problem: resolve::Problem) -> Result<(), String> {
        let key = "charon.retry_initiate_interval";
        let interval = self
            .host
            .settings()
            .get_time(key, Duration::ZERO, &mut Vec::new());
        let now = self.now();
        let work = match self.operations.running.get_mut(&id).map(|it| &mut it.work) {
            Some(Work::Initiate(work)) => work,
            _ => return Err(problem.aborted()),
        };
        let delay = if problem.is_final() {
            return Err(problem.aborted());
        } else if !interval.is_zero() {
            interval
        } else if work.unattended && problem.may_pass() {
            // As long as a peer that does not answer would be tried: a host that starts has no route at first.
            let tries = work.targets.front().and_then(|target| target.peer.keying_tries);
            if tries.is_some_and(|tries| work.retries >= tries.saturating_mul(RETRIES_A_TRY)) {
                return Err(problem.aborted());
            }
            RETRY
        } else {
            return Err(problem.aborted());
        };
        work.retry = Some(now + delay);
        work.retries += 1;
        let line = LogLine {
            group: Group::Ike,
            level: 1,
            sa: None,
            text: problem.retrying(delay),
        };
        if let Some(operation) = self.operations.running.get_mut(&id) {
            operation.stream(&line);
        }
        self.logger.write(line);
        Ok(())
    }

    /// Looks for addresses again where it is time to.
    pub(super) fn retry_initiations(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (id, operation) in &mut self.operations.running {
            if let Work::Initiate(work) = &mut operation.work
                && work.retry.take_if(|retry| *retry <= now).is_some()
            {
                due.push(*id);
            }
        }
        for id in due {
            self.next_target(id);
        }
    }

    /// What to establish for a target, between the addresses of its ends.
    pub(super) fn initiation(
        &self,
        target: &Target,
        names: &resolve::Names,
    ) -> Result<Initiate, resolve::Problem> {
        let net = self.host.kernel_net();
        let (local, remote) = resolve::addresses(&target.peer, names, net.as_deref())?;
        Ok(self.between(target, local, remote))
    }

    /// The same between these.
    pub(super) fn between(&self, target: &Target, local: IpAddr, remote: IpAddr) -> Initiate {
        let peer = &target.peer;
        let (port, nat_t) = self.sockets.ports();
        // A port that we have no socket for is the default of a daemon that was told another one.
        let local_port = if [port, nat_t].contains(&peer.local_port) {
            peer.local_port
        } else {
            port
        };
        Initiate {
            peer: Arc::clone(peer),
            child: target.child.clone(),
            local: SocketAddr::new(local, local_port),
            remote: SocketAddr::new(remote, peer.remote_port),
        }
    }

    fn initiate_target(
        &mut self,
        id: u64,
        target: &Target,
        names: &resolve::Names,
    ) -> Result<(), resolve::Problem> {
        let what = self.initiation(target, names)?;
        let command = self.operations.command(id);
        let sa = self.endpoint.initiate(self.now(), command, what);
        if let Some(operation) = self.operations.running.get_mut(&id) {
            operation.sas.insert(sa);
        }
        Ok(())
    }

    /// Establishes for somebody who does not wait.
    pub(super) fn initiate_detached(&mut self, peer: Arc<PeerConfig>, child: Option<Arc<ChildConfig>>) {
        let mut work = Initiating::new("CHILD_SA", VecDeque::from([Target { peer, child }]));
        work.unattended = true;
        let reply: Arc<dyn Reply> = Arc::new(Nobody);
        let operation = Operation::new(&Message::default(), &reply, self.now(), Work::Initiate(work));
        let id = self.operations.add(operation);
        self.next_target(id);
    }

    /// By the keys `child` and `ike`, as vici has it.
    fn find_selected(&self, request: &Message) -> Result<(&'static str, VecDeque<Target>), String> {
        let (child, ike) = (request.get_str("child"), request.get_str("ike"));
        let peers = self.endpoint.connections();
        if let Some(name) = child {
            self.logger
                .log(Group::Cfg, 1, format!("vici initiate CHILD_SA '{name}'"));
            let mut peers = peers.iter().filter(|peer| ike.is_none_or(|ike| ike == peer.name));
            let target = peers.find_map(|peer| {
                let child = peer.children.iter().find(|child| child.name == name)?;
                Some(Target {
                    peer: Arc::clone(peer),
                    child: Some(Arc::clone(child)),
                })
            });
            let target = target.ok_or_else(|| format!("CHILD_SA config '{name}' not found"))?;
            return Ok(("CHILD_SA", VecDeque::from([target])));
        }
        let name = ike.ok_or("missing configuration name")?;
        self.logger
            .log(Group::Cfg, 1, format!("vici initiate IKE_SA '{name}'"));
        let peer = peers.iter().find(|peer| peer.name == name);
        let peer = peer.ok_or_else(|| format!("IKE_SA config '{name}' not found"))?;
        Ok((
            "IKE_SA",
            VecDeque::from([Target {
                peer: Arc::clone(peer),
                child: None,
            }]),
        ))
    }

    /// By the key `name`, as `ipsec up` has it.
    fn find_by_name(&self, request: &Message) -> Result<(&'static str, VecDeque<Target>), String> {
        let name = request.get_str("name").ok_or("missing configuration name")?;
        self.logger
            .log(Group::Cfg, 1, format!("received stroke: initiate '{name}'"));
        let negotiated = |child: &ChildConfig| matches!(child.mode, Mode::Tunnel | Mode::Transport);
        Ok(("CHILD_SA", self.named(name, negotiated)?))
    }

    /// A connection first, with its child of the same name or all of them that are `wanted`; else any child.
    pub(super) fn named(
        &self,
        name: &str,
        wanted: impl Fn(&ChildConfig) -> bool,
    ) -> Result<VecDeque<Target>, String> {
        let Some(peer) = self.endpoint.connections().iter().find(|peer| peer.name == name) else {
            let (peer, child) =
                self.endpoint
                    .find_child(name)
                    .ok_or_else(|| match self.operations.refused.get(name) {
                        Some(why) => format!("no config named '{name}': {why}"),
                        None => format!("no config named '{name}'"),
                    })?;
            let child = Some(child);
            return Ok(VecDeque::from([Target { peer, child }]));
        };
        let target = |child: &Arc<ChildConfig>| Target {
            peer: Arc::clone(peer),
            child: Some(Arc::clone(child)),
        };
        let children = || peer.children.iter().filter(|child| wanted(child));
        let targets: VecDeque<_> = match children().find(|child| child.name == name) {
            Some(child) => VecDeque::from([target(child)]),
            None => children().map(target).collect(),
        };
        if targets.is_empty() {
            return Err(format!("no child config named '{name}'"));
        }
        Ok(targets)
    }
}

/// Where answers go that nobody waits for.
pub(super) struct Nobody;

impl Reply for Nobody {
    fn event(&self, _name: &str, _message: &[u8]) -> bool {
        false
    }

    fn done(&self, _message: &[u8]) {}
}
