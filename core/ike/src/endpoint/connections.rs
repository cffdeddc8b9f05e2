//! The connections that an [`Endpoint`] has.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use config::connection::{ChildConfig, Host, PeerConfig, ProposalList, VICI};
use crypto::proposal::Proposal;
use iana::Protocol;

use super::Endpoint;
use crate::proposals;

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
    /// Whether they are those of a CHILD_SA.
    pub of_child: bool,
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
                    of_child: protocol == Protocol::ESP,
                    text: proposals::explained(&error, registry, &peer.source),
                }
            })
        };
        let mut notes = check(&peer.proposals, Protocol::IKE)?;
        for child in &peer.children {
            for note in check(&child.proposals, Protocol::ESP)? {
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        Ok(notes)
    }

    /// Adds a connection. One with the same settings for the peer as an earlier one gives that its CHILD_SAs.
    pub fn add_connection(&mut self, peer: PeerConfig) -> AddOutcome {
        let connections = self.shared.connections.edit();
        let mut others = connections.iter_mut().filter(|known| known.source != VICI);
        if let Some(known) = others.find(|known| known.name == peer.name) {
            *known = Arc::new(peer);
            return AddOutcome::Replaced;
        }
        let mut others = connections.iter_mut().filter(|known| known.source != VICI);
        if let Some(same) = others.find(|known| same_peer(known, &peer)) {
            let name = same.name.clone();
            let mut merged = PeerConfig::clone(same);
            merged
                .children
                .retain(|child| peer.children.iter().all(|new| new.name != child.name));
            merged.children.extend(peer.children);
            *same = Arc::new(merged);
            return AddOutcome::ChildOf(name);
        }
        connections.push(Arc::new(peer));
        AddOutcome::Added
    }

    /// Removes a connection of ipsec.conf, or the CHILD_SA configuration of that name; established SAs stay.
    pub fn remove_connection(&mut self, name: &str) -> bool {
        let connections = self.shared.connections.edit();
        let mut found = false;
        for connection in connections.iter_mut().filter(|known| known.source != VICI) {
            if connection.children.iter().any(|child| child.name == name) {
                let mut rest = PeerConfig::clone(connection);
                rest.children.retain(|child| child.name != name);
                *connection = Arc::new(rest);
                found = true;
            }
        }
        connections.retain(|connection| {
            let emptied = found && connection.children.is_empty();
            let named = connection.name == name && connection.children.is_empty();
            connection.source == VICI || !(emptied || named)
        });
        found
    }

    /// Puts a connection that stands by itself in the place of the one of its name and source.
    pub fn put_connection(&mut self, peer: PeerConfig) -> PutOutcome {
        let mut connections = self.shared.connections.edit().iter_mut();
        let known = connections.find(|known| known.name == peer.name && known.source == peer.source);
        let Some(known) = known else {
            self.shared.connections.edit().push(Arc::new(peer));
            return PutOutcome::Added;
        };
        let outcome = if same_peer(known, &peer) {
            PutOutcome::Updated
        } else {
            PutOutcome::Replaced
        };
        outcome(std::mem::replace(known, Arc::new(peer)))
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

    /// No connection has this name any more.
    pub fn forget_name(&mut self, name: &str) {
        self.shared.names.forget(name);
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
