//! Processes known by pid files: each is held by a file descriptor, so that a number given out again hits nobody else.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A running process.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    fd: OwnedFd,
}

impl Process {
    /// The process with this number.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn open(pid: i32) -> io::Result<Self> {
        let number = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self {
            pid,
            fd: pidfd_open(number, PidfdFlags::empty())?,
        })
    }

    /// The process that a pid file names, if it runs and is called like this. A number that was given out again, as
    /// after the restart of a container, is somebody else's.
    pub fn of_pid_file(file: &Path, name: &str) -> Option<Self> {
        let pid = fs::read_to_string(file)
            .ok()?
            .trim()
            .parse()
            .ok()
            .filter(|pid| *pid > 0)?;
        let process = Self::open(pid).ok()?;
        // Asked after opening: what is read is about the process that is held, or it has ended.
        let called = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (called.trim() == name && !process.has_ended()).then_some(process)
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether this user may send it signals.
    pub fn is_controllable(&self) -> bool {
        let own = nix::unistd::geteuid();
        let owner = fs::metadata(format!("/proc/{}", self.pid)).map(|process| process.uid());
        own.is_root() || owner.is_ok_and(|owner| owner == own.as_raw())
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Asks it to update.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Asks it to reload.
    pub fn user_signal(&self) {
        self.signal(Signal::USR1);
    }

    fn signal(&self, signal: Signal) {
        // Whoever has ended meanwhile needs none.
        let _ = pidfd_send_signal(&self.fd, signal);
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits for its end, and says whether it came.
    pub fn wait(&self, time: Duration) -> bool {
        readable(&[self.fd.as_fd()], Some(time)).is_ok_and(|ready| ready[0])
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Waits until something can be read, or the other end has closed, and says of each whether it is so.
///
/// # Errors
///
/// If the system cannot wait.
pub fn readable(fds: &[BorrowedFd<'_>], time: Option<Duration>) -> io::Result<Vec<bool>> {
    let deadline = time.map(|time| Instant::now() + time);
    let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => {
                // Rounded up: to wake up a little too early would mean to wait in a busy loop.
                let left = deadline
                    .saturating_duration_since(Instant::now())
                    .as_nanos()
                    .div_ceil(1_000_000);
                i32::try_from(left)
                    .ok()
                    .and_then(|ms| PollTimeout::try_from(ms).ok())
                    .unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut polled, timeout) {
            Ok(_) => return Ok(polled.iter().map(|fd| fd.any().unwrap_or(true)).collect()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_asked_to_end_and_its_end_is_seen() {
        let mut child = Command::new("sleep")
            .arg("100")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sleep.pid");
        fs::write(&file, format!("{}\n", child.id())).unwrap();
        assert!(
            Process::of_pid_file(&file, "starter").is_none(),
            "it is called otherwise"
        );
        // Until exec the process is called like this one.
        let mut process = None;
        while process.is_none() {
            process = Process::of_pid_file(&file, "sleep");
        }
        let process = process.unwrap();
        assert!(!process.has_ended());
        process.terminate();
        assert!(process.wait(Duration::from_secs(20)));
        assert!(Process::of_pid_file(&file, "sleep").is_none());
        child.wait().unwrap();
    }

    #[test]
    fn rubbish_in_a_pid_file_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.pid");
        for text in ["", "0", "-1", "x", "99999999999"] {
            fs::write(&file, text).unwrap();
            assert!(Process::of_pid_file(&file, "x").is_none(), "{text}");
        }
    }
}
