//! The second process, and how the first waits for it.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::log::{CONSOLE, Log};
use super::{exit, options};
use crate::process;
use crate::product::NAME;

/// How long to wait for charon and its connections; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(12);

/// Starts the second process and waits until it says that charon is up. Returns the exit code.
pub(super) fn start(arguments: &[String], log: &Log) -> u8 {
    match try_start(arguments) {
        Ok((exit::OK, lines)) => {
            // Those of connections that charon refuses.
            lines.lines().for_each(|line| log.line(line));
            exit::OK
        }
        Ok((code, _)) => {
            // What the second process has to say is in its log.
            log.line(&format!("{NAME} could not be started, see the log"));
            code
        }
        Err(error) => {
            log.line(&format!("starting in the background failed: {error}"));
            exit::FAILED
        }
    }
}

fn try_start(arguments: &[String]) -> std::io::Result<(u8, String)> {
    let stderr = match container_console() {
        Some(console) => Stdio::from(console),
        None if stderr_is_kept() => Stdio::inherit(),
        None => Stdio::null(),
    };
    let mut child = Command::new(std::env::current_exe()?)
        .arg0("starter")
        .args(arguments)
        .arg(options::IN_BACKGROUND)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()?;
    let Some(mut pipe) = child.stdout.take() else {
        return Ok((exit::FAILED, String::new()));
    };
    let said_something = process::readable(&[pipe.as_fd()], Some(PATIENCE))?[0];
    if !said_something {
        // It works on: charon, or an initiation, is slow.
        return Ok((exit::OK, String::new()));
    }
    let mut said = Vec::new();
    pipe.read_to_end(&mut said)?;
    Ok(match said.split_first() {
        Some((code, lines)) => (*code, String::from_utf8_lossy(lines).into_owned()),
        None => {
            let code = child.wait()?.code();
            let code = code.and_then(|code| u8::try_from(code).ok());
            (code.unwrap_or(exit::FAILED), String::new())
        }
    })
}

/// The console of the container, which its log shows, for a daemon that is started from a terminal: that may be one of
/// `docker exec`, which goes with its shell. In a container the console is a pseudoterminal, that of the first process.
fn container_console() -> Option<File> {
    let device = |path: &str| Some(std::fs::metadata(path).ok()?.rdev());
    let console = device(CONSOLE)?;
    let of_container = device("/proc/1/fd/2")? == console && console != nix::sys::stat::makedev(5, 1);
    if !of_container || !std::io::stderr().is_terminal() {
        return None;
    }
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(nix::libc::O_NOCTTY);
    options.open(CONSOLE).ok()
}

/// Whether the daemon may go on writing to this standard error: to a terminal, a file, or the log of the container,
/// which is that of its first process. Whoever reads another pipe waits for its end.
fn stderr_is_kept() -> bool {
    let Ok(own) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    let kind = own.file_type();
    if !kind.is_fifo() && !kind.is_socket() {
        return true;
    }
    std::fs::metadata("/proc/1/fd/2").is_ok_and(|first| (first.dev(), first.ino()) == (own.dev(), own.ino()))
}

/// The first process, as the second sees it.
pub(super) struct Waiting(File);

impl Waiting {
    /// Leaves the caller's session, and takes the pipe that is standard output.
    pub(super) fn parent() -> Option<Self> {
        // It fails only for a leader of a session, which this is then already.
        let _ = nix::unistd::setsid();
        let pipe = std::io::stdout().as_fd().try_clone_to_owned().ok()?;
        let null = OpenOptions::new().read(true).write(true).open("/dev/null").ok()?;
        nix::unistd::dup2_stdout(null).ok()?;
        Some(Self(pipe.into()))
    }

    /// Lets the first process end with this code, after it has said these lines.
    pub(super) fn release(mut self, code: u8, lines: &[String]) {
        let mut text = vec![code];
        for line in lines {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        // If it has not waited for so long, the lines are in the log only.
        let _ = self.0.write_all(&text);
    }
}
