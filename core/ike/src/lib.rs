//! The IKEv2 state machine: no sockets, files, threads, clocks or ambient randomness.
//!
//! An [`Endpoint`] owns all IKE_SAs. A driver hands it inputs by the `handle_*` functions, then drains
//! [`Endpoint::poll_output`] to the end, does what it says in that order, and sleeps until
//! [`Endpoint::poll_timeout`] at the latest. Everything is deterministic in its arguments.

mod admission;
mod alert;
mod auth;
mod census;
mod child;
mod common;
mod connections;
mod cookie;
mod endpoint;
mod error;
mod event;
mod exchange;
mod extension;
mod few;
mod generation;
mod jobs;
mod lookup;
mod names;
mod output;
mod pool;
mod proposals;
mod psk;
mod rare;
mod receive;
mod reqids;
mod sa;
mod scripts;
mod selectors;
mod settings;
mod shared;
mod standing;
mod tally;
mod task;
mod timer;
mod transitions;
mod trap;

pub use alert::Alert;
pub use census::Census;
pub use child::{ChildState, Numbers};
pub use crypto::int_auth::Role;
pub use endpoint::{
    AddOutcome, BadProposals, Endpoint, How, Initiate, Loaded, PolicyInfo, PutOutcome, Randomness, Start,
};
pub use error::Error;
pub use event::{ChildSaInfo, Event, IkeSaInfo, ScriptRun};
pub use extension::redirect::Redirection;
pub use jobs::Beneficiary;
pub use output::{
    CommandError, CommandId, Destination, Job, JobId, JobKind, JobOutcome, JobResult, JobStep, KernelAnswer,
    KernelFailure, KernelId, KernelOp, KernelResult, LogLine, Output, Transmit,
};
pub use pool::{AddressPool, LeaseInfo, Online, PoolOutcome, PoolSource, Pools};
pub use sa::IkeSaState;
pub use settings::{Retransmit, Settings};
pub use tally::{
    Alerts, BOUNDS, Counter, Counters, Durations, Ended, Establishing, Flows, Messages, Phase, Tally,
};
pub use trap::takes_any_peer;
