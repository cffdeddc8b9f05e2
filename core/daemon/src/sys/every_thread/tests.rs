//! The timer slack is what these tests set: the kernel keeps it for each thread, threads inherit it, and a microsecond more or
//! less does no harm to other tests in this process.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Barrier, Condvar};
use std::thread;

use nix::poll::PollTimeout;
use nix::sys::signal::SigSet;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn set_slack(nanoseconds: u64) -> io::Result<()> {
    // SAFETY: the option takes no pointer.
    let result = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanoseconds) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

fn slack() -> i32 {
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) }
}

fn set_slack_elsewhere(nanoseconds: u64) -> Result<(), Error> {
    // SAFETY: the action is one system call.
    unsafe { on_other_threads(move || set_slack(nanoseconds), PATIENCE) }
}

/// One test at a time sets it.
static ALONE: Mutex<()> = Mutex::new(());

/// Starts a thread that says its number, waits in `wait`, and then says its timer slack.
fn blocked(started: &Barrier, wait: impl FnOnce() + Send) -> i32 {
    started.wait();
    wait();
    slack()
}

#[test]
fn threads_that_wait_in_system_calls_do_it_and_wait_on() {
    const SLACK: i32 = 51_001;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut pipe, mut pipe_end) = io::pipe().expect("a pipe");
    let (polled, mut polled_end) = io::pipe().expect("a pipe");
    let (sender, receiver) = channel();
    let (flag, changed) = (Mutex::new(false), Condvar::new());
    let started = Barrier::new(5);
    thread::scope(|scope| {
        let reads = scope.spawn(|| blocked(&started, || pipe.read_exact(&mut [0]).expect("an octet")));
        let all = &started;
        let receives = scope.spawn(move || blocked(all, move || receiver.recv().expect("a message")));
        let waits = scope.spawn(|| {
            blocked(&started, || {
                let guard = changed.wait_while(flag.lock().expect("the flag"), |flag| !*flag);
                drop(guard.expect("the flag"));
            })
        });
        let polls = scope.spawn(|| {
            blocked(&started, || {
                let mut fds = [PollFd::new(polled.as_fd(), PollFlags::POLLIN)];
                // A call with a timeout ends, and is made again.
                while poll(&mut fds, PollTimeout::MAX) == Err(Errno::EINTR) {}
            })
        });
        started.wait();
        set_slack_elsewhere(SLACK as u64).expect("done");
        assert_ne!(slack(), SLACK, "the calling thread is left out");
        pipe_end.write_all(&[1]).expect("written");
        polled_end.write_all(&[1]).expect("written");
        sender.send(()).expect("sent");
        *flag.lock().expect("the flag") = true;
        changed.notify_all();
        for thread in [reads, receives, waits, polls] {
            assert_eq!(thread.join().expect("no panic"), SLACK);
        }
    });
}

/// Each thread starts the next while the signals are on their way, so that some are started by threads that have not done
/// it yet, and some end before they take the signal.
#[test]
fn threads_that_are_started_meanwhile_have_it_too() {
    const SLACK: i32 = 52_002;
    static OVER: AtomicBool = AtomicBool::new(false);
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    fn chain(slacks: Sender<Option<i32>>, left: usize) {
        let over = OVER.load(Acquire);
        STARTED.fetch_add(1, Release);
        if over || left == 0 {
            // The last link waits for the end of the operation, if it is the chain that has ended.
            while !OVER.load(Acquire) {
                thread::yield_now();
            }
            return slacks.send(Some(slack())).expect("sent");
        }
        let next = slacks.clone();
        thread::spawn(move || chain(next, left - 1));
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (slacks, received) = channel();
    for _ in 0..4 {
        let slacks = slacks.clone();
        thread::spawn(move || chain(slacks, 300));
    }
    while STARTED.load(Acquire) < 8 {
        thread::yield_now();
    }
    set_slack_elsewhere(SLACK as u64).expect("done");
    OVER.store(true, Release);
    drop(slacks);
    let slacks: Vec<_> = received.iter().flatten().collect();
    assert_eq!(slacks, [SLACK; 4]);
}

#[test]
fn a_thread_that_fails_is_named_with_the_reason() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (stop, stopped) = channel::<()>();
    let (say, said) = channel();
    let wait = move || {
        say.send(gettid().as_raw()).expect("sent");
        let _ = stopped.recv();
    };
    let thread = thread::Builder::new().name("fails".into()).spawn(wait);
    let number = said.recv().expect("its number");
    let action = move || {
        if gettid().as_raw() == number {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        Ok(())
    };
    // SAFETY: the action is one system call, and the error is a number.
    let failed = unsafe { on_other_threads(action, PATIENCE) };
    let text = failed.expect_err("it fails there").to_string();
    assert_eq!(
        text,
        format!("thread 'fails' (task {number}): Operation not permitted (os error 1)")
    );
    drop(stop);
    thread.expect("a thread").join().expect("no panic");
}

#[test]
fn a_thread_that_blocks_signals_is_named_when_patience_ends() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (stop, stopped) = channel::<()>();
    let (say, said) = channel();
    let wait = move || {
        SigSet::all().thread_block().expect("blocked");
        say.send(()).expect("sent");
        let _ = stopped.recv();
        SigSet::all().thread_unblock().expect("unblocked");
    };
    let thread = thread::Builder::new().name("deaf".into()).spawn(wait);
    said.recv().expect("it blocks");
    // SAFETY: the action does nothing.
    let silent = unsafe { on_other_threads(|| Ok(()), Duration::from_millis(50)) };
    let text = silent.expect_err("no answer").to_string();
    assert!(text.starts_with("thread 'deaf' (task "), "{text}");
    drop(stop);
    thread
        .expect("a thread")
        .join()
        .expect("it takes the signal later");
}
