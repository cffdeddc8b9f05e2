//! Runs an action on every thread, for attributes that the kernel keeps per thread.
//!
//! A signal interrupts each thread, and its handler runs the action. libcap's libpsx and the C library's setuid() work the
//! same way; but libpsx is a C library that wraps pthread_create(), and setuid() changes users and groups only.

use std::collections::BTreeSet;
use std::ffi::c_int;
use std::fs;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicI32, AtomicPtr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{Pid, gettid};

/// Milliseconds without an answer after which the list of threads shows which ones have ended instead.
const LOOK: u8 = 20;

/// The action; it must be async-signal-safe.
type Action = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// Why the action has not run on all threads.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system has no signal, no descriptor, or no list of threads.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
    /// The action failed on a thread.
    #[error("thread '{name}' (task {thread}): {error}")]
    Failed {
        /// Its number.
        thread: i32,
        /// Its name.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// A thread does not take the signal.
    #[error("thread '{name}' (task {thread}) does not answer a signal in time")]
    Silent {
        /// Its number.
        thread: i32,
        /// Its name.
        name: String,
    },
}

/// Threads that get the signal together.
struct Round {
    action: Action,
    asked: Box<[Asked]>,
    /// Each answer writes to it.
    answered: &'static EventFd,
}

struct Asked {
    thread: i32,
    /// An error number, or one of the constants below.
    outcome: AtomicI32,
}

const WAITING: i32 = -1;
const GONE: i32 = -2;
const DONE: i32 = 0;

/// The current round. Rounds are never freed, so a handler may read one whenever it runs.
static ROUND: AtomicPtr<Round> = AtomicPtr::new(ptr::null_mut());

/// Runs `action` on all threads except the calling one, and returns when it has run on all of them.
///
/// A thread that is started meanwhile inherits the attributes of its creator, before or after the action. The list of threads
/// is therefore read again until the action has run on all threads in it.
///
/// # Errors
///
/// If the action fails on a thread, or a thread does not answer within `patience`. The action may have run on others.
///
/// # Safety
///
/// `action` interrupts threads at any point, so it may do only what signal-safety(7) allows: no allocation, no lock.
pub unsafe fn on_other_threads(
    action: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    patience: Duration,
) -> Result<(), Error> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let signal = signal().map_err(|error| Error::System("no signal for all threads", error))?;
    let deadline = Instant::now() + patience;
    let action: Action = Arc::new(action);
    let mut done = BTreeSet::new();
    loop {
        let mut threads = others()?;
        // The kernel may give the number of a thread that has ended to a new one.
        done.retain(|thread| threads.contains(thread));
        threads.retain(|thread| !done.contains(thread));
        if threads.is_empty() {
            return Ok(());
        }
        let round = Round::publish(Arc::clone(&action), &threads)?;
        round.ask(signal)?;
        round.wait(deadline)?;
        done.extend(threads);
    }
}

impl Round {
    /// Makes a round and shows it to handlers. It is leaked, because a signal may arrive after its end; a process has few.
    fn publish(action: Action, threads: &BTreeSet<i32>) -> Result<&'static Self, Error> {
        let answered = answered().map_err(|error| Error::System("no descriptor for answers", error))?;
        let asked = threads.iter().map(|thread| Asked {
            thread: *thread,
            outcome: AtomicI32::new(WAITING),
        });
        let round: &'static Self = Box::leak(Box::new(Self {
            action,
            asked: asked.collect(),
            answered,
        }));
        ROUND.store(ptr::from_ref(round).cast_mut(), Release);
        Ok(round)
    }

    fn ask(&self, signal: c_int) -> Result<(), Error> {
        for asked in &self.asked {
            let process = Pid::this().as_raw();
            // SAFETY: the call takes no pointer, and the signal has a handler that is sound at any time.
            let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, asked.thread, signal) };
            match Errno::result(sent) {
                Ok(_) => {}
                Err(Errno::ESRCH) => asked.outcome.store(GONE, Release),
                Err(errno) => return Err(asked.failed(errno)),
            }
        }
        Ok(())
    }

    fn wait(&self, deadline: Instant) -> Result<(), Error> {
        while let Some(waiting) = self.asked.iter().find(|asked| asked.outcome() == WAITING) {
            if Instant::now() >= deadline {
                return Err(waiting.silent());
            }
            let mut fds = [PollFd::new(self.answered.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, LOOK) == Ok(0) {
                self.forget_ended()?;
            }
            // Several answers are one event; reading an empty counter fails, and means nothing.
            let _ = self.answered.read();
        }
        let failed = self.asked.iter().find(|asked| asked.outcome() > DONE);
        failed.map_or(
            Ok(()),
            |asked| Err(asked.failed(Errno::from_raw(asked.outcome()))),
        )
    }

    /// Expects no answer from threads that have ended before they took the signal.
    fn forget_ended(&self) -> Result<(), Error> {
        let threads = others()?;
        for asked in &self.asked {
            if asked.outcome() == WAITING && !threads.contains(&asked.thread) {
                asked.outcome.store(GONE, Release);
            }
        }
        Ok(())
    }
}

impl Asked {
    fn outcome(&self) -> i32 {
        self.outcome.load(Acquire)
    }

    fn failed(&self, errno: Errno) -> Error {
        Error::Failed {
            thread: self.thread,
            name: name(self.thread),
            error: errno.into(),
        }
    }

    fn silent(&self) -> Error {
        Error::Silent {
            thread: self.thread,
            name: name(self.thread),
        }
    }
}

/// Runs the action if the current round asks this thread. It uses system calls and atomics only, because it interrupts
/// anything.
extern "C" fn handle(_signal: c_int) {
    let interrupted = Errno::last_raw();
    // SAFETY: the pointer is null, or that of a round, which lives for ever.
    if let Some(round) = unsafe { ROUND.load(Acquire).as_ref() } {
        let own = gettid().as_raw();
        let asked = round.asked.iter().find(|asked| asked.thread == own);
        // Another process may send the same signal.
        if let Some(asked) = asked.filter(|asked| asked.outcome() == WAITING) {
            let outcome = match (round.action)() {
                Ok(()) => DONE,
                Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
            };
            asked.outcome.store(outcome, Release);
            let _ = round.answered.write(1);
        }
    }
    Errno::set_raw(interrupted);
}

/// The first real-time signal without a handler. Ours stays installed, because the signal would end the process otherwise.
fn signal() -> io::Result<c_int> {
    static SIGNAL: OnceLock<c_int> = OnceLock::new();
    if let Some(signal) = SIGNAL.get() {
        return Ok(*signal);
    }
    let mut candidates = libc::SIGRTMIN()..=libc::SIGRTMAX();
    let signal = candidates.find(|signal| is_unused(*signal));
    let signal = signal.ok_or_else(|| io::Error::other("all real-time signals are in use"))?;
    install(signal)?;
    Ok(*SIGNAL.get_or_init(|| signal))
}

fn is_unused(signal: c_int) -> bool {
    // SAFETY: sigaction is a C struct of integers and pointers that may be null, for which zeros are valid.
    let mut old: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: without a new action the call only writes the old one, for which there is room.
    let result = unsafe { libc::sigaction(signal, ptr::null(), &raw mut old) };
    result == 0 && old.sa_sigaction == libc::SIG_DFL
}

fn install(signal: c_int) -> io::Result<()> {
    // SAFETY: as above.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handle as *const () as libc::sighandler_t;
    // Interrupted system calls are restarted, except those that wait with a timeout.
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the call writes a set, for which there is room.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    // SAFETY: the action is valid, and its handler only makes calls that are allowed at any time.
    let result = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The counter by which answers wake the asking thread.
fn answered() -> io::Result<&'static EventFd> {
    static ANSWERED: OnceLock<EventFd> = OnceLock::new();
    if let Some(answered) = ANSWERED.get() {
        return Ok(answered);
    }
    let made = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    Ok(ANSWERED.get_or_init(|| made))
}

/// All threads except the calling one.
fn others() -> Result<BTreeSet<i32>, Error> {
    let list = || {
        let own = gettid().as_raw();
        let mut threads = BTreeSet::new();
        for entry in fs::read_dir("/proc/self/task")? {
            let name = entry?.file_name();
            threads.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
        }
        threads.remove(&own);
        Ok(threads)
    };
    list().map_err(|error| Error::System("no list of threads in /proc/self/task", error))
}

fn name(thread: i32) -> String {
    let name = fs::read_to_string(format!("/proc/self/task/{thread}/comm"));
    name.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests;
