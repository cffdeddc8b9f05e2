//! Log lines with charon's groups and levels, and where they go.
//!
//! Whoever logs only hands the line over: a thread of its own formats and writes it, so that a full disk or a reader
//! that stalls never stops the loop. Lines that find the queue full are counted, and the count is logged.

mod behind;
mod format;
mod forward;
pub mod journal;
pub mod sinks;
pub mod targets;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI8, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ike::LogLine;
use plugin_api::log::Group;

use behind::Behind;
use sinks::Sink;

pub use behind::Action;

/// Lines that may wait to be written.
const QUEUED_LINES: usize = 8192;

/// How long the thread that writes leaves lines to gather before it looks for more: it is woken up for all of them at once
/// then, unless something is to follow them.
const PAUSE: Duration = Duration::from_millis(5);

/// A line with what the writer needs to know beside it.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it was logged.
    pub time: SystemTime,
    /// The number of the thread that logged it.
    pub thread: u32,
    /// The line.
    pub line: LogLine,
}

enum Message {
    Record(Record),
    Sinks(Vec<Sink>),
    Flush(SyncSender<()>),
    Then(u64),
}

/// Is told every line of level 0 and 1, for listeners of the event `log`.
pub type Observer = Box<dyn Fn(&Record) + Send + Sync>;

/// The daemon's log.
pub struct Logger {
    levels: [AtomicI8; Group::ALL.len()],
    queue: SyncSender<Message>,
    writer: Arc<Writer>,
    lost: AtomicU64,
    observer: OnceLock<Observer>,
    observed: AtomicBool,
}

impl Logger {
    /// Starts the thread that writes. Lines logged before [`set_sinks`](Self::set_sinks) go nowhere.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn start() -> std::io::Result<Arc<Self>> {
        let (queue, lines) = mpsc::sync_channel(QUEUED_LINES);
        let writer = Arc::<Writer>::default();
        let thread = Arc::clone(&writer);
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || thread.run(&lines))?;
        Ok(Arc::new(Self {
            levels: std::array::from_fn(|_| AtomicI8::new(1)),
            queue,
            writer,
            lost: AtomicU64::new(0),
            observer: OnceLock::new(),
            observed: AtomicBool::new(false),
        }))
    }

    /// Replaces the places that lines go to; lines logged before still go to the old ones.
    pub fn set_sinks(&self, sinks: Vec<Sink>) {
        for group in Group::ALL {
            let highest = sinks
                .iter()
                .map(|sink| sink.levels()[group as usize])
                .max()
                .unwrap_or(-1);
            self.levels[group as usize].store(highest, Relaxed);
        }
        let _ = self.queue.send(Message::Sinks(sinks));
    }

    /// Sets who is told every line of level 0 and 1 while [`observe`](Self::observe) says so. Once.
    pub fn set_observer(&self, observer: Observer) {
        let _ = self.observer.set(observer);
    }

    /// Sets whether the observer is told, and returns whether that is a change.
    pub fn observe(&self, observed: bool) -> bool {
        self.observed.swap(observed, Relaxed) != observed
    }

    /// The highest level of a group that anybody reads.
    pub fn level(&self, group: Group) -> i8 {
        let level = self.levels[group as usize].load(Relaxed);
        if self.observed.load(Relaxed) {
            level.max(1)
        } else {
            level
        }
    }

    /// Writes a line that is about no IKE_SA.
    pub fn log(&self, group: Group, level: i8, text: impl Into<String>) {
        if level <= self.level(group) || forward::enabled() {
            self.write(LogLine {
                group,
                level,
                sa: None,
                text: text.into(),
            });
        }
    }

    /// Writes a line.
    pub fn write(&self, line: LogLine) {
        forward::forward(&line);
        let record = Record {
            time: SystemTime::now(),
            thread: thread_number(),
            line,
        };
        if record.line.level <= 1
            && self.observed.load(Relaxed)
            && let Some(observer) = self.observer.get()
        {
            observer(&record);
        }
        self.writer.unwritten.fetch_add(1, Relaxed);
        if self.queue.try_send(Message::Record(record)).is_err() {
            self.writer.unwritten.fetch_sub(1, Relaxed);
            self.lost.fetch_add(1, Relaxed);
        } else if self.lost.load(Relaxed) > 0 {
            let lost = self.lost.swap(0, Relaxed);
            let text = format!("dropped {lost} log lines: the reader of the log is too slow");
            self.write(LogLine {
                group: Group::Dmn,
                level: 0,
                sa: None,
                text,
            });
        }
    }

    /// Does something once all lines logged before are written: at once if they are, and not much later if nobody takes
    /// them and [`give_up`](Self::give_up) is called when [`deadline`](Self::deadline) says so.
    pub fn then(&self, action: Action) {
        if self.writer.unwritten.load(Acquire) == 0 {
            return action();
        }
        let Some(number) = self.writer.behind.add(action, Instant::now()) else {
            return;
        };
        if self.queue.try_send(Message::Then(number)).is_ok() {
            self.writer.pause.end();
        } else {
            self.give_up();
        }
    }

    /// When to give up.
    pub fn deadline(&self) -> Option<Instant> {
        self.writer.behind.deadline()
    }

    /// Does all that waits for lines to be written.
    pub fn give_up(&self) {
        self.writer.behind.give_up();
    }

    /// Waits until all lines logged before are written, but not for ever.
    pub fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        // A full queue means that writing is stuck already.
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            self.writer.pause.end();
            let _ = wait.recv_timeout(Duration::from_secs(2));
        }
    }
}

/// What the thread that writes shares with those who log.
#[derive(Default)]
struct Writer {
    /// Lines that are on their way.
    unwritten: AtomicUsize,
    pause: Pause,
    behind: Behind,
}

impl Writer {
    fn run(&self, queue: &Receiver<Message>) {
        let (mut sinks, mut written) = (Vec::new(), 0);
        let flush = |sinks: &mut Vec<Sink>, written: &mut usize| {
            sinks.iter_mut().for_each(Sink::flush);
            self.unwritten.fetch_sub(std::mem::take(written), Release);
        };
        loop {
            let message = match queue.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    flush(&mut sinks, &mut written);
                    self.pause.wait();
                    match queue.recv() {
                        Ok(message) => message,
                        Err(_) => break,
                    }
                }
            };
            match message {
                Message::Record(record) => {
                    sinks.iter_mut().for_each(|sink| sink.write(&record));
                    written += 1;
                }
                Message::Sinks(new) => {
                    flush(&mut sinks, &mut written);
                    sinks = new;
                }
                Message::Flush(done) => {
                    flush(&mut sinks, &mut written);
                    let _ = done.send(());
                }
                Message::Then(number) => {
                    flush(&mut sinks, &mut written);
                    self.behind.written(number);
                }
            }
        }
        flush(&mut sinks, &mut written);
    }
}

/// What the thread that writes waits for while lines gather.
#[derive(Default)]
struct Pause {
    hurry: Mutex<bool>,
    called: Condvar,
}

impl Pause {
    /// Waits a moment, or until somebody is in a hurry or has been since the last time: whether that is why it ended.
    fn wait(&self) -> bool {
        let hurry = self.hurry.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.called.wait_timeout_while(hurry, PAUSE, |hurry| !*hurry);
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn end(&self) {
        *self.hurry.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.called.notify_one();
    }
}

thread_local! {
    static THREAD: Cell<Option<u32>> = const { Cell::new(None) };
}

/// The number of this thread in log lines: 0 is the loop, the others are numbered as they first log.
pub fn thread_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    THREAD.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Relaxed);
        THREAD.set(Some(number));
        number
    })
}

/// Makes this thread number 0.
pub fn this_is_the_loop() {
    THREAD.set(Some(0));
}
