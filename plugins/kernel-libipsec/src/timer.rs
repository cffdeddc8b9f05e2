//! Limits of SAs in time: one thread that sleeps until the next is due.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use plugin_api::{Host, PluginError};

use crate::events;
use crate::sad::Sa;

/// The thread; it ends when this is dropped.
pub struct Timer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By time, serial of the SA, and whether it is the hard limit.
    deadlines: BTreeMap<(Instant, u64, bool), Weak<Sa>>,
    stopped: bool,
}

impl Timer {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system has none to spare.
    pub fn start(host: Arc<dyn Host>) -> Result<Self, PluginError> {
        let queue = Arc::new(Queue::default());
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
        if soft.is_none() && hard.is_none() {
            return;
        }
        let mut state = self.queue.lock();
        for (deadline, is_hard) in [(soft, false), (hard, true)] {
            if let Some(deadline) = deadline {
                state
                    .deadlines
                    .insert((deadline, sa.serial, is_hard), Arc::downgrade(sa));
            }
        }
        drop(state);
        self.queue.changed.notify_one();
    }

    /// Forgets an SA that is gone before its time.
    pub fn forget(&self, sa: &Sa) {
        let (soft, hard) = sa.lifetime.deadlines();
        let mut state = self.queue.lock();
        for (deadline, is_hard) in [(soft, false), (hard, true)] {
            if let Some(deadline) = deadline {
                state.deadlines.remove(&(deadline, sa.serial, is_hard));
            }
        }
    }

    /// Forgets all SAs.
    pub fn forget_all(&self) {
        self.queue.lock().deadlines.clear();
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

    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    fn run(&self, host: &dyn Host) {
        let mut state = self.lock();
        while !state.stopped {
            let now = Instant::now();
            let Some((&(deadline, serial, is_hard), _)) = state.deadlines.first_key_value() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if now < deadline {
                let waited = self.changed.wait_timeout(state, deadline - now);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let sa = state
                .deadlines
                .remove(&(deadline, serial, is_hard))
                .and_then(|sa| sa.upgrade());
            drop(state);
            if let Some(sa) = sa {
                let first = if is_hard {
                    sa.lifetime.reach_hard()
                } else {
                    sa.lifetime.reach_soft()
                };
                if first {
                    events::expire(host, &sa, is_hard);
                }
            }
            state = self.lock();
        }
    }
}
