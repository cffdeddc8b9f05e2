//! An IKE_SA: a struct of components, each with its own file.

pub(crate) mod change;
mod end;
pub(crate) mod fragment;
mod inbound;
mod lifetime;
pub(crate) mod natt;
mod outbound;
pub(crate) mod peer;
pub(crate) mod protect;
pub(crate) mod restart;
mod state;
mod tally;
mod timers;
pub(crate) mod unwanted;
pub(crate) mod window;

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use config::connection::{AuthClass, ChildConfig, PeerConfig};
use config::identity::Identity;
use crypto::int_auth::Role;
use crypto::keymat::SkKeys;
use crypto::proposal::Proposal;
use crypto::suite::Suite;
use iana::Profile;

pub(crate) use inbound::Inbound;
pub(crate) use outbound::Outbound;
pub use state::IkeSaState;

use crate::child::ChildSa;
use crate::endpoint::{Initiate, fingerprint};
use crate::event::IkeSaInfo;
use crate::exchange::configuration::Given;
use crate::exchange::creation::{Creation, Side};
use crate::exchange::{Negotiation, Phase};
use crate::extension::mobike::{Mobike, Paths};
use crate::extension::redirect::Redirects;
use crate::extension::roaming::Search;
use crate::few::Few;
use crate::lookup::half;
use crate::output::{CommandError, CommandId, KernelId};
use crate::rare::Rare;
use crate::scripts::Waiting;
use crate::shared::{Shared, log};
use crate::tally::Handshake;
use crate::task::Task;
use crate::timer::Timer;
use crate::trap::Packet;
use fragment::Reassembly;
use lifetime::Lifetime;
use natt::Natt;
use peer::Peer;
use protect::Keys;
use window::Window;

/// What log lines call an IKE_SA before its configuration is selected.
const UNNAMED: &str = "(unnamed)";

/// See the module.
pub(crate) struct IkeSa {
    pub(crate) unique_id: u32,
    pub(crate) name: Arc<str>,
    pub(crate) config: Option<Arc<PeerConfig>>,
    /// Of the configuration; 0 without one.
    pub(crate) fingerprint: u32,
    /// Which end made this IKE_SA; it stays, whoever starts an exchange.
    pub(crate) role: Role,
    /// Which end made the first of a series of rekeyed IKE_SAs: MOBIKE's initiator (RFC 4555, 1.2).
    pub(crate) origin: Role,
    pub(crate) spi_i: u64,
    pub(crate) spi_r: u64,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) state: IkeSaState,
    pub(crate) window: Window,
    pub(crate) profile: Profile,
    pub(crate) suite: Option<Arc<Suite>>,
    pub(crate) proposal: Option<Arc<Proposal>>,
    pub(crate) keys: Option<Box<Keys>>,
    pub(crate) natt: Natt,
    pub(crate) mobike: Mobike,
    pub(crate) paths: Rare<Paths>,
    pub(crate) peer: Peer,
    pub(crate) negotiation: Option<Box<Negotiation>>,
    pub(crate) phase: Phase,
    pub(crate) children: Vec<ChildSa>,
    /// What this end is making.
    pub(crate) creating: Option<Box<Creation>>,
    /// What the peer is making.
    pub(crate) answering: Option<Box<Creation>>,
    /// The successor that the peer has made, while whose stays is open.
    pub(crate) rival: Option<u32>,
    /// It is such a rival of another's.
    pub(crate) undecided: bool,
    pub(crate) tasks: Rare<VecDeque<Task>>,
    pub(crate) active: Option<Box<Task>>,
    /// What the peer could not do when it was asked.
    pub(crate) later: Rare<Vec<(Timer, Task)>>,
    pub(crate) kernel_work: Few<KernelId, KernelWork>,
    pub(crate) local_id: Option<Arc<Identity>>,
    pub(crate) remote_id: Option<Arc<Identity>>,
    pub(crate) lifetime: Lifetime,
    /// The command that waits for the IKE_SA and its first CHILD_SA.
    pub(crate) command: Option<CommandId>,
    /// What this end initiated, to be tried again.
    pub(crate) initiate: Option<Box<Initiate>>,
    /// The nonces of IKE_SA_INIT, which the first CHILD_SA's keys are made from.
    pub(crate) nonces: Option<Box<(Vec<u8>, Vec<u8>)>>,
    /// Half of the digest of the IKE_SA_INIT request that made it.
    pub(crate) init_half: Option<u64>,
    /// How often it was tried from scratch.
    pub(crate) attempts: u32,
    /// To be established anew once it is deleted.
    pub(crate) reauthenticate: bool,
    /// This end has decided to close it, and neither a dead peer nor one that closes it first brings it back.
    pub(crate) unwanted: bool,
    /// The IKE_SA whose peer authenticates again by this one, which goes when this one stands.
    pub(crate) instead_of: Option<u32>,
    /// A post-quantum preshared key went into its keys, or into those of one that it succeeds.
    pub(crate) ppk: bool,
    /// Where it was sent, as a client.
    pub(crate) redirects: Rare<Redirects>,
    /// It connects as soon as the way to its peer is known.
    pub(crate) finds_way: bool,
    /// What configuration payloads have given to both ends.
    pub(crate) given: Rare<Given>,
    /// Ids of interfaces for those of its CHILD_SAs that have none of their own, once they are chosen.
    if_ids: Option<[u32; 2]>,
    /// The attempt to establish it.
    handshake: Option<Box<Handshake>>,
    requests: Rare<Reassembly>,
    responses: Rare<Reassembly>,
    /// By which addresses, ours and the peer's, the request came that is being processed.
    request_path: Option<Box<(SocketAddr, SocketAddr)>>,
}

/// What to do when a batch of kernel operations is done.
#[derive(Debug)]
pub(crate) enum KernelWork {
    /// An SPI for the first CHILD_SA was asked for.
    ReserveSpi,
    /// The first CHILD_SA is being installed.
    Install,
    /// CHILD_SAs that the peer deletes are being removed.
    CloseByPeer(Vec<u32>),
    /// A CHILD_SA that this end deletes is being removed.
    CloseByUs(u32),
    /// The usage of a CHILD_SA that may be idle was asked for.
    FindUse(u32),
    /// An SPI for a further CHILD_SA was asked for.
    ReserveCreated(Side),
    /// A further CHILD_SA is being installed.
    InstallCreated(Side),
    /// A virtual address is being installed, and nobody waits.
    InstallAddress(IpAddr),
    /// The CHILD_SA of this unique number is being moved from these addresses.
    Relocate(u32, (IpAddr, IpAddr)),
    /// The routes were asked for a way to the peer.
    FindSources(Search),
    /// Scripts run for CHILD_SAs; this follows.
    Scripts(Box<Waiting>),
    /// Nobody waits; what fails is said.
    Unattended,
}

impl IkeSa {
    pub(crate) fn new(
        unique_id: u32,
        role: Role,
        now: Instant,
        spi: u64,
        local: SocketAddr,
        remote: SocketAddr,
        phase: Phase,
    ) -> Self {
        let (spi_i, spi_r) = match role {
            Role::Initiator => (spi, 0),
            Role::Responder => (0, spi),
        };
        Self {
            unique_id,
            name: Arc::from(UNNAMED),
            config: None,
            fingerprint: 0,
            role,
            origin: role,
            spi_i,
            spi_r,
            local,
            remote,
            state: IkeSaState::Created,
            window: Window::default(),
            profile: Profile::default(),
            suite: None,
            proposal: None,
            keys: None,
            natt: Natt::default(),
            mobike: Mobike::default(),
            paths: Rare::default(),
            peer: Peer::default(),
            negotiation: Some(Box::default()),
            phase,
            children: Vec::new(),
            creating: None,
            answering: None,
            rival: None,
            undecided: false,
            tasks: Rare::default(),
            active: None,
            later: Rare::default(),
            kernel_work: Few::default(),
            local_id: None,
            remote_id: None,
            lifetime: Lifetime::new(now),
            command: None,
            initiate: None,
            nonces: None,
            init_half: None,
            attempts: 1,
            reauthenticate: false,
            unwanted: false,
            instead_of: None,
            ppk: false,
            redirects: Rare::default(),
            finds_way: false,
            given: Rare::default(),
            if_ids: None,
            handshake: None,
            requests: Rare::default(),
            responses: Rare::default(),
            request_path: None,
        }
    }

    /// An IKE_SA that this end wants; [`connect`](Self::connect) starts it.
    pub(crate) fn initiator(
        shared: &mut Shared,
        unique_id: u32,
        what: Initiate,
        command: Option<CommandId>,
    ) -> Self {
        let spi = shared.random_spi();
        let mut sa = Self::new(
            unique_id,
            Role::Initiator,
            shared.now,
            spi,
            what.local,
            what.remote,
            Phase::Idle,
        );
        sa.use_config(shared, Arc::clone(&what.peer));
        sa.command = command;
        sa.initiate = Some(Box::new(what));
        sa.handshake = Some(Box::new(Handshake::new(true, shared.now)));
        sa
    }

    /// An IKE_SA that the peer asks for.
    pub(crate) fn responder(
        shared: &mut Shared,
        unique_id: u32,
        local: SocketAddr,
        remote: SocketAddr,
        spi_i: u64,
        init_digest: [u8; 20],
    ) -> Self {
        let spi = shared.random_spi();
        let mut sa = Self::new(
            unique_id,
            Role::Responder,
            shared.now,
            spi,
            local,
            remote,
            Phase::Idle,
        );
        sa.spi_i = spi_i;
        sa.init_half = Some(half(&init_digest));
        sa.window.note(init_digest);
        sa.handshake = Some(Box::new(Handshake::new(false, shared.now)));
        if let Some(negotiation) = &mut sa.negotiation {
            negotiation.begun_at = Some(remote.ip());
        }
        sa.lifetime.half_open = Timer::after(shared.now, shared.settings.half_open_timeout);
        sa
    }

    /// Forgets everything negotiated, to try from scratch under a new SPI.
    pub(crate) fn start_over(&mut self, shared: &mut Shared) {
        self.spi_i = shared.random_spi();
        self.spi_r = 0;
        if let Some(what) = &self.initiate {
            (self.local, self.remote) = (what.local, what.remote);
        }
        self.window = Window::default();
        self.suite = None;
        self.proposal = None;
        self.keys = None;
        self.natt = Natt::default();
        self.mobike = Mobike::default();
        self.paths = Rare::default();
        self.peer = Peer::default();
        self.negotiation = Some(Box::default());
        self.phase = Phase::Idle;
        self.kernel_work = Few::default();
        self.responses = Rare::default();
    }

    pub(crate) fn use_config(&mut self, shared: &mut Shared, config: Arc<PeerConfig>) {
        self.name = shared.common.name(&config.name);
        self.set_config(config);
    }

    /// Takes parameters from a configuration whose peer is not known to be this one.
    pub(crate) fn set_config(&mut self, config: Arc<PeerConfig>) {
        self.fingerprint = fingerprint(&config);
        self.config = Some(config);
    }

    /// The ids of interfaces for those of its CHILD_SAs that have none of their own.
    pub(crate) fn if_ids(&mut self, shared: &mut Shared) -> [u32; 2] {
        let config = self.config.as_deref();
        *self
            .if_ids
            .get_or_insert_with(|| config.map_or([0; 2], |config| shared.chosen.if_ids(config)))
    }

    /// Has those of the IKE_SA that it replaces.
    pub(crate) fn inherit_if_ids(&mut self, old: &Self) {
        self.if_ids = old.if_ids;
    }

    /// The key material.
    pub(crate) fn sk(&self) -> Option<&SkKeys> {
        self.keys.as_ref().map(|keys| &keys.sk)
    }

    /// Gives room back that only exchanges need, if none is going on.
    pub(crate) fn rest(&mut self) {
        let is_idle = self.is_established()
            && !self.window.is_busy()
            && !self.window.is_processing()
            && matches!(self.phase, Phase::Idle)
            && self.creating.is_none()
            && self.answering.is_none()
            && self.kernel_work.is_empty();
        if !is_idle {
            return;
        }
        if let Some(keys) = &mut self.keys {
            keys.rest();
        }
        self.nonces = None;
        self.request_path = None;
        self.tasks.tidy();
        self.later.tidy();
        self.requests.tidy();
        self.responses.tidy();
        self.paths.tidy();
        self.redirects.tidy();
        self.given.tidy();
        self.mobike.peer_addresses.shrink_to_fit();
    }

    /// The SPI that this end chose.
    pub(crate) fn own_spi(&self) -> u64 {
        match self.role {
            Role::Initiator => self.spi_i,
            Role::Responder => self.spi_r,
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        use IkeSaState as S;
        matches!(
            self.state,
            S::Established | S::Rekeying | S::Rekeyed | S::Deleting
        ) && self.lifetime.established.is_some()
    }

    /// Whether it counts against the limits of half-open IKE_SAs.
    pub(crate) fn is_half_open(&self) -> bool {
        self.role == Role::Responder && !self.is_established() && self.state != IkeSaState::Destroying
    }

    pub(crate) fn log_name(&self) -> (u32, Arc<str>) {
        (self.unique_id, Arc::clone(&self.name))
    }

    /// The profile that the connection demands.
    pub(crate) fn pinned_profile(&self) -> Option<Profile> {
        self.config.as_ref().and_then(|config| config.profile)
    }

    /// As log lines name it: `Tunnel1[1]`.
    pub(crate) fn label(&self) -> String {
        format!("{}[{}]", self.name, self.unique_id)
    }

    /// Both ends with their identities, as log lines have them.
    pub(crate) fn ends(&self) -> String {
        let identity =
            |id: &Option<Arc<Identity>>| id.as_ref().map_or_else(|| "%any".to_owned(), |id| id.to_string());
        format!(
            "{}[{}]...{}[{}]",
            self.local.ip(),
            identity(&self.local_id),
            self.remote.ip(),
            identity(&self.remote_id)
        )
    }

    /// Moves to another state; an impossible transition leaves the state, and fails tests.
    pub(crate) fn transition_to(
        &mut self,
        event: impl Fn(IkeSaState) -> Result<IkeSaState, crate::transitions::InvalidTransition>,
    ) {
        match event(self.state) {
            Ok(state) => self.state = state,
            Err(error) => debug_assert!(false, "{error}"),
        }
    }

    /// It is over; the Endpoint removes it when the input is handled.
    pub(crate) fn destroy(&mut self) {
        self.transition_to(IkeSaState::destroy);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == IkeSaState::Destroying
    }

    /// Whether further CHILD_SAs may be made in it, now or once it is established.
    pub(crate) fn takes_children(&self) -> bool {
        use IkeSaState as S;
        let usable = match self.state {
            S::Created | S::Connecting => self.role == Role::Initiator,
            S::Established | S::Rekeying => !self.undecided && !self.lifetime.superseded.is_on(),
            // What is wanted of one that is reauthenticated is made when it is established anew.
            S::Deleting => self.reauthenticate,
            S::Rekeyed | S::Destroying => false,
        };
        let ends = self.tasks.iter().any(|task| matches!(task, Task::DeleteIke(_)));
        usable && !self.unwanted && (!ends || self.reauthenticate)
    }

    /// A command that wants a CHILD_SA, or only the IKE_SA.
    pub(crate) fn add_child(
        &mut self,
        shared: &mut Shared,
        child: Option<Arc<ChildConfig>>,
        command: CommandId,
    ) {
        let Some(config) = child else {
            return self.enqueue(shared, Task::Report(command));
        };
        let same = self
            .children
            .iter()
            .find(|child| child.stays() && child.config == config);
        if let Some(same) = same {
            log!(
                shared,
                self,
                Ike,
                1,
                "CHILD_SA {} is established already",
                same.label()
            );
            let id = same.unique_id;
            if !self.wait_for_up(id, command) {
                shared.out.command_done(command, Ok(()));
            }
            return;
        }
        self.enqueue(shared, Task::CreateChild(config, Some(command)));
    }

    /// A trap that wants a CHILD_SA for a packet. One that is being made already has to do.
    pub(crate) fn add_child_for(
        &mut self,
        shared: &mut Shared,
        config: Arc<ChildConfig>,
        packet: &Packet,
        command: CommandId,
    ) {
        if self.serves(&config.name, packet) || self.is_making(&config.name) {
            return shared.out.command_done(command, Ok(()));
        }
        if self.narrows_in_vain(&config.name) {
            let (src, dst) = packet;
            log!(
                shared,
                self,
                Ike,
                1,
                "not establishing CHILD_SA {} for {src} === {dst}, peer narrows it to what there is already",
                config.name
            );
            return shared.out.command_done(command, Err(CommandError::Failed));
        }
        self.enqueue(shared, Task::CreateChild(config, Some(command)));
    }

    /// Whether there are two CHILD_SAs of a configuration with the same selectors, so that one more would be no use.
    fn narrows_in_vain(&self, name: &str) -> bool {
        let mut seen = BTreeSet::new();
        let installed = |child: &&ChildSa| child.config.name == name && child.stays();
        let mut children = self.children.iter().filter(installed);
        children.any(|child| !seen.insert((&child.selectors.local, &child.selectors.remote)))
    }

    /// Whether a CHILD_SA of this configuration will be there soon, unless something fails.
    fn is_making(&self, name: &str) -> bool {
        let first = self.initiate.as_ref().and_then(|what| what.child.as_ref());
        let later = self.later.iter().map(|(_, task)| task);
        (!self.is_established() && first.is_some_and(|child| child.name == name))
            || self.creating.as_ref().is_some_and(|it| it.makes(name))
            || self.answering.as_ref().is_some_and(|it| it.makes(name))
            || self.tasks.iter().chain(later).any(|task| task.makes(name))
    }

    /// What this end wants done, as soon as the window lets it.
    pub(crate) fn enqueue(&mut self, shared: &mut Shared, task: Task) {
        self.tasks.push_back(task);
        self.start_next_task(shared);
    }

    pub(crate) fn info(&self) -> IkeSaInfo {
        let names = |tasks: &VecDeque<Task>| tasks.iter().map(|task| task.name()).collect();
        IkeSaInfo {
            unique_id: self.unique_id,
            config: self.config.clone(),
            name: Arc::clone(&self.name),
            state: self.state,
            initiator: self.role == Role::Initiator,
            spi_i: self.spi_i,
            spi_r: self.spi_r,
            local: self.local,
            remote: self.remote,
            local_id: self.local_id.as_deref().cloned(),
            remote_id: self.remote_id.as_deref().cloned(),
            local_auth: self
                .config
                .iter()
                .flat_map(|config| &config.local_auth)
                .map(|auth| auth.class)
                .collect::<Vec<AuthClass>>(),
            nat_local: self.natt.local,
            nat_remote: self.natt.remote,
            nat_fake: self.natt.fake && !self.natt.local && !self.natt.remote,
            if_ids: self.if_ids.unwrap_or_default(),
            proposal: self.proposal.as_deref().cloned(),
            ppk: self.ppk,
            established: self.lifetime.established,
            rekey_at: self.lifetime.rekey.deadline(),
            reauth_at: self.lifetime.reauth.deadline(),
            local_vips: self.given.own.clone(),
            remote_vips: self.given.peer_addresses().collect(),
            dns: self.given.dns.clone(),
            tasks_queued: names(&self.tasks),
            tasks_active: match &self.active {
                Some(task) => vec![task.name()],
                None => self.phase.active_tasks().to_vec(),
            },
            tasks_passive: match &self.answering {
                Some(creation) => vec![creation.task_name()],
                None => self.phase.passive_tasks().to_vec(),
            },
            children: self.children.iter().map(ChildSa::info).collect(),
        }
    }
}
