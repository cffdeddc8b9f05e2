//! Two hosts, ours and strongSwan's, and what is done with a tunnel between them.

use std::fs;
use std::path::Path;

use daemon::plugins::DEFAULT_LOAD;
use xtask::host::{Host, PATIENCE};
use xtask::netns::Network;
use xtask::peers::Peer;
use xtask::watch;

use super::setup::{Setup, VIRTUAL_IP};
use super::strongswan::StrongSwan;

/// Who opens the IKE_SA, or does something to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Us,
    Them,
}

/// Where the logs were at some time.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    ours: usize,
    theirs: usize,
}

pub(crate) struct Pair {
    pub(crate) ours: Host,
    pub(crate) theirs: StrongSwan,
    pub(crate) initiator: Side,
    /// The name of the current connection.
    pub(crate) name: String,
    /// Who has a virtual address in it.
    pub(crate) virtual_ip: Option<Side>,
    /// Whether it has an IKE_SA.
    pub(crate) tunnel: bool,
    /// Whether our connections come from a swanctl.conf.
    swanctl: bool,
    /// How many additional key exchanges it has.
    pub(crate) additional: usize,
    connections: usize,
}

/// Whether our plugin for ML-KEM has been built.
pub(crate) fn has_ml() -> Result<bool, String> {
    Ok(xtask::programs()?.join("libcharon_ml.so").exists())
}

impl Pair {
    /// Both daemons up, without connections. `settings` go into both strongswan.conf.
    pub(crate) fn start(peer: &Peer, initiator: Side, settings: &str) -> Result<Self, String> {
        Self::between(Network::new()?, peer, initiator, settings)
    }

    /// The same on hosts that are there: ours is carol.
    pub(crate) fn between(
        network: Network,
        peer: &Peer,
        initiator: Side,
        settings: &str,
    ) -> Result<Self, String> {
        let Network { moon, carol } = network;
        let empty = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
        for file in ["ipsec.conf", "ipsec.secrets", "strongswan.conf"] {
            let path = empty.path().join(file);
            fs::write(&path, "").map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let ours = Host::new("carol", carol, &xtask::programs()?, empty.path())?;
        let ml = has_ml()? && !DEFAULT_LOAD.split_whitespace().any(|plugin| plugin == "ml");
        let load = format!("{DEFAULT_LOAD}{}", if ml { " ml" } else { "" });
        // Not the one of the machine that this runs on.
        let resolv = ours.path("resolv.conf");
        let resolve = format!("plugins {{\n resolve {{\n file = {}\n }}\n }}", resolv.display());
        ours.set(&format!("charon {{\n load = {load}\n {settings}\n {resolve}\n}}"))?;
        ours.start()?;
        let theirs = StrongSwan::start(peer, moon, settings)?;
        Ok(Self {
            ours,
            theirs,
            initiator,
            name: String::new(),
            virtual_ip: None,
            tunnel: false,
            swanctl: false,
            additional: 0,
            connections: 0,
        })
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            ours: self.ours.read("charon.log").len(),
            theirs: self.theirs.log().len(),
        }
    }

    /// What a daemon has logged since.
    pub(crate) fn since(&self, mark: Mark, side: Side) -> String {
        match side {
            Side::Us => self.ours.read("charon.log").split_off(mark.ours),
            Side::Them => self.theirs.log().split_off(mark.theirs),
        }
    }

    /// Waits until a daemon has logged one of the texts.
    pub(crate) fn wait_any<'t>(&self, mark: Mark, side: Side, texts: &[&'t str]) -> Result<&'t str, String> {
        let what = format!("'{}' in the log of {side:?}", texts.join("' or '"));
        self.until(&what, || {
            let log = self.since(mark, side);
            texts.iter().find(|text| log.contains(**text)).copied()
        })
    }

    /// Waits until a test holds, which is asked again whenever one of the daemons has logged something.
    pub(crate) fn until<T>(&self, what: &str, test: impl Fn() -> Option<T>) -> Result<T, String> {
        let logs = [self.ours.path("charon.log"), self.theirs.log_file()];
        let folders = logs.each_ref().map(|log| log.parent().unwrap_or(Path::new("/")));
        watch::until(&folders, PATIENCE, what, test)
    }

    pub(crate) fn wait(&self, mark: Mark, side: Side, text: &str) -> Result<(), String> {
        self.wait_any(mark, side, &[text]).map(drop)
    }

    /// Gives both daemons a new connection in place of what they had.
    pub(crate) fn configure(&mut self, setup: &Setup) -> Result<(), String> {
        if self.tunnel {
            super::cells::delete_ike(self, Side::Us)?;
        }
        self.virtual_ip = setup.virtual_ip;
        self.connections += 1;
        self.name = format!("c{}", self.connections);
        self.additional = additional(&setup.our_ike);
        self.ours.write("ipsec.conf", &setup.ipsec_conf(&self.name))?;
        self.ours.write("ipsec.secrets", &setup.ipsec_secrets())?;
        let mark = self.mark();
        self.ours.succeed("ipsec rereadsecrets")?;
        self.ours.succeed("ipsec update")?;
        self.wait(mark, Side::Us, &format!("added configuration '{}'", self.name))?;
        self.theirs.load(&setup.swanctl_conf(&self.name))
    }

    /// The same with a swanctl.conf each, of a connection of this name.
    pub(crate) fn configure_both(
        &mut self,
        proposal: &str,
        conf: impl Fn(Side, &str) -> String,
    ) -> Result<(), String> {
        if self.tunnel {
            super::cells::delete_ike(self, Side::Us)?;
        }
        self.additional = additional(proposal);
        self.connections += 1;
        self.name = format!("c{}", self.connections);
        self.swanctl = true;
        self.ours.write("swanctl.conf", &conf(Side::Us, &self.name))?;
        let file = self.ours.path("swanctl.conf");
        let load = format!("swanctl --load-all --clear --noprompt --file {}", file.display());
        self.ours.succeed(&load)?;
        self.theirs.load(&conf(Side::Them, &self.name))
    }

    /// Runs the swanctl of a side, whatever comes of it.
    pub(crate) fn swanctl_of(&self, side: Side, arguments: &str) -> Result<String, String> {
        Ok(match side {
            Side::Us => self.ours.run(&format!("swanctl {arguments}"))?.text,
            Side::Them => self.theirs.swanctl(arguments)?.text,
        })
    }

    /// Brings the CHILD_SA up from a side, with an IKE_SA if there is none. Returns what it said.
    pub(crate) fn initiate(&self, side: Side) -> Result<String, String> {
        let name = &self.name;
        match side {
            Side::Us if !self.swanctl => self.ours.succeed(&format!("ipsec up {name}")),
            _ => self.swanctl_of(side, &format!("--initiate --child {name} --timeout 30")),
        }
    }

    /// Brings the CHILD_SA up, which must work.
    pub(crate) fn up(&self, side: Side) -> Result<(), String> {
        let said = self.initiate(side)?;
        let success = match side {
            Side::Us if !self.swanctl => "established successfully",
            _ => "initiate completed successfully",
        };
        expect(&said, success)
    }

    /// Pings through the tunnel from both ends.
    pub(crate) fn ping(&self) -> Result<(), String> {
        let (ours, theirs) = match self.virtual_ip {
            None => ("10.3.0.1", "10.1.0.2"),
            Some(Side::Us) => (VIRTUAL_IP, "10.1.0.2"),
            Some(Side::Them) => ("10.3.0.1", VIRTUAL_IP),
        };
        self.ours.succeed(&format!("ping -c 1 -W 5 -I {ours} {theirs}"))?;
        let mut command = std::process::Command::new("ping");
        command.args(["-c", "1", "-W", "5", "-I", theirs, ours]);
        let output = self
            .theirs
            .namespace
            .output(&mut command)
            .map_err(|error| format!("ping: {error}"))?;
        expect(&String::from_utf8_lossy(&output.stdout), " 0% packet loss")
    }

    /// The line of `ipsec status` on the CHILD_SA that is installed.
    pub(crate) fn child(&self) -> Result<String, String> {
        let status = self.ours.succeed("ipsec status")?;
        let line = status.lines().find(|line| line.contains(" INSTALLED, "));
        line.map(str::to_owned)
            .ok_or_else(|| format!("there is no CHILD_SA:\n{status}"))
    }

    /// The line of `ipsec status` on the selectors of the CHILD_SA.
    pub(crate) fn child_ts(&self) -> Result<String, String> {
        let status = self.ours.succeed("ipsec status")?;
        let line = status.lines().find(|line| line.contains(" === "));
        line.map(str::to_owned)
            .ok_or_else(|| format!("there is no CHILD_SA:\n{status}"))
    }

    /// Both have these numbers of established IKE_SAs and installed CHILD_SAs.
    pub(crate) fn expect_sas(&self, ike: usize, children: usize) -> Result<(), String> {
        let ours = self.ours.succeed("ipsec status")?;
        let theirs = self.theirs.succeed("--list-sas")?;
        let child = |text: &str| text.lines().filter(|line| line.contains(" INSTALLED, ")).count();
        let found = [
            (ours.matches("]: ESTABLISHED").count(), child(&ours)),
            (theirs.matches(", ESTABLISHED, ").count(), child(&theirs)),
        ];
        if found == [(ike, children); 2] {
            Ok(())
        } else {
            Err(format!(
                "(IKE_SAs, CHILD_SAs) of us and them are {found:?}, not ({ike}, {children})\n{ours}\n{theirs}"
            ))
        }
    }
}

/// How many additional key exchanges a proposal has.
fn additional(proposal: &str) -> usize {
    (1..=7).filter(|n| proposal.contains(&format!("-ke{n}_"))).count()
}

/// Fails unless the text holds what is expected.
pub(crate) fn expect(text: &str, expected: &str) -> Result<(), String> {
    if text.contains(expected) {
        Ok(())
    } else {
        Err(format!("'{expected}' is not in:\n{text}"))
    }
}
