//! Connections of ipsec.conf. One with the same settings for the peer as an earlier one gives that its CHILD_SAs. What is
//! established stays when they change or go; what is not yet established is given up, or wanted of what they are now.

use std::sync::Arc;
use std::time::Instant;

use config::connection::{ChildConfig, PeerConfig, VICI};

use super::Endpoint;
use super::connections::{AddOutcome, keep_equal_children, same_peer};
use super::reload::Start;
use crate::sa::change::Change;
use crate::sa::unwanted::Wanted;

impl Endpoint {
    /// See [`put_connection_of_file`](Self::put_connection_of_file), whose time is that of the last input.
    pub fn add_connection(&mut self, peer: PeerConfig) -> AddOutcome {
        self.put_connection_of_file(self.shared.now, peer).0
    }

    /// Adds a connection of ipsec.conf, or puts it in the place of the one of its name. Attempts to establish that one go on
    /// with the new settings only: that is what is to be started.
    pub fn put_connection_of_file(&mut self, now: Instant, mut peer: PeerConfig) -> (AddOutcome, Vec<Start>) {
        self.shared.now = now;
        let name = peer.name.clone();
        let Some(at) = self.holder_of(&name) else {
            return (self.insert_of_file(peer), Vec::new());
        };
        let old = Arc::clone(&self.connections()[at]);
        keep_equal_children(&mut peer, &old);
        // In ipsec.conf each has one CHILD_SA of its own name; another kind of connection stands for itself.
        let whole = old.name == name && peer.children.iter().all(|child| child.name != name);
        let (replaced, rest): (Vec<_>, Vec<_>) = old
            .children
            .iter()
            .cloned()
            .partition(|child| whole || stands_for(child, &peer));
        let stays = same_peer(&old, &peer);
        let unchanged = replaced.len() == peer.children.len()
            && peer.children.iter().all(|child| replaced.contains(child));
        if stays && unchanged {
            // It is there already.
            return (outcome(&old, &name), Vec::new());
        }
        let gone: Vec<_> = replaced
            .into_iter()
            .filter(|child| !stays || !peer.children.contains(child))
            .collect();
        let others = rest.clone();
        let (how, wanted) = if stays {
            let mut merged = PeerConfig::clone(&old);
            merged.children = rest.into_iter().chain(peer.children).collect();
            let new = self.set_connection(at, merged);
            (outcome(&old, &name), self.change(&old, Some(new), true, gone))
        } else if rest.is_empty() {
            let (how, new) = match self.same_of_file(&peer) {
                Some(_) => {
                    self.shared.connections.edit().remove(at);
                    let how = self.insert_of_file(peer);
                    (how, self.holder_of(&name))
                }
                None => {
                    self.set_connection(at, peer);
                    (AddOutcome::Replaced, Some(at))
                }
            };
            let new = new.map(|at| Arc::clone(&self.connections()[at]));
            (how, self.change(&old, new, false, old.children.clone()))
        } else {
            // It parts with those it had the settings for the peer in common with.
            let new = self.set_connection(at, without(&old, rest));
            let wanted = self.change(&old, Some(new), true, gone);
            (self.insert_of_file(peer), wanted)
        };
        (how, self.wanted_anew(wanted, &name, &others))
    }

    /// Removes a connection of ipsec.conf, or the CHILD_SA configuration of that name. Attempts to establish it are given up.
    pub fn remove_connection(&mut self, name: &str) -> bool {
        let mut found = false;
        while let Some(at) = self.holder_of(name) {
            let old = Arc::clone(&self.connections()[at]);
            let (gone, rest): (Vec<_>, Vec<_>) =
                old.children.iter().cloned().partition(|child| child.name == name);
            if gone.is_empty() && !rest.is_empty() {
                // It only lends its name to those that it has.
                break;
            }
            found = true;
            let new = if rest.is_empty() {
                self.shared.connections.edit().remove(at);
                None
            } else {
                Some(self.set_connection(at, without(&old, rest)))
            };
            let same_peer = new.is_some();
            let wanted = self.change(&old, new, same_peer, gone);
            self.fail(wanted);
        }
        found
    }

    fn change(
        &mut self,
        old: &PeerConfig,
        new: Option<Arc<PeerConfig>>,
        same_peer: bool,
        gone: Vec<Arc<ChildConfig>>,
    ) -> Vec<Wanted> {
        let change = Change {
            new,
            same_peer,
            gone,
            closed: Vec::new(),
            closes_ike: false,
        };
        self.apply(old, &change)
    }

    /// What was wanted of a connection is wanted of what has its CHILD_SAs now.
    fn wanted_anew(&mut self, wanted: Vec<Wanted>, name: &str, others: &[Arc<ChildConfig>]) -> Vec<Start> {
        let mut start = Vec::new();
        for (child, command) in wanted {
            let other = others.iter().any(|other| other.name == child.name);
            let holder = self.holder_of(if other { &child.name } else { name });
            match holder.map(|at| Arc::clone(&self.connections()[at])) {
                Some(new) => self.carry_over(&new, vec![(child, command)], &mut start),
                None => self.fail(vec![(child, command)]),
            }
        }
        start
    }

    /// The connection that has the CHILD_SA of this name, or else this name.
    fn holder_of(&self, name: &str) -> Option<usize> {
        let of_file = |known: &Arc<PeerConfig>| known.source != VICI;
        let has = |known: &Arc<PeerConfig>| known.children.iter().any(|child| child.name == name);
        let all = self.connections();
        let holder = all.iter().position(|known| of_file(known) && has(known));
        holder.or_else(|| all.iter().position(|known| of_file(known) && known.name == name))
    }

    fn same_of_file(&self, peer: &PeerConfig) -> Option<usize> {
        let mut all = self.connections().iter();
        all.position(|known| known.source != VICI && known.name != peer.name && same_peer(known, peer))
    }

    fn set_connection(&mut self, at: usize, peer: PeerConfig) -> Arc<PeerConfig> {
        let new = Arc::new(peer);
        self.shared.connections.edit()[at] = Arc::clone(&new);
        new
    }

    /// Adds one whose name no other has.
    fn insert_of_file(&mut self, peer: PeerConfig) -> AddOutcome {
        let Some(at) = self.same_of_file(&peer) else {
            self.shared.connections.edit().push(Arc::new(peer));
            return AddOutcome::Added;
        };
        let mut merged = PeerConfig::clone(&self.connections()[at]);
        merged
            .children
            .retain(|child| peer.children.iter().all(|new| new.name != child.name));
        merged.children.extend(peer.children);
        AddOutcome::ChildOf(self.set_connection(at, merged).name.clone())
    }
}

fn outcome(holder: &PeerConfig, name: &str) -> AddOutcome {
    if holder.name == name {
        AddOutcome::Replaced
    } else {
        AddOutcome::ChildOf(holder.name.clone())
    }
}

/// Whether a CHILD_SA's configuration is what a connection that is added takes the place of.
fn stands_for(child: &ChildConfig, peer: &PeerConfig) -> bool {
    child.name == peer.name || peer.children.iter().any(|new| new.name == child.name)
}

/// A connection with these of its CHILD_SAs. If it is called like one that it does not have any more, it is called like the
/// first that it has.
fn without(old: &PeerConfig, rest: Vec<Arc<ChildConfig>>) -> PeerConfig {
    let mut new = PeerConfig::clone(old);
    let lends = old.children.iter().any(|child| child.name == old.name);
    if lends
        && !rest.iter().any(|child| child.name == old.name)
        && let Some(first) = rest.first()
    {
        new.name.clone_from(&first.name);
    }
    new.children = rest;
    new
}
