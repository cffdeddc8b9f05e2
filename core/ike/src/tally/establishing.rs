//! How long it takes to establish IKE_SAs, and what comes of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crypto::proposal::Proposal;
use iana::{ExchangeType, KeyExchangeMethod};

/// Upper bounds of the buckets that durations fall into: from a key exchange on the same host to the last retransmission.
pub const BOUNDS: [Duration; 14] = [
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
];

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// IKE_SA_INIT, from the request to the response.
    Init,
    /// Each IKE_INTERMEDIATE.
    Intermediate,
    /// IKE_AUTH; of a responder until both ends are authenticated, since its response waits for the kernel.
    Auth,
    /// All of it, with what lies between, of attempts that succeed.
    Whole,
}

impl Phase {
    /// All.
    pub const ALL: [Self; 4] = [Self::Init, Self::Intermediate, Self::Auth, Self::Whole];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Init => "IKE_SA_INIT",
            Self::Intermediate => "IKE_INTERMEDIATE",
            Self::Auth => "IKE_AUTH",
            Self::Whole => "whole",
        }
    }
}

/// How many durations fell into which bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// One number for each of [`BOUNDS`], not cumulated, and one for what is longer.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// All durations together.
    pub sum: Duration,
}

impl Durations {
    fn add(&mut self, duration: Duration) {
        let bucket = BOUNDS.iter().position(|bound| duration <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())] += 1;
        self.sum = self.sum.saturating_add(duration);
    }
}

/// Attempts that succeeded, and those that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The IKE_SA was established.
    pub established: u64,
    /// It was given up: refused, timed out, or torn down before it stood.
    pub failed: u64,
}

impl Ended {
    fn add(&mut self, established: bool) {
        if established {
            self.established += 1;
        } else {
            self.failed += 1;
        }
    }
}

/// All attempts.
#[derive(Clone, Debug, Default)]
pub struct Establishing {
    /// Those of this end.
    pub as_initiator: Ended,
    /// Those of peers.
    pub as_responder: Ended,
    /// By each key exchange of the selected proposal. Only methods of the registry are ever selected.
    pub by_method: BTreeMap<KeyExchangeMethod, Ended>,
    phases: [Durations; Phase::ALL.len()],
}

impl Establishing {
    /// How long a phase took.
    pub fn durations(&self, phase: Phase) -> &Durations {
        &self.phases[phase as usize]
    }

    pub(super) fn message(
        &mut self,
        handshake: &mut Handshake,
        exchange: ExchangeType,
        response: bool,
        now: Instant,
    ) {
        let phase = match exchange {
            ExchangeType::IKE_SA_INIT => Phase::Init,
            ExchangeType::IKE_INTERMEDIATE => Phase::Intermediate,
            ExchangeType::IKE_AUTH => Phase::Auth,
            _ => return,
        };
        if !response {
            handshake.asked = Some(now);
        } else if let Some(asked) = handshake.asked.take() {
            self.phases[phase as usize].add(now.saturating_duration_since(asked));
        }
    }

    /// An attempt is over.
    pub(crate) fn end(
        &mut self,
        handshake: &Handshake,
        proposal: Option<&Proposal>,
        now: Instant,
        established: bool,
    ) {
        if established {
            self.phases[Phase::Whole as usize].add(now.saturating_duration_since(handshake.began));
            if let Some(asked) = handshake.asked {
                self.phases[Phase::Auth as usize].add(now.saturating_duration_since(asked));
            }
        }
        let side = if handshake.initiator {
            &mut self.as_initiator
        } else {
            &mut self.as_responder
        };
        side.add(established);
        let Some(proposal) = proposal else { return };
        let additional = proposal
            .additional_key_exchanges()
            .into_iter()
            .map(|(_, method)| method);
        for method in proposal.key_exchange().into_iter().chain(additional) {
            if method != KeyExchangeMethod::NONE {
                self.by_method.entry(method).or_default().add(established);
            }
        }
    }
}

/// An attempt, from the first message until the IKE_SA stands or is given up.
#[derive(Debug)]
pub(crate) struct Handshake {
    initiator: bool,
    began: Instant,
    /// When the last request was sent, or came.
    asked: Option<Instant>,
}

impl Handshake {
    pub(crate) fn new(initiator: bool, now: Instant) -> Self {
        Self {
            initiator,
            began: now,
            asked: None,
        }
    }
}
