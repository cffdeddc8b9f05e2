//! An IKE_SA: a struct of components, each with its own file.

pub(crate) mod fragment;
mod inbound;
mod lifetime;
pub(crate) mod natt;
mod outbound;
pub(crate) mod peer;
pub(crate) mod protect;
mod state;
pub(crate) mod window;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use config::connection::{AuthClass, PeerConfig};
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
use crate::endpoint::Initiate;
use crate::event::{Event, IkeSaInfo};
use crate::exchange::creation::{Creation, Side};
use crate::exchange::{Negotiation, Phase};
use crate::output::{CommandError, CommandId, KernelId, KernelOp};
use crate::shared::{Shared, log};
use crate::task::Task;
use crate::timer::{Timer, earliest};
use fragment::Reassembly;
use lifetime::Lifetime;
use natt::Natt;
use peer::Peer;
use protect::Keys;
use window::{Due, Window};

/// See the module.
pub(crate) struct IkeSa {
    pub(crate) unique_id: u32,
    pub(crate) name: Arc<str>,
    pub(crate) config: Option<Arc<PeerConfig>>,
    /// Which end made this IKE_SA; it stays, whoever starts an exchange.
    pub(crate) role: Role,
    pub(crate) spi_i: u64,
    pub(crate) spi_r: u64,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) state: IkeSaState,
    pub(crate) window: Window,
    pub(crate) profile: Profile,
    pub(crate) suite: Option<Arc<Suite>>,
    pub(crate) proposal: Option<Proposal>,
    pub(crate) sk: Option<SkKeys>,
    pub(crate) keys: Option<Keys>,
    pub(crate) natt: Natt,
    pub(crate) peer: Peer,
    pub(crate) negotiation: Option<Box<Negotiation>>,
    pub(crate) phase: Phase,
    pub(crate) children: Vec<ChildSa>,
    /// The CHILD_SA that this end is making.
    pub(crate) creating: Option<Box<Creation>>,
    /// The CHILD_SA that the peer is making.
    pub(crate) answering: Option<Box<Creation>>,
    pub(crate) tasks: VecDeque<Task>,
    pub(crate) active: Option<Task>,
    pub(crate) kernel_work: BTreeMap<KernelId, KernelWork>,
    pub(crate) local_id: Option<Identity>,
    pub(crate) remote_id: Option<Identity>,
    pub(crate) lifetime: Lifetime,
    /// The command that waits for the IKE_SA and its first CHILD_SA.
    pub(crate) command: Option<CommandId>,
    /// What this end initiated, to be tried again.
    pub(crate) initiate: Option<Initiate>,
    /// The nonces of IKE_SA_INIT, which the first CHILD_SA's keys are made from.
    pub(crate) nonces: (Vec<u8>, Vec<u8>),
    /// Digest of the IKE_SA_INIT request that made it.
    pub(crate) init_digest: Option<[u8; 20]>,
    /// How often it was tried from scratch.
    pub(crate) attempts: u32,
    /// To be established anew once it is deleted.
    pub(crate) reauthenticate: bool,
    requests: Reassembly,
    responses: Reassembly,
    /// Of the peer's next request: the packet, or its first fragment.
    request_digest: [u8; 20],
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
    /// An SPI for a further CHILD_SA was asked for.
    ReserveCreated(Side),
    /// A further CHILD_SA is being installed.
    InstallCreated(Side),
    /// Nobody waits.
    Relocate,
    /// Nobody waits; what fails is said.
    Unattended,
}

impl IkeSa {
    fn new(
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
            name: Arc::from("(unnamed)"),
            config: None,
            role,
            spi_i,
            spi_r,
            local,
            remote,
            state: IkeSaState::Created,
            window: Window::default(),
            profile: Profile::default(),
            suite: None,
            proposal: None,
            sk: None,
            keys: None,
            natt: Natt::default(),
            peer: Peer::default(),
            negotiation: Some(Box::default()),
            phase,
            children: Vec::new(),
            creating: None,
            answering: None,
            tasks: VecDeque::new(),
            active: None,
            kernel_work: BTreeMap::new(),
            local_id: None,
            remote_id: None,
            lifetime: Lifetime::new(now),
            command: None,
            initiate: None,
            nonces: (Vec::new(), Vec::new()),
            init_digest: None,
            attempts: 1,
            reauthenticate: false,
            requests: Reassembly::default(),
            responses: Reassembly::default(),
            request_digest: [0; 20],
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
        sa.use_config(Arc::clone(&what.peer));
        sa.command = command;
        sa.initiate = Some(what);
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
        sa.init_digest = Some(init_digest);
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
        self.sk = None;
        self.keys = None;
        self.natt = Natt::default();
        self.peer = Peer::default();
        self.negotiation = Some(Box::default());
        self.phase = Phase::Idle;
        self.kernel_work.clear();
        self.responses = Reassembly::default();
    }

    pub(crate) fn use_config(&mut self, config: Arc<PeerConfig>) {
        self.name = Arc::from(config.name.as_str());
        self.config = Some(config);
    }

    /// The SPI that this end chose.
    pub(crate) fn own_spi(&self) -> u64 {
        match self.role {
            Role::Initiator => self.spi_i,
            Role::Responder => self.spi_r,
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        matches!(self.state, IkeSaState::Established | IkeSaState::Deleting)
            && self.lifetime.established.is_some()
    }

    /// Whether it counts against the limits of half-open IKE_SAs.
    pub(crate) fn is_half_open(&self) -> bool {
        self.role == Role::Responder && !self.is_established() && self.state != IkeSaState::Destroying
    }

    pub(crate) fn log_name(&self) -> (u32, Arc<str>) {
        (self.unique_id, Arc::clone(&self.name))
    }

    /// As log lines name it: `Tunnel1[1]`.
    pub(crate) fn label(&self) -> String {
        format!("{}[{}]", self.name, self.unique_id)
    }

    /// Both ends with their identities, as log lines have them.
    pub(crate) fn ends(&self) -> String {
        let identity =
            |id: &Option<Identity>| id.as_ref().map_or_else(|| "%any".to_owned(), Identity::to_string);
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

    /// Everything that has to be undone when the IKE_SA goes.
    pub(crate) fn clean_up(&mut self, shared: &mut Shared) {
        shared.established.remove(&self.unique_id);
        let info = self.info();
        let mut ops: Vec<KernelOp> = Vec::new();
        for child in std::mem::take(&mut self.children) {
            if child.is_installed() {
                shared
                    .out
                    .event(Event::ChildDown(Box::new(info.clone()), Box::new(child.info())));
            }
            ops.extend(child.remove());
            child.release(shared);
        }
        if let Some(child) = self.phase.take_child() {
            ops.extend(child.remove());
            child.release(shared);
        }
        for mut creation in [self.creating.take(), self.answering.take()]
            .into_iter()
            .flatten()
        {
            if let Some(child) = creation.child.take() {
                ops.extend(child.remove());
                child.release(shared);
            }
            if let Some(command) = creation.command {
                shared.out.command_done(command, Err(CommandError::Failed));
            }
        }
        if !ops.is_empty() {
            shared.out.kernel(ops);
        }
        if self.lifetime.established.is_some() {
            shared.out.event(Event::IkeDown(Box::new(info)));
        }
        if let Some(command) = self.command.take() {
            shared.out.command_done(command, Err(CommandError::Failed));
        }
        let active = self.active.take().map(|task| (task, false));
        let queued = self.tasks.drain(..).map(|task| (task, true));
        for (task, waiting) in active.into_iter().chain(queued) {
            match task {
                Task::DeleteIke(Some(command)) | Task::DeleteChild(_, Some(command)) => {
                    shared.out.command_done(command, Ok(()));
                }
                // One that is under way reports by its creation.
                Task::RekeyChild(_, Some(command)) if waiting => {
                    shared.out.command_done(command, Err(CommandError::Failed));
                }
                _ => {}
            }
        }
    }

    /// The next deadline, with its reason.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        earliest(
            [
                (self.window.timer(), "retransmission"),
                (self.lifetime.half_open, "half-open IKE_SA"),
                (self.lifetime.reauth, "reauthentication"),
                (self.lifetime.over, "lifetime of IKE_SA"),
                (self.lifetime.liveness, "liveness check"),
                (self.natt.keepalive, "NAT keepalive"),
            ]
            .into_iter()
            .chain(self.children.iter().map(|child| (child.timer, "CHILD_SA"))),
        )
    }

    pub(crate) fn handle_timeout(&mut self, shared: &mut Shared) {
        let now = shared.now;
        if self.lifetime.half_open.expire(now) {
            log!(
                shared,
                self,
                Job,
                1,
                "deleting half open IKE_SA with {} after timeout",
                self.remote.ip()
            );
            return self.destroy();
        }
        if self.lifetime.over.expire(now) {
            self.enqueue(shared, Task::DeleteIke(None));
        }
        if self.lifetime.reauth.expire(now) {
            self.reauthenticate(shared);
        }
        let retransmit = shared.settings.retransmit;
        let cut = u64::from_be_bytes(shared.random());
        let due = self.window.on_timeout(now, &retransmit, |delay| {
            lifetime::shorten(delay, retransmit.jitter, cut)
        });
        match due {
            Some(Due::Again(n)) => {
                if let Some(request) = self.window.outstanding() {
                    let (id, packets) = (request.message_id, request.packets.clone());
                    log!(
                        shared,
                        self,
                        Ike,
                        1,
                        "retransmit {n} of request with message ID {id}"
                    );
                    self.transmit(shared, packets);
                }
            }
            Some(Due::GiveUp(n)) => {
                log!(shared, self, Ike, 1, "giving up after {n} retransmits");
                self.on_peer_dead(shared);
            }
            None => {}
        }
        if self.natt.keepalive.expire(now) {
            self.send_keepalive(shared);
        }
        if self.lifetime.liveness.expire(now) {
            self.check_liveness(shared);
        }
        for index in (0..self.children.len()).rev() {
            if self.children[index].timer.expire(now) {
                self.on_child_timer(shared, index);
            }
        }
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
            local_id: self.local_id.clone(),
            remote_id: self.remote_id.clone(),
            local_auth: self
                .config
                .iter()
                .flat_map(|config| &config.local_auth)
                .map(|auth| auth.class)
                .collect::<Vec<AuthClass>>(),
            nat_local: self.natt.local,
            nat_remote: self.natt.remote,
            nat_fake: self.natt.fake,
            proposal: self.proposal.clone(),
            established: self.lifetime.established,
            rekey_at: None,
            reauth_at: self.lifetime.reauth.deadline(),
            tasks_queued: names(&self.tasks),
            tasks_active: match self.active {
                Some(task) => vec![task.name()],
                None => self.phase.active_tasks().to_vec(),
            },
            tasks_passive: self.phase.passive_tasks().to_vec(),
            children: self.children.iter().map(ChildSa::info).collect(),
        }
    }
}
