//! What is done once the lines logged before it are written: whoever has an answer may look into the log for more.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long anything waits for lines that nobody takes.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is to be done.
pub type Action = Box<dyn FnOnce() + Send>;

/// What waits for lines to be written.
#[derive(Default)]
pub(super) struct Behind(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// The number of the last one.
    last: u64,
    /// In the order of their numbers, each with the time until which it waits at most.
    actions: VecDeque<(u64, Instant, Action)>,
    /// Whether one has waited so long in vain, and nothing was written since.
    stuck: bool,
}

impl Behind {
    /// Lets an action wait, and returns its number; does it at once if lines are not written anyway.
    pub(super) fn add(&self, action: Action, now: Instant) -> Option<u64> {
        let mut waiting = self.lock();
        if waiting.stuck {
            drop(waiting);
            action();
            return None;
        }
        waiting.last += 1;
        let number = waiting.last;
        waiting.actions.push_back((number, now + PATIENCE, action));
        Some(number)
    }

    /// The lines before the action of this number are written.
    pub(super) fn written(&self, number: u64) {
        let mut waiting = self.lock();
        waiting.stuck = false;
        let count = waiting.actions.partition_point(|(other, ..)| *other <= number);
        let done: Vec<_> = waiting.actions.drain(..count).collect();
        drop(waiting);
        for (_, _, action) in done {
            action();
        }
    }

    /// When somebody has waited long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lock().actions.front().map(|(_, until, _)| *until)
    }

    /// Nobody waits any longer; nor will anybody until something is written.
    pub(super) fn give_up(&self) {
        let mut waiting = self.lock();
        waiting.stuck = true;
        let done = std::mem::take(&mut waiting.actions);
        drop(waiting);
        for (_, _, action) in done {
            action();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
