//! What the names in loaded connections stand for, so that peers are found by them: they are looked up when a connection is
//! loaded, and again from time to time, as the resolver does not say for how long an answer is good.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::connection::PeerConfig;
use plugin_api::log::Group;

use super::resolve;
use crate::input::Input;
use crate::run::Daemon;

/// How long an answer serves.
const FRESH: Duration = Duration::from_secs(60);
/// When to ask again if there was none.
const RETRY: Duration = Duration::from_secs(10);
/// How many may be looked up at once; commands and IKE_SAs look up others.
const AT_ONCE: usize = 4;

/// See the module.
#[derive(Default)]
pub(crate) struct Names {
    known: BTreeMap<String, Known>,
    running: usize,
}

struct Known {
    /// When to look it up; it is being looked up if there is none.
    due: Option<Instant>,
    /// What came of the last time, if there was one.
    addresses: Option<Vec<IpAddr>>,
}

impl Names {
    /// When the next one has to be looked up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = self.known.values().filter_map(|known| known.due);
        due.min().filter(|_| self.running < AT_ONCE)
    }

    /// The one whose turn it is.
    fn next_due(&self, now: Instant) -> Option<String> {
        let due = self
            .known
            .iter()
            .filter_map(|(name, known)| Some((known.due?, name)));
        let (when, name) = due.min()?;
        (when <= now && self.running < AT_ONCE).then(|| name.clone())
    }
}

impl Daemon {
    /// A connection was loaded.
    pub(super) fn follow_names(&mut self, peer: &PeerConfig) {
        let now = self.now();
        for name in resolve::names(peer) {
            self.names.known.entry(name).or_insert(Known {
                due: Some(now),
                addresses: None,
            });
        }
    }

    /// Peers have come that only names keep from being let in: those are looked up now.
    pub(crate) fn look_up_wanted_names(&mut self, now: Instant) {
        for name in self.endpoint.take_wanted_names() {
            if let Some(due) = self
                .names
                .known
                .get_mut(&name)
                .and_then(|known| known.due.as_mut())
            {
                *due = now;
            }
        }
    }

    /// Looks up those whose time has come, and forgets those that no connection has any more.
    pub(crate) fn look_up_names(&mut self, now: Instant) {
        while let Some(name) = self.names.next_due(now) {
            let connections = self.endpoint.connections();
            let in_use = |peer: &Arc<PeerConfig>| resolve::names(peer).contains(&name);
            if !connections.iter().any(in_use) {
                self.names.known.remove(&name);
                self.endpoint.forget_name(&name);
                continue;
            }
            let running = self.operations.resolving() + self.names.running;
            let input = self.input.clone();
            let done = move |found: resolve::Names| {
                for (name, addresses) in found {
                    input.send(Input::Named(name, addresses));
                }
            };
            let started = resolve::start(vec![name.clone()], running, done);
            if let Some(known) = self.names.known.get_mut(&name) {
                known.due = started.is_err().then(|| now + RETRY);
            }
            self.names.running += usize::from(started.is_ok());
        }
    }

    /// A name of connections has been looked up. One that has no address now keeps those that it had: a resolver that fails is
    /// no reason to turn peers away.
    pub(crate) fn name_resolved(&mut self, name: &str, mut addresses: Vec<IpAddr>) {
        self.names.running -= 1;
        let now = self.now();
        let Some(known) = self.names.known.get_mut(name) else {
            return;
        };
        let wait = if addresses.is_empty() { RETRY } else { FRESH };
        known.due = Some(now + wait);
        addresses.sort_unstable();
        addresses.dedup();
        let had_some = known.addresses.as_ref().is_some_and(|old| !old.is_empty());
        if known.addresses.as_ref() == Some(&addresses) || (addresses.is_empty() && had_some) {
            return;
        }
        if addresses.is_empty() {
            let text = format!(
                "unable to resolve '{name}': no peer matches it until it resolves; retrying every {} s",
                RETRY.as_secs()
            );
            self.logger.log(Group::Cfg, 1, text);
        } else {
            let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let text = format!("'{name}' stands for {}", list.join(", "));
            self.logger.log(Group::Cfg, 2, text);
        }
        known.addresses = Some(addresses.clone());
        self.endpoint.set_addresses_of(name, addresses);
    }
}

#[cfg(test)]
mod tests {
    use config::connection::Host;

    use super::*;
    use crate::testing::{TestKernel, daemon, peer_config};

    /// Waits for the one look-up that runs.
    fn one_done(daemon: &mut Daemon, inputs: &mut crate::input::Receiver) {
        match inputs.others.blocking_recv() {
            Some(Input::Named(name, addresses)) => daemon.name_resolved(&name, addresses),
            _ => panic!("no look-up ends"),
        }
    }

    #[test]
    fn a_name_is_looked_up_when_it_is_loaded_and_again_and_forgotten_with_its_connection() {
        let mut daemon = daemon(Arc::new(TestKernel::default()));
        let (input, mut inputs) = crate::input::channel();
        daemon.input = input;
        let mut peer = peer_config("named");
        // No resolver has to be asked for this one.
        peer.remote_addrs = vec![Host::Name("192.0.2.9".into())];
        daemon.follow_names(&peer);
        daemon.endpoint.add_connection(peer);
        let now = daemon.now();
        assert!(daemon.names.deadline().expect("a look-up") <= now);

        daemon.look_up_names(now);
        assert_eq!(daemon.names.deadline(), None, "it runs");
        one_done(&mut daemon, &mut inputs);
        let known = daemon.names.known["192.0.2.9"].addresses.clone();
        assert_eq!(known, Some(vec![IpAddr::from([192, 0, 2, 9])]));
        let again = daemon.names.deadline().expect("another look-up");
        assert!(again >= now + FRESH);

        daemon.names.running += 1;
        daemon.name_resolved("192.0.2.9", Vec::new());
        let known = daemon.names.known["192.0.2.9"].addresses.clone();
        assert_eq!(
            known,
            Some(vec![IpAddr::from([192, 0, 2, 9])]),
            "the resolver has failed"
        );
        assert!(daemon.names.deadline().expect("another try") < again);

        assert!(daemon.endpoint.remove_connection("named"));
        daemon.look_up_names(now + FRESH + RETRY);
        assert!(daemon.names.known.is_empty());
        assert_eq!(daemon.names.deadline(), None);
    }

    #[test]
    fn a_dead_resolver_keeps_few_threads_waiting() {
        let mut daemon = daemon(Arc::new(TestKernel::default()));
        let mut peer = peer_config("many");
        let names = (0..3 * AT_ONCE).map(|n| Host::Name(format!("192.0.2.{n}")));
        peer.remote_addrs = names.collect();
        daemon.follow_names(&peer);
        daemon.endpoint.add_connection(peer);
        daemon.look_up_names(daemon.now());
        assert_eq!(daemon.names.running, AT_ONCE);
        assert_eq!(daemon.names.deadline(), None);
    }
}
