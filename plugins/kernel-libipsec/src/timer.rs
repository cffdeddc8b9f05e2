//! What SAs are due for in time: one thread that sleeps until the next is.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use plugin_api::{Host, PluginError};

use crate::events;
use crate::sad::Sa;

/// After how long without a packet an SA forgets what it can compute again, within a microsecond.
const PAUSE: Duration = Duration::from_secs(120);
/// SAs are looked at together for that, or they would wake the thread one by one.
const ROUND: Duration = Duration::from_secs(30);

/// The thread; it ends when this is dropped.
pub struct Timer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

struct Queue {
    start: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: BTreeSet<Entry>,
    stopped: bool,
}

/// An SA has one for its next limit, and one for its pause if it is not idle.
struct Entry {
    /// Nanoseconds from the start, and what is due then in the lowest two bits.
    at: u64,
    /// As long as it is here the place of the SA in memory is no other's, so it tells entries of the same time apart.
    sa: Weak<Sa>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Soft,
    Hard,
    Pause,
}

impl Entry {
    fn key(&self) -> (u64, *const Sa) {
        (self.at, self.sa.as_ptr())
    }

    fn due(&self) -> Due {
        match self.at & 3 {
            0 => Due::Soft,
            1 => Due::Hard,
            _ => Due::Pause,
        }
    }

    fn time(&self) -> Duration {
        Duration::from_nanos(self.at >> 2)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Timer {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system has none to spare.
    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    pub fn start(host: Arc<dyn Host>) -> Result<Self, PluginError> {
        let queue = Arc::new(Queue {
            start: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let own = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("libipsec-timer".into())
            .spawn(move || own.run(&*host))
            .map_err(|error| PluginError::system("starting the thread libipsec-timer", &error))?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    /// Watches the limits of an SA as long as it lives.
    pub fn watch(&self, sa: &Arc<Sa>) {
        let (soft, hard) = sa.lifetime.deadlines();
        let limits = [(soft, Due::Soft), (hard, Due::Hard)];
        let limits = limits.into_iter().filter_map(|(at, due)| Some((at?, due)));
        // The hard one is watched when the soft one is over.
        if let Some((deadline, due)) = limits.min_by_key(|(at, _)| *at) {
            self.queue.insert(sa, deadline, due);
        }
    }

    /// Has an SA rest when it has carried nothing for a while; it carries something now.
    pub fn watch_pause(&self, sa: &Arc<Sa>, now: Instant) {
        self.queue.insert(sa, self.queue.round(now + PAUSE), Due::Pause);
    }

    /// Forgets the limits of an SA that is gone before its time.
    pub fn forget(&self, sa: &Arc<Sa>) {
        let (soft, hard) = sa.lifetime.deadlines();
        let mut state = self.queue.lock();
        for (deadline, due) in [(soft, Due::Soft), (hard, Due::Hard)] {
            if let Some(deadline) = deadline {
                state.entries.remove(&self.queue.entry(sa, deadline, due));
            }
        }
    }

    /// Forgets all SAs.
    pub fn forget_all(&self) {
        self.queue.lock().entries.clear();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.queue.lock().stopped = true;
        self.queue.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the hook already.
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, sa: &Arc<Sa>, deadline: Instant, due: Due) -> Entry {
        let nanos = deadline.saturating_duration_since(self.start).as_nanos();
        // Centuries.
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX).min(u64::MAX >> 2);
        let due = match due {
            Due::Soft => 0,
            Due::Hard => 1,
            Due::Pause => 2,
        };
        Entry {
            at: nanos << 2 | due,
            sa: Arc::downgrade(sa),
        }
    }

    /// The end of the round that a time is in.
    fn round(&self, time: Instant) -> Instant {
        let rounds = time.saturating_duration_since(self.start).as_secs() / ROUND.as_secs();
        self.start + Duration::from_secs((rounds + 1) * ROUND.as_secs())
    }

    /// Wakes the thread only if it would sleep too long.
    fn insert(&self, sa: &Arc<Sa>, deadline: Instant, due: Due) {
        let entry = self.entry(sa, deadline, due);
        let mut state = self.lock();
        let is_next = state.entries.first().is_none_or(|next| entry < *next);
        state.entries.insert(entry);
        drop(state);
        if is_next {
            self.changed.notify_one();
        }
    }

    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    fn run(&self, host: &dyn Host) {
        let mut state = self.lock();
        while !state.stopped {
            let now = Instant::now();
            let Some(next) = state.entries.first() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = next
                .time()
                .saturating_sub(now.saturating_duration_since(self.start));
            if !left.is_zero() {
                let waited = self.changed.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let due = state.entries.pop_first();
            drop(state);
            if let Some(entry) = due
                && let Some(sa) = entry.sa.upgrade()
            {
                self.fire(host, &sa, entry.due(), now);
            }
            state = self.lock();
        }
    }

    fn fire(&self, host: &dyn Host, sa: &Arc<Sa>, due: Due, now: Instant) {
        match due {
            Due::Soft => {
                let (_, hard) = sa.lifetime.deadlines();
                if let Some(hard) = hard {
                    self.insert(sa, hard, Due::Hard);
                }
                if sa.lifetime.reach_soft() {
                    events::expire(host, sa, false);
                }
            }
            Due::Hard => {
                if sa.lifetime.reach_hard() {
                    events::expire(host, sa, true);
                }
            }
            Due::Pause => {
                if let Some(left) = sa.rest(PAUSE, now) {
                    self.insert(sa, self.round(now + left), Due::Pause);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
