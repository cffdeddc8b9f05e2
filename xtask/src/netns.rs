//! Network namespaces joined by a cable.
//!
//! They have no name: the kernel drops them with the last process or open file in them, so nothing is left behind
//! however the program ends.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Output};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::Pid;
use rustix::process::PidfdFlags;

/// A network namespace, with everything that runs in it.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// An empty one, with its loopback device up.
    ///
    /// # Errors
    ///
    /// Without the right to make one, or without the `ip` command.
    pub fn new() -> Result<Self, String> {
        let made = thread::spawn(|| -> io::Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        let file = made
            .join()
            .map_err(|_| "the thread that makes a network namespace panicked".to_owned())?;
        let file = file.map_err(|error| format!("cannot make a network namespace: {error}"))?;
        let namespace = Self { file };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Runs a closure in it, on a thread of its own.
    ///
    /// # Errors
    ///
    /// If the namespace cannot be entered.
    pub fn run<T: Send>(&self, run: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET)?;
                Ok(run())
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a program in it.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        self.run(|| command.spawn())?
    }

    /// Runs a program in it to its end.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn output(&self, command: &mut Command) -> io::Result<Output> {
        self.run(|| command.output())?
    }

    /// The `ip` command, `link show`.
    ///
    /// # Errors
    ///
    /// With what it says.
    pub fn ip(&self, arguments: &str) -> Result<String, String> {
        let output = self
            .output(Command::new("ip").args(arguments.split_whitespace()))
            .map_err(|error| format!("ip {arguments}: {error}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!(
                "ip {arguments}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ))
        }
    }

    /// The processes in it.
    pub fn processes(&self) -> Vec<Pid> {
        let Ok(own) = self.file.metadata() else {
            return Vec::new();
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &i32| {
            fs::metadata(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino()))
        })
        .map(Pid::from_raw)
        .collect()
    }

    /// Lays a cable to another namespace, and plugs it into a device on either side, which are made and up.
    ///
    /// # Errors
    ///
    /// On a kernel without veth devices, or if there are devices of these names.
    pub fn cable(&self, device: &str, other: &Self, others: &str) -> Result<(), String> {
        self.ip(&format!(
            "link add {device} type veth peer name {others} netns {}",
            other.path()
        ))?;
        self.ip(&format!("link set {device} up"))?;
        other.ip(&format!("link set {others} up"))?;
        Ok(())
    }

    /// The path by which others find it.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        for pid in self.processes() {
            // It may have ended meanwhile.
            let _ = end(pid);
        }
    }
}

/// Kills a process and waits until it is gone.
///
/// # Errors
///
/// If it is gone already, or belongs to somebody else.
pub fn end(pid: Pid) -> io::Result<()> {
    let process = rustix::process::Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::InvalidInput)?;
    let handle = rustix::process::pidfd_open(process, PidfdFlags::empty())?;
    rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL)?;
    poll(
        &mut [PollFd::new(handle.as_fd(), PollFlags::POLLIN)],
        PollTimeout::from(10_000_u16),
    )?;
    Ok(())
}

/// Two namespaces: moon 192.168.0.2 with 10.1.0.2 behind it, carol 192.168.0.3 with 10.3.0.1.
#[derive(Debug)]
pub struct Network {
    /// The gateway.
    pub moon: Namespace,
    /// The client.
    pub carol: Namespace,
}

impl Network {
    /// Lays the cable and gives the addresses.
    ///
    /// # Errors
    ///
    /// Without root, without the `ip` command, or on a kernel without veth devices.
    pub fn new() -> Result<Self, String> {
        let network = Self {
            moon: Namespace::new()?,
            carol: Namespace::new()?,
        };
        network.carol.cable("eth0", &network.moon, "eth0")?;
        let inner = [
            (&network.moon, "192.168.0.2/24", "10.1.0.2/16"),
            (&network.carol, "192.168.0.3/24", "10.3.0.1/16"),
        ];
        for (namespace, outside, inside) in inner {
            // Both ends of a second cable in one host: on lo the whole of 10.1.0.0/16 would be local.
            namespace.ip("link add eth1 type veth peer name lan")?;
            for (device, address) in [("eth0", Some(outside)), ("eth1", Some(inside)), ("lan", None)] {
                if let Some(address) = address {
                    namespace.ip(&format!("addr add {address} dev {device}"))?;
                }
                namespace.ip(&format!("link set {device} up"))?;
            }
        }
        Ok(network)
    }
}
