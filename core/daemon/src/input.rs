//! What reaches the loop from other threads, besides datagrams.

use std::net::IpAddr;
use std::sync::Arc;

use config::connection::PeerConfig;
use ike::{JobId, JobResult};
use plugin_api::Reply;
use plugin_api::kernel::{KernelEvent, KernelMigration};
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
    /// The kernel has moved SAs for somebody else.
    Migrated(KernelMigration),
    /// The addresses of the names that an operation had to know.
    Resolved(u64, Vec<(String, Vec<IpAddr>)>),
    /// The addresses of the names in a connection, for an IKE_SA that is sent elsewhere.
    WayFound(u32, Arc<PeerConfig>, Vec<(String, Vec<IpAddr>)>),
    /// The addresses of a name in connections.
    Named(String, Vec<IpAddr>),
    /// A script for a CHILD_SA has ended.
    ScriptDone(u64),
    /// The last script has run that comes before the end.
    Stopped,
    /// A line was logged, and somebody listens.
    Log(Box<Record>),
}

impl Command {
    /// Whether it is for a page of a listing, of which there may be hundreds of thousands.
    fn is_page(&self) -> bool {
        self.verb.starts_with("list-")
    }
}

/// Hands inputs to the loop; once that has ended nobody wants them any more.
#[derive(Clone)]
pub struct Sender {
    pages: UnboundedSender<Command>,
    commands: UnboundedSender<Command>,
    others: UnboundedSender<Input>,
}

/// The loop's end. Jobs and clients are bounded where they come from.
pub struct Receiver {
    /// Commands, which wait while there is more urgent work.
    pub(crate) commands: Commands,
    /// Everything else.
    pub(crate) others: UnboundedReceiver<Input>,
}

/// Commands in the order in which they come, but that pages of listings and other commands take turns: what an operator
/// wants done waits for one page, not for those of a thousand listings.
pub(crate) struct Commands {
    pages: UnboundedReceiver<Command>,
    others: UnboundedReceiver<Command>,
    page_is_next: bool,
}

impl Commands {
    /// The next one, if there is any.
    pub(crate) fn try_next(&mut self) -> Option<Command> {
        let (first, second) = if self.page_is_next {
            (&mut self.pages, &mut self.others)
        } else {
            (&mut self.others, &mut self.pages)
        };
        let next = first.try_recv().or_else(|_| second.try_recv()).ok()?;
        self.page_is_next = !next.is_page();
        Some(next)
    }

    /// The next one, once it comes. Nothing is lost if this is dropped before.
    pub(crate) async fn next(&mut self) -> Option<Command> {
        if let Some(next) = self.try_next() {
            return Some(next);
        }
        let next = tokio::select! {
            Some(next) = self.others.recv() => next,
            Some(next) = self.pages.recv() => next,
            else => return None,
        };
        self.page_is_next = !next.is_page();
        Some(next)
    }
}

impl Sender {
    /// Hands over a command.
    pub fn command(&self, command: Command) {
        let queue = if command.is_page() {
            &self.pages
        } else {
            &self.commands
        };
        let _ = queue.send(command);
    }

    /// Hands over something else.
    pub fn send(&self, input: Input) {
        let _ = self.others.send(input);
    }
}

/// Makes both ends.
pub fn channel() -> (Sender, Receiver) {
    let (pages, asked) = unbounded_channel();
    let (commands, given) = unbounded_channel();
    let (others, received) = unbounded_channel();
    (
        Sender {
            pages,
            commands,
            others,
        },
        Receiver {
            commands: Commands {
                pages: asked,
                others: given,
                page_is_next: false,
            },
            others: received,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Reply for Nobody {
        fn event(&self, _name: &str, _message: &[u8]) -> bool {
            false
        }
        fn done(&self, _message: &[u8]) {}
    }

    #[test]
    fn commands_and_pages_of_listings_take_turns_each_in_their_order() {
        let (sender, mut receiver) = channel();
        for verb in ["list-sas", "list-conns", "list-certs", "initiate", "stats"] {
            sender.command(Command {
                verb: verb.into(),
                message: Vec::new(),
                reply: Arc::new(Nobody),
            });
        }
        let mut taken = Vec::new();
        while let Some(command) = receiver.commands.try_next() {
            taken.push(command.verb);
        }
        assert_eq!(
            taken,
            ["initiate", "list-sas", "stats", "list-conns", "list-certs"]
        );
    }
}
