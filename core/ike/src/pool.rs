//! Pools of virtual addresses, and who has which (RFC 7296, 2.19).
//!
//! A lease belongs to an identity. It is online as long as an IKE_SA of that peer holds it, and remembered afterwards, so
//! that a returning client has its address again. When no address is left that nobody ever had, that of whoever has been
//! away for the longest time is given to another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use config::attribute::Attribute;
use config::identity::Identity;
use config::selector;

/// A pool counts no further.
const MOST: u64 = 1 << 31;
/// Leases that a pool remembers of peers that are away; then their addresses are given to others before new ones.
const REMEMBERED: usize = 1 << 16;

/// Where a pool comes from; only there it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolSource {
    /// `load-pool`.
    Vici,
    /// `rightsourceip` of ipsec.conf.
    IpsecConf,
}

/// A range of addresses with their leases, and what else peers are given with an address of it.
#[derive(Clone, Debug)]
pub struct AddressPool {
    name: Arc<str>,
    source: PoolSource,
    base: IpAddr,
    /// 0 for a pool whose clients choose their addresses.
    size: u64,
    attributes: Vec<Attribute>,
    leases: BTreeMap<IpAddr, Lease>,
    by_identity: BTreeMap<Identity, BTreeSet<IpAddr>>,
    /// Those that are offline, by when they went.
    offline: BTreeMap<u64, IpAddr>,
    /// All before it have been given out.
    next: u64,
    /// Whether another pool has some of its addresses too.
    overlaps: bool,
}

#[derive(Clone, Debug)]
struct Lease {
    identity: Identity,
    /// IKE_SAs that hold it: two while a peer authenticates again.
    holders: usize,
    /// By which address its holder came.
    peer: IpAddr,
    /// When it went offline.
    since: u64,
}

/// A lease, from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseInfo<'a> {
    /// The address.
    pub address: IpAddr,
    /// Whose it is.
    pub identity: &'a Identity,
    /// Whether an IKE_SA holds it.
    pub online: bool,
}

impl AddressPool {
    /// The addresses of a subnet but those of the network and the broadcast, of a range, or one.
    pub fn new(name: &str, addrs: &str, source: PoolSource, attributes: Vec<Attribute>) -> Option<Self> {
        let range = selector::addresses_of(addrs.trim())?;
        let (start, end) = (number(range.start), number(range.end));
        let mut size = u64::try_from((end - start).saturating_add(1)).unwrap_or(u64::MAX);
        let mut base = range.start;
        if addrs.contains('/') && size > 2 {
            base = at(base, 1);
            size -= if base.is_ipv4() { 2 } else { 1 };
        }
        let pool = Self::open(name, source);
        Some(Self {
            base,
            size: size.min(MOST),
            attributes,
            ..pool
        })
    }

    /// A pool whose clients have the addresses that they ask for.
    pub fn open(name: &str, source: PoolSource) -> Self {
        Self {
            name: name.into(),
            source,
            base: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            size: 0,
            attributes: Vec::new(),
            leases: BTreeMap::new(),
            by_identity: BTreeMap::new(),
            offline: BTreeMap::new(),
            next: 0,
            overlaps: false,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it comes from.
    pub fn source(&self) -> PoolSource {
        self.source
    }

    /// The first address.
    pub fn base(&self) -> IpAddr {
        self.base
    }

    /// How many addresses it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many leases are held.
    pub fn online(&self) -> usize {
        self.leases.len() - self.offline.len()
    }

    /// How many leases are remembered.
    pub fn offline(&self) -> usize {
        self.offline.len()
    }

    /// All leases, by their addresses.
    pub fn leases(&self) -> impl Iterator<Item = LeaseInfo<'_>> {
        self.leases.iter().map(|(address, lease)| LeaseInfo {
            address: *address,
            identity: &lease.identity,
            online: lease.holders > 0,
        })
    }

    /// The last address.
    fn last(&self) -> IpAddr {
        at(self.base, self.size.saturating_sub(1))
    }

    /// As messages have it: `10.3.0.1 - 10.3.0.254`.
    fn range(&self) -> String {
        format!("{} - {}", self.base, self.last())
    }

    /// Where its addresses are written.
    fn key(&self) -> String {
        match self.source {
            PoolSource::Vici => format!("pools.{}.addrs", self.name),
            PoolSource::IpsecConf => format!("rightsourceip={}", self.name),
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.size > 0
            && address.is_ipv4() == self.base.is_ipv4()
            && (self.base..=self.last()).contains(&address)
    }

    fn is_open(&self) -> bool {
        self.size == 0
    }

    /// Whether it can have an address of the family that is asked for.
    fn serves(&self, requested: IpAddr) -> bool {
        self.is_open() || requested.is_ipv4() == self.base.is_ipv4()
    }

    fn is_same_range(&self, other: &Self) -> bool {
        (self.base, self.size) == (other.base, other.size)
    }

    /// Takes a lease of nobody, or of somebody who is away.
    fn assign(&mut self, address: IpAddr, claim: &Claim<'_>) {
        self.forget(address);
        let lease = Lease {
            identity: claim.identity.clone(),
            holders: 1,
            peer: claim.peer,
            since: 0,
        };
        self.leases.insert(address, lease);
        let addresses = self.by_identity.entry(claim.identity.clone()).or_default();
        addresses.insert(address);
        while self.next < self.size && self.leases.contains_key(&at(self.base, self.next)) {
            self.next += 1;
        }
    }

    /// Takes a lease once more.
    fn hold(&mut self, address: IpAddr, peer: IpAddr) {
        if let Some(lease) = self.leases.get_mut(&address) {
            if lease.holders == 0 {
                self.offline.remove(&lease.since);
            }
            lease.holders += 1;
            lease.peer = peer;
        }
    }

    fn forget(&mut self, address: IpAddr) {
        let Some(lease) = self.leases.remove(&address) else {
            return;
        };
        if lease.holders == 0 {
            self.offline.remove(&lease.since);
        }
        if let Some(addresses) = self.by_identity.get_mut(&lease.identity) {
            addresses.remove(&address);
            if addresses.is_empty() {
                self.by_identity.remove(&lease.identity);
            }
        }
    }

    fn release(&mut self, address: IpAddr, now: u64) -> bool {
        let held = self.leases.get_mut(&address).filter(|lease| lease.holders > 0);
        let Some(lease) = held else { return false };
        lease.holders -= 1;
        if lease.holders > 0 {
            return false;
        }
        lease.since = now;
        self.offline.insert(now, address);
        if self.is_open() {
            self.forget(address);
        }
        true
    }

    /// The lease that a peer has or had, if it may have it now: that it asks for, else the latest.
    fn existing(&self, claim: &Claim<'_>) -> Option<IpAddr> {
        let own = self.by_identity.get(claim.identity)?;
        let lease = |address: &IpAddr| self.leases.get(address).map(|lease| (*address, lease));
        let usable = |(address, lease): &(IpAddr, &Lease)| {
            let again = claim.anew || (*address == claim.requested && lease.peer == claim.peer);
            let family = address.is_ipv4() == claim.requested.is_ipv4();
            let wanted = !self.is_open() || *address == claim.requested;
            family && wanted && (lease.holders == 0 || again) && !claim.held.contains(address)
        };
        let best = own.iter().filter_map(lease).filter(usable);
        let best = best.max_by_key(|(address, lease)| {
            let online = lease.holders > 0;
            (*address == claim.requested, claim.anew && online, lease.since)
        });
        best.map(|(address, _)| address)
    }

    /// An address that nobody has had, that which is asked for if possible.
    fn unused(&self, claim: &Claim<'_>, free: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let usable = |address: &IpAddr| !self.leases.contains_key(address) && free(*address);
        if self.is_open() {
            let sane = !claim.requested.is_unspecified()
                && !claim.requested.is_loopback()
                && !claim.requested.is_multicast()
                && claim.requested != IpAddr::V4(Ipv4Addr::BROADCAST);
            return Some(claim.requested).filter(|requested| sane && usable(requested));
        }
        if self.offline.len() >= REMEMBERED {
            return None;
        }
        if self.contains(claim.requested) && usable(&claim.requested) {
            return Some(claim.requested);
        }
        (self.next..self.size)
            .map(|offset| at(self.base, offset))
            .find(usable)
    }

    /// The address of the peer that has been away for the longest time.
    fn of_another(&self, free: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        self.offline.values().copied().find(|address| free(*address))
    }
}

/// What became of a pool that was put into place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolOutcome {
    /// It is new.
    Added,
    /// Its addresses are the same, and so are its leases.
    Updated,
    /// Its addresses are others.
    Replaced,
}

/// A pool has leases online, so many, and cannot go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Online(pub usize);

/// All pools.
#[derive(Debug, Default)]
pub struct Pools {
    pools: Vec<AddressPool>,
    clock: u64,
}

impl Pools {
    /// All of them, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &AddressPool> {
        self.pools.iter()
    }

    /// The pool of that name and source.
    pub fn get(&self, name: &str, source: PoolSource) -> Option<&AddressPool> {
        let same = |known: &&AddressPool| &*known.name == name && known.source == source;
        self.pools.iter().find(same)
    }

    /// Puts a pool in the place of the one of its name and source.
    ///
    /// # Errors
    ///
    /// If that one has other addresses, and some of them are in use.
    pub fn put(&mut self, pool: AddressPool) -> Result<PoolOutcome, Online> {
        let same = |known: &AddressPool| known.name == pool.name && known.source == pool.source;
        let outcome = match self.pools.iter_mut().find(|known| same(known)) {
            None => {
                self.pools.push(pool);
                PoolOutcome::Added
            }
            Some(known) if known.is_same_range(&pool) => {
                known.attributes = pool.attributes;
                PoolOutcome::Updated
            }
            Some(known) if known.online() > 0 => return Err(Online(known.online())),
            Some(known) => {
                *known = pool;
                PoolOutcome::Replaced
            }
        };
        self.find_overlaps();
        Ok(outcome)
    }

    /// Takes a pool out.
    ///
    /// # Errors
    ///
    /// If some of its addresses are in use.
    pub fn take(&mut self, name: &str, source: PoolSource) -> Result<Option<AddressPool>, Online> {
        let same = |known: &AddressPool| &*known.name == name && known.source == source;
        let Some(index) = self.pools.iter().position(same) else {
            return Ok(None);
        };
        match self.pools[index].online() {
            0 => {
                let pool = self.pools.remove(index);
                self.find_overlaps();
                Ok(Some(pool))
            }
            online => Err(Online(online)),
        }
    }

    /// What is to be said of pools that have some of the addresses of this one: an address that is online in one of them is
    /// not given to anybody from another.
    pub fn overlaps(&self, name: &str, source: PoolSource) -> Vec<String> {
        let Some(pool) = self.get(name, source) else {
            return Vec::new();
        };
        let others = self.pools.iter().filter(|other| {
            let same = other.name == pool.name && other.source == pool.source;
            !same && overlap(pool, other)
        });
        let text = |other: &AddressPool| {
            let (name, range) = (&pool.name, pool.range());
            let (other, of_other, key) = (&other.name, other.range(), pool.key());
            format!(
                "pool '{name}' ({range}) overlaps pool '{other}' ({of_other}); an address that one has given out is not \
                 available in the other, change {key} unless that is meant"
            )
        };
        others.map(text).collect()
    }

    fn find_overlaps(&mut self) {
        let overlaps: Vec<bool> = (0..self.pools.len())
            .map(|own| {
                let others = self.pools.iter().enumerate().filter(|(other, _)| *other != own);
                others
                    .into_iter()
                    .any(|(_, other)| overlap(&self.pools[own], other))
            })
            .collect();
        for (pool, overlaps) in self.pools.iter_mut().zip(overlaps) {
            pool.overlaps = overlaps;
        }
    }

    /// Whether no lease is held.
    pub(crate) fn are_idle(&self) -> bool {
        self.pools.iter().all(|pool| pool.online() == 0)
    }

    /// The pools of these names, those of vici first if others are called like them.
    fn named(&self, names: &[String]) -> Vec<usize> {
        let index = |name: &String| {
            let of = |source| {
                let same = |known: &AddressPool| *known.name == **name && known.source == source;
                self.pools.iter().position(same)
            };
            of(PoolSource::Vici).or_else(|| of(PoolSource::IpsecConf))
        };
        names.iter().filter_map(index).collect()
    }

    /// Gives a peer an address of the first of these pools that has one for it, and says how it came to that; or says why
    /// there is none.
    pub(crate) fn acquire(
        &mut self,
        names: &[String],
        claim: &Claim<'_>,
    ) -> Result<(HeldLease, String), Vec<String>> {
        let mut candidates = self.named(names);
        candidates.retain(|index| self.pools[*index].serves(claim.requested));
        let who = claim.identity;
        for index in &candidates {
            let pool = &self.pools[*index];
            let found = pool.existing(claim);
            let Some(address) = found.filter(|address| self.is_free(*index, *address)) else {
                continue;
            };
            let online = pool.leases.get(&address).is_some_and(|lease| lease.holders > 0);
            let how = if online { "online" } else { "offline" };
            self.pools[*index].hold(address, claim.peer);
            return Ok((
                self.held(*index, address),
                format!("reassigning {how} lease to '{who}'"),
            ));
        }
        for index in &candidates {
            let found = self.pools[*index].unused(claim, |address| self.is_free(*index, address));
            if let Some(address) = found {
                self.pools[*index].assign(address, claim);
                return Ok((
                    self.held(*index, address),
                    format!("assigning new lease to '{who}'"),
                ));
            }
        }
        for index in &candidates {
            let found = self.pools[*index].of_another(|address| self.is_free(*index, address));
            let lease = found.and_then(|address| self.pools[*index].leases.get(&address));
            if let (Some(address), Some(lease)) = (found, lease) {
                let text = format!(
                    "reassigning existing offline lease by '{}' to '{who}'",
                    lease.identity
                );
                self.pools[*index].assign(address, claim);
                return Ok((self.held(*index, address), text));
            }
        }
        let bounded = candidates
            .iter()
            .map(|index| &self.pools[*index])
            .filter(|pool| !pool.is_open());
        let mut reasons: Vec<String> = bounded
            .map(|pool| {
                let (name, key) = (&pool.name, pool.key());
                format!("pool '{name}' is full, unable to assign address; widen {key}")
            })
            .collect();
        for name in names {
            if self.named(std::slice::from_ref(name)).is_empty() {
                reasons.push(format!(
                    "there is no pool '{name}', load it before connections name it"
                ));
            }
        }
        Err(reasons)
    }

    fn held(&self, index: usize, address: IpAddr) -> HeldLease {
        let pool = &self.pools[index];
        HeldLease {
            pool: Arc::clone(&pool.name),
            source: pool.source,
            address,
        }
    }

    /// Whether no other pool has given the address out.
    fn is_free(&self, index: usize, address: IpAddr) -> bool {
        if !self.pools[index].overlaps && !self.pools[index].is_open() {
            return true;
        }
        let online = |pool: &AddressPool| pool.leases.get(&address).is_some_and(|lease| lease.holders > 0);
        let mut others = self.pools.iter().enumerate().filter(|(other, _)| *other != index);
        !others.any(|(_, pool)| online(pool))
    }

    /// Gives a lease back; it is remembered. Whether nobody holds it any more.
    pub(crate) fn release(&mut self, held: &HeldLease) -> bool {
        self.clock += 1;
        let now = self.clock;
        let same = |known: &&mut AddressPool| known.name == held.pool && known.source == held.source;
        let pool = self.pools.iter_mut().find(same);
        pool.is_some_and(|pool| pool.release(held.address, now))
    }

    /// What peers are given with these addresses besides, each once.
    pub(crate) fn attributes(&self, held: &[HeldLease]) -> Vec<Attribute> {
        let mut attributes: Vec<Attribute> = Vec::new();
        for pool in held.iter().filter_map(|held| self.get(&held.pool, held.source)) {
            for attribute in &pool.attributes {
                if !attributes.contains(attribute) {
                    attributes.push(attribute.clone());
                }
            }
        }
        attributes
    }
}

fn overlap(a: &AddressPool, b: &AddressPool) -> bool {
    !a.is_open() && !b.is_open() && (a.contains(b.base) || b.contains(a.base))
}

/// Who wants an address.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) identity: &'a Identity,
    /// By which address it came.
    pub(crate) peer: IpAddr,
    /// What it asks for; unspecified, with its family, for any.
    pub(crate) requested: IpAddr,
    /// Its other IKE_SAs are about to go.
    pub(crate) anew: bool,
    /// What it has been given already.
    pub(crate) held: &'a [IpAddr],
}

/// An address that an IKE_SA holds, to be given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldLease {
    pool: Arc<str>,
    source: PoolSource,
    pub(crate) address: IpAddr,
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address so far behind another.
fn at(base: IpAddr, offset: u64) -> IpAddr {
    match base {
        IpAddr::V4(v4) => {
            let bits = u64::from(v4.to_bits()).saturating_add(offset);
            Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)).into()
        }
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().saturating_add(u128::from(offset))).into(),
    }
}

#[cfg(test)]
mod tests;
