//! The Endpoint: all IKE_SAs, and the one door in and out.

mod connections;
mod files;
mod policies;
mod reload;
mod roaming;
mod scripts;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use connections::fingerprint;
use connections::same_peer;
pub use connections::{AddOutcome, BadProposals, PutOutcome};
pub use policies::PolicyInfo;
pub(crate) use reload::is_of;
pub use reload::{How, Loaded, Start};

use config::attribute::Attribute;
use config::connection::{ChildConfig, PeerConfig};
use config::secret::SecretStore;
use crypto::proposal::Proposal;
use crypto::registry::Registry;
use iana::Profile;
use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;

use crate::admission::{Admission, Origin};
use crate::census::{Census, Counted};
use crate::cookie::Cookies;
use crate::event::IkeSaInfo;
use crate::exchange::creation::Side;
use crate::jobs::{Beneficiary, Owner};
use crate::lookup::{Lookup, SaKey};
use crate::output::{CommandError, CommandId, JobId, JobResult, KernelId, KernelResult, Output};
use crate::pool::Pools;
use crate::proposals;
use crate::sa::IkeSa;
use crate::settings::Settings;
use crate::shared::{Shared, log};
use crate::tally::Tally;
use crate::task::Task;

/// Where randomness comes from: the operating system in the daemon, a seed in simulations.
pub trait Randomness: Send {
    /// Fills `out` with octets fit for nonces and SPIs.
    fn fill(&mut self, out: &mut [u8]);
}

/// What to establish.
#[derive(Clone, Debug)]
pub struct Initiate {
    /// The connection.
    pub peer: Arc<PeerConfig>,
    /// Its CHILD_SA; `None` establishes a childless IKE_SA.
    pub child: Option<Arc<ChildConfig>>,
    /// Own address with the port of IKE.
    pub local: SocketAddr,
    /// The peer's address with the port of IKE, resolved.
    pub remote: SocketAddr,
}

/// All IKE_SAs of a daemon.
pub struct Endpoint {
    pub(crate) shared: Shared,
    pub(crate) lookup: Lookup,
    pub(crate) cookies: Cookies,
    pub(crate) job_load: usize,
    /// What strangers have begun.
    pub(crate) admission: Admission,
    sas: BTreeMap<SaKey, Box<Entry>>,
    timers: BTreeSet<(Instant, SaKey)>,
    census: Census,
}

/// An IKE_SA with what the Endpoint's tables say of it, so that they can be kept true.
struct Entry {
    sa: IkeSa,
    spi: u64,
    deadline: Option<Instant>,
    /// Fingerprint of its connection.
    config: u32,
    half_open: Option<Box<Origin>>,
    counted: Counted,
}

impl Endpoint {
    /// An Endpoint without connections.
    ///
    /// # Panics
    ///
    /// If the registry has no SHA-1, without which NAT detection is impossible; the loader sees to it.
    pub fn new(
        settings: Settings,
        registry: Arc<Registry>,
        randomness: Box<dyn Randomness>,
        now: Instant,
    ) -> Self {
        let mut shared = Shared::new(now, settings, registry, randomness);
        let cookies = Cookies::new(&mut shared);
        Self {
            shared,
            lookup: Lookup::default(),
            cookies,
            job_load: 0,
            admission: Admission::new(now),
            sas: BTreeMap::new(),
            timers: BTreeSet::new(),
            census: Census::default(),
        }
    }

    /// The profile of connections with the KEMs of 6.0dr3 that do not say which Kyber they mean.
    pub fn draft_profile(&self) -> Profile {
        self.shared.settings.draft
    }

    /// Replaces the settings; IKE_SAs see them with their next message.
    pub fn set_settings(&mut self, settings: Settings) {
        self.shared.settings = settings;
    }

    /// Which levels of each group anybody reads; lines above are not even formatted.
    pub fn set_log_levels(&mut self, level_of: impl Fn(Group) -> i8) {
        self.shared.out.set_levels(level_of);
    }

    /// Begins to count, from zero.
    pub fn start_tally(&mut self) {
        self.shared.tally = Some(Box::default());
    }

    /// What was counted, unless nobody wanted to know.
    pub fn tally(&self) -> Option<&Tally> {
        self.shared.tally.as_deref()
    }

    /// The same, to reset some of it.
    pub fn tally_mut(&mut self) -> Option<&mut Tally> {
        self.shared.tally.as_deref_mut()
    }

    /// Whether anybody wants to know of moves and alerts.
    pub fn set_watched(&mut self, watched: bool) {
        self.shared.watched = watched;
    }

    /// The addresses of this host, which MOBIKE announces.
    pub fn set_local_addresses(&mut self, addresses: Vec<IpAddr>) {
        self.shared.local_addresses = addresses;
    }

    /// How many jobs are queued, for `init_limit_job_load`.
    pub fn set_job_load(&mut self, queued: usize) {
        self.job_load = queued;
    }

    /// The algorithms.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.shared.registry
    }

    /// The proposals for IKE_SAs that a connection has, whether they can be offered or not.
    pub fn ike_proposals(&self, config: &PeerConfig) -> Vec<Proposal> {
        proposals::listed(&self.shared, config).0.clone()
    }

    /// The proposals that a CHILD_SA's configuration has, likewise.
    pub fn child_proposals(&self, config: &ChildConfig) -> Vec<Proposal> {
        proposals::listed_of_child(&self.shared, config).0.clone()
    }

    /// What a connection offers for IKE_SAs: of its proposals what plugins implement.
    pub fn offered_proposals(&self, config: &PeerConfig) -> Vec<Proposal> {
        proposals::of_connection(&self.shared, config).0.clone()
    }

    /// What a CHILD_SA's configuration offers: of its proposals what plugins and the back end implement.
    pub fn offered_child_proposals(&self, config: &ChildConfig) -> Vec<Proposal> {
        proposals::of_child(&self.shared, config).0.clone()
    }

    /// The shared secrets.
    pub fn secrets_mut(&mut self) -> &mut SecretStore {
        self.shared.psk_keys.clear();
        &mut self.shared.secrets
    }

    /// The pools that peers are given addresses of.
    pub fn pools(&self) -> &Pools {
        &self.shared.pools
    }

    /// The same, to change them.
    pub fn pools_mut(&mut self) -> &mut Pools {
        &mut self.shared.pools
    }

    /// What peers are told with a virtual address of any pool.
    pub fn set_attributes(&mut self, attributes: Vec<Attribute>) {
        self.shared.attributes = attributes;
    }

    /// Whether somebody has a use for DNS servers that peers name, which are asked for then.
    pub fn set_uses_dns(&mut self, uses: bool) {
        self.shared.uses_dns = uses;
    }

    /// A job is done.
    pub fn handle_done(&mut self, now: Instant, id: JobId, result: JobResult) {
        self.shared.now = now;
        if let Some(owner) = self.shared.jobs.remove(id) {
            self.with_sa(owner.key(), |sa, shared| match owner {
                Owner::Phase(_) => sa.on_job_done(shared, result),
                Owner::Active(_) => sa.on_creation_job_done(shared, Side::Active, result),
                Owner::Passive(_) => sa.on_creation_job_done(shared, Side::Passive, result),
            });
        }
    }

    /// For whom a job is done that was just handed out.
    pub fn beneficiary(&self, id: JobId) -> Beneficiary {
        let owner = self.shared.jobs.owner(id);
        let entry = owner.and_then(|owner| self.sas.get(&owner.key()));
        match entry.map(|entry| &entry.sa) {
            Some(sa) if sa.is_half_open() => Beneficiary::Stranger(sa.remote.ip()),
            _ => Beneficiary::Known,
        }
    }

    /// Jobs that nothing waits for any more, since this was last asked.
    pub fn take_abandoned_jobs(&mut self) -> Vec<JobId> {
        self.shared.jobs.take_abandoned()
    }

    /// A stranger's job is not going to be done, because there are too many. Its IKE_SA is given up in silence, so that the
    /// peer tries again.
    pub fn handle_overload(&mut self, now: Instant, id: JobId) {
        self.shared.now = now;
        if let Some(owner) = self.shared.jobs.remove(id) {
            self.with_sa(owner.key(), |sa, shared| {
                log!(
                    shared,
                    sa,
                    Ike,
                    2,
                    "too many key exchanges wait, giving up the IKE_SA"
                );
                sa.destroy();
            });
        }
    }

    /// A batch of kernel operations is done.
    pub fn handle_kernel_done(&mut self, now: Instant, id: KernelId, result: KernelResult) {
        self.shared.now = now;
        if self.policy_changed(id, &result) {
            return;
        }
        let reservation = self.shared.reservations.remove(&id);
        let owner = self.shared.kernel_ops.remove(&id);
        match (owner, reservation) {
            (Some(key), Some(reservation)) => {
                self.with_sa(key, |sa, shared| sa.on_reserved(shared, id, reservation, &result));
            }
            (Some(key), None) => self.with_sa(key, |sa, shared| {
                if let Some(work) = sa.kernel_work.remove(&id) {
                    sa.on_kernel_done(shared, work, &result);
                }
            }),
            (None, Some(reservation)) => self.shared.abandon(reservation, &result),
            (None, None) => {}
        }
    }

    /// The kernel did something by itself.
    pub fn handle_kernel_event(&mut self, now: Instant, event: KernelEvent) {
        self.shared.now = now;
        match event {
            KernelEvent::Expire {
                protocol, spi, hard, ..
            } => {
                let owns = |child: &crate::child::ChildSa| child.has_sa(protocol, spi);
                if let Some(key) = self.find_by_spi(spi, owns) {
                    self.with_sa(key, |sa, shared| sa.on_expire(shared, protocol, spi, hard));
                }
            }
            KernelEvent::Mapping { spi, endpoint, .. } => {
                if let Some(key) = self.find_by_spi(spi, |child| child.spi_in == spi) {
                    self.with_sa(key, |sa, shared| sa.on_mapping(shared, endpoint));
                }
            }
            KernelEvent::Acquire { reqid, src, dst } => self.acquire(reqid, (src, dst)),
            KernelEvent::Roam { address } => self.roam(address),
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.shared.now = now;
        while let Some((due, key)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            self.with_sa(key, |sa, shared| sa.handle_timeout(shared));
            // An IKE_SA that leaves its deadline in the past would be asked for ever.
            if self.timers.contains(&(due, key)) {
                self.timers.remove(&(due, key));
                if let Some(entry) = self.sas.get_mut(&key) {
                    entry.deadline = None;
                }
            }
        }
        self.attempt_due();
        self.give_scripts_up();
    }

    /// Establishes a connection. Returns the unique number of its IKE_SA, whose log lines belong to the command.
    ///
    /// The CHILD_SA becomes one more of an IKE_SA that there is with the same peer already.
    pub fn initiate(&mut self, now: Instant, id: CommandId, what: Initiate) -> u32 {
        self.shared.now = now;
        match self.find_by_config(&what.peer) {
            Some(key) => {
                self.with_sa(key, |sa, shared| sa.add_child(shared, what.child, id));
                key
            }
            None => self.start(what, Some(id), false, |_, _| {}),
        }
    }

    /// The IKE_SA of a connection that is, or is about to be, in use.
    fn find_by_config(&self, config: &PeerConfig) -> Option<SaKey> {
        self.find_with_peer(config, None)
    }

    /// The same with a peer at an address, if one is given.
    fn find_with_peer(&self, config: &PeerConfig, peer: Option<IpAddr>) -> Option<SaKey> {
        self.lookup.by_config(fingerprint(config)).find(|key| {
            self.sas.get(key).is_some_and(|entry| {
                let same = entry.sa.config.as_ref().is_some_and(|own| same_peer(own, config));
                same && entry.sa.takes_children() && peer.is_none_or(|peer| peer == entry.sa.remote.ip())
            })
        })
    }

    fn start(
        &mut self,
        what: Initiate,
        command: Option<CommandId>,
        finds_way: bool,
        prepare: impl FnOnce(&mut IkeSa, &mut Shared),
    ) -> SaKey {
        let key = self.shared.next_ike_id();
        let mut sa = IkeSa::initiator(&mut self.shared, key, what, command);
        prepare(&mut sa, &mut self.shared);
        self.insert(key, sa);
        self.with_sa(key, |sa, shared| {
            if finds_way {
                sa.find_way(shared);
            } else {
                sa.connect(shared);
            }
        });
        key
    }

    /// The same from the own address that the routes to the peer say.
    fn start_by_route(&mut self, what: Initiate, command: CommandId) {
        let key = self.shared.next_ike_id();
        let sa = IkeSa::initiator(&mut self.shared, key, what, Some(command));
        self.insert(key, sa);
        self.with_sa(key, IkeSa::find_way);
    }

    /// Deletes an IKE_SA with all its CHILD_SAs.
    pub fn terminate_ike(&mut self, now: Instant, id: CommandId, unique_id: u32) {
        self.shared.now = now;
        if self.sas.contains_key(&unique_id) {
            self.with_sa(unique_id, |sa, shared| sa.terminate(shared, id));
        } else {
            self.shared.out.command_done(id, Err(CommandError::NotFound));
        }
    }

    /// Deletes an IKE_SA with all its CHILD_SAs, and does not wait for the peer.
    pub fn destroy_ike(&mut self, now: Instant, id: CommandId, unique_id: u32) {
        self.shared.now = now;
        if self.sas.contains_key(&unique_id) {
            self.with_sa(unique_id, |sa, shared| sa.terminate_now(shared, id));
        } else {
            self.shared.out.command_done(id, Err(CommandError::NotFound));
        }
    }

    /// Deletes a CHILD_SA.
    pub fn terminate_child(&mut self, now: Instant, id: CommandId, unique_id: u32) {
        self.shared.now = now;
        match self.find_by_child(|child| child.unique_id == unique_id) {
            Some(key) => {
                self.with_sa(key, |sa, shared| {
                    sa.close_when_possible(shared, unique_id, Some(id))
                });
            }
            None => self.shared.out.command_done(id, Err(CommandError::NotFound)),
        }
    }

    /// Replaces a CHILD_SA; without a command nobody is told what comes of it.
    pub fn rekey_child(&mut self, now: Instant, id: Option<CommandId>, unique_id: u32) {
        self.shared.now = now;
        match self.find_by_child(|child| child.unique_id == unique_id) {
            Some(key) => self.with_sa(key, |sa, shared| {
                sa.enqueue(shared, Task::RekeyChild(unique_id, id));
            }),
            None => {
                if let Some(id) = id {
                    self.shared.out.command_done(id, Err(CommandError::NotFound));
                }
            }
        }
    }

    /// Replaces an IKE_SA; without a command nobody is told what comes of it.
    pub fn rekey_ike(&mut self, now: Instant, id: Option<CommandId>, unique_id: u32) {
        self.shared.now = now;
        if self.sas.contains_key(&unique_id) {
            self.with_sa(unique_id, |sa, shared| sa.enqueue(shared, Task::RekeyIke(id)));
        } else if let Some(id) = id {
            self.shared.out.command_done(id, Err(CommandError::NotFound));
        }
    }

    /// Deletes an IKE_SA and establishes it anew, if this end has initiated it.
    pub fn reauthenticate(&mut self, now: Instant, unique_id: u32) {
        self.shared.now = now;
        self.with_sa(unique_id, IkeSa::reauthenticate);
    }

    /// Deletes all IKE_SAs, telling each peer once without waiting: for the daemon's end.
    pub fn shutdown(&mut self, now: Instant) {
        self.shared.now = now;
        for key in self.sas.keys().copied().collect::<Vec<_>>() {
            self.with_sa(key, |sa, shared| {
                sa.close(shared, None);
                sa.destroy();
            });
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.shared.out.pop()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, and why. It may change with every input.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let trap = self.shared.policies.deadline().map(|when| (when, "trap policy"));
        let scripts = self.shared.scripts.deadline().map(|when| (when, "updown script"));
        let own = [trap, scripts]
            .into_iter()
            .flatten()
            .min_by_key(|(when, _)| *when);
        let Some((when, key)) = self.timers.first().copied() else {
            return own;
        };
        if let Some(own) = own.filter(|own| own.0 < when) {
            return Some(own);
        }
        let reason = self
            .sas
            .get(&key)
            .and_then(|entry| entry.sa.poll_timeout())
            .map_or("none", |(_, why)| why);
        Some((when, reason))
    }

    /// All IKE_SAs, by their unique numbers.
    pub fn ike_sas(&self) -> impl Iterator<Item = IkeSaInfo> {
        self.ike_sas_after(0)
    }

    /// Those with larger numbers than this one.
    pub fn ike_sas_after(&self, unique_id: u32) -> impl Iterator<Item = IkeSaInfo> {
        let later = (Bound::Excluded(unique_id), Bound::Unbounded);
        self.sas.range(later).map(|(_, entry)| entry.sa.info())
    }

    /// How many IKE_SAs are established, and how many are not.
    pub fn counts(&self) -> (usize, usize) {
        let established = self.census.established();
        (established, self.sas.len() - established)
    }

    /// How many SAs are in which state.
    pub fn census(&self) -> &Census {
        &self.census
    }

    /// How many IKE_SAs count against the limits of half-open ones: those that peers have begun.
    pub fn half_open(&self) -> usize {
        self.admission.half_open()
    }

    /// Whether every table, timer and count is as in a new Endpoint: nothing leaked.
    pub fn is_pristine(&self) -> bool {
        self.sas.is_empty()
            && self.lookup.is_empty()
            && self.admission.is_idle()
            && self.timers.is_empty()
            && self.census.is_empty()
            && self.shared.jobs.is_empty()
            && self.shared.established.is_empty()
            && self.shared.superseded.is_empty()
            && self.shared.overlapping.is_empty()
            && self.shared.reqids.is_empty()
            && self.shared.pools.are_idle()
            && self.shared.policies.is_empty()
            && self.shared.scripts.is_empty()
    }

    /// Takes an IKE_SA into the tables.
    pub(crate) fn insert(&mut self, key: SaKey, sa: IkeSa) {
        let spi = sa.own_spi();
        self.lookup.add_spi(spi, key);
        if let Some(half) = sa.init_half {
            self.lookup.add_init(half, key);
        }
        let counted = self.census.add(&sa);
        self.sas.insert(
            key,
            Box::new(Entry {
                sa,
                spi,
                config: 0,
                deadline: None,
                half_open: None,
                counted,
            }),
        );
    }

    /// Takes an IKE_SA in that a stranger has begun.
    pub(crate) fn insert_begun(&mut self, key: SaKey, sa: IkeSa, origin: Origin) {
        let Shared { settings, now, .. } = &self.shared;
        self.admission.begin(settings, *now, origin);
        self.insert(key, sa);
        if let Some(entry) = self.sas.get_mut(&key) {
            entry.half_open = Some(Box::new(origin));
        }
    }

    /// Whether an IKE_SA is still there.
    pub(crate) fn has(&self, key: SaKey) -> bool {
        self.sas.contains_key(&key)
    }

    /// Whether an IKE_SA was begun by a peer that has not authenticated.
    pub(crate) fn is_begun_by_stranger(&self, key: SaKey) -> bool {
        self.sas.get(&key).is_some_and(|entry| entry.sa.is_half_open())
    }

    /// Whether the peer of an IKE_SA has authenticated.
    pub(crate) fn is_established(&self, key: SaKey) -> bool {
        self.sas.get(&key).is_some_and(|entry| entry.sa.is_established())
    }

    /// Lets an IKE_SA handle an input, keeps the tables true, and fulfils what it wishes of others.
    pub(crate) fn with_sa(&mut self, key: SaKey, handle: impl FnOnce(&mut IkeSa, &mut Shared)) {
        let Some(entry) = self.sas.get_mut(&key) else {
            return;
        };
        handle(&mut entry.sa, &mut self.shared);
        self.settle(key);
        for wish in std::mem::take(&mut self.shared.wishes) {
            self.fulfil(wish);
        }
        for spi in self.shared.unlisted.drain(..) {
            self.lookup.remove_child(spi);
        }
        self.end_attempts();
    }

    /// Brings the tables up to date with an IKE_SA, and removes it if it is over.
    fn settle(&mut self, key: SaKey) {
        let Some(entry) = self.sas.get_mut(&key) else {
            return;
        };
        if entry.half_open.is_some()
            && !entry.sa.is_half_open()
            && let Some(origin) = entry.half_open.take()
        {
            let authenticated = entry.sa.is_established();
            let Shared { settings, now, .. } = &self.shared;
            self.admission.end(settings, *now, *origin, authenticated);
        }
        if entry.sa.own_spi() != entry.spi {
            self.lookup.remove_spi(entry.spi);
            entry.spi = entry.sa.own_spi();
            self.lookup.add_spi(entry.spi, key);
        }
        if entry.sa.fingerprint != entry.config {
            self.lookup.move_config(key, entry.config, entry.sa.fingerprint);
            entry.config = entry.sa.fingerprint;
        }
        for child in entry.sa.children.iter_mut().filter(|child| !child.listed) {
            self.lookup.add_child(child.spi_in, key);
            child.listed = true;
        }
        entry.sa.rest();
        self.census.update(&mut entry.counted, &entry.sa);
        let over = entry.sa.is_over();
        let deadline = if over {
            None
        } else {
            entry.sa.poll_timeout().map(|(when, _)| when)
        };
        if deadline != entry.deadline {
            if let Some(old) = entry.deadline {
                self.timers.remove(&(old, key));
            }
            if let Some(new) = deadline {
                self.timers.insert((new, key));
            }
            entry.deadline = deadline;
        }
        if over && let Some(mut entry) = self.sas.remove(&key) {
            entry.sa.clean_up(&mut self.shared);
            self.census.remove(&entry.counted);
            self.lookup.remove_spi(entry.spi);
            self.lookup.move_config(key, entry.config, 0);
            if let Some(half) = entry.sa.init_half {
                self.lookup.remove_init(half, key);
            }
            self.shared.jobs.abandon(key);
            self.shared.kernel_ops.retain(|_, owner| *owner != key);
        }
    }

    /// Finds the IKE_SA that owns an inbound SPI, trying the index of SPIs first.
    fn find_by_spi(&self, spi: u32, matches: impl Fn(&crate::child::ChildSa) -> bool) -> Option<SaKey> {
        let has = |key: &SaKey| {
            self.sas
                .get(key)
                .is_some_and(|entry| entry.sa.children.iter().any(&matches))
        };
        let likely = self.lookup.by_child(spi).filter(has);
        likely.or_else(|| self.find_by_child(&matches))
    }

    pub(super) fn find_by_child(&self, matches: impl Fn(&crate::child::ChildSa) -> bool) -> Option<SaKey> {
        self.sas
            .iter()
            .find(|(_, entry)| entry.sa.children.iter().any(&matches))
            .map(|(key, _)| *key)
    }
}
