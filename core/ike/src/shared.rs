//! What all IKE_SAs of an Endpoint share: configuration, algorithms, randomness, and the way out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::attribute::Attribute;
use config::connection::{ChildConfig, PeerConfig};
use config::identity::Identity;
use config::secret::SecretStore;
use crypto::registry::Registry;
use iana::HashAlgorithm;
use plugin_api::Hasher;

use crate::admission::Topic;
use crate::child::numbers::Chosen;
use crate::child::reservation::Reservation;
use crate::common::Common;
use crate::connections::Connections;
use crate::endpoint::{Initiate, Randomness};
use crate::exchange::creation::Estate;
use crate::extension::redirect::Luggage;
use crate::jobs::{Jobs, Owner};
use crate::lookup::SaKey;
use crate::names::Names;
use crate::output::{CommandId, Destination, Job, KernelId, KernelOp, Outbox};
use crate::pool::Pools;
use crate::psk::PskKeys;
use crate::reqids::Reqids;
use crate::sa::IkeSa;
use crate::scripts::Scripts;
use crate::settings::Settings;
use crate::standing::Standing;
use crate::tally::{Counter, Tally};
use crate::trap::Policies;

/// See the module.
pub(crate) struct Shared {
    /// The time of the input that is being handled.
    pub(crate) now: Instant,
    pub(crate) settings: Settings,
    pub(crate) registry: Arc<Registry>,
    pub(crate) connections: Connections,
    /// What names in them stand for.
    pub(crate) names: Names,
    pub(crate) secrets: SecretStore,
    pub(crate) psk_keys: PskKeys,
    /// Virtual addresses for peers.
    pub(crate) pools: Pools,
    /// What peers are told with a virtual address of any pool.
    pub(crate) attributes: Vec<Attribute>,
    /// Whether somebody has a use for DNS servers that peers name.
    pub(crate) uses_dns: bool,
    pub(crate) out: Outbox,
    pub(crate) local_addresses: Vec<IpAddr>,
    /// Whether anybody wants to know of moves and alerts.
    pub(crate) watched: bool,
    /// What keeps the datagram that is being handled from being the peer's, as far as is known: anyone may have seen the SPIs.
    pub(crate) unproved: Option<Topic>,
    /// Whether the reasons are written why an IKE_SA_INIT is refused; not while many are.
    pub(crate) describes_refusals: bool,
    pub(crate) reqids: Reqids,
    pub(crate) common: Common,
    /// Marks and ids of interfaces that were chosen.
    pub(crate) chosen: Chosen,
    /// Traps and shunts.
    pub(crate) policies: Policies,
    /// Scripts that run, and what waits for them when its IKE_SA is gone.
    pub(crate) scripts: Scripts,
    /// What an IKE_SA wants of the others; done when it has handled its input.
    pub(crate) wishes: Vec<Wish>,
    /// Identity pairs of the established IKE_SAs by their unique numbers, for INITIAL_CONTACT.
    pub(crate) established: Standing,
    /// The same of those that have a successor and wait for their end.
    pub(crate) superseded: Standing,
    /// Those of them with CHILD_SAs in whose place another IKE_SA's send.
    pub(crate) overlapping: BTreeSet<SaKey>,
    pub(crate) jobs: Jobs,
    /// Who waits for which kernel operations.
    pub(crate) kernel_ops: BTreeMap<KernelId, SaKey>,
    /// What is being reserved, to give it back if nobody waits any more.
    pub(crate) reservations: BTreeMap<KernelId, Reservation>,
    /// SPIs of CHILD_SAs that have gone, to be taken out of the Endpoint's tables.
    pub(crate) unlisted: Vec<u32>,
    /// What was counted, if anybody wants to know.
    pub(crate) tally: Option<Box<Tally>>,
    sha1: Arc<dyn Hasher>,
    randomness: Box<dyn Randomness>,
    last_ike_id: SaKey,
    last_child_id: u32,
}

/// Something an IKE_SA cannot do alone.
pub(crate) enum Wish {
    /// The peer says that it knows of no other IKE_SA between these identities.
    InitialContact {
        local: Arc<Identity>,
        remote: Arc<Identity>,
        except: u32,
    },
    /// The peer at this address answers no more: what it had rekeyed it will not delete.
    PeerDead {
        local: Arc<Identity>,
        remote: Arc<Identity>,
        address: IpAddr,
    },
    /// Only the newest IKE_SA of a configuration and these identities shall stay.
    Replace {
        config: Arc<PeerConfig>,
        local: Arc<Identity>,
        remote: Arc<Identity>,
        except: u32,
        /// One that goes by itself when this one stands.
        instead_of: Option<u32>,
    },
    /// Whether an IKE_SA may stand beside those that are to be kept.
    Admit {
        config: Arc<PeerConfig>,
        local: Arc<Identity>,
        remote: Arc<Identity>,
        newcomer: SaKey,
    },
    /// An IKE_SA that replaces another.
    Join(Box<IkeSa>),
    /// What one leaves to another that joined before.
    Inherit(SaKey, Box<Estate>),
    /// One that joined is not to take over: the peer will delete it.
    Redundant(SaKey),
    /// The peer deletes one whose CHILD_SAs another has anew.
    HandOver(SaKey),
    /// The CHILD_SAs between these identities have gone with their IKE_SA.
    TakeOver(Arc<Identity>, Arc<Identity>),
    /// Establish anew, for a reauthentication or a dead peer.
    Reinitiate(Box<Again>),
    /// Install the trap of a CHILD_SA that is gone.
    Trap(Box<Initiate>),
    /// An IKE_SA whose peer has authenticated again by another.
    Retire(SaKey),
    /// The peer of an IKE_SA could not authenticate again.
    RetryReauthentication(SaKey),
}

/// What to establish anew.
pub(crate) struct Again {
    pub(crate) what: Initiate,
    /// The command that waits for its CHILD_SA.
    pub(crate) command: Option<CommandId>,
    /// Further CHILD_SAs, with the commands that wait for them.
    pub(crate) children: Vec<(Arc<ChildConfig>, Option<CommandId>)>,
    /// The IKE_SA that goes when this one stands.
    pub(crate) instead_of: Option<SaKey>,
    /// What a client has that was redirected.
    pub(crate) luggage: Option<Luggage>,
    /// Virtual addresses that this end had.
    pub(crate) addresses: Vec<IpAddr>,
}

impl Shared {
    pub(crate) fn new(
        now: Instant,
        settings: Settings,
        registry: Arc<Registry>,
        randomness: Box<dyn Randomness>,
    ) -> Self {
        let sha1 = registry
            .hasher(HashAlgorithm::SHA1)
            .expect("an Endpoint needs HASHER:HASH_SHA1");
        Self {
            now,
            settings,
            registry,
            connections: Connections::default(),
            names: Names::default(),
            secrets: SecretStore::default(),
            psk_keys: PskKeys::default(),
            pools: Pools::default(),
            attributes: Vec::new(),
            uses_dns: false,
            out: Outbox::new(),
            local_addresses: Vec::new(),
            watched: false,
            unproved: None,
            describes_refusals: true,
            reqids: Reqids::default(),
            common: Common::default(),
            chosen: Chosen::default(),
            policies: Policies::default(),
            scripts: Scripts::default(),
            wishes: Vec::new(),
            established: Standing::default(),
            superseded: Standing::default(),
            overlapping: BTreeSet::new(),
            jobs: Jobs::default(),
            kernel_ops: BTreeMap::new(),
            reservations: BTreeMap::new(),
            unlisted: Vec::new(),
            tally: None,
            sha1,
            randomness,
            last_ike_id: 0,
            last_child_id: 0,
        }
    }

    /// SHA-1, for NAT detection, cookies and recognising repetitions; nothing secret rests on its collisions.
    pub(crate) fn sha1(&self, parts: &[&[u8]]) -> [u8; 20] {
        let mut digest = [0; 20];
        self.sha1.hash(parts, &mut digest).expect("a digest of 20 octets");
        digest
    }

    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        self.randomness.fill(&mut octets);
        octets
    }

    /// Counts something of a connection, or of none that is known.
    pub(crate) fn count(&mut self, connection: Option<&Arc<str>>, counter: Counter) {
        if let Some(tally) = &mut self.tally {
            tally.count(connection, counter);
        }
    }

    /// An IKE SPI; never zero (RFC 7296, 3.1).
    pub(crate) fn random_spi(&mut self) -> u64 {
        loop {
            let spi = u64::from_be_bytes(self.random());
            if spi != 0 {
                return spi;
            }
        }
    }

    /// A nonce of 32 octets, at least half the key length of every PRF.
    pub(crate) fn nonce(&mut self) -> Vec<u8> {
        self.random::<32>().to_vec()
    }

    /// Something below `bound` in whole seconds, zero if the bound is.
    pub(crate) fn random_below(&mut self, bound: Duration) -> Duration {
        match bound.as_secs() {
            0 => Duration::ZERO,
            seconds => Duration::from_secs(u64::from_be_bytes(self.random()) % seconds),
        }
    }

    pub(crate) fn start_job(&mut self, owner: SaKey, job: Job) {
        self.start_job_of(Owner::Phase(owner), job);
    }

    pub(crate) fn start_job_of(&mut self, owner: Owner, job: Job) {
        let id = self.out.job(job);
        self.jobs.add(id, owner);
    }

    pub(crate) fn start_kernel(&mut self, owner: SaKey, ops: Vec<KernelOp>) -> KernelId {
        let id = self.out.kernel(ops);
        self.kernel_ops.insert(id, owner);
        id
    }

    /// Asks for own addresses to reach others from.
    pub(crate) fn find_sources(&mut self, owner: SaKey, destinations: Vec<Destination>) -> KernelId {
        let id = self.out.find_sources(destinations);
        self.kernel_ops.insert(id, owner);
        id
    }

    pub(crate) fn next_ike_id(&mut self) -> SaKey {
        self.last_ike_id += 1;
        self.last_ike_id
    }

    pub(crate) fn next_child_id(&mut self) -> u32 {
        self.last_child_id += 1;
        self.last_child_id
    }

    /// Whether an IKE message between these ports carries the non-ESP marker (RFC 3948, 2.2).
    pub(crate) fn needs_marker(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let plain = [500, self.settings.port];
        !plain.contains(&local.port()) && !plain.contains(&remote.port())
    }
}

/// Logs a line of an IKE_SA, formatted only if somebody reads it.
macro_rules! log {
    ($shared:expr, $sa:expr, $group:ident, $level:expr, $($arg:tt)+) => {
        if $shared.out.wants(plugin_api::log::Group::$group, $level) {
            let line = format!($($arg)+);
            $shared.out.log(Some($sa.log_name()), plugin_api::log::Group::$group, $level, line);
        }
    };
}

/// Logs a line that belongs to no IKE_SA.
macro_rules! log_plain {
    ($shared:expr, $group:ident, $level:expr, $($arg:tt)+) => {
        if $shared.out.wants(plugin_api::log::Group::$group, $level) {
            let line = format!($($arg)+);
            $shared.out.log(None, plugin_api::log::Group::$group, $level, line);
        }
    };
}

pub(crate) use {log, log_plain};

/// An address with its port, as log lines have it: `192.168.0.3[500]`.
pub(crate) fn endpoint(address: SocketAddr) -> String {
    format!("{}[{}]", address.ip(), address.port())
}
