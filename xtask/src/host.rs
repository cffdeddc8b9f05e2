//! A host: a namespace, a folder with its configuration, and the programs that run there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::Pid;
use tempfile::TempDir;

use crate::netns::{Namespace, end};
use crate::watch;

/// Longest wait for anything that takes milliseconds where nothing else runs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a command ended in.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its output, then its errors.
    pub text: String,
}

/// A host with its own configuration, pid files, sockets and log.
#[derive(Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub namespace: Namespace,
    programs: Vec<PathBuf>,
    folder: TempDir,
}

impl Host {
    /// A host with the three files of `configuration`, and settings for strongswan.conf that keep it apart from others.
    /// Its programs are those of a build folder, or of an installed tree.
    ///
    /// # Errors
    ///
    /// If files are missing or cannot be copied.
    pub fn new(
        name: &str,
        namespace: Namespace,
        programs: &Path,
        configuration: &Path,
    ) -> Result<Self, String> {
        let installed = ["usr/sbin", "usr/libexec/ipsec"].map(|folder| programs.join(folder));
        let programs = if installed[0].exists() {
            installed.to_vec()
        } else {
            vec![programs.to_owned()]
        };
        for program in ["ipsec", "starter", "stroke", "charon"] {
            if find(&programs, program).is_none() {
                return Err(format!(
                    "{} is missing: `cargo build --workspace` makes it",
                    programs[0].join(program).display()
                ));
            }
        }
        let folder = tempfile::Builder::new()
            .prefix(&format!("pqswan-{name}-"))
            .tempdir();
        let folder = folder.map_err(|error| format!("a temporary folder: {error}"))?;
        let host = Self {
            name: name.to_owned(),
            namespace,
            programs,
            folder,
        };
        fs::create_dir(host.path("run"))
            .map_err(|error| format!("{}: {error}", host.path("run").display()))?;
        for file in ["ipsec.conf", "ipsec.secrets", "strongswan.conf"] {
            let from = configuration.join(file);
            let text = fs::read_to_string(&from).map_err(|error| format!("{}: {error}", from.display()))?;
            host.write(file, &text)?;
        }
        host.set("")?;
        Ok(host)
    }

    /// A path in the host's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the host's folder, for its owner only.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.path(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// A file of the host's folder; empty if it is not there.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// Replaces text in a file of the host's folder.
    ///
    /// # Errors
    ///
    /// If the text is not there.
    pub fn edit(&self, name: &str, from: &str, to: &str) -> Result<(), String> {
        let text = self.read(name);
        if !text.contains(from) {
            return Err(format!("{} has no '{from}'", self.path(name).display()));
        }
        self.write(name, &text.replacen(from, to, 1))
    }

    /// Writes the strongswan.conf that the programs read: the host's own, the folder's paths, and `more`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn set(&self, more: &str) -> Result<(), String> {
        let at = |name| self.path(name).display().to_string();
        let text = format!(
            "include {}\ncharon {{\n    piddir = {}\n    plugins {{\n        stroke {{\n            secrets_file = {}\n        \
             }}\n    }}\n    filelog {{\n        host {{\n            path = {}\n            flush_line = yes\n            \
             default = 1\n        }}\n    }}\n}}\nstarter {{\n    config_file = {}\n}}\n{more}\n",
            at("strongswan.conf"),
            at("run"),
            at("ipsec.secrets"),
            at("charon.log"),
            at("ipsec.conf"),
        );
        self.write("host.conf", &text)
    }

    /// A program of this host, or of the system.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find(&self.programs, program).unwrap_or_else(|| program.into()));
        command
            .env("STRONGSWAN_CONF", self.path("host.conf"))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command line, `ping -c 1 10.1.0.2`.
    ///
    /// # Errors
    ///
    /// If the program cannot be started.
    pub fn run(&self, line: &str) -> Result<Said, String> {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap_or_default();
        let output = self.namespace.output(self.command(program).args(words));
        let output = output.map_err(|error| format!("{program} on {}: {error}", self.name))?;
        let text = [output.stdout, output.stderr].concat();
        Ok(Said {
            code: output.status.code(),
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    /// Runs a command line whose exit code must be 0.
    ///
    /// # Errors
    ///
    /// If it is not, with what was said.
    pub fn succeed(&self, line: &str) -> Result<String, String> {
        match self.run(line)? {
            Said { code: Some(0), text } => Ok(text),
            Said { code, text } => Err(format!("`{line}` on {} ended with {code:?}:\n{text}", self.name)),
        }
    }

    /// `ipsec start`, which returns once the daemon is up and has its connections. Returns what was written.
    ///
    /// # Errors
    ///
    /// If it fails, with what was written.
    pub fn start(&self) -> Result<String, String> {
        let skip = self.read("console").len();
        let console = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("console"));
        let console = console.map_err(|error| format!("{}: {error}", self.path("console").display()))?;
        let errors = console
            .try_clone()
            .map_err(|error| format!("a second descriptor: {error}"))?;
        let mut command = self.command("ipsec");
        command.arg("start").stdout(console).stderr(errors);
        let child = self
            .namespace
            .spawn(&mut command)
            .and_then(|mut child| child.wait());
        let status = child.map_err(|error| format!("ipsec start on {}: {error}", self.name))?;
        if !status.success() {
            return Err(format!(
                "ipsec start on {}: {status}\n{}",
                self.name,
                self.read("console")
            ));
        }
        Ok(self.read("console").split_off(skip))
    }

    /// The process of a pid file, `charon` or `starter.charon`.
    pub fn pid(&self, name: &str) -> Option<Pid> {
        self.read(&format!("run/{name}.pid"))
            .trim()
            .parse()
            .ok()
            .map(Pid::from_raw)
    }

    /// Waits for a line in the daemon's log past its first `skip` octets.
    ///
    /// # Errors
    ///
    /// If it does not come.
    pub fn wait_for_log(&self, skip: usize, text: &str) -> Result<(), String> {
        watch::text(&self.path("charon.log"), skip, text, PATIENCE)
    }

    /// Kills a process of this host, without a chance to tidy up.
    ///
    /// # Errors
    ///
    /// If there is none of that pid file.
    pub fn kill(&self, name: &str) -> Result<(), String> {
        let pid = self
            .pid(name)
            .ok_or_else(|| format!("{} runs no {name}", self.name))?;
        end(pid).map_err(|error| format!("{name} on {}, process {pid}: {error}", self.name))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // In order if possible; the namespace kills what is left of it.
        if self.pid("starter.charon").is_some() {
            let _ = self.run("ipsec stop");
        }
    }
}

fn find(folders: &[PathBuf], program: &str) -> Option<PathBuf> {
    folders
        .iter()
        .map(|folder| folder.join(program))
        .find(|path| path.exists())
}
