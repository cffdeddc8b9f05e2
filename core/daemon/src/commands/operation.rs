//! Commands that take a while: what they wait for, and the log lines that stream to whoever gave them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::vici::Message;
use ike::{CommandError, CommandId, LogLine};
use plugin_api::Reply;

use super::initiate::Initiating;
use super::install::Installing;
use super::message::Extra;
use super::terminate::Terminating;
use crate::run::Daemon;

/// One such command.
pub(super) struct Operation {
    reply: Arc<dyn Reply>,
    /// The highest level of log lines to stream; nothing once nobody listens.
    loglevel: Option<i8>,
    /// The IKE_SAs whose lines these are.
    pub(super) sas: BTreeSet<u32>,
    /// Answer in the words of `ipsec`, line by line, rather than in vici's.
    pub(super) stroke: bool,
    /// Those words.
    pub(super) lines: Vec<String>,
    deadline: Option<Instant>,
    /// How long the deadline was away.
    pub(super) timeout: Duration,
    pub(super) work: Work,
}

/// What is being done.
pub(super) enum Work {
    Initiate(Initiating),
    Terminate(Terminating),
    Install(Installing),
}

impl Operation {
    /// From the keys that all of them have.
    pub(super) fn new(request: &Message, reply: &Arc<dyn Reply>, now: Instant, work: Work) -> Self {
        let number = |key| request.get_str(key).and_then(|text| text.parse::<i64>().ok());
        let loglevel = number("loglevel").unwrap_or(1).clamp(-1, 4) as i8;
        let timeout = number("timeout")
            .and_then(|ms| u64::try_from(ms).ok())
            .map_or(Duration::ZERO, Duration::from_millis);
        Self {
            reply: Arc::clone(reply),
            loglevel: (loglevel >= 0).then_some(loglevel),
            sas: BTreeSet::new(),
            stroke: request.is("stroke"),
            lines: Vec::new(),
            deadline: (!timeout.is_zero()).then(|| now + timeout),
            timeout,
            work,
        }
    }

    /// Streams a line.
    pub(super) fn stream(&mut self, line: &LogLine) {
        if self.loglevel.is_none_or(|loglevel| line.level > loglevel) {
            return;
        }
        for text in line.text.lines() {
            let mut event = Message::default();
            event.push_value("group", line.group);
            event.push_value("level", line.level);
            if let Some((id, name)) = &line.sa {
                event.push_value("ikesa-name", name);
                event.push_value("ikesa-uniqueid", id);
            }
            event.push_value("msg", text);
            if !self.reply.event("control-log", &event.encode_or_empty()) {
                self.loglevel = None;
                return;
            }
        }
    }

    /// Answers, once.
    pub(super) fn finish(self, result: Result<Message, String>) {
        let mut answer = result.unwrap_or_else(|error| super::failure(&error));
        if self.stroke {
            answer.push_list("text", &self.lines);
        }
        self.reply.done(&answer.encode_or_empty());
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Operations {
    pub(super) running: BTreeMap<u64, Operation>,
    pub(super) commands: BTreeMap<CommandId, u64>,
    /// Look-ups for IKE_SAs that are sent elsewhere.
    pub(super) look_ups: usize,
    /// Connections of ipsec.conf that were refused, and why, for those who want to establish them.
    pub(super) refused: BTreeMap<String, String>,
    last_operation: u64,
    last_command: u64,
}

impl Operations {
    /// Adds one and names it.
    pub(super) fn add(&mut self, operation: Operation) -> u64 {
        self.last_operation += 1;
        self.running.insert(self.last_operation, operation);
        self.last_operation
    }

    /// Names a command of the state machine that an operation waits for.
    pub(super) fn command(&mut self, operation: u64) -> CommandId {
        let id = self.unattended();
        self.commands.insert(id, operation);
        id
    }

    /// Names a command of the state machine that nobody waits for.
    pub(super) fn unattended(&mut self) -> CommandId {
        self.last_command += 1;
        CommandId(self.last_command)
    }

    /// What a command wants is done by another IKE_SA: its lines are streamed too.
    pub(crate) fn moved(&mut self, command: CommandId, sa: u32) {
        let operation = self.commands.get(&command);
        if let Some(operation) = operation.and_then(|id| self.running.get_mut(id)) {
            operation.sas.insert(sa);
        }
    }

    /// Takes one out, with its claims to commands.
    pub(super) fn remove(&mut self, id: u64) -> Option<Operation> {
        self.commands.retain(|_, operation| *operation != id);
        self.running.remove(&id)
    }

    /// Streams a line to all it concerns.
    pub(crate) fn log(&mut self, line: &LogLine) {
        let Some((sa, _)) = &line.sa else { return };
        for operation in self
            .running
            .values_mut()
            .filter(|operation| operation.sas.contains(sa))
        {
            operation.stream(line);
        }
    }

    /// Ends all of them, because the daemon ends.
    pub(crate) fn abandon(&mut self) {
        self.commands.clear();
        for operation in std::mem::take(&mut self.running).into_values() {
            operation.finish(Err("the daemon shuts down".into()));
        }
    }

    /// How many wait for the addresses of names.
    pub(super) fn resolving(&self) -> usize {
        let resolving = |operation: &&Operation| match &operation.work {
            Work::Initiate(work) => work.is_resolving(),
            Work::Install(work) => work.is_resolving(),
            Work::Terminate(_) => false,
        };
        self.look_ups + self.running.values().filter(resolving).count()
    }

    /// When the next one is out of time.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let retry = |operation: &Operation| match &operation.work {
            Work::Initiate(work) => work.retry_at(),
            _ => None,
        };
        self.running
            .values()
            .flat_map(|operation| [operation.deadline, retry(operation)])
            .flatten()
            .min()
    }

    /// The highest level that anybody wants streamed.
    pub(crate) fn loglevel(&self) -> i8 {
        self.running
            .values()
            .filter_map(|operation| operation.loglevel)
            .max()
            .unwrap_or(-1)
    }
}

impl Daemon {
    /// A command of the state machine came to its end.
    pub(crate) fn command_done(&mut self, command: CommandId, result: Result<(), CommandError>) {
        let Some(id) = self.operations.commands.remove(&command) else {
            return;
        };
        let Some(operation) = self.operations.running.get(&id) else {
            return;
        };
        match operation.work {
            Work::Initiate(_) => self.initiated(id, result),
            Work::Terminate(_) => self.terminated(id, command, result),
            Work::Install(_) => self.installed(id, result),
        }
    }

    /// Ends the operations that are out of time. What they started goes on.
    pub(crate) fn expire_operations(&mut self, now: Instant) {
        let late = |operation: &Operation| operation.deadline.is_some_and(|deadline| deadline <= now);
        let expired: Vec<u64> = self
            .operations
            .running
            .iter()
            .filter(|(_, operation)| late(operation))
            .map(|(id, _)| *id)
            .collect();
        self.retry_initiations(now);
        for id in expired {
            if let Some(operation) = self.operations.remove(id) {
                match &operation.work {
                    Work::Initiate(work) => work.out_of_time(operation.timeout).finish(operation),
                    Work::Terminate(work) => work.out_of_time(operation.timeout).finish(operation),
                    Work::Install(work) => work.out_of_time().finish(operation),
                }
            }
        }
        self.apply_log_levels();
    }
}

/// How an operation that is out of time answers.
pub(super) struct OutOfTime {
    pub(super) error: String,
    pub(super) lines: Vec<String>,
}

impl OutOfTime {
    fn finish(self, mut operation: Operation) {
        operation.lines.extend(self.lines);
        operation.finish(Err(self.error));
    }
}
