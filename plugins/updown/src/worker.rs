//! Scripts in the order of their events, one after the other, on a thread of their own.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plugin_api::log::{AUDIT, CONTROL, Group};
use plugin_api::{Host, Listener, PluginError};

use crate::message::Request;
use crate::run;

/// The event that asks for a script.
pub const EVENT: &str = "updown";

/// Scripts that wait; more than a daemon with many tunnels has CHILD_SAs going down at once.
const QUEUE_LEN: usize = 16_384;

/// The thread. When this is dropped, what waits is still run: scripts for `down` undo what those for `up` did.
pub struct Worker {
    host: Arc<dyn Host>,
    /// A bounded channel would take all the memory of a full queue from the start.
    queue: Mutex<Option<Sender<Request>>>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread; scripts that take longer than `timeout` are killed.
    ///
    /// # Errors
    ///
    /// If the system has no thread to spare.
    pub fn start(host: Arc<dyn Host>, timeout: Option<Duration>) -> Result<Self, PluginError> {
        Self::with_limit(host, timeout, QUEUE_LEN)
    }

    /// One whose queue is so long.
    fn with_limit(host: Arc<dyn Host>, timeout: Option<Duration>, limit: usize) -> Result<Self, PluginError> {
        let (queue, requests) = channel::<Request>();
        let waiting = Arc::<AtomicUsize>::default();
        let left = Arc::clone(&waiting);
        let own = Arc::clone(&host);
        let thread = thread::Builder::new()
            .name("updown".into())
            .spawn(move || {
                requests.iter().for_each(|request| {
                    left.fetch_sub(1, Relaxed);
                    run::run(&*own, &request, timeout);
                });
            })
            .map_err(|error| PluginError::system("starting the thread updown", &error))?;
        Ok(Self {
            host,
            queue: Mutex::new(Some(queue)),
            waiting,
            limit,
            thread: Some(thread),
        })
    }
}

impl Listener for Worker {
    fn event(&self, name: &str, message: &[u8]) {
        if name != EVENT {
            return;
        }
        let request = match Request::parse(message) {
            Ok(request) => request,
            Err(error) => {
                let text = format!("updown event not understood, its script is not run: {error}");
                return self.host.log(Group::Chd, CONTROL, &text);
            }
        };
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // It only grows here, under the lock.
        let why = if self.waiting.load(Relaxed) >= self.limit {
            "too many scripts wait already; look for one that hangs"
        } else {
            self.waiting.fetch_add(1, Relaxed);
            match queue.as_ref().map(|queue| queue.send(request)) {
                Some(Ok(())) => return,
                Some(Err(_)) | None => "its thread has ended",
            }
        };
        self.host
            .log(Group::Chd, AUDIT, &format!("updown script is not run: {why}"));
    }

    fn wants(&self) -> Vec<String> {
        vec![EVENT.into()]
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without a sender the thread ends after what waits.
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.host.log(Group::Chd, AUDIT, "the thread updown had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use nix::sys::stat::Mode;
    use plugin_api::testing::Recorder;

    use super::*;
    use crate::message::tests::encode;

    #[test]
    fn what_finds_the_queue_full_is_not_run_and_the_rest_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let (fifo, out) = (folder.path().join("fifo"), folder.path().join("out"));
        nix::unistd::mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("a fifo");
        let host = Arc::new(Recorder::default());
        let worker = Worker::with_limit(Arc::clone(&host) as Arc<dyn Host>, None, 2).expect("a thread");
        let run = |script: &str| worker.event(EVENT, &encode(&[("verb", "up"), ("script", script)]));

        run(&format!("read line < {}", fifo.display()));
        // It can be opened once the script reads, which waits no more then.
        let script_reads = File::options().write(true).open(&fifo).expect("the fifo");
        for number in 1..=3 {
            run(&format!("echo {number} >> {}", out.display()));
        }
        drop(script_reads);
        drop(worker);
        assert_eq!(fs::read_to_string(&out).expect("scripts have run"), "1\n2\n");
        let refused = "updown script is not run: too many scripts wait already; look for one that hangs";
        assert_eq!(host.lines().iter().filter(|line| *line == refused).count(), 1);
    }
}
