//! Daemons on hosts of their own: ours from an installed tree, strongSwan's from Debian's packages in a jail.
//!
//! Both are started, configured and asked in the same way: the daemon itself, without starter; a swanctl.conf, loaded by its own
//! swanctl; and the vici socket.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::vici::Message;
use control::vici::client::Client;
use nix::unistd::Pid;
use tempfile::TempDir;
use xtask::host::PATIENCE;
use xtask::jail::Jail;
use xtask::netns::{Namespace, end};
use xtask::peers::Peer;

use crate::bench::Bench;
use crate::library;

/// What strongSwan's charon loads: algorithms of OpenSSL, the same kind of data plane as ours, and vici.
const STRONGSWAN_PLUGINS: &str = "random x509 pubkey pkcs1 pkcs8 pem openssl nonce kdf hmac kernel-libipsec kernel-netlink \
                                  socket-default vici updown counters";

/// The releases of strongSwan that suites of Debian have.
const RELEASES: [(&str, &str); 3] = [("bookworm", "5.9.8"), ("trixie", "6.0.1"), ("forky", "6.1.0")];

/// An implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The tree that was just built.
    Ours,
    /// That of a suite of Debian.
    StrongSwan {
        /// The suite.
        suite: &'static str,
        /// What it has.
        version: &'static str,
    },
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str("ours"),
            Self::StrongSwan { version, .. } => write!(f, "strongswan-{version}"),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "ours" {
            return Ok(Self::Ours);
        }
        let version = text.strip_prefix("strongswan-");
        let release = RELEASES
            .into_iter()
            .find(|(_, known)| Some(*known) == version)
            .map(|(suite, version)| Self::StrongSwan { suite, version });
        release.ok_or_else(|| {
            let known: Vec<_> = RELEASES
                .iter()
                .map(|(_, version)| format!("strongswan-{version}"))
                .collect();
            format!(
                "{text} is no implementation that is known here: ours, {}",
                known.join(", ")
            )
        })
    }
}

/// How a daemon is to be run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// For the section `charon` of its strongswan.conf.
    pub(crate) settings: String,
    /// The plugins it loads, if not those that it always does.
    pub(crate) load: Option<String>,
    /// The level of its log; 0 has errors and little else, 1 is the default of both implementations.
    pub(crate) log_level: i8,
}

/// A daemon at work. It ends with this.
pub(crate) struct Daemon {
    /// What it is.
    pub(crate) kind: Kind,
    /// Where it runs.
    pub(crate) namespace: Arc<Namespace>,
    /// From before it was executed until it answered on its socket.
    pub(crate) ready: Duration,
    folder: TempDir,
    tree: PathBuf,
    jail: Option<Jail>,
    child: Child,
}

impl Daemon {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    ///
    /// If it cannot be started or does not answer, with what it wrote.
    pub(crate) fn start(
        bench: &Bench,
        kind: Kind,
        namespace: &Arc<Namespace>,
        options: &Options,
    ) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix("pqswan-bench-")
            .tempdir()
            .map_err(|error| format!("a temporary folder: {error}"))?;
        let failed = |what: &str, error: io::Error| format!("{kind}: {what}: {error}");
        let (jail, seen) = match kind {
            Kind::Ours => (None, folder.path().display().to_string()),
            Kind::StrongSwan { suite, .. } => {
                let peer = Peer::unpack(suite)?;
                (Some(Jail::new(&peer.root, folder.path())?), "/run".to_owned())
            }
        };
        let load = options.load.clone().unwrap_or_else(|| load_list(kind));
        let conf = format!(
            "charon {{\n load_modular = no\n load = {load}\n piddir = {seen}\n {}\n filelog {{\n  log {{\n   path = \
             {seen}/charon.log\n   default = {}\n  }}\n }}\n plugins {{\n  vici {{\n   socket = unix://{seen}/charon.vici\n  \
             }}\n  stroke {{\n   socket = unix://{seen}/charon.ctl\n  }}\n  resolve {{\n   file = {seen}/resolv.conf\n  }}\n \
             }}\n}}\nswanctl {{\n load = random x509 pubkey pkcs1 pkcs8 pem openssl\n}}\n",
            options.settings, options.log_level
        );
        fs::write(folder.path().join("strongswan.conf"), conf)
            .map_err(|error| failed("strongswan.conf", error))?;
        let console =
            File::create(folder.path().join("console")).map_err(|error| failed("a console", error))?;
        let errors = console.try_clone().map_err(|error| failed("a console", error))?;
        let mut command = program(kind, &bench.tree, &seen, "charon");
        command.stdout(console).stderr(errors);
        let began = Instant::now();
        let child = enter(jail.as_ref(), namespace, || command.spawn()).and_then(|child| child);
        let child = child.map_err(|error| failed("its charon cannot be started", error))?;
        let mut daemon = Self {
            kind,
            namespace: Arc::clone(namespace),
            ready: Duration::ZERO,
            folder,
            tree: bench.tree.clone(),
            jail,
            child,
        };
        let answered = daemon.wait_for_answer(began);
        answered.map_err(|error| format!("{kind}: {error}\n{}", daemon.said()))?;
        daemon.ready = began.elapsed();
        Ok(daemon)
    }

    /// Returns once it has answered on its socket.
    fn wait_for_answer(&self, began: Instant) -> Result<(), String> {
        // No event tells when somebody listens; and to let go of a watch on the folder takes the kernel 10 ms.
        let mut client = loop {
            match self.client() {
                Ok(client) => break client,
                Err(error) if began.elapsed() > PATIENCE => return Err(format!("the vici socket: {error}")),
                Err(_) => std::thread::sleep(Duration::from_micros(100)),
            }
        };
        let answer = client.call("version", &Message::new());
        answer
            .map(drop)
            .map_err(|error| format!("the command version: {error}"))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// A connection to its vici socket.
    ///
    /// # Errors
    ///
    /// If nobody listens.
    pub(crate) fn client(&self) -> io::Result<Client> {
        let path = self.folder.path().join("charon.vici");
        Client::connect(&format!("unix://{}", path.display()))
    }

    /// Takes a swanctl.conf over.
    ///
    /// # Errors
    ///
    /// With what its swanctl says.
    pub(crate) fn configure(&self, conf: &str) -> Result<(), String> {
        self.write(conf)?;
        self.load(&["--clear"]).map(drop)
    }

    /// Puts a swanctl.conf in place.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(crate) fn write(&self, conf: &str) -> Result<(), String> {
        let path = self.folder.path().join("swanctl.conf");
        let closed = fs::Permissions::from_mode(0o600);
        fs::write(&path, conf)
            .and_then(|()| fs::set_permissions(&path, closed))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Has the swanctl.conf loaded that is in place.
    ///
    /// # Errors
    ///
    /// With what its swanctl says.
    pub(crate) fn load(&self, more: &[&str]) -> Result<String, String> {
        let file = self.seen("swanctl.conf");
        let arguments = ["--load-all", "--noprompt", "--file", &file];
        self.swanctl(&[&arguments[..], more].concat())
    }

    /// Runs its swanctl, which must succeed.
    ///
    /// # Errors
    ///
    /// With what it says.
    pub(crate) fn swanctl(&self, arguments: &[&str]) -> Result<String, String> {
        let seen = match self.jail {
            None => self.folder.path().display().to_string(),
            Some(_) => "/run".to_owned(),
        };
        let mut command = program(self.kind, &self.tree, &seen, "swanctl");
        let uri = format!("unix://{}", self.seen("charon.vici"));
        command.args(arguments).args(["--uri", &uri]);
        let run = enter(self.jail.as_ref(), &self.namespace, || command.output()).and_then(|output| output);
        let Output {
            status,
            stdout,
            stderr,
        } = run.map_err(|error| format!("swanctl of {}: {error}", self.kind))?;
        let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        if status.success() {
            Ok(text)
        } else {
            Err(format!(
                "{}: swanctl {} ended with {status}:\n{text}\n{}",
                self.kind,
                arguments.join(" "),
                self.said()
            ))
        }
    }

    /// What it wrote, to its log and beside it.
    pub(crate) fn said(&self) -> String {
        let read = |name| fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("console"), read("charon.log")].concat()).into_owned()
    }

    /// How many octets its log has.
    ///
    /// # Errors
    ///
    /// If there is no log.
    pub(crate) fn log_octets(&self) -> Result<u64, String> {
        let path = self.folder.path().join("charon.log");
        let metadata = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(metadata.len())
    }

    /// Where it finds a file of its folder.
    fn seen(&self, name: &str) -> String {
        match self.jail {
            None => self.folder.path().join(name).display().to_string(),
            Some(_) => format!("/run/{name}"),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its SAs, devices and routes go with the namespace, or are flushed by who starts next in it.
        if end(self.pid()).is_ok() {
            let _ = self.child.wait();
        }
    }
}

/// The plugins that a daemon loads if nothing else is said.
pub(crate) fn load_list(kind: Kind) -> String {
    match kind {
        Kind::Ours => library::load_list(),
        Kind::StrongSwan { .. } => STRONGSWAN_PLUGINS.to_owned(),
    }
}

/// Runs a closure in a network namespace, and in a jail if there is one.
///
/// # Errors
///
/// If they cannot be entered.
pub(crate) fn enter<T: Send>(
    jail: Option<&Jail>,
    namespace: &Namespace,
    run: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    match jail {
        Some(jail) => jail.run(namespace, run),
        None => namespace.run(run),
    }
}

fn program(kind: Kind, tree: &std::path::Path, seen: &str, name: &str) -> Command {
    let mut command = match (kind, name) {
        (Kind::Ours, "charon") => Command::new(tree.join("usr/libexec/ipsec/charon")),
        (Kind::Ours, _) => Command::new(tree.join("usr/sbin").join(name)),
        (Kind::StrongSwan { .. }, "charon") => Command::new("/usr/lib/ipsec/charon"),
        (Kind::StrongSwan { .. }, _) => Command::new(format!("/usr/sbin/{name}")),
    };
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("STRONGSWAN_CONF", format!("{seen}/strongswan.conf"))
        .env("SWANCTL_DIR", seen)
        .stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_implementation_is_named_with_its_version() {
        for name in ["ours", "strongswan-6.1.0", "strongswan-5.9.8"] {
            assert_eq!(name.parse::<Kind>().unwrap().to_string(), name);
        }
        assert!(
            "strongswan-4.0"
                .parse::<Kind>()
                .unwrap_err()
                .contains("strongswan-6.1.0")
        );
    }
}
