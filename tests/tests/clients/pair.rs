//! Our daemon on carol and strongSwan's on moon, each with a swanctl.conf for the same tunnel.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use nix::pty::{OpenptyResult, openpty};
use nix::unistd::geteuid;
use xtask::host::{Host, Said};
use xtask::jail::Jail;
use xtask::netns::Network;
use xtask::peers::Peer;

use super::strongswan::StrongSwan;

pub(crate) struct Pair {
    pub(crate) ours: Host,
    pub(crate) theirs: StrongSwan,
}

/// The strongSwan of a suite; none without root or if it is not unpacked.
pub(crate) fn peer(suite: &str) -> Option<Peer> {
    let ci = std::env::var("CI").as_deref() == Ok("true");
    let peer = if geteuid().is_root() {
        Peer::find(suite).unwrap()
    } else {
        None
    };
    assert!(
        peer.is_some() || !ci,
        "strongSwan of {suite} has to be unpacked, as root"
    );
    if peer.is_none() {
        println!("skipped: needs root, and strongSwan of {suite} unpacked by `cargo xtask test clients`");
    }
    peer
}

impl Pair {
    /// Both daemons up, without connections.
    pub(crate) fn start(peer: &Peer) -> Self {
        let Network { moon, carol } = Network::new().unwrap();
        let empty = tempfile::tempdir().unwrap();
        for file in ["ipsec.conf", "ipsec.secrets", "strongswan.conf"] {
            fs::write(empty.path().join(file), "").unwrap();
        }
        let ours = Host::new("carol", carol, &xtask::programs().unwrap(), empty.path()).unwrap();
        ours.start().unwrap();
        let theirs = StrongSwan::start(peer, moon, "").unwrap();
        Self { ours, theirs }
    }
}

/// A swanctl of Debian that talks to our daemon.
pub(crate) struct Swanctl<'a> {
    jail: Jail,
    host: &'a Host,
}

impl<'a> Swanctl<'a> {
    pub(crate) fn new(peer: &Peer, host: &'a Host) -> Self {
        host.write(
            "run/strongswan.conf",
            "swanctl {\n load = random x509 pubkey pkcs1 pkcs8 pem openssl\n}\n",
        )
        .unwrap();
        let jail = Jail::new(&peer.root, &host.path("run")).unwrap();
        Self { jail, host }
    }

    /// Runs a command line to its end.
    pub(crate) fn run(&self, line: &str) -> Said {
        let mut command = self.command(line);
        let output = self.jail.run(&self.host.namespace, || command.output());
        let output = output.and_then(|output| output).unwrap();
        Said {
            code: output.status.code(),
            text: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        }
    }

    /// Starts a command line, and hands out the lines that it writes as they come: to a terminal, or they would wait in a
    /// buffer of its own.
    pub(crate) fn spawn(&self, line: &str) -> (Child, Receiver<String>) {
        let OpenptyResult { master, slave } = openpty(None, None).unwrap();
        let mut command = self.command(line);
        command.stdout(slave).stderr(Stdio::null());
        let child = self.jail.run(&self.host.namespace, || command.spawn());
        let child = child.and_then(|child| child).unwrap();
        let (line, lines) = channel();
        let written = BufReader::new(File::from(master)).lines();
        // A terminal without programs is an error.
        let mut written = written.map_while(Result::ok);
        std::thread::spawn(move || written.try_for_each(|text| line.send(text)));
        (child, lines)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("/usr/sbin/swanctl");
        command
            .args(line.split_whitespace())
            .args(["--uri", "unix:///run/charon.vici"])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin")
            .env("STRONGSWAN_CONF", "/run/strongswan.conf")
            .env("SWANCTL_DIR", "/run")
            .stdin(Stdio::null());
        command
    }
}

/// Makes the folders beside a swanctl.conf; real swanctl complains about those that are missing.
pub(crate) fn make_folders(folder: &Path) {
    for name in [
        "conf.d", "x509", "x509ca", "x509ocsp", "x509aa", "x509ac", "x509crl", "pubkey", "private", "rsa",
        "ecdsa", "pkcs8", "pkcs12", "bliss",
    ] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
}

/// A swanctl.conf for a tunnel `net` in a connection `gw`, of one of the hosts.
pub(crate) fn swanctl_conf(own: &str, proposal: &str) -> String {
    let moon = ["192.168.0.2", "moon", "10.1.0.0/16"];
    let carol = ["192.168.0.3", "carol", "10.3.0.0/16"];
    let ([ip, id, ts], [peer_ip, peer_id, peer_ts]) = if own == "moon" {
        (moon, carol)
    } else {
        (carol, moon)
    };
    format!(
        "connections {{\n gw {{\n  version = 2\n  local_addrs = {ip}\n  remote_addrs = {peer_ip}\n  proposals = {proposal}\n  \
         mobike = no\n  local {{\n   auth = psk\n   id = {id}.strongswan.org\n  }}\n  remote {{\n   auth = psk\n   id = \
         {peer_id}.strongswan.org\n  }}\n  children {{\n   net {{\n    local_ts = {ts}\n    remote_ts = {peer_ts}\n    \
         esp_proposals = {proposal}\n   }}\n  }}\n }}\n}}\nsecrets {{\n ike-1 {{\n  id-1 = moon.strongswan.org\n  id-2 = \
         carol.strongswan.org\n  secret = \"known on both hosts\"\n }}\n}}\n"
    )
}
