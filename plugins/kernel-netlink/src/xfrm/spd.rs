//! Policies and who uses them.
//!
//! The kernel holds one policy for a selector, but several may be wanted: a trap and that of a CHILD_SA, that of a
//! CHILD_SA and of the one that replaces it, and those of two CHILD_SAs whose ranges come to the same subnet. The best of
//! them is in the kernel; this is the table of all, and knows nothing of a kernel.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use plugin_api::kernel::{Direction, HwOffload, PolicyAction, PolicyParameters, PolicyPriority, SaMode};

use super::selector::Selector;

/// What the kernel knows a policy by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) direction: Direction,
    pub(super) selector: Selector,
    pub(super) mark: Option<(u32, u32)>,
    pub(super) if_id: u32,
    /// The name of the interface; empty is any.
    pub(super) interface: String,
}

impl Key {
    pub(super) fn of(policy: &PolicyParameters) -> Self {
        Self {
            direction: policy.direction,
            selector: Selector::of_policy(policy),
            mark: policy.mark,
            if_id: policy.options.if_id,
            interface: policy.options.interface.clone(),
        }
    }
}

/// All policies.
#[derive(Debug, Default)]
pub(super) struct Spd {
    /// Best first: by rank, then the youngest, because a rekeyed SA's policy comes after that of the old one.
    entries: HashMap<Arc<Key>, Vec<User>>,
    /// Where the users with a reqid are, one for each.
    by_reqid: HashMap<u32, Vec<Arc<Key>>>,
}

#[derive(Debug)]
struct User {
    parameters: PolicyParameters,
    count: usize,
}

/// What the kernel has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    Keep,
    /// There was none; this is the one.
    Install(PolicyParameters),
    /// Another takes the place of the one that is there.
    Update(PolicyParameters),
    /// The last is gone.
    Remove,
}

/// What adding or removing one user came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) key: Key,
    pub(super) change: Change,
    /// The parameters, if they were new here, or are gone: the routes for them come and go likewise.
    pub(super) turnover: Option<PolicyParameters>,
}

impl Spd {
    /// Adds a policy, or one more user of an equal one.
    pub(super) fn add(&mut self, policy: &PolicyParameters) -> Outcome {
        let key = Key::of(policy);
        let shared = match self.entries.get_key_value(&key) {
            Some((shared, _)) => Arc::clone(shared),
            None => Arc::new(key.clone()),
        };
        let users = self.entries.entry(Arc::clone(&shared)).or_default();
        let before = users.first().map(content);
        let known = users.iter_mut().find(|user| user.parameters == *policy);
        let turnover = match known {
            Some(user) => {
                user.count += 1;
                None
            }
            None => {
                let rank = policy.rank();
                let at = users.partition_point(|user| user.parameters.rank() < rank);
                let user = User {
                    parameters: policy.clone(),
                    count: 1,
                };
                if users.is_empty() {
                    // Most stay alone, and a vector makes room for four.
                    users.reserve_exact(1);
                }
                users.insert(at, user);
                self.by_reqid.entry(policy.reqid).or_default().push(shared);
                Some(policy.clone())
            }
        };
        let change = change(before, users.first());
        Outcome {
            key,
            change,
            turnover,
        }
    }

    /// Removes one user of a policy, or nothing if there is none. A policy whose SA has moved or changed since it was
    /// added is found by the rest of its parameters.
    pub(super) fn remove(&mut self, policy: &PolicyParameters) -> Option<Outcome> {
        let key = Key::of(policy);
        let users = self.entries.get_mut(&key)?;
        let exact = users.iter().position(|user| user.parameters == *policy);
        let at = exact.or_else(|| {
            // The oldest, which is the one a rekeying leaves behind.
            users.iter().rposition(|user| {
                let own = &user.parameters;
                (own.priority, own.reqid, own.action) == (policy.priority, policy.reqid, policy.action)
            })
        })?;
        let before = users.first().map(content);
        users[at].count -= 1;
        let turnover = (users[at].count == 0).then(|| users.remove(at).parameters);
        let change = change(before, users.first());
        if users.is_empty() {
            self.entries.remove(&key);
        }
        if let Some(gone) = &turnover {
            self.forget(gone.reqid, &key);
        }
        Some(Outcome {
            key,
            change,
            turnover,
        })
    }

    /// Lets the policies of installed SAs follow these to other addresses: what the kernel has to do, and the parameters
    /// before and after of each that moved. Traps stay, as they are from the configuration.
    pub(super) fn relocate(&mut self, reqid: u32, old: Ends, new: Ends, side: Side) -> Vec<Moved> {
        let mut moved = Vec::new();
        for key in self.keys_of(reqid, side) {
            let Some(users) = self.entries.get_mut(&key) else {
                continue;
            };
            let before = users.first().map(content);
            let mut pairs = Vec::new();
            for user in users.iter_mut() {
                let own = &mut user.parameters;
                if own.reqid == reqid && own.priority == PolicyPriority::Default && (own.src, own.dst) == old
                {
                    let was = own.clone();
                    (own.src, own.dst) = new;
                    pairs.push((was, own.clone()));
                }
            }
            if !pairs.is_empty() {
                moved.push(Moved {
                    key: (*key).clone(),
                    change: change(before, users.first()),
                    pairs,
                });
            }
        }
        moved
    }

    /// The policies in the kernel that have SAs with this reqid.
    pub(super) fn keys(&self, reqid: u32, side: Side) -> Vec<Key> {
        let mut keys = Vec::new();
        for key in self.keys_of(reqid, side) {
            let best = self.entries.get(&key).and_then(|users| users.first());
            if best.is_some_and(|user| user.parameters.reqid == reqid) {
                keys.push((*key).clone());
            }
        }
        keys
    }

    /// The policies in the kernel that have an outbound SA with this reqid between these addresses.
    pub(super) fn outbound(&self, reqid: u32, ends: Ends) -> Vec<(Key, PolicyParameters)> {
        let keys = self.keys_of(reqid, Side::Outbound).into_iter();
        let policies = keys.filter_map(|key| {
            let best = self.entries.get(&key)?.first()?;
            Some(((*key).clone(), best.parameters.clone()))
        });
        policies
            .filter(|(_, own)| {
                own.reqid == reqid && own.priority == PolicyPriority::Default && (own.src, own.dst) == ends
            })
            .collect()
    }

    /// The keys that have users with this reqid, each once.
    fn keys_of(&self, reqid: u32, side: Side) -> Vec<Arc<Key>> {
        let all = self.by_reqid.get(&reqid).into_iter().flatten();
        let own = all.filter(|key| Side::of(key.direction) == side);
        let mut keys: Vec<_> = own.cloned().collect();
        keys.sort_by_key(Arc::as_ptr);
        keys.dedup_by_key(|key| Arc::as_ptr(key));
        keys
    }

    fn forget(&mut self, reqid: u32, key: &Key) {
        if let Some(keys) = self.by_reqid.get_mut(&reqid) {
            if let Some(at) = keys.iter().position(|own| **own == *key) {
                keys.swap_remove(at);
            }
            if keys.is_empty() {
                self.by_reqid.remove(&reqid);
            }
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.by_reqid.clear();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.by_reqid.is_empty()
    }
}

/// Outer source and destination address.
pub(super) type Ends = (IpAddr, IpAddr);

/// Which policies an SA has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// In and forward.
    Inbound,
    /// Out.
    Outbound,
}

impl Side {
    fn of(direction: Direction) -> Self {
        if direction == Direction::Out {
            Self::Outbound
        } else {
            Self::Inbound
        }
    }

    /// Of an SA.
    pub(super) fn of_sa(inbound: bool) -> Self {
        if inbound { Self::Inbound } else { Self::Outbound }
    }
}

/// A selector whose policies have moved.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) key: Key,
    pub(super) change: Change,
    pub(super) pairs: Vec<(PolicyParameters, PolicyParameters)>,
}

/// What the kernel is told of a policy besides its key.
#[derive(PartialEq, Eq)]
struct Content {
    action: PolicyAction,
    rank: u32,
    ends: Ends,
    reqid: u32,
    spi: u32,
    mode: SaMode,
    hw_offload: HwOffload,
    ah: bool,
    cpi: u16,
}

fn content(user: &User) -> Content {
    let own = &user.parameters;
    let outbound = own.direction == Direction::Out;
    let cpi = own.options.cpi;
    Content {
        action: own.action,
        rank: own.rank(),
        ends: (own.src, own.dst),
        reqid: own.reqid,
        // What comes in is not asked for its SPI and CPI.
        spi: if outbound { own.spi } else { 0 },
        cpi: if outbound { cpi } else { cpi.min(1) },
        ah: own.options.ah,
        mode: own.mode,
        hw_offload: own.options.hw_offload,
    }
}

fn change(before: Option<Content>, now: Option<&User>) -> Change {
    match (before, now) {
        (None, None) => Change::Keep,
        (Some(_), None) => Change::Remove,
        (None, Some(user)) => Change::Install(user.parameters.clone()),
        (Some(before), Some(user)) if before == content(user) => Change::Keep,
        (Some(_), Some(user)) => Change::Update(user.parameters.clone()),
    }
}

#[cfg(test)]
mod tests;
