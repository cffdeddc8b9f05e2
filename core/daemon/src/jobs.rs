//! The crypto pool: threads that run the asymmetric work of the state machine, one for each core.
//!
//! What is known to take less time than two threads need to wake each other up runs at once instead.

mod costs;
mod queue;

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use ike::{Beneficiary, Job, JobId, JobResult};
use plugin_api::{ErrorKind, PluginError};

use costs::Costs;
use queue::{Queue, Rejected};

/// Is told what came of a job; called from the pool's threads.
pub type Done = Box<dyn Fn(JobId, JobResult) + Send + Sync>;

/// What became of a job.
pub enum Submitted {
    /// It is done.
    Done(JobResult),
    /// It waits.
    Queued,
    /// It or another stranger's, which this names, is not going to be done.
    Overload(JobId),
}

/// The pool.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    costs: Mutex<Costs>,
    changed: Condvar,
    done: Done,
}

#[derive(Default)]
struct State {
    queue: Queue,
    working: usize,
    stopping: bool,
}

impl Pool {
    /// Starts `threads` threads.
    ///
    /// # Errors
    ///
    /// If a thread cannot be started.
    pub fn start(threads: usize, done: Done) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            costs: Mutex::default(),
            changed: Condvar::new(),
            done,
        });
        let mut pool = Self {
            shared,
            threads: Vec::new(),
        };
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            // Frodo and its like keep matrices on the stack.
            let builder = std::thread::Builder::new()
                .name(format!("crypto-{number}"))
                .stack_size(4 << 20);
            pool.threads.push(builder.spawn(move || work(&shared))?);
        }
        Ok(pool)
    }

    /// Runs a small job at once; queues any other. If too many wait, one fails at once.
    pub fn submit(&self, id: JobId, job: Job, beneficiary: Beneficiary) -> Submitted {
        if lock(&self.shared.costs).is_small(job.kind()) {
            return Submitted::Done(self.shared.run(job));
        }
        let mut state = lock(&self.shared.state);
        let pushed = state.queue.push(Instant::now(), id, job, beneficiary);
        drop(state);
        match pushed {
            Err(Rejected::Known(_)) => {
                let message = "too many key exchanges wait already";
                return Submitted::Done(Err(PluginError::new(ErrorKind::System, message)));
            }
            Err(Rejected::Stranger(id)) => {
                self.shared.changed.notify_one();
                return Submitted::Overload(id);
            }
            Ok(()) => {}
        }
        self.shared.changed.notify_one();
        Submitted::Queued
    }

    /// Takes a job out that nothing waits for any more, unless it is being done.
    pub fn forget(&self, id: JobId) {
        lock(&self.shared.state).queue.remove(id);
    }

    /// Jobs that wait, and jobs in work.
    pub fn load(&self) -> (usize, usize) {
        let state = lock(&self.shared.state);
        (state.queue.len(), state.working)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.stopping = true;
        state.queue.clear();
        drop(state);
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Does the work on this thread, and keeps in mind how long it took.
    fn run(&self, job: Job) -> JobResult {
        let (kind, began) = (job.kind(), Instant::now());
        let result =
            catch_unwind(AssertUnwindSafe(|| job.run())).unwrap_or_else(|panic| Err(panicked(&*panic)));
        // What fails may do so early.
        if result.is_ok() {
            lock(&self.costs).took(kind, began.elapsed());
        }
        result
    }
}

fn work(shared: &Shared) {
    loop {
        let mut state = shared
            .changed
            .wait_while(lock(&shared.state), |state| {
                state.queue.is_empty() && !state.stopping
            })
            .unwrap_or_else(PoisonError::into_inner);
        let Some((id, job, beneficiary)) = state.queue.pop(Instant::now()) else {
            return;
        };
        state.working += 1;
        drop(state);
        let began = Instant::now();
        let result = shared.run(job);
        let ended = Instant::now();
        let mut state = lock(&shared.state);
        state.working -= 1;
        state.queue.took(ended, beneficiary, ended - began);
        drop(state);
        (shared.done)(id, result);
    }
}

fn panicked(panic: &(dyn Any + Send)) -> PluginError {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    PluginError::new(ErrorKind::Panicked, format!("the key exchange panicked: {text}"))
}

// Nothing that panics runs under the lock.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use iana::KeyExchangeMethod;
    use ike::JobOutcome;
    use plugin_api::{KeyExchange, PendingKeyExchange, Secret};

    use super::*;

    const METHOD: KeyExchangeMethod = KeyExchangeMethod::CURVE_25519;

    struct Echo;

    impl KeyExchange for Echo {
        fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
            panic!("no luck today")
        }

        fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
            Ok((peer.to_vec(), Secret::copy_of(peer)))
        }
    }

    fn pool() -> (Pool, mpsc::Receiver<(JobId, JobResult)>) {
        let (done, results) = mpsc::channel();
        (
            Pool::start(2, Box::new(move |id, result| _ = done.send((id, result)))).unwrap(),
            results,
        )
    }

    #[test]
    fn a_job_is_answered_with_its_result() {
        let (pool, results) = pool();
        let job = || Job::Respond(METHOD, Arc::new(Echo), b"public".to_vec());
        let queued = pool.submit(JobId(7), job(), Beneficiary::Known);
        assert!(
            matches!(queued, Submitted::Queued),
            "it is not known how long it takes"
        );
        let (id, result) = results.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(id, JobId(7));
        assert!(matches!(result, Ok(JobOutcome::Responded(public, _)) if public == b"public"));
        let Submitted::Done(result) = pool.submit(JobId(8), job(), Beneficiary::Known) else {
            unreachable!("it takes next to no time")
        };
        assert!(matches!(result, Ok(JobOutcome::Responded(public, _)) if public == b"public"));
    }

    #[test]
    fn a_panic_fails_its_job_and_nothing_else() {
        let (pool, results) = pool();
        for _ in 0..3 {
            let job = Job::Initiate(METHOD, Arc::new(Echo));
            let queued = pool.submit(JobId(1), job, Beneficiary::Known);
            assert!(matches!(queued, Submitted::Queued));
            let (_, result) = results.recv_timeout(Duration::from_secs(10)).unwrap();
            let error = result.err().unwrap();
            assert_eq!(error.kind, ErrorKind::Panicked);
            assert!(error.message.contains("no luck today"), "{error}");
        }
        assert_eq!(pool.load(), (0, 0));
    }
}
