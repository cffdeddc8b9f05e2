//! What reaches the loop from other threads, besides datagrams.

use std::net::IpAddr;
use std::sync::Arc;

use config::connection::PeerConfig;
use ike::{JobId, JobResult};
use plugin_api::Reply;
use plugin_api::kernel::KernelEvent;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::log::Record;

/// One input.
pub enum Input {
    /// The pool has finished a job.
    Job(JobId, JobResult),
    /// A control plugin has a command: its verb, its vici message, and where the answer goes.
    Command(String, Vec<u8>, Arc<dyn Reply>),
    /// The kernel did something.
    Kernel(KernelEvent),
    /// The addresses of the names that an operation had to know.
    Resolved(u64, Vec<(String, Vec<IpAddr>)>),
    /// The addresses of the names in a connection, for an IKE_SA that is sent elsewhere.
    WayFound(u32, Arc<PeerConfig>, Vec<(String, Vec<IpAddr>)>),
    /// The last script has run that comes before the end.
    Stopped,
    /// A line was logged, and somebody listens.
    Log(Box<Record>),
}

/// Hands inputs to the loop.
pub type Sender = UnboundedSender<Input>;
/// The loop's end. Jobs and clients are bounded where they come from.
pub type Receiver = UnboundedReceiver<Input>;

/// Makes both ends.
pub fn channel() -> (Sender, Receiver) {
    unbounded_channel()
}
