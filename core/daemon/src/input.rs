//! What reaches the loop from other threads, besides datagrams.

use std::net::IpAddr;
use std::sync::Arc;

use ike::{JobId, JobResult};
use plugin_api::Reply;
use plugin_api::kernel::KernelEvent;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::log::Record;

/// What a control plugin wants done.
pub struct Command {
    /// Its name.
    pub verb: String,
    /// Its vici message.
    pub message: Vec<u8>,
    /// Where the answer goes.
    pub reply: Arc<dyn Reply>,
}

/// Anything else.
pub enum Input {
    /// The pool has finished a job.
    Job(JobId, JobResult),
    /// The kernel did something.
    Kernel(KernelEvent),
    /// The addresses of the names that an operation had to know.
    Resolved(u64, Vec<(String, Vec<IpAddr>)>),
    /// The last script has run that comes before the end.
    Stopped,
    /// A line was logged, and somebody listens.
    Log(Box<Record>),
}

/// Hands inputs to the loop; once that has ended nobody wants them any more.
#[derive(Clone)]
pub struct Sender {
    commands: UnboundedSender<Command>,
    others: UnboundedSender<Input>,
}

/// The loop's end. Jobs and clients are bounded where they come from.
pub struct Receiver {
    /// Commands, which wait while there is more urgent work.
    pub(crate) commands: UnboundedReceiver<Command>,
    /// Everything else.
    pub(crate) others: UnboundedReceiver<Input>,
}

impl Sender {
    /// Hands over a command.
    pub fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Hands over something else.
    pub fn send(&self, input: Input) {
        let _ = self.others.send(input);
    }
}

/// Makes both ends.
pub fn channel() -> (Sender, Receiver) {
    let (commands, given) = unbounded_channel();
    let (others, received) = unbounded_channel();
    (
        Sender { commands, others },
        Receiver {
            commands: given,
            others: received,
        },
    )
}
