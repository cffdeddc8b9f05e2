//! A guest with a kernel that has IPsec: user-mode Linux.
//!
//! It is a process of the system, and sees the system's files, read-only. What runs in it is root there, whoever it is
//! outside, with network devices and tables of its own. What it prints is printed here, line by line; the folder
//! [`results`] is the one place outside where it writes.

mod init;
mod kernel;

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use kernel::Kernel;

pub use init::{init, inside};

/// Memory of the guest. The kernel takes what it uses, from the system's temporary files.
const MEMORY: &str = "1G";

/// How long the tests may take in guests; they take a small part of it.
pub const LIMIT: Duration = Duration::from_secs(1200);

/// Names the folder of the job, to the guest's first process and to what it runs.
const JOB: &str = "PQSWAN_GUEST";

/// What the guest does.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    /// One after the other, each with its program first.
    commands: Vec<Vec<String>>,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    /// Files that a memory file system on /tmp, say, must not hide.
    visible: Vec<PathBuf>,
    results: PathBuf,
    /// The kernel's, by its version.
    modules: PathBuf,
}

/// The folder that the guest and the system share.
pub fn results() -> PathBuf {
    crate::root().join("target/uml")
}

/// Where `cargo xtask test uml` lays out the programs that the guest runs.
pub fn programs() -> PathBuf {
    results().join("programs")
}

/// What a guest runs.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Begins each line that it prints; may be empty.
    pub prefix: String,
    /// One after the other, each a program and its arguments.
    pub commands: Vec<Vec<String>>,
}

/// Runs commands to their end, in a guest for each of `works`, all at once, with our environment. Returns what each ended
/// in: the first failure of its commands, which does not keep the others from running, if there is one.
///
/// # Errors
///
/// If their kernel cannot be fetched, or a guest does not boot, dies, or lasts longer than `limit`; then all are ended.
#[allow(clippy::disallowed_methods)] // a tool with a deadline
pub fn run(works: &[Work], limit: Duration) -> Result<Vec<ExitStatus>, String> {
    let kernel = Kernel::fetch()?;
    let deadline = Instant::now() + limit;
    let mut guests = Vec::new();
    let streamed = works
        .iter()
        .try_for_each(|work| boot(&kernel, work).map(|guest| guests.push(guest)))
        .and_then(|()| {
            stream(&mut guests, deadline)
                .map_err(|error| format!("{error}; guests have {} s", limit.as_secs()))
        });
    if let Err(error) = streamed {
        guests.iter_mut().for_each(|guest| end(&mut guest.kernel));
        return Err(error);
    }
    guests.into_iter().map(Guest::status).collect()
}

/// A guest that runs.
struct Guest {
    prefix: String,
    kernel: Child,
    /// None once it is closed.
    output: Option<File>,
    line: Vec<u8>,
    folder: TempDir,
}

fn boot(kernel: &Kernel, work: &Work) -> Result<Guest, String> {
    let results = results();
    let failed = |what: &Path, error| format!("{}: {error}", what.display());
    fs::create_dir_all(&results).map_err(|error| failed(&results, error))?;
    let own = std::env::current_exe().map_err(|error| format!("the path of the running program: {error}"))?;
    let folder = tempfile::Builder::new()
        .prefix("pqswan-uml-")
        .tempdir_in(&results)
        .map_err(|error| failed(&results, error))?;
    let job = Job {
        commands: work.commands.clone(),
        folder: std::env::current_dir().map_err(|error| format!("the current folder: {error}"))?,
        environment: std::env::vars().collect(),
        visible: [
            crate::root().to_owned(),
            crate::programs()?,
            crate::peers::cache()?,
        ]
        .into_iter()
        .filter(|path| path.exists())
        .collect(),
        results,
        modules: kernel.modules(),
    };
    let text = serde_json::to_string(&job).map_err(|error| format!("the job of the guest: {error}"))?;
    fs::write(folder.path().join("job"), text).map_err(|error| failed(folder.path(), error))?;
    symlink(own, folder.path().join("init")).map_err(|error| failed(folder.path(), error))?;
    let mut kernel = kernel
        .command(folder.path())?
        .arg(format!("mem={MEMORY}"))
        .args(["rootfstype=hostfs", "rootflags=/", "ro"])
        .args(["quiet", "con=null", "con0=null,fd:1", "ssl=null"])
        // Of the ways to run programs the faster one; what runs here may be trusted with the kernel's memory.
        .arg("seccomp=auto")
        .arg(format!("uml_dir={}", quoted(folder.path())?))
        .arg(format!("init={}", quoted(&folder.path().join("init"))?))
        .arg(format!("{JOB}={}", quoted(folder.path())?))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("the guest's kernel: {error}"))?;
    let output = kernel
        .stdout
        .take()
        .map(|output| File::from(OwnedFd::from(output)));
    Ok(Guest {
        prefix: work.prefix.clone(),
        kernel,
        output,
        line: Vec::new(),
        folder,
    })
}

impl Guest {
    /// Reads what it has printed, and prints whole lines of it.
    fn read(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 4096];
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        let count = output.read(&mut buffer)?;
        for octet in &buffer[..count] {
            match octet {
                b'\n' => self.print(),
                // A console ends its lines as terminals do.
                b'\r' => {}
                _ => self.line.push(*octet),
            }
        }
        if count == 0 {
            self.print();
            self.output = None;
        }
        Ok(())
    }

    fn print(&mut self) {
        println!("{}{}", self.prefix, String::from_utf8_lossy(&self.line));
        self.line.clear();
    }

    /// What its commands ended in. Its output is closed, so all of it has ended.
    fn status(mut self) -> Result<ExitStatus, String> {
        self.kernel
            .wait()
            .map_err(|error| format!("the guest's kernel: {error}"))?;
        match fs::read_to_string(self.folder.path().join("status")) {
            Ok(status) => match status.trim().parse() {
                Ok(status) => Ok(ExitStatus::from_raw(status)),
                Err(_) => Err(format!("the guest: {status}")),
            },
            Err(_) => Err("the guest ended before the program in it".into()),
        }
    }
}

/// A path as the kernel reads parameters.
fn quoted(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some(text) if !text.contains(['"', '\n']) => Ok(if text.contains(char::is_whitespace) {
            format!("\"{text}\"")
        } else {
            text.to_owned()
        }),
        _ => Err(format!(
            "{}: no parameter of a kernel can hold this path",
            path.display()
        )),
    }
}

/// Prints what guests print, until the end of all of it.
#[allow(clippy::disallowed_methods)] // a tool with a deadline
fn stream(guests: &mut [Guest], deadline: Instant) -> Result<(), String> {
    let failed = |error| format!("reading the guest's console: {error}");
    loop {
        // Rounded up, or the last millisecond is a busy loop.
        let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let running: Vec<(usize, &File)> = guests
            .iter()
            .enumerate()
            .filter_map(|(index, guest)| Some((index, guest.output.as_ref()?)))
            .collect();
        if running.is_empty() {
            return Ok(());
        }
        let mut outputs: Vec<PollFd<'_>> = running
            .iter()
            .map(|(_, output)| PollFd::new(output.as_fd(), PollFlags::POLLIN))
            .collect();
        match poll(&mut outputs, timeout) {
            Ok(0) => return Err("the time is up".into()),
            Ok(_) => {}
            Err(Errno::EINTR) => return Err("interrupted".into()),
            Err(error) => return Err(failed(error.into())),
        }
        let ready: Vec<usize> = running
            .iter()
            .zip(&outputs)
            .filter(|(_, output)| output.any() == Some(true))
            .map(|((index, _), _)| *index)
            .collect();
        for index in ready {
            guests[index].read().map_err(failed)?;
        }
    }
}

/// Ends a guest, first as one shuts it down, then with all the processes that it is made of.
fn end(kernel: &mut Child) {
    const GRACE: u16 = 5000;
    let Ok(id) = i32::try_from(kernel.id()) else {
        return;
    };
    let parts = descendants(id);
    let handle = rustix::process::Pid::from_raw(id)
        .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok());
    let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    let gone = handle.is_some_and(|handle| {
        poll(
            &mut [PollFd::new(handle.as_fd(), PollFlags::POLLIN)],
            PollTimeout::from(GRACE),
        ) == Ok(1)
    });
    if !gone {
        // Its parts outlive the process that traces them.
        for part in parts {
            let _ = kill(Pid::from_raw(part), Signal::SIGKILL);
        }
        let _ = kernel.kill();
    }
    let _ = kernel.wait();
}

/// The children of a process, and theirs.
fn descendants(process: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let children = threads.into_iter().flatten().flatten().filter_map(|thread| {
        let list = fs::read_to_string(thread.path().join("children")).ok()?;
        Some(
            list.split_whitespace()
                .filter_map(|child| child.parse().ok())
                .collect::<Vec<i32>>(),
        )
    });
    children
        .flatten()
        .flat_map(|child| {
            let mut all = descendants(child);
            all.push(child);
            all
        })
        .collect()
}
