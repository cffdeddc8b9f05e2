//! The security policy database (RFC 4301, 4.4.1): which packets go into a tunnel, and which may come out.
//!
//! Policies are found by their destination subnet: one look-up for every prefix length in use, of which there are few,
//! instead of a walk over all of them.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use iana::TrafficSelector;
use plugin_api::kernel::{Direction, PolicyAction, PolicyParameters, PolicyPriority};
use plugin_api::{ErrorKind, PluginError};

use crate::packet::Flow;

/// What to do with packets that meet a policy.
#[derive(Debug)]
pub struct Treatment {
    /// Protect, pass or drop.
    pub action: PolicyAction,
    /// Whether nothing but a trap protects them: without an SA they ask for one.
    pub trap: bool,
    /// The SA's reqid.
    pub reqid: u32,
    /// The SA's SPI.
    pub spi: u32,
    acquired: Mutex<Option<Instant>>,
}

/// How long a trap stays quiet after it has asked for an SA: about as long as a peer may take to answer, so that a lost
/// negotiation is tried again while somebody still waits for the connection.
const ACQUIRE_INTERVAL: Duration = Duration::from_secs(10);

impl Treatment {
    /// Whether it is time to ask for an SA (again).
    pub fn may_acquire(&self, now: Instant) -> bool {
        let mut acquired = self.acquired.lock().unwrap_or_else(PoisonError::into_inner);
        let due = acquired.is_none_or(|last| now.saturating_duration_since(last) >= ACQUIRE_INTERVAL);
        if due {
            *acquired = Some(now);
        }
        due
    }
}

/// All policies.
#[derive(Default)]
pub struct Spd {
    tables: RwLock<Tables>,
}

#[derive(Default)]
struct Tables {
    inbound: Table,
    outbound: Table,
}

#[derive(Default)]
struct Table {
    /// By address family and prefix length, then by destination subnet.
    by_length: BTreeMap<(bool, u8), HashMap<IpAddr, Vec<Entry>>>,
}

/// Policies with the same selectors; the best of them counts.
struct Entry {
    src_ts: TrafficSelector,
    dst_ts: TrafficSelector,
    /// Best first: by rank, then the youngest, because a rekeyed SA's policy comes after that of the old one.
    users: Vec<User>,
}

struct User {
    rank: u32,
    parameters: PolicyParameters,
    count: usize,
    treatment: Arc<Treatment>,
}

impl Spd {
    /// Installs a policy or one more user of an equal one; whether it is the first with these parameters.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`] for policies that user space cannot hold.
    pub fn add(&self, policy: &PolicyParameters) -> Result<bool, PluginError> {
        let unsupported = |what: &str| Err(PluginError::new(ErrorKind::NotSupported, what));
        if policy.mark.is_some() {
            return unsupported("user space IPsec knows no marks; remove mark, mark_in and mark_out");
        }
        if policy.options.if_id != 0 || !policy.options.interface.is_empty() {
            return unsupported(
                "user space IPsec knows no interfaces; remove if_id_in, if_id_out and interface",
            );
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let Some(table) = tables.table(policy.direction) else {
            return Ok(false);
        };
        let (subnet, length) = index(policy);
        let entries = table
            .by_length
            .entry(length)
            .or_default()
            .entry(subnet)
            .or_default();
        let entry = match entries.iter_mut().position(|entry| entry.is_for(policy)) {
            Some(at) => &mut entries[at],
            None => {
                let (src_ts, dst_ts) = (policy.src_ts.clone(), policy.dst_ts.clone());
                entries.push(Entry {
                    src_ts,
                    dst_ts,
                    users: Vec::new(),
                });
                let last = entries.len() - 1;
                &mut entries[last]
            }
        };
        if let Some(user) = entry.users.iter_mut().find(|user| user.parameters == *policy) {
            user.count += 1;
            return Ok(false);
        }
        let rank = policy.rank();
        let at = entry.users.partition_point(|user| user.rank < rank);
        let treatment = Arc::new(Treatment {
            action: policy.action,
            trap: policy.priority == PolicyPriority::Routed,
            reqid: policy.reqid,
            spi: policy.spi,
            acquired: Mutex::new(None),
        });
        entry.users.insert(
            at,
            User {
                rank,
                parameters: policy.clone(),
                count: 1,
                treatment,
            },
        );
        Ok(true)
    }

    /// Removes one user of a policy; whether it was the last with these parameters. A policy whose SPI has changed
    /// since it was installed is found by the rest of its parameters.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is none.
    pub fn remove(&self, policy: &PolicyParameters) -> Result<Option<PolicyParameters>, PluginError> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let Some(table) = tables.table(policy.direction) else {
            return Ok(None);
        };
        let (subnet, length) = index(policy);
        let removed = table.remove(policy, subnet, length);
        removed.ok_or_else(|| {
            PluginError::new(
                ErrorKind::NotFound,
                format!(
                    "no policy for {:?} === {:?} with reqid {}",
                    policy.src_ts, policy.dst_ts, policy.reqid
                ),
            )
        })
    }

    /// Removes all policies.
    pub fn clear(&self) {
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = Tables::default();
    }

    /// What to do with a packet that leaves this host or passes through it.
    pub fn outbound(&self, flow: &Flow) -> Option<Arc<Treatment>> {
        self.tables
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .outbound
            .find(flow, None)
    }

    /// Whether an inbound policy of a reqid admits a packet.
    pub fn admits(&self, flow: &Flow, reqid: u32) -> bool {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables
            .inbound
            .find(flow, Some(reqid))
            .is_some_and(|found| found.action == PolicyAction::Protect)
    }
}

impl Tables {
    /// Packets that come out of a tunnel and go on are checked like those that stay, so that forward policies, which
    /// a kernel needs, are not kept.
    fn table(&mut self, direction: Direction) -> Option<&mut Table> {
        match direction {
            Direction::In => Some(&mut self.inbound),
            Direction::Out => Some(&mut self.outbound),
            Direction::Forward => None,
        }
    }
}

impl Table {
    fn find(&self, flow: &Flow, reqid: Option<u32>) -> Option<Arc<Treatment>> {
        let is_v4 = flow.dst.is_ipv4();
        let mut best: Option<&User> = None;
        for ((_, length), subnets) in self.by_length.range((is_v4, 0)..=(is_v4, 128)) {
            let Some(entries) = subnets.get(&masked(flow.dst, *length)) else {
                continue;
            };
            for entry in entries
                .iter()
                .filter(|entry| flow.matches(&entry.src_ts, &entry.dst_ts))
            {
                let mut users = entry.users.iter();
                // What comes out of an SA has to fit its own policies; its trap's, of the same reqid, may be wider.
                let user = users.find(|user| {
                    reqid.is_none_or(|reqid| user.parameters.reqid == reqid && !user.treatment.trap)
                });
                if let Some(user) = user
                    && best.is_none_or(|best| user.rank < best.rank)
                {
                    best = Some(user);
                }
            }
        }
        best.map(|user| Arc::clone(&user.treatment))
    }

    fn remove(
        &mut self,
        policy: &PolicyParameters,
        subnet: IpAddr,
        length: (bool, u8),
    ) -> Option<Option<PolicyParameters>> {
        let subnets = self.by_length.get_mut(&length)?;
        let entries = subnets.get_mut(&subnet)?;
        let entry_at = entries.iter().position(|entry| entry.is_for(policy))?;
        let users = &mut entries[entry_at].users;
        let user_at = users
            .iter()
            .position(|user| user.parameters == *policy)
            .or_else(|| {
                // The oldest, which is the one a rekeying leaves behind.
                users.iter().rposition(|user| {
                    let own = &user.parameters;
                    (own.priority, own.reqid, own.action) == (policy.priority, policy.reqid, policy.action)
                })
            })?;
        users[user_at].count -= 1;
        if users[user_at].count > 0 {
            return Some(None);
        }
        let user = users.remove(user_at);
        if users.is_empty() {
            entries.swap_remove(entry_at);
        }
        if entries.is_empty() {
            subnets.remove(&subnet);
        }
        if subnets.is_empty() {
            self.by_length.remove(&length);
        }
        Some(Some(user.parameters))
    }
}

impl Entry {
    fn is_for(&self, policy: &PolicyParameters) -> bool {
        self.src_ts == policy.src_ts && self.dst_ts == policy.dst_ts
    }
}

fn index(policy: &PolicyParameters) -> (IpAddr, (bool, u8)) {
    let (subnet, length, _) = policy.dst_ts.covering_subnet();
    (subnet, (subnet.is_ipv4(), length))
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests;
