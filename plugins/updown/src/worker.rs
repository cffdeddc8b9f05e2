//! Scripts in the order of their events, one after the other, on a thread of their own.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
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
    queue: Mutex<Option<SyncSender<Request>>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread; scripts that take longer than `timeout` are killed.
    ///
    /// # Errors
    ///
    /// If the system has no thread to spare.
    pub fn start(host: Arc<dyn Host>, timeout: Option<Duration>) -> Result<Self, PluginError> {
        let (queue, waiting) = sync_channel::<Request>(QUEUE_LEN);
        let own = Arc::clone(&host);
        let thread = thread::Builder::new()
            .name("updown".into())
            .spawn(move || {
                waiting
                    .iter()
                    .for_each(|request| run::run(&*own, &request, timeout))
            })
            .map_err(|error| PluginError::system("starting the thread updown", &error))?;
        Ok(Self {
            host,
            queue: Mutex::new(Some(queue)),
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
        let why = match queue.as_ref().map(|queue| queue.try_send(request)) {
            Some(Ok(())) => return,
            Some(Err(TrySendError::Full(_))) => "too many scripts wait already; look for one that hangs",
            Some(Err(TrySendError::Disconnected(_))) | None => "its thread has ended",
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
