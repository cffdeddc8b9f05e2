//! WireGuard in user space between two hosts.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;
use xtask::host::PATIENCE;
use xtask::netns::{Namespace, Network, end};
use xtask::watch;

/// Where programs make the sockets that they are configured by.
const SOCKETS: &str = "/var/run/wireguard";

/// Two ends of a tunnel.
pub(super) struct Wireguard {
    pub(super) network: Network,
    ends: Vec<End>,
}

/// A program, which ends with this.
struct End {
    child: Child,
    socket: PathBuf,
}

impl Drop for End {
    fn drop(&mut self) {
        if end(Pid::from_raw(self.child.id().cast_signed())).is_ok() {
            let _ = self.child.wait();
        }
        let _ = fs::remove_file(&self.socket);
    }
}

struct Side<'a> {
    namespace: &'a Namespace,
    device: String,
    outer: &'a str,
    inner: &'a str,
    network: &'a str,
    private: String,
    public: String,
}

impl Wireguard {
    /// Brings a tunnel up; nothing if the program is not there.
    ///
    /// # Errors
    ///
    /// If it does not do what it should.
    pub(super) fn start(program: &str) -> Result<Option<Self>, String> {
        let there = |folder: &str| Path::new(folder).join(program).exists();
        if !["/usr/bin", "/usr/sbin", "/usr/local/bin"].into_iter().any(there) {
            return Ok(None);
        }
        let network = Network::new()?;
        fs::create_dir_all(SOCKETS).map_err(|error| format!("{SOCKETS}: {error}"))?;
        // Sockets lie in a folder of all hosts, so devices have names of this process.
        let own = std::process::id() % 10_000_000;
        let side = |namespace, letter, outer, inner, subnet| -> Result<Side<'_>, String> {
            let private = wg(&["genkey"], "")?;
            Ok(Side {
                namespace,
                device: format!("b{letter}{own}"),
                outer,
                inner,
                network: subnet,
                public: wg(&["pubkey"], &private)?,
                private,
            })
        };
        let moon = side(&network.moon, 'm', "192.168.0.2", "10.1.0.2", "10.1.0.0/16")?;
        let carol = side(&network.carol, 'c', "192.168.0.3", "10.3.0.1", "10.3.0.0/16")?;
        let ends = vec![up(program, &moon, &carol)?, up(program, &carol, &moon)?];
        Ok(Some(Self { network, ends }))
    }

    /// The programs, moon's first.
    pub(super) fn pids(&self) -> [Pid; 2] {
        [0, 1].map(|at| Pid::from_raw(self.ends[at].child.id().cast_signed()))
    }
}

fn up(program: &str, own: &Side<'_>, other: &Side<'_>) -> Result<End, String> {
    let device = own.device.as_str();
    let mut command = Command::new(program);
    command
        .args(["--foreground", device])
        // It asks for the kernel's WireGuard to be taken instead; without privileges to drop it has nothing to tell.
        .envs([
            ("WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD", "1"),
            ("LOG_LEVEL", "error"),
            ("WG_SUDO", "1"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = own
        .namespace
        .spawn(&mut command)
        .map_err(|error| format!("{program}: {error}"))?;
    let socket = Path::new(SOCKETS).join(format!("{device}.sock"));
    let end = End { child, socket };
    watch::until(
        &[Path::new(SOCKETS)],
        PATIENCE,
        &format!("socket of {program}"),
        || end.socket.exists().then_some(()),
    )?;
    // A key comes from a file only.
    let key = tempfile::NamedTempFile::new()
        .and_then(|mut file| file.write_all(own.private.as_bytes()).map(|()| file))
        .map_err(|error| format!("a file for a key: {error}"))?;
    let arguments = format!(
        "set {device} listen-port 51820 private-key {} peer {} endpoint {}:51820 allowed-ips {}",
        key.path().display(),
        other.public,
        other.outer,
        other.network
    );
    let mut set = Command::new("wg");
    let output = own.namespace.output(set.args(arguments.split(' ')));
    let output = output.map_err(|error| format!("wg: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "wg set: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    own.namespace.ip(&format!("link set {device} up"))?;
    own.namespace.ip(&format!(
        "route add {} dev {device} src {}",
        other.network, own.inner
    ))?;
    Ok(end)
}

fn wg(arguments: &[&str], input: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("wg {}: {error}", arguments.join(" "));
    let mut child = Command::new("wg")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
