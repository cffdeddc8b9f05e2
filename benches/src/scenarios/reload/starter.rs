//! A starter with its charon, ours or strongSwan's, and what charon's log has of connections.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use xtask::jail::Jail;
use xtask::netns::{Namespace, end};
use xtask::peers::Peer;
use xtask::watch;

use crate::bench::Bench;
use crate::hosts::{self, Kind};

/// How long thousands of connections may take.
const PATIENCE: Duration = Duration::from_secs(1200);
/// Each line of the log with this is of a connection that charon has taken.
const TAKEN: &str = "added configuration '";

/// See the module. It ends with this.
pub(super) struct Starter {
    kind: Kind,
    folder: TempDir,
    log: Tail,
    child: Child,
    // It kills the processes in it.
    _namespace: Namespace,
    _jail: Option<Jail>,
}

impl Starter {
    /// Starts one with the connections of an ipsec.conf.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(super) fn start(bench: &Bench, kind: Kind, conf: &str) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix("pqswan-bench-")
            .tempdir()
            .map_err(|error| format!("a temporary folder: {error}"))?;
        let (jail, seen) = match kind {
            Kind::Ours => (None, folder.path().display().to_string()),
            Kind::StrongSwan { suite, .. } => {
                let peer = Peer::unpack_with_starter(suite)?;
                (Some(Jail::new(&peer.root, folder.path())?), "/run".to_owned())
            }
        };
        let load = format!("{} stroke", hosts::load_list(kind));
        let settings = format!(
            "charon {{\n load_modular = no\n load = {load}\n piddir = {seen}\n filelog {{\n  log {{\n   path = {seen}/charon.log\n   \
             flush_line = yes\n   default = 0\n   cfg = 1\n  }}\n }}\n plugins {{\n  vici {{\n   socket = unix://{seen}/charon.vici\n  \
             }}\n  stroke {{\n   socket = unix://{seen}/charon.ctl\n   secrets_file = {seen}/ipsec.secrets\n  }}\n  resolve {{\n   \
             file = {seen}/resolv.conf\n  }}\n }}\n}}\nstarter {{\n load_warning = no\n}}\n"
        );
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        write("strongswan.conf", &settings)?;
        write("ipsec.conf", conf)?;
        write("ipsec.secrets", "moon.example : PSK \"known\"\n")?;
        let namespace = Namespace::new()?;
        let failed = |what: &str, error| format!("{kind}: {what}: {error}");
        let console =
            File::create(folder.path().join("console")).map_err(|error| failed("a console", error))?;
        let errors = console.try_clone().map_err(|error| failed("a console", error))?;
        let mut command = match kind {
            Kind::Ours => Command::new(bench.tree.join("usr/libexec/ipsec/starter")),
            Kind::StrongSwan { .. } => Command::new("/usr/lib/ipsec/starter"),
        };
        command
            .args(["--daemon", "charon", "--nofork", "--conf"])
            .arg(format!("{seen}/ipsec.conf"))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("STRONGSWAN_CONF", format!("{seen}/strongswan.conf"))
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(errors);
        let child = hosts::enter(jail.as_ref(), &namespace, || command.spawn()).and_then(|child| child);
        let child = child.map_err(|error| failed("its starter cannot be started", error))?;
        Ok(Self {
            kind,
            log: Tail::new(folder.path().join("charon.log")),
            folder,
            child,
            _namespace: namespace,
            _jail: jail,
        })
    }

    /// Puts another ipsec.conf in place.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(super) fn write(&self, conf: &str) -> Result<(), String> {
        let path = self.folder.path().join("ipsec.conf");
        fs::write(&path, conf).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Has it read ipsec.conf again, and give charon all of it.
    pub(super) fn reload(&self) -> Result<(), String> {
        self.signal(Signal::SIGUSR1)
    }

    /// Has it read ipsec.conf again, and give charon what changed.
    pub(super) fn update(&self) -> Result<(), String> {
        self.signal(Signal::SIGHUP)
    }

    /// Ends it, and charon. Returns how long that took.
    ///
    /// # Errors
    ///
    /// If it cannot be told, or does not end.
    pub(super) fn stop(mut self) -> Result<Duration, String> {
        let began = Instant::now();
        self.signal(Signal::SIGTERM)?;
        let status = self
            .child
            .wait()
            .map_err(|error| format!("{}: waiting for its starter: {error}", self.kind))?;
        let took = began.elapsed();
        match status.success() {
            true => Ok(took),
            false => Err(format!("{}: its starter ended with {status}", self.kind)),
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        kill(self.pid(), signal).map_err(|error| format!("{}: {signal} to its starter: {error}", self.kind))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Waits until charon has taken so many more connections than at the last call.
    ///
    /// # Errors
    ///
    /// If it does not, with what was written.
    pub(super) fn taken(&mut self, count: usize) -> Result<(), String> {
        let awaited = self.log.wait(TAKEN, count);
        awaited.map_err(|error| {
            let console = fs::read(self.folder.path().join("console")).unwrap_or_default();
            format!("{}: {error}\n{}", self.kind, String::from_utf8_lossy(&console))
        })
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        // Its charon goes with the namespace. Once it has been waited for, its number may be that of another process.
        if matches!(self.child.try_wait(), Ok(None)) && end(self.pid()).is_ok() {
            let _ = self.child.wait();
        }
    }
}

/// A growing file, each octet of which is read once.
struct Tail {
    path: PathBuf,
    at: u64,
    /// What of the last line is there, and whole lines that nobody has asked for.
    rest: String,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            at: 0,
            rest: String::new(),
        }
    }

    /// Waits for so many more lines with a text; the file goes on after the last of them.
    fn wait(&mut self, text: &str, count: usize) -> Result<(), String> {
        let folder = self.path.parent().unwrap_or(Path::new("/")).to_owned();
        let mut found = 0;
        let what = format!("{count} lines with {text}");
        let waited = watch::until(&[&folder], PATIENCE, &what, || {
            self.read();
            while found < count
                && let Some(at) = self.rest.find('\n')
            {
                found += usize::from(self.rest[..at].contains(text));
                self.rest.drain(..=at);
            }
            (found == count).then_some(())
        });
        waited.map_err(|error| format!("{error}, but {found}"))
    }

    fn read(&mut self) {
        let Ok(mut file) = File::open(&self.path) else {
            return;
        };
        let mut octets = Vec::new();
        if file.seek(SeekFrom::Start(self.at)).is_ok() && file.read_to_end(&mut octets).is_ok() {
            self.at += octets.len() as u64;
            self.rest.push_str(&String::from_utf8_lossy(&octets));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut tail = Tail::new(path.clone());
        fs::write(
            &path,
            "added configuration 'a'\nother\nadded configuration 'b'\nadded conf",
        )
        .unwrap();
        tail.wait(TAKEN, 1).unwrap();
        tail.wait(TAKEN, 1).unwrap();
        assert_eq!(tail.rest, "added conf");
    }
}
