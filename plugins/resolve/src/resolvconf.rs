//! The program resolvconf, which makes resolv.conf of what it is told for each interface.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer it takes only if it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// How it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolvconf {
    /// The program.
    pub program: PathBuf,
    /// The interface that all servers belong to.
    pub interface: String,
    /// If this is set, every server has an interface of its own instead: this, and its address.
    pub prefix: Option<String>,
}

impl Resolvconf {
    /// Tells of a server that has come or gone; `all` are there now.
    ///
    /// # Errors
    ///
    /// If the program cannot be run, hangs, or fails.
    pub fn tell(&self, server: IpAddr, all: &BTreeSet<IpAddr>) -> io::Result<()> {
        match &self.prefix {
            Some(prefix) => {
                let own = all.get(&server).copied();
                self.set(&format!("{prefix}{server}"), own)
            }
            None => self.set(&self.interface, all.iter().copied()),
        }
    }

    fn set(&self, interface: &str, servers: impl IntoIterator<Item = IpAddr>) -> io::Result<()> {
        let lines = servers.into_iter().map(|server| format!("nameserver {server}\n"));
        let record: String = lines.collect();
        let action = if record.is_empty() { "-d" } else { "-a" };
        let mut child = Command::new(&self.program)
            .args([action, interface])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        if let Some(mut input) = child.stdin.take() {
            // A program that does not read says more by how it ends.
            let _ = input.write_all(record.as_bytes());
        }
        let (ended, end) = channel();
        thread::scope(|scope| {
            scope.spawn(move || ended.send(child.wait()));
            let status = end.recv_timeout(PATIENCE).or_else(|_| {
                // It has not been waited for, so that the number is still its.
                let _ = kill(pid, Signal::SIGKILL);
                end.recv()
            });
            let status = status.map_err(|_| io::Error::other("its exit status is unknown"))??;
            if status.success() {
                Ok(())
            } else {
                let program = self.program.display();
                Err(io::Error::other(format!(
                    "{program} {action} {interface}: {status}"
                )))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_told_of_all_servers_or_of_each() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("resolvconf");
        let said = folder.path().join("said");
        let script = format!("#!/bin/sh\necho \"$@\" >> {0}; cat >> {0}\n", said.display());
        fs::write(&program, script).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("rights");
        let mut resolvconf = Resolvconf {
            program,
            interface: "lo.ipsec".into(),
            prefix: None,
        };
        let (a, b) = (IpAddr::from([10, 1, 0, 1]), IpAddr::from([10, 1, 0, 2]));
        resolvconf.tell(b, &[a, b].into()).expect("told");
        resolvconf.tell(a, &[].into()).expect("told");
        resolvconf.prefix = Some("lo.inet.ipsec.".into());
        resolvconf.tell(b, &[a, b].into()).expect("told");
        resolvconf.tell(b, &[a].into()).expect("told");
        let expected = "-a lo.ipsec\nnameserver 10.1.0.1\nnameserver 10.1.0.2\n-d lo.ipsec\n\
                        -a lo.inet.ipsec.10.1.0.2\nnameserver 10.1.0.2\n-d lo.inet.ipsec.10.1.0.2\n";
        assert_eq!(fs::read_to_string(&said).expect("said"), expected);
        resolvconf.program = "/bin/false".into();
        assert!(resolvconf.tell(a, &[a].into()).is_err());
    }
}
