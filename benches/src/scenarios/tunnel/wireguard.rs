//! WireGuard in user space between two hosts, configured by the socket that its implementations have in common.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use tempfile::TempDir;
use x25519_dalek::{PublicKey, StaticSecret};
use xtask::host::PATIENCE;
use xtask::jail::Jail;
use xtask::netns::{Namespace, Network, end};
use xtask::peers::Peer;
use xtask::watch;

/// A release that sends and receives in bundles, as older ones do not.
const SUITE: &str = "forky";
const PACKAGE: &str = "wireguard-go";

const DEVICE: &str = "wg0";
const PORT: u16 = 51820;

/// Two ends of a tunnel.
pub(super) struct Wireguard {
    pub(super) network: Network,
    /// Its version.
    pub(super) version: String,
    ends: [End; 2],
}

/// A program, which ends with this.
struct End {
    child: Child,
    /// Its `/run`.
    _folder: TempDir,
}

impl End {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if end(self.pid()).is_ok() {
            let _ = self.child.wait();
        }
    }
}

/// One end's place in the network.
struct Side<'a> {
    namespace: &'a Namespace,
    outer: &'a str,
    inner: &'a str,
    network: &'a str,
    private: StaticSecret,
}

impl Wireguard {
    /// Brings a tunnel up.
    ///
    /// # Errors
    ///
    /// If the program cannot be had, or does not do what it should.
    pub(super) fn start() -> Result<Self, String> {
        let peer = Peer::unpack_program(SUITE, PACKAGE)?;
        let network = Network::new()?;
        let side = |namespace, outer, inner, network| -> Result<Side<'_>, String> {
            let mut octets = [0; 32];
            getrandom::fill(&mut octets).map_err(|error| format!("a key: {error}"))?;
            Ok(Side {
                namespace,
                outer,
                inner,
                network,
                private: StaticSecret::from(octets),
            })
        };
        let moon = side(&network.moon, "192.168.0.2", "10.1.0.2", "10.1.0.0/16")?;
        let carol = side(&network.carol, "192.168.0.3", "10.3.0.1", "10.3.0.0/16")?;
        let ends = [up(&peer, &moon, &carol)?, up(&peer, &carol, &moon)?];
        Ok(Self {
            network,
            version: peer.version,
            ends,
        })
    }

    /// The programs, moon's first.
    pub(super) fn pids(&self) -> [Pid; 2] {
        self.ends.each_ref().map(End::pid)
    }
}

fn up(peer: &Peer, own: &Side<'_>, other: &Side<'_>) -> Result<End, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let jail = Jail::new(&peer.root, folder.path())?;
    let mut command = Command::new(format!("/usr/bin/{PACKAGE}"));
    command
        .args(["--foreground", DEVICE])
        // It would ask for the kernel's WireGuard to be taken instead.
        .env("WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD", "1")
        .env("LOG_LEVEL", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let sockets = folder.path().join("wireguard");
    std::fs::create_dir(&sockets).map_err(|error| format!("{}: {error}", sockets.display()))?;
    let child = jail
        .run(own.namespace, || command.spawn())
        .and_then(|child| child)
        .map_err(|error| format!("{PACKAGE}: {error}"))?;
    let end = End {
        child,
        _folder: folder,
    };
    let socket = sockets.join(format!("{DEVICE}.sock"));
    let there = || socket.exists().then_some(());
    watch::until(&[&sockets], PATIENCE, &format!("socket of {PACKAGE}"), there)?;
    configure(&socket, own, other)?;
    own.namespace.ip(&format!("link set {DEVICE} up"))?;
    let route = format!("route add {} dev {DEVICE} src {}", other.network, own.inner);
    own.namespace.ip(&route)?;
    Ok(end)
}

/// Tells it all in the words of https://www.wireguard.com/xplatform/.
fn configure(socket: &Path, own: &Side<'_>, other: &Side<'_>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", socket.display());
    let began = Instant::now();
    let mut stream = loop {
        // It is there a little before somebody listens, which no event tells.
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) if began.elapsed() > PATIENCE => return Err(failed(error)),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let text = format!(
        "set=1\nprivate_key={}\nlisten_port={PORT}\npublic_key={}\nendpoint={}:{PORT}\nallowed_ip={}\n\n",
        hex(own.private.as_bytes()),
        hex(PublicKey::from(&other.private).as_bytes()),
        other.outer,
        other.network
    );
    stream.write_all(text.as_bytes()).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n\n") {
        let mut octets = [0; 256];
        match stream.read(&mut octets).map_err(failed)? {
            0 => break,
            len => answer.extend(&octets[..len]),
        }
    }
    match String::from_utf8_lossy(&answer).trim() {
        "errno=0" => Ok(()),
        other => Err(format!("{PACKAGE} refuses its configuration: {other}")),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
