//! Scripts, several at once. Those for the same reqid run in the order of their events, one after the other.
//!
//! The end of each script is reported to the daemon, which answers a peer only then. So no script waits for those of other
//! CHILD_SAs, unless very many run.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plugin_api::log::{AUDIT, Group};
use plugin_api::{Host, Listener, PluginError, Reply};

use crate::message::{self, Request};
use crate::run;

/// The event that asks for a script whose end is reported.
pub const EVENT: &str = "script";
/// The same of daemons that do not wait for scripts.
pub const OLD_EVENT: &str = "updown";
/// The command that reports the end of a script.
const DONE: &str = "script-done";

/// Scripts that wait; more than a daemon with many tunnels has CHILD_SAs going down at once.
const QUEUE_LEN: usize = 16_384;
/// Scripts that run at once.
const PARALLEL: usize = 16;

/// The thread that starts scripts. When this is dropped, what waits is still run: scripts for `down` undo what those for
/// `up` did.
pub struct Worker {
    host: Arc<dyn Host>,
    queue: Mutex<Sender<Note>>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
    thread: Option<JoinHandle<()>>,
}

/// What the thread learns.
enum Note {
    Run(Request),
    /// The script for this reqid has ended.
    Ended(String),
    /// The last of them: nothing more is asked for.
    Stop,
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
        // A bounded channel would take all the memory of a full queue from the start.
        let (queue, notes) = channel();
        let waiting = Arc::<AtomicUsize>::default();
        let scripts = Scripts {
            host: Arc::clone(&host),
            timeout,
            ended: queue.clone(),
            waiting: Arc::clone(&waiting),
            by_reqid: BTreeMap::new(),
            ready: VecDeque::new(),
            running: BTreeMap::new(),
        };
        let thread = thread::Builder::new()
            .name("updown".into())
            .spawn(move || scripts.attend(&notes))
            .map_err(|error| PluginError::system("starting the thread updown", &error))?;
        Ok(Self {
            host,
            queue: Mutex::new(queue),
            waiting,
            limit,
            thread: Some(thread),
        })
    }

    fn note(&self, note: Note) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.send(note).is_ok()
    }

    fn enqueue(&self, message: &[u8]) -> Result<(), String> {
        let request = Request::parse(message).map_err(|error| format!("event not understood: {error}"))?;
        // Only the daemon's loop asks for scripts, so that nobody else adds to it.
        if self.waiting.load(Relaxed) >= self.limit {
            return Err("too many scripts wait already; look for one that hangs".into());
        }
        self.waiting.fetch_add(1, Relaxed);
        if self.note(Note::Run(request)) {
            Ok(())
        } else {
            Err("its thread has ended".into())
        }
    }
}

impl Listener for Worker {
    fn event(&self, name: &str, message: &[u8]) {
        if name != EVENT && name != OLD_EVENT {
            return;
        }
        if let Err(why) = self.enqueue(message) {
            self.host
                .log(Group::Chd, AUDIT, &format!("updown script is not run: {why}"));
            report(&*self.host, message::id(message));
        }
    }

    fn wants(&self) -> Vec<String> {
        vec![EVENT.into(), OLD_EVENT.into()]
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.note(Note::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.host.log(Group::Chd, AUDIT, "the thread updown had panicked");
        }
    }
}

/// The scripts, as the thread sees them.
struct Scripts {
    host: Arc<dyn Host>,
    timeout: Option<Duration>,
    ended: Sender<Note>,
    waiting: Arc<AtomicUsize>,
    /// Those that wait, of each reqid that has any or one that runs.
    by_reqid: BTreeMap<String, VecDeque<Request>>,
    /// Reqids of which the next script may run.
    ready: VecDeque<String>,
    running: BTreeMap<String, JoinHandle<()>>,
}

impl Scripts {
    fn attend(mut self, notes: &Receiver<Note>) {
        let mut stopping = false;
        while !stopping || !self.by_reqid.is_empty() {
            match notes.recv() {
                Ok(Note::Run(request)) => self.add(request),
                Ok(Note::Ended(reqid)) => self.end(reqid),
                Ok(Note::Stop) | Err(_) => stopping = true,
            }
            while self.running.len() < PARALLEL
                && let Some(reqid) = self.ready.pop_front()
            {
                self.start(reqid);
            }
        }
    }

    fn add(&mut self, request: Request) {
        let reqid = request.variable("PLUTO_REQID").unwrap_or_default().to_owned();
        if !self.by_reqid.contains_key(&reqid) {
            self.ready.push_back(reqid.clone());
        }
        self.by_reqid.entry(reqid).or_default().push_back(request);
    }

    fn end(&mut self, reqid: String) {
        if let Some(thread) = self.running.remove(&reqid) {
            // It has said all it had to.
            let _ = thread.join();
        }
        if self.by_reqid.get(&reqid).is_some_and(|queue| !queue.is_empty()) {
            self.ready.push_back(reqid);
        } else {
            self.by_reqid.remove(&reqid);
        }
    }

    fn start(&mut self, reqid: String) {
        let Some(request) = self.by_reqid.get_mut(&reqid).and_then(VecDeque::pop_front) else {
            return;
        };
        self.waiting.fetch_sub(1, Relaxed);
        let running = Running {
            host: Arc::clone(&self.host),
            id: request.id.clone(),
            reqid: reqid.clone(),
            ended: self.ended.clone(),
        };
        let timeout = self.timeout;
        let started = thread::Builder::new()
            .name("updown".into())
            .spawn(move || running.run(&request, timeout));
        match started {
            Ok(thread) => _ = self.running.insert(reqid, thread),
            Err(error) => {
                let text = format!("updown script is not run: no thread for it: {error}");
                self.host.log(Group::Chd, AUDIT, &text);
            }
        }
    }
}

/// A script that runs. Its end is reported when this is dropped, however it ended.
struct Running {
    host: Arc<dyn Host>,
    id: Option<String>,
    reqid: String,
    ended: Sender<Note>,
}

impl Running {
    fn run(&self, request: &Request, timeout: Option<Duration>) {
        run::run(&*self.host, request, timeout);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        report(&*self.host, self.id.as_deref());
        // The thread waits for it.
        let _ = self.ended.send(Note::Ended(std::mem::take(&mut self.reqid)));
    }
}

/// Tells a daemon that waits for it that a script has ended.
fn report(host: &dyn Host, id: Option<&str>) {
    if let Some(id) = id {
        host.submit(DONE, &message::with_id(id), Arc::new(Unheard));
    }
}

struct Unheard;

impl Reply for Unheard {
    fn event(&self, _name: &str, _message: &[u8]) -> bool {
        false
    }

    fn done(&self, _message: &[u8]) {}
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
