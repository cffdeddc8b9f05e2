//! Hosts of the guest, with our daemon or strongSwan's: both have a swanctl.

use std::path::PathBuf;
use std::time::Instant;

use xtask::host::{Host, PATIENCE};
use xtask::netns::Namespace;
use xtask::peers::Peer;
use xtask::watch;

use super::tables::{State, policies, states};
use crate::strongswan::StrongSwan;

/// Ours without the key exchanges that no connection here has, because each plugin costs at every start in the guest.
const OUR_PLUGINS: &str = "aws-lc aes sha2 sha1 random nonce curve25519 hmac gcm kernel-netlink attr resolve socket-default stroke \
                           vici updown counters";

/// strongSwan with the kernel's IPsec; `resolve` and others would need files of the system.
const THEIR_PLUGINS: &str =
    "random openssl nonce kdf hmac kernel-netlink socket-default vici updown counters";

/// Whose daemon a host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Us,
    Them,
}

pub(crate) struct Machine {
    pub(crate) name: &'static str,
    kind: Kind,
}

enum Kind {
    Ours(Box<Host>),
    Theirs(StrongSwan),
}

/// A host with our programs, whose daemon does not run yet.
pub(crate) fn ours(name: &str, namespace: Namespace, settings: &str) -> Host {
    let empty = tempfile::tempdir().unwrap();
    for file in ["ipsec.conf", "ipsec.secrets", "strongswan.conf"] {
        std::fs::write(empty.path().join(file), "").unwrap();
    }
    let host = Host::new(name, namespace, &xtask::uml::programs(), empty.path()).unwrap();
    host.set(&format!("charon {{\n load = {OUR_PLUGINS}\n {settings}\n}}"))
        .unwrap();
    host
}

impl Machine {
    /// Starts a daemon; `settings` go into the section `charon` of its strongswan.conf.
    pub(crate) fn start(who: Who, name: &'static str, namespace: Namespace, settings: &str) -> Self {
        let kind = match who {
            Who::Us => return Self::begin(name, ours(name, namespace, settings)),
            Who::Them => {
                let peer = Peer::find("forky").unwrap().expect("strongSwan, unpacked");
                let settings = format!("load = {THEIR_PLUGINS}\n {settings}");
                Kind::Theirs(StrongSwan::start(&peer, namespace, &settings).unwrap())
            }
        };
        Self { name, kind }
    }

    /// Starts the daemon of a host of ours.
    pub(crate) fn begin(name: &'static str, host: Host) -> Self {
        host.start()
            .unwrap_or_else(|error| panic!("{error}\n{}", host.read("charon.log")));
        let kind = Kind::Ours(Box::new(host));
        Self { name, kind }
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        match &self.kind {
            Kind::Ours(host) => &host.namespace,
            Kind::Theirs(host) => &host.namespace,
        }
    }

    pub(crate) fn log(&self) -> String {
        match &self.kind {
            Kind::Ours(host) => host.read("charon.log"),
            Kind::Theirs(host) => host.log(),
        }
    }

    fn log_file(&self) -> PathBuf {
        match &self.kind {
            Kind::Ours(host) => host.path("charon.log"),
            Kind::Theirs(host) => host.log_file(),
        }
    }

    /// Takes a swanctl.conf over, in place of what there was.
    pub(crate) fn load(&self, conf: &str) {
        match &self.kind {
            Kind::Ours(host) => {
                host.write("swanctl.conf", conf).unwrap();
                let file = host.path("swanctl.conf");
                self.swanctl(&format!(
                    "--load-all --clear --noprompt --file {}",
                    file.display()
                ));
            }
            Kind::Theirs(host) => host.load(conf).unwrap(),
        }
    }

    /// Runs its swanctl.
    pub(crate) fn try_swanctl(&self, arguments: &str) -> Result<String, String> {
        match &self.kind {
            Kind::Ours(host) => host.succeed(&format!("swanctl {arguments}")),
            Kind::Theirs(host) => host.succeed(arguments),
        }
    }

    /// Runs its swanctl, which must end in 0.
    pub(crate) fn swanctl(&self, arguments: &str) -> String {
        let said = self.try_swanctl(arguments);
        said.unwrap_or_else(|error| panic!("{}: {error}\n{}", self.name, self.log()))
    }

    /// Waits until a test holds, which is asked again whenever the daemon has logged something.
    pub(crate) fn until<T>(&self, what: &str, test: impl FnMut() -> Option<T>) -> T {
        let log = self.log_file();
        let folder = log.parent().expect("a folder");
        watch::until(&[folder], PATIENCE, what, test)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}\n{}", self.name, self.tables(), self.log()))
    }

    /// Waits until a test holds, which is asked again at once: of the kernel's tables, and what follows from them, nothing is
    /// told.
    #[allow(clippy::disallowed_methods, reason = "a deadline")]
    pub(crate) fn ask_until(&self, what: &str, mut test: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !test() {
            let (name, tables) = (self.name, self.tables());
            assert!(
                begin.elapsed() < PATIENCE,
                "{name}: no {what}\n{tables}\n{}",
                self.log()
            );
        }
    }

    /// Kills the daemon without a chance to tidy up, and starts another; ours only.
    pub(crate) fn restart(&self) {
        let Kind::Ours(host) = &self.kind else {
            panic!("strongSwan is not restarted")
        };
        // Before it, or it would start another at once.
        host.kill("starter.charon").unwrap();
        host.kill("charon").unwrap();
        host.start()
            .unwrap_or_else(|error| panic!("{error}\n{}", host.read("charon.log")));
    }

    /// The kernel's tables, for whoever looks into a failure.
    pub(crate) fn tables(&self) -> String {
        let table = |line| self.namespace().ip(line).unwrap_or_else(|error| error);
        [
            "-s xfrm state",
            "xfrm policy",
            "addr",
            "rule",
            "route show table 220",
            "route",
        ]
        .map(table)
        .join("\n")
    }

    /// Inbound and outbound SPIs of installed CHILD_SAs, by what the daemon lists.
    pub(crate) fn believed(&self) -> Vec<[String; 2]> {
        let listed = self.swanctl("--list-sas");
        let mut pairs = Vec::new();
        let mut inbound = None;
        for line in listed.lines() {
            let mut words = line.split_whitespace().map(|word| word.trim_end_matches(','));
            match (words.next(), words.next()) {
                (Some("in"), Some(spi)) => inbound = Some(spi.to_owned()),
                (Some("out"), Some(spi)) => {
                    pairs.push([inbound.take().expect("an inbound SPI"), spi.to_owned()]);
                }
                _ => {}
            }
        }
        pairs
    }

    /// Fails unless the kernel has the SAs that the daemon lists, with policies for them, and nothing else. Returns the
    /// inbound and the outbound SA of each.
    pub(crate) fn agree(&self) -> Vec<[State; 2]> {
        let believed = self.believed();
        let mut spis: Vec<&String> = believed.iter().flatten().collect();
        spis.sort();
        let states = states(self.namespace());
        let found: Vec<&String> = states.iter().map(|state| &state.spi).collect();
        assert_eq!(
            found,
            spis,
            "SPIs of {}\n{}\n{}",
            self.name,
            self.tables(),
            self.log()
        );
        let state = |spi: &str| {
            let found = states.iter().find(|state| state.spi == spi);
            found.expect("compared before").clone()
        };
        let pairs: Vec<_> = believed
            .iter()
            .map(|pair| [state(&pair[0]), state(&pair[1])])
            .collect();
        for [inbound, outbound] in &pairs {
            assert_eq!(inbound.reqid, outbound.reqid, "{}", self.tables());
            assert_eq!(inbound.mode, outbound.mode, "{}", self.tables());
            let policies = policies(self.namespace());
            let mut directions: Vec<&str> = policies
                .iter()
                .filter(|policy| policy.reqid == inbound.reqid)
                .map(|policy| policy.direction.as_str())
                .collect();
            directions.sort_unstable();
            // Of several pairs of selectors each has its own.
            directions.dedup();
            let forwards = inbound.mode == "tunnel";
            let expected: &[&str] = if forwards {
                &["fwd", "in", "out"]
            } else {
                &["in", "out"]
            };
            assert_eq!(directions, expected, "{}\n{}", self.name, self.tables());
        }
        pairs
    }

    /// Fails unless the kernel has neither SAs nor policies.
    pub(crate) fn expect_nothing(&self) {
        let left = (states(self.namespace()).len(), policies(self.namespace()).len());
        assert_eq!(
            left,
            (0, 0),
            "SAs and policies of {}\n{}\n{}",
            self.name,
            self.tables(),
            self.log()
        );
    }
}
