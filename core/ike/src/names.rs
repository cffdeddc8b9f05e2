//! Which connections are between two addresses, where their ends may be names.
//!
//! Names are looked up by whoever drives the Endpoint: a peer that nobody knows yet does not make anybody wait.

use std::collections::BTreeMap;
use std::net::IpAddr;

use config::connection::{Host, IkeVersion, PeerConfig};
use iana::TrafficSelector;

/// How well one address suits, from strongSwan's numbers: more than any prefix length.
const EXACT: u32 = 129;

/// How well an end, or both, suit addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// Not at all.
    No,
    /// It is not known yet what a name stands for.
    Unknown,
    /// The more the better.
    Yes(u32),
}

/// What names stand for.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<String, Vec<IpAddr>>);

impl Names {
    pub(crate) fn set(&mut self, name: String, addresses: Vec<IpAddr>) {
        self.0.insert(name, addresses);
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.0.remove(name);
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
            _ => Fit::Unknown,
        }
    }

    fn fit_end(&self, hosts: &[Host], address: IpAddr) -> Fit {
        let fits = hosts.iter().map(|host| self.fit_host(host, address));
        fits.max().unwrap_or(Fit::No)
    }

    fn fit_host(&self, host: &Host, address: IpAddr) -> Fit {
        match host {
            Host::Name(name) => match self.0.get(name) {
                None => Fit::Unknown,
                Some(known) if known.contains(&address) => Fit::Yes(EXACT),
                Some(_) => Fit::No,
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
        assert_eq!(fit(&names, &[moon()]), Fit::No, "it stands for nothing");
        names.forget("moon");
        assert_eq!(fit(&names, &[moon()]), Fit::Unknown);
    }
}
