//! One run of a script.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use plugin_api::Host;
use plugin_api::log::{CONTROL, DIAGNOSE, Group};

use crate::message::Request;

/// Longer lines are logged in pieces of this many octets.
const LINE_LEN: usize = 1024;
/// Lines of one run that are logged; what comes after is read and forgotten.
const MAX_LINES: usize = 1000;

/// Runs a script to its end and logs what it says; one that takes longer than `timeout` is killed with all it started.
pub fn run(host: &dyn Host, request: &Request, timeout: Option<Duration>) {
    let outcome = start(request).and_then(|(child, output)| attend(host, request, child, output, timeout));
    match outcome {
        Ok(status) => {
            let text = format!(
                "updown {} script '{}' ended with {status}",
                request.verb, request.script
            );
            host.log(Group::Chd, DIAGNOSE, &text);
        }
        Err(error) => {
            let text = format!(
                "running updown {} script '{}' failed: {error}",
                request.verb, request.script
            );
            host.log(Group::Chd, CONTROL, &text);
        }
    }
}

fn start(request: &Request) -> io::Result<(Child, File)> {
    let (output, input) = io::pipe()?;
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(&request.script).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.envs(request.variables.iter().map(|(name, value)| (name, value)));
    command
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input);
    // A group of its own, so that it can be killed with everything it started.
    command.process_group(0);
    let child = command.spawn()?;
    Ok((child, File::from(OwnedFd::from(output))))
}

/// Reads the output until the script has ended. What it left running in the background keeps its end of the pipe, so
/// that the end of the output is nothing to wait for.
#[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
fn attend(
    host: &dyn Host,
    request: &Request,
    mut child: Child,
    output: File,
    timeout: Option<Duration>,
) -> io::Result<ExitStatus> {
    let group = Pid::from_raw(child.id().cast_signed());
    let ended = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?;
    fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut lines = Lines::new(host);
    let mut deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let attended = thread::scope(|scope| {
        // It leaves the process to be waited for, so that nobody else gets its number while it may have to be killed.
        scope.spawn(|| {
            while waitid(Id::Pid(group), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
            // Writing fails only when the counter is full, and then the other side is woken as well.
            let _ = ended.write(1);
        });
        let mut open = true;
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                deadline = None;
                let after = timeout.unwrap_or_default().as_secs_f32();
                let text = format!(
                    "updown {} script '{}' has not ended after {after} s, killing it",
                    request.verb, request.script
                );
                host.log(Group::Chd, CONTROL, &text);
                killpg(group, Signal::SIGKILL)?;
                continue;
            }
            // One more millisecond, or the last one would be spent polling without waiting.
            let left = left.map(|left| left + Duration::from_millis(1));
            let left = left.map_or(PollTimeout::NONE, |left| {
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            });
            let wanted = if open {
                PollFlags::POLLIN
            } else {
                PollFlags::empty()
            };
            let mut fds = [
                PollFd::new(ended.as_fd(), PollFlags::POLLIN),
                PollFd::new(output.as_fd(), wanted),
            ];
            let count = if open { 2 } else { 1 };
            match poll(&mut fds[..count], left) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let has_ended = fds[0].any().unwrap_or(true);
            if open {
                open = lines.read(&output)?;
            }
            if has_ended {
                return Ok(());
            }
        }
    });
    if attended.is_err() {
        // The scope has waited for the end already.
        child.wait()?;
    }
    lines.finish();
    attended.and_then(|()| child.wait())
}

/// Output on its way to the log.
struct Lines<'a> {
    host: &'a dyn Host,
    line: Vec<u8>,
    logged: usize,
}

impl<'a> Lines<'a> {
    fn new(host: &'a dyn Host) -> Self {
        Self {
            host,
            line: Vec::with_capacity(LINE_LEN),
            logged: 0,
        }
    }

    /// Reads what is there, but not for ever; whether more may come.
    fn read(&mut self, mut output: &File) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        for _ in 0..64 {
            match output.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(len) => buffer[..len].iter().for_each(|octet| self.push(*octet)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(true),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(true)
    }

    fn push(&mut self, octet: u8) {
        if octet == b'\n' {
            self.end_line();
        } else {
            self.line.push(octet);
            if self.line.len() == LINE_LEN {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        self.logged = self.logged.saturating_add(1);
        if self.logged <= MAX_LINES {
            self.host
                .log(Group::Chd, CONTROL, &format!("updown: {}", printable(&self.line)));
        } else if self.logged == MAX_LINES + 1 {
            self.host.log(
                Group::Chd,
                CONTROL,
                "updown: … (the script says more than is logged)",
            );
        }
        self.line.clear();
    }

    fn finish(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}

/// A script may print what a peer chose, its identity, and that must not make log lines of its own.
fn printable(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut text = String::with_capacity(line.len());
    for c in String::from_utf8_lossy(line).chars() {
        if c.is_control() && c != '\t' {
            text.extend(c.escape_default())
        } else {
            text.push(c)
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(printable(b"a\x1b[31mb\tc\r"), "a\\u{1b}[31mb\tc");
        assert_eq!(printable("größer".as_bytes()), "größer");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
    }
}
