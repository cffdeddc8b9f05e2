//! The policies of one direction, by the subnets that cover their selectors.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use plugin_api::kernel::PolicyParameters;

use super::Treatment;
use crate::packet::Flow;

#[derive(Default)]
pub(super) struct Table {
    /// Both subnets of IPv4.
    v4: Family<u32>,
    others: Family<u128>,
}

/// By prefix lengths of destination and source, then by their subnets.
type Family<A> = BTreeMap<(u8, u8), HashMap<(A, A), Bucket>>;

/// Policies between the same subnets, of which there rarely is more than one. The best comes last: by rank, then the
/// youngest, because a rekeyed SA's policy comes after that of the old one.
enum Bucket {
    One(Arc<Treatment>),
    Many(Vec<Arc<Treatment>>),
}

impl Table {
    /// Adds a policy, or one more user of it; what it became, if it is new.
    pub(super) fn add(&mut self, policy: &PolicyParameters) -> Option<Arc<Treatment>> {
        match Place::of(policy) {
            Place::V4(lengths, subnets) => add(&mut self.v4, lengths, subnets, policy),
            Place::Other(lengths, subnets) => add(&mut self.others, lengths, subnets, policy),
        }
    }

    /// Removes one user of a policy, if there is one; what it was, if that was the last.
    pub(super) fn remove(&mut self, policy: &PolicyParameters) -> Option<Option<Arc<Treatment>>> {
        match Place::of(policy) {
            Place::V4(lengths, subnets) => remove(&mut self.v4, lengths, &subnets, policy),
            Place::Other(lengths, subnets) => remove(&mut self.others, lengths, &subnets, policy),
        }
    }

    /// The best policy for a packet; of those of a reqid, if there is one given.
    pub(super) fn find(&self, flow: &Flow, reqid: Option<u32>) -> Option<&Arc<Treatment>> {
        match (flow.dst, flow.src) {
            (IpAddr::V4(dst), IpAddr::V4(src)) => {
                let (dst, src) = (dst.to_bits(), src.to_bits());
                let masked = |address, length| masked(u128::from(address) << 96, length);
                find(&self.v4, flow, reqid, |(dst_length, src_length)| {
                    let high = |bits: u128| (bits >> 96) as u32;
                    (high(masked(dst, dst_length)), high(masked(src, src_length)))
                })
            }
            (dst, src) => find(&self.others, flow, reqid, |(dst_length, src_length)| {
                (masked(bits(dst), dst_length), masked(bits(src), src_length))
            }),
        }
    }
}

/// Where a policy is.
enum Place {
    V4((u8, u8), (u32, u32)),
    Other((u8, u8), (u128, u128)),
}

impl Place {
    fn of(policy: &PolicyParameters) -> Self {
        let (dst, dst_length, _) = policy.dst_ts.covering_subnet();
        let (src, src_length, _) = policy.src_ts.covering_subnet();
        let lengths = (dst_length, src_length);
        match (dst, src) {
            (IpAddr::V4(dst), IpAddr::V4(src)) => Self::V4(lengths, (dst.to_bits(), src.to_bits())),
            _ => Self::Other(lengths, (bits(dst), bits(src))),
        }
    }
}

/// An address that goes with one of IPv6 is its first bits, and meets no packet, as its selectors will say.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn masked(bits: u128, length: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

fn add<A: Eq + Hash>(
    family: &mut Family<A>,
    lengths: (u8, u8),
    subnets: (A, A),
    policy: &PolicyParameters,
) -> Option<Arc<Treatment>> {
    use std::collections::hash_map::Entry;
    match family.entry(lengths).or_default().entry(subnets) {
        Entry::Vacant(free) => {
            let new = Arc::new(Treatment::new(policy));
            free.insert(Bucket::One(Arc::clone(&new)));
            Some(new)
        }
        Entry::Occupied(mut bucket) => bucket.get_mut().add(policy),
    }
}

fn remove<A: Eq + Hash>(
    family: &mut Family<A>,
    lengths: (u8, u8),
    subnets: &(A, A),
    policy: &PolicyParameters,
) -> Option<Option<Arc<Treatment>>> {
    let of_lengths = family.get_mut(&lengths)?;
    let bucket = of_lengths.get_mut(subnets)?;
    let at = bucket.position(policy)?;
    let users = &bucket.as_slice()[at].users;
    if users.fetch_sub(1, Relaxed) > 1 {
        return Some(None);
    }
    let removed = match bucket {
        Bucket::Many(all) if all.len() > 1 => all.remove(at),
        _ => {
            let gone = Arc::clone(&bucket.as_slice()[at]);
            of_lengths.remove(subnets);
            gone
        }
    };
    if of_lengths.is_empty() {
        family.remove(&lengths);
    }
    Some(Some(removed))
}

fn find<'a, A: Eq + Hash>(
    family: &'a Family<A>,
    flow: &Flow,
    reqid: Option<u32>,
    subnets: impl Fn((u8, u8)) -> (A, A),
) -> Option<&'a Arc<Treatment>> {
    let mut best: Option<&Arc<Treatment>> = None;
    for (lengths, of_lengths) in family {
        let Some(bucket) = of_lengths.get(&subnets(*lengths)) else {
            continue;
        };
        // What comes out of an SA has to fit its own policies; its trap's, of the same reqid, may be wider.
        let fits = |one: &&Arc<Treatment>| {
            reqid.is_none_or(|reqid| one.reqid == reqid && !one.is_trap()) && one.admits(flow)
        };
        if let Some(found) = bucket.as_slice().iter().rev().find(fits)
            && best.is_none_or(|best| found.rank < best.rank)
        {
            best = Some(found);
        }
    }
    best
}

impl Bucket {
    fn as_slice(&self) -> &[Arc<Treatment>] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(all) => all,
        }
    }

    fn add(&mut self, policy: &PolicyParameters) -> Option<Arc<Treatment>> {
        // What differs between policies of one selector are their SAs.
        let known = self
            .as_slice()
            .iter()
            .find(|one| (one.spi, one.reqid) == (policy.spi, policy.reqid) && one.parameters() == *policy);
        if let Some(known) = known {
            known.users.fetch_add(1, Relaxed);
            return None;
        }
        let new = Arc::new(Treatment::new(policy));
        let at = self.as_slice().partition_point(|one| one.rank >= new.rank);
        if let Self::One(one) = self {
            *self = Self::Many(vec![Arc::clone(one)]);
        }
        if let Self::Many(all) = self {
            all.insert(at, Arc::clone(&new));
        }
        Some(new)
    }

    /// Where a policy is; one whose SA has changed since is the oldest with the rest of its parameters, which is the one
    /// that a rekeying leaves behind.
    fn position(&self, policy: &PolicyParameters) -> Option<usize> {
        let all = self.as_slice();
        let exact = all.iter().position(|one| {
            (one.spi, one.reqid) == (policy.spi, policy.reqid) && one.parameters() == *policy
        });
        exact.or_else(|| {
            all.iter().position(|one| {
                (one.priority, one.reqid, one.action) == (policy.priority, policy.reqid, policy.action)
                    && one.selectors.get(one.inbound) == (policy.src_ts.clone(), policy.dst_ts.clone())
            })
        })
    }
}
