//! What the Endpoint wants done, in the one order in which it is to be done.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config::connection::PeerConfig;
use iana::{KeyExchangeMethod, Protocol};
use plugin_api::kernel::{PolicyParameters, SaId, SaParameters, SaUsage};
use plugin_api::log::Group;
use plugin_api::{KeyExchange, PendingKeyExchange, PluginError, Secret};

use crate::event::Event;

/// Something to do. The driver drains these after every input, in order.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit(Transmit),
    /// Run [`Job::run`] anywhere, and hand the result to [`Endpoint::handle_done`](crate::Endpoint::handle_done).
    Job(JobId, Job),
    /// Run these at once, in order, up to the first that fails, and hand the outcome to
    /// [`Endpoint::handle_kernel_done`](crate::Endpoint::handle_kernel_done).
    Kernel(KernelId, Vec<KernelOp>),
    /// Find own addresses to reach others from, and hand them to
    /// [`Endpoint::handle_sources`](crate::Endpoint::handle_sources).
    FindSources(KernelId, Vec<Destination>),
    /// Tell listeners.
    Event(Event),
    /// A command came to its end.
    CommandDone(CommandId, Result<(), CommandError>),
    /// What a command wants is from here on done by the IKE_SA with this unique number.
    CommandMoved(CommandId, u32),
    /// Find the own address and the peer's of this connection for the IKE_SA with this unique number, and hand them to
    /// [`Endpoint::handle_resolved`](crate::Endpoint::handle_resolved).
    Resolve(u32, Arc<PeerConfig>),
    /// Write a log line.
    Log(LogLine),
}

/// An address to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The address.
    pub remote: IpAddr,
    /// From this own address and no other.
    pub local: Option<IpAddr>,
}

/// A datagram.
#[derive(Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Source address, and the port of the socket to send from.
    pub local: SocketAddr,
    /// Destination.
    pub remote: SocketAddr,
    /// Whether four zero octets go before the message (RFC 3948, 2.2).
    pub non_esp_marker: bool,
    /// Differentiated services code point of the packet (RFC 2474).
    pub dscp: u8,
    /// The message.
    pub octets: Vec<u8>,
}

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} octets from {} to {}",
            self.octets.len(),
            self.local,
            self.remote
        )
    }
}

/// Names a job until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// Names a batch of kernel operations, or a run of scripts, until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelId(pub u64);

/// Names a command until it is done; chosen by whoever gives it, below 2^63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

impl CommandId {
    /// Those from here on are the Endpoint's own: attempts of traps.
    const OWN: u64 = 1 << 63;

    pub(crate) fn of_attempt(number: u64) -> Self {
        Self(Self::OWN | number)
    }

    /// Whether a trap waits.
    pub(crate) fn is_of_trap(self) -> bool {
        self.0 >= Self::OWN
    }

    fn attempt(self) -> Option<u64> {
        self.0.checked_sub(Self::OWN)
    }
}

/// Asymmetric work, which may take milliseconds.
pub enum Job {
    /// Make a public value.
    Initiate(KeyExchangeMethod, Arc<dyn KeyExchange>),
    /// Answer a public value.
    Respond(KeyExchangeMethod, Arc<dyn KeyExchange>, Vec<u8>),
    /// Compute the secret from the peer's answer.
    Finish(KeyExchangeMethod, Box<dyn PendingKeyExchange>, Vec<u8>),
}

/// What jobs have in common that take about as long as each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobKind {
    /// The algorithm.
    pub method: KeyExchangeMethod,
    /// What is done with it.
    pub step: JobStep,
}

/// See [`Job`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum JobStep {
    Initiate,
    Respond,
    Finish,
}

impl Job {
    /// What it has in common with others.
    pub fn kind(&self) -> JobKind {
        let (method, step) = match self {
            Self::Initiate(method, _) => (*method, JobStep::Initiate),
            Self::Respond(method, ..) => (*method, JobStep::Respond),
            Self::Finish(method, ..) => (*method, JobStep::Finish),
        };
        JobKind { method, step }
    }

    /// Does the work, on whatever thread.
    pub fn run(self) -> JobResult {
        match self {
            Self::Initiate(_, exchange) => exchange
                .initiate()
                .map(|(public, pending)| JobOutcome::Initiated(public, pending)),
            Self::Respond(_, exchange, peer) => exchange
                .respond(&peer)
                .map(|(public, secret)| JobOutcome::Responded(public, secret)),
            Self::Finish(_, pending, peer) => pending.finish(&peer).map(JobOutcome::Finished),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}

/// What a job came to.
pub type JobResult = Result<JobOutcome, PluginError>;

/// What a successful job made.
pub enum JobOutcome {
    /// The own public value, and what finishes the exchange.
    Initiated(Vec<u8>, Box<dyn PendingKeyExchange>),
    /// The own public value or ciphertext, and the secret.
    Responded(Vec<u8>, Secret),
    /// The secret.
    Finished(Secret),
}

/// An operation on the kernel back end.
///
/// Only the adding ones stop a batch when they fail. A failed query or removal is answered [`KernelAnswer::Failed`],
/// so that the rest of a clean-up is done all the same; the driver logs why, at level 2 if it was not found.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum KernelOp {
    AllocateSpi {
        src: IpAddr,
        dst: IpAddr,
        protocol: Protocol,
    },
    AddSa(Box<SaParameters>),
    UpdateSa {
        id: SaId,
        src: SocketAddr,
        dst: SocketAddr,
        encap: bool,
    },
    DeleteSa(SaId),
    AddPolicy(PolicyParameters),
    DeletePolicy(PolicyParameters),
    QuerySa(SaId),
    /// Installs a virtual address that packets into the tunnel with this peer come from; it may be there already.
    AddAddress {
        address: IpAddr,
        peer: IpAddr,
    },
    /// Removes a virtual address, once for each time that it was installed.
    DeleteAddress(IpAddr),
}

/// What a kernel operation answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelAnswer {
    /// The reserved SPI of [`KernelOp::AllocateSpi`].
    Spi(u32),
    /// What the SA of [`KernelOp::QuerySa`] carried.
    Usage(SaUsage),
    /// Done, nothing to say.
    Done,
    /// A query or removal failed.
    Failed,
}

/// A batch that stopped.
#[derive(Clone, Debug)]
pub struct KernelFailure {
    /// How many operations succeeded before the one that failed.
    pub completed: usize,
    /// Why it failed.
    pub error: PluginError,
}

/// What a batch came to: one answer for each operation, or where it stopped.
pub type KernelResult = Result<Vec<KernelAnswer>, KernelFailure>;

/// Why a command failed; the text is in the log lines of its IKE_SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The IKE_SA or CHILD_SA could not be established.
    #[error("establishing failed")]
    Failed,
    /// There is no such SA.
    #[error("no such SA")]
    NotFound,
}

/// A log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// What it is about.
    pub group: Group,
    /// How important it is: 0 audit, 1 control, 2 diagnose, 3 raw, 4 private.
    pub level: i8,
    /// The IKE_SA it is about: its unique number, and the name of its configuration once known.
    pub sa: Option<(u32, Arc<str>)>,
    /// What it says.
    pub text: String,
}

/// Octets of a line, what a peer has sent included.
const MAX_LINE: usize = 4096;

/// What may be written about one message.
#[derive(Debug)]
struct Limit {
    lines: usize,
    octets: usize,
    left_out: usize,
}

impl Limit {
    fn grants(&mut self, octets: usize) -> bool {
        if self.lines == 0 || self.octets < octets {
            self.left_out += 1;
            return false;
        }
        self.lines -= 1;
        self.octets -= octets;
        true
    }
}

/// The queue that outputs wait in.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Output>,
    levels: [i8; Group::ALL.len()],
    next_id: u64,
    /// What may still be written about the message that is being handled, and how many lines were left out.
    limit: Option<Limit>,
    /// Attempts of traps that have come to their end, and whether something was established.
    pub(crate) attempts: Vec<(u64, bool)>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            levels: [1; Group::ALL.len()],
            next_id: 0,
            limit: None,
            attempts: Vec::new(),
        }
    }

    /// The highest level of each group that anybody reads; lines above are not even formatted.
    pub(crate) fn set_levels(&mut self, level_of: impl Fn(Group) -> i8) {
        for group in Group::ALL {
            self.levels[group as usize] = level_of(group);
        }
    }

    pub(crate) fn wants(&self, group: Group, level: i8) -> bool {
        level <= self.levels[group as usize]
    }

    /// From here on, only so many lines and octets of them are written.
    pub(crate) fn limit_lines(&mut self, (lines, octets): (usize, usize)) {
        self.limit = Some(Limit {
            lines,
            octets,
            left_out: 0,
        });
    }

    /// All lines are written again.
    pub(crate) fn end_limit(&mut self) {
        let left_out = self.limit.take().map_or(0, |limit| limit.left_out);
        if left_out > 0 {
            let text = format!("left out {left_out} more lines about this message");
            self.log(None, Group::Ike, 1, text);
        }
    }

    /// How many outputs wait.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes the lines back that came after so many outputs.
    pub(crate) fn retract_lines(&mut self, after: usize) {
        let later = self.queue.split_off(after.min(self.queue.len()));
        let others = later
            .into_iter()
            .filter(|output| !matches!(output, Output::Log(_)));
        self.queue.extend(others);
    }

    pub(crate) fn log(&mut self, sa: Option<(u32, Arc<str>)>, group: Group, level: i8, mut text: String) {
        // Dumps of messages, at higher levels, are as long as they are.
        if level <= 2 && text.len() > MAX_LINE {
            text.truncate(text.floor_char_boundary(MAX_LINE));
            text.push('…');
        }
        // Whoever raises the level wants to see all.
        if let Some(limit) = self.limit.as_mut().filter(|_| level <= 1)
            && !limit.grants(text.len())
        {
            return;
        }
        self.queue.push_back(Output::Log(LogLine {
            group,
            level,
            sa,
            text,
        }));
    }

    pub(crate) fn transmit(&mut self, transmit: Transmit) {
        self.queue.push_back(Output::Transmit(transmit));
    }

    pub(crate) fn job(&mut self, job: Job) -> JobId {
        let id = JobId(self.next());
        self.queue.push_back(Output::Job(id, job));
        id
    }

    pub(crate) fn kernel(&mut self, ops: Vec<KernelOp>) -> KernelId {
        let id = KernelId(self.next());
        self.queue.push_back(Output::Kernel(id, ops));
        id
    }

    pub(crate) fn find_sources(&mut self, destinations: Vec<Destination>) -> KernelId {
        let id = KernelId(self.next());
        self.queue.push_back(Output::FindSources(id, destinations));
        id
    }

    /// Names a run of scripts.
    pub(crate) fn next_scripts(&mut self) -> KernelId {
        KernelId(self.next())
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.queue.push_back(Output::Event(event));
    }

    pub(crate) fn command_done(&mut self, id: CommandId, result: Result<(), CommandError>) {
        match id.attempt() {
            Some(number) => self.attempts.push((number, result.is_ok())),
            None => self.queue.push_back(Output::CommandDone(id, result)),
        }
    }

    pub(crate) fn command_moved(&mut self, id: CommandId, unique_id: u32) {
        self.queue.push_back(Output::CommandMoved(id, unique_id));
    }

    pub(crate) fn resolve(&mut self, unique_id: u32, peer: Arc<PeerConfig>) {
        self.queue.push_back(Output::Resolve(unique_id, peer));
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    fn next(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
