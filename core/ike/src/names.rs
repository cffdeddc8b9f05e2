//! Which connections are between two addresses, where their ends may be names.
//!
//! Names are looked up by whoever drives the Endpoint: a peer that nobody knows yet does not make anybody wait.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use config::connection::{Host, IkeVersion, PeerConfig};
use iana::TrafficSelector;

/// How well one address suits, from strongSwan's numbers: more than any prefix length.
const EXACT: u32 = 129;

/// How well an end, or both, suit addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// Not at all.
    No,
    /// Only if a name stands for other addresses by now than it did.
    Stale,
    /// It is not known yet what a name stands for.
    Unknown,
    /// The more the better.
    Yes(u32),
}

/// What names stand for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: BTreeMap<String, Vec<IpAddr>>,
    /// Whether somebody looks up what is wanted.
    pub(crate) are_looked_up: bool,
    /// Names to be looked up again, and when each was wanted last.
    wanted: BTreeSet<String>,
    wanted_at: BTreeMap<String, Instant>,
}

/// How long a name is not looked up again after a stranger was the reason to.
const PAUSE: Duration = Duration::from_secs(10);

impl Names {
    pub(crate) fn set(&mut self, name: String, addresses: Vec<IpAddr>) {
        self.known.insert(name, addresses);
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.known.remove(name);
        self.wanted.remove(name);
        self.wanted_at.remove(name);
    }

    /// Has the names of a connection looked up again, because they keep it from being for a peer. Whether any of them is:
    /// peers that are strangers have that done rarely.
    pub(crate) fn want(&mut self, config: &PeerConfig, now: Instant) -> bool {
        if !self.are_looked_up {
            return false;
        }
        let mut any = false;
        for host in config.local_addrs.iter().chain(&config.remote_addrs) {
            let Host::Name(name) = host else { continue };
            let last = self.wanted_at.get(name);
            if last.is_none_or(|last| now.saturating_duration_since(*last) >= PAUSE) {
                self.wanted_at.insert(name.clone(), now);
                self.wanted.insert(name.clone());
                any = true;
            }
        }
        any
    }

    /// Those that are wanted.
    pub(crate) fn take_wanted(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.wanted)
    }

    /// How well a connection suits these addresses, in a version that is spoken here. The peer's counts more.
    pub(crate) fn fit(&self, config: &PeerConfig, local: IpAddr, remote: IpAddr) -> Fit {
        if config.version == IkeVersion::V1 {
            return Fit::No;
        }
        let ends = (
            self.fit_end(&config.local_addrs, local),
            self.fit_end(&config.remote_addrs, remote),
        );
        match ends {
            (Fit::No, _) | (_, Fit::No) => Fit::No,
            (Fit::Yes(local), Fit::Yes(remote)) => Fit::Yes(4 * local + 8 * remote),
            (Fit::Unknown, _) | (_, Fit::Unknown) => Fit::Unknown,
            _ => Fit::Stale,
        }
    }

    fn fit_end(&self, hosts: &[Host], address: IpAddr) -> Fit {
        let fits = hosts.iter().map(|host| self.fit_host(host, address));
        fits.max().unwrap_or(Fit::No)
    }

    fn fit_host(&self, host: &Host, address: IpAddr) -> Fit {
        match host {
            Host::Name(name) => match self.known.get(name) {
                None => Fit::Unknown,
                Some(known) if known.contains(&address) => Fit::Yes(EXACT),
                Some(_) => Fit::Stale,
            },
            _ if !host.matches(address) => Fit::No,
            Host::Address(_) => Fit::Yes(EXACT),
            Host::Range(start, end) => {
                let range = TrafficSelector {
                    end: *end,
                    ..TrafficSelector::host(*start)
                };
                Fit::Yes(u32::from(range.covering_subnet().1).max(1))
            }
            Host::Any | Host::Any4 | Host::Any6 => Fit::Yes(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_counts_and_a_name_is_unknown_until_it_was_looked_up() {
        let mut names = Names::default();
        let at = |text: &str| text.parse::<IpAddr>().expect("an address");
        let range = Host::Range(at("192.0.2.0"), at("192.0.2.255"));
        let moon = || Host::Name("moon".into());
        let fit = |names: &Names, hosts: &[Host]| names.fit_end(hosts, at("192.0.2.9"));
        assert_eq!(fit(&names, &[Host::Any]), Fit::Yes(1));
        assert_eq!(fit(&names, &[Host::Any, range]), Fit::Yes(24));
        assert_eq!(fit(&names, &[Host::Address(at("192.0.2.9"))]), Fit::Yes(EXACT));
        assert_eq!(fit(&names, &[Host::Any6]), Fit::No);
        assert_eq!(fit(&names, &[moon()]), Fit::Unknown);
        assert_eq!(fit(&names, &[moon(), Host::Any4]), Fit::Yes(1));
        names.set("moon".into(), vec![at("2001:db8::9"), at("192.0.2.9")]);
        assert_eq!(fit(&names, &[moon()]), Fit::Yes(EXACT));
        names.set("moon".into(), Vec::new());
        assert_eq!(fit(&names, &[moon()]), Fit::Stale, "it stands for nothing");
        names.forget("moon");
        assert_eq!(fit(&names, &[moon()]), Fit::Unknown);
    }
}
