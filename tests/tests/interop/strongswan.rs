//! A host with strongSwan: charon in a jail, controlled by its own swanctl.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use xtask::host::{PATIENCE, Said};
use xtask::jail::Jail;
use xtask::netns::Namespace;
use xtask::peers::Peer;
use xtask::watch;

/// Without the plugins that need files of the system; `openssl` brings the algorithms, ML-KEM where it has it.
const PLUGINS: &str = "random x509 pubkey pkcs1 pkcs8 pem openssl des md5 xcbc cmac ctr ccm chapoly nonce kdf hmac kernel-libipsec kernel-netlink socket-default vici updown counters";

/// A running charon. It ends with this.
pub(crate) struct StrongSwan {
    pub(crate) namespace: Namespace,
    jail: Jail,
    folder: TempDir,
    charon: Child,
}

impl StrongSwan {
    /// Starts one; `settings` go into the section `charon` of its strongswan.conf.
    pub(crate) fn start(peer: &Peer, namespace: Namespace, settings: &str) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("pqswan-{}-", peer.suite))
            .tempdir()
            .map_err(|error| format!("a temporary folder: {error}"))?;
        let conf = format!(
            "charon {{\n load_modular = no\n load = {PLUGINS}\n {settings}\n filelog {{\n  log {{\n   path = /run/charon.log\n   \
             flush_line = yes\n   default = 1\n  }}\n }}\n plugins {{\n  vici {{\n   socket = unix:///run/charon.vici\n  }}\n \
             }}\n}}\nswanctl {{\n load = random x509 pubkey pkcs1 pkcs8 pem openssl\n}}\n"
        );
        let path = folder.path().join("strongswan.conf");
        fs::write(&path, conf).map_err(|error| format!("{}: {error}", path.display()))?;
        let jail = Jail::new(&peer.root, folder.path())?;
        let mut command = program("/usr/lib/ipsec/charon");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let charon = jail
            .run(&namespace, || command.spawn())
            .and_then(|child| child)
            .map_err(|error| format!("charon of {}: {error}", peer.suite))?;
        let host = Self {
            namespace,
            jail,
            folder,
            charon,
        };
        // The last line before it serves.
        watch::text(&host.log_file(), 0, "spawning 16 worker threads", PATIENCE)?;
        Ok(host)
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.path().join("charon.log")
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Takes a swanctl.conf over, in place of what there was.
    pub(crate) fn load(&self, conf: &str) -> Result<(), String> {
        let path = self.folder.path().join("swanctl.conf");
        fs::write(&path, conf).map_err(|error| format!("{}: {error}", path.display()))?;
        self.succeed("--load-all --clear --noprompt --file /run/swanctl.conf")
            .map(drop)
    }

    /// Runs its swanctl.
    pub(crate) fn swanctl(&self, arguments: &str) -> Result<Said, String> {
        let mut command = program("/usr/sbin/swanctl");
        command.args(arguments.split_whitespace());
        let output = self
            .jail
            .run(&self.namespace, || command.output())
            .and_then(|output| output)
            .map_err(|error| format!("swanctl: {error}"))?;
        Ok(Said {
            code: output.status.code(),
            text: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        })
    }

    /// Runs its swanctl, which must end in 0.
    pub(crate) fn succeed(&self, arguments: &str) -> Result<String, String> {
        match self.swanctl(arguments)? {
            Said { code: Some(0), text } => Ok(text),
            Said { code, text } => Err(format!("swanctl {arguments} ended with {code:?}:\n{text}")),
        }
    }
}

impl Drop for StrongSwan {
    fn drop(&mut self) {
        // Its devices and rules go with the namespace.
        let _ = self.charon.kill();
        let _ = self.charon.wait();
    }
}

fn program(path: &str) -> Command {
    let mut command = Command::new(path);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin")
        .env("STRONGSWAN_CONF", "/run/strongswan.conf")
        .env("SWANCTL_DIR", "/run")
        .stdin(Stdio::null());
    command
}
