//! The connections that an [`Endpoint`] has.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use config::connection::{ChildConfig, Host, PeerConfig, ProposalList};
use crypto::proposal::Proposal;
use iana::{KeyExchangeMethod, Protocol};

use super::Endpoint;
use crate::{generation, proposals};

/// What became of a connection that was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddOutcome {
    /// It is new.
    Added,
    /// Its peer settings equal those of this connection, whose CHILD_SA it becomes.
    ChildOf(String),
    /// It took the place of one of the same name.
    Replaced,
}

/// Why the proposals of a connection are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadProposals {
    /// What they are for.
    pub protocol: Protocol,
    /// What is wrong with which of them, and the nearest word that is known.
    pub text: String,
}

/// What became of a connection that was put in its place.
#[derive(Clone, Debug)]
pub enum PutOutcome {
    /// It is new.
    Added,
    /// The one before it had the same settings for the peer; what CHILD_SAs there may be may have changed.
    Updated(Arc<PeerConfig>),
    /// The one before it was another.
    Replaced(Arc<PeerConfig>),
}

impl Endpoint {
    /// Checks the proposals of a connection, and returns what is to be said of those that no loaded plugin can do.
    ///
    /// # Errors
    ///
    /// If the connection cannot be what it says.
    pub fn check_proposals(&self, peer: &PeerConfig) -> Result<Vec<String>, BadProposals> {
        let registry = &self.shared.registry;
        let check = |list: &ProposalList, protocol| {
            Proposal::check_for(peer.profile, &list.entries, protocol, registry).map_err(|error| {
                BadProposals {
                    protocol,
                    text: proposals::explained(&error, registry, &peer.source),
                }
            })
        };
        let mut notes = check(&peer.proposals, Protocol::IKE)?;
        self.check_generation(peer, &peer.proposals, Protocol::IKE)?;
        for child in &peer.children {
            let ah = child.kernel.ah.as_ref().map(|ah| (&ah.proposals, Protocol::AH));
            for (list, protocol) in [(&child.proposals, Protocol::ESP)].into_iter().chain(ah) {
                for note in check(list, protocol)? {
                    if !notes.contains(&note) {
                        notes.push(note);
                    }
                }
                self.check_generation(peer, list, protocol)?;
            }
        }
        Ok(notes)
    }

    /// Checks that plugins have the KEMs in the revision that the connection means.
    fn check_generation(
        &self,
        peer: &PeerConfig,
        list: &ProposalList,
        protocol: Protocol,
    ) -> Result<(), BadProposals> {
        let words = list
            .entries
            .iter()
            .flat_map(|entry| entry.trim_end_matches('!').split(['-', ',']));
        let methods = words
            .filter_map(|word| self.shared.registry.parse_keyword(word.trim()))
            .filter(|transform| transform.kind.is_key_exchange())
            .map(|transform| KeyExchangeMethod(transform.id));
        match generation::missing(&self.shared, peer, methods) {
            None => Ok(()),
            Some(text) => Err(BadProposals { protocol, text }),
        }
    }

    /// Puts a connection that stands by itself in the place of the one of its name and source. Whatever was established for
    /// that one stays; see [`load_connection`](Self::load_connection).
    pub fn put_connection(&mut self, mut peer: PeerConfig) -> PutOutcome {
        let mut connections = self.shared.connections.all().iter();
        let known = connections.position(|known| known.name == peer.name && known.source == peer.source);
        let Some(index) = known else {
            self.shared.connections.edit().push(Arc::new(peer));
            return PutOutcome::Added;
        };
        let old = Arc::clone(&self.shared.connections.all()[index]);
        keep_equal_children(&mut peer, &old);
        if *old == peer {
            return PutOutcome::Updated(old);
        }
        let outcome = if same_peer(&old, &peer) {
            PutOutcome::Updated
        } else {
            PutOutcome::Replaced
        };
        self.shared.connections.edit()[index] = Arc::new(peer);
        outcome(old)
    }

    /// Takes the connection of that name and source out; established SAs stay.
    pub fn take_connection(&mut self, name: &str, source: &str) -> Option<Arc<PeerConfig>> {
        let connections = self.shared.connections.edit();
        let index = connections
            .iter()
            .position(|known| known.name == name && known.source == source)?;
        Some(connections.remove(index))
    }

    /// What a name in connections stands for, nothing if it could not be looked up. It is for whoever drives the Endpoint
    /// to look names up before peers come, and again from time to time; until a name is known, requests that only
    /// connections with it could answer are ignored, so that their peers repeat them.
    pub fn set_addresses_of(&mut self, name: &str, addresses: Vec<IpAddr>) {
        self.shared.names.set(name.to_owned(), addresses);
    }

    /// Whether names that [`take_wanted_names`](Self::take_wanted_names) returns are looked up. Then requests of peers that no
    /// connection is for, unless a name stands for another address by now, are ignored once, so that they come again.
    pub fn set_looks_names_up(&mut self, looks: bool) {
        self.shared.names.are_looked_up = looks;
    }

    /// Names of connections to be looked up again, because peers have come that they are the only reason to refuse.
    pub fn take_wanted_names(&mut self) -> impl Iterator<Item = String> {
        self.shared.names.take_wanted().into_iter()
    }

    /// No connection has this name any more.
    pub fn forget_name(&mut self, name: &str) {
        self.shared.names.forget(name);
    }

    /// What a connection is by now, and one of its CHILD_SAs; nothing if it has gone.
    pub fn current(
        &self,
        peer: &PeerConfig,
        child: Option<&ChildConfig>,
    ) -> Option<(Arc<PeerConfig>, Option<Arc<ChildConfig>>)> {
        self.shared.connections.current(peer, child)
    }

    /// All connections, in the order in which they were added.
    pub fn connections(&self) -> &[Arc<PeerConfig>] {
        self.shared.connections.all()
    }

    /// The first CHILD_SA configuration of that name, with its connection.
    pub fn find_child(&self, name: &str) -> Option<(Arc<PeerConfig>, Arc<ChildConfig>)> {
        self.shared.connections.all().iter().find_map(|peer| {
            let child = peer.children.iter().find(|child| child.name == name)?;
            Some((Arc::clone(peer), Arc::clone(child)))
        })
    }
}

/// CHILD_SAs that are configured as before keep their configurations, so that they are known by them.
pub(super) fn keep_equal_children(peer: &mut PeerConfig, old: &PeerConfig) {
    for child in &mut peer.children {
        if let Some(same) = old.children.iter().find(|known| *known == child) {
            *child = Arc::clone(same);
        }
    }
}

/// Whether two connections differ in nothing but their names and CHILD_SAs.
pub(super) fn same_peer(a: &PeerConfig, b: &PeerConfig) -> bool {
    // Without `..`, so that a field that is added has to be considered here.
    let PeerConfig {
        name: _,
        source: _,
        children: _,
        version,
        local_addrs,
        remote_addrs,
        local_port,
        remote_port,
        proposals,
        local_auth,
        remote_auth,
        lifetime,
        keying_tries,
        unique,
        mobike,
        fragmentation,
        dpd_delay,
        encap,
        childless,
        ppk_id,
        ppk_required,
        dscp,
        vips,
        pools,
        dns_wanted,
        dns,
        if_ids,
        profile,
    } = a;
    std::ptr::eq(a, b)
        || (*remote_addrs == b.remote_addrs
            && *local_addrs == b.local_addrs
            && *remote_auth == b.remote_auth
            && *local_auth == b.local_auth
            && (*remote_port, *local_port) == (b.remote_port, b.local_port)
            && *version == b.version
            && *proposals == b.proposals
            && *lifetime == b.lifetime
            && (*keying_tries, *unique, *mobike) == (b.keying_tries, b.unique, b.mobike)
            && (*fragmentation, *dpd_delay, *encap) == (b.fragmentation, b.dpd_delay, b.encap)
            && (*childless, *ppk_required, *dscp) == (b.childless, b.ppk_required, b.dscp)
            && *ppk_id == b.ppk_id
            && (vips, pools) == (&b.vips, &b.pools)
            && (dns_wanted, dns) == (&b.dns_wanted, &b.dns)
            && (*if_ids, *profile) == (b.if_ids, b.profile))
}

/// A number that connections have in common if they are the [`same_peer`], and others hardly ever. It is never 0.
pub(crate) fn fingerprint(config: &PeerConfig) -> u32 {
    let mut hasher = DefaultHasher::new();
    for auth in config.local_auth.iter().chain(&config.remote_auth) {
        auth.id.hash(&mut hasher);
    }
    for host in config.local_addrs.iter().chain(&config.remote_addrs) {
        match host {
            Host::Any => 0.hash(&mut hasher),
            Host::Any4 => 1.hash(&mut hasher),
            Host::Any6 => 2.hash(&mut hasher),
            Host::Address(address) => (3, address).hash(&mut hasher),
            Host::Range(start, end) => (4, start, end).hash(&mut hasher),
            Host::Name(name) => (5, name).hash(&mut hasher),
        }
    }
    (hasher.finish() as u32).max(1)
}
