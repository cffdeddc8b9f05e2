//! CHILD_SAs: a pair of SAs of ESP or AH, and of IPComp within them, with their policies.

mod inactivity;
mod integrity;
mod ipcomp;
pub(crate) mod negotiate;
pub(crate) mod numbers;
mod overlap;
pub(crate) mod reservation;
mod sas;
mod state;
pub(crate) mod transport;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::connection::{ChildConfig, Limit, Mode};
use crypto::int_auth::Role;
use crypto::keymat::ChildKeys;
use crypto::proposal::Proposal;
use crypto::suite::ChildSuite;
use iana::{NotifyType, Protocol, TrafficSelector};
use plugin_api::kernel::{
    Direction, IPCOMP, PolicyAction, PolicyOptions, PolicyParameters, PolicyPriority, SaLifetime, SaMode,
    UdpEncap,
};

pub use numbers::Numbers;
pub use state::ChildState;

use inactivity::Use;
use ipcomp::Cpis;
use reservation::Reserved;

use crate::event::ChildSaInfo;
use crate::output::{KernelOp, KernelResult};
use crate::selectors;
use crate::shared::Shared;
use crate::timer::Timer;

/// How long a CHILD_SA of another IKE_SA sends in place of a new one whose peer shows no sign of having it.
const OVERLAP: Duration = Duration::from_secs(2);

/// A CHILD_SA. It exists from the moment its inbound SPI is reserved.
pub(crate) struct ChildSa {
    pub(crate) unique_id: u32,
    pub(crate) config: Arc<ChildConfig>,
    pub(crate) state: ChildState,
    /// ESP or AH.
    pub(crate) protocol: Protocol,
    pub(crate) spi_in: u32,
    pub(crate) spi_out: u32,
    cpis: Cpis,
    pub(crate) selectors: Arc<Selectors>,
    pub(crate) mode: Mode,
    reqid: u32,
    /// The selectors that it has the reqid for; its own may have moved since.
    pub(crate) first_selectors: Arc<Selectors>,
    proposal: Option<Arc<Proposal>>,
    encap: Option<(u16, u16)>,
    ends: (IpAddr, IpAddr),
    installed: Option<Instant>,
    rekey_at: Option<Instant>,
    expires_at: Option<Instant>,
    outbound: Outbound,
    /// Whether one of another IKE_SA with the same peer sends in its place for now.
    overlaps: bool,
    /// Whether the Endpoint's tables lead from its SPI to its IKE_SA.
    pub(crate) listed: bool,
    /// Whether this end has decided to close it. What replaces it in the meantime is closed, too.
    pub(crate) unwanted: bool,
    /// Whether its script for going down was asked for.
    pub(crate) told_down: bool,
    /// The CHILD_SA that takes over when this one goes.
    pub(crate) successor: Option<NonZeroU32>,
    /// When to try again to rekey it, or when a deleted one has taken its last packet.
    pub(crate) timer: Timer,
    /// Of one that is closed when it is idle for long.
    usage: Option<Box<Use>>,
}

/// What packets a CHILD_SA or a trap is for.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selectors {
    /// What this end sends from.
    pub(crate) local: Box<[TrafficSelector]>,
    /// What the peer has behind it.
    pub(crate) remote: Box<[TrafficSelector]>,
    pub(crate) numbers: Numbers,
}

/// Where the half that sends stands. A responder has the old CHILD_SA send until that is deleted: only then it knows that
/// the initiator can receive by the new one.
#[derive(Debug)]
enum Outbound {
    /// Not installed; these operations install it.
    Waiting(Box<[KernelOp]>),
    Installed,
    Gone,
}

/// When to install the half that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendFrom {
    Now,
    /// When the CHILD_SA that is rekeyed is deleted.
    Later,
    /// When the peer shows that it has it, or after a while: a CHILD_SA of another IKE_SA serves the same selectors.
    Overlapping,
}

/// What the negotiation of a CHILD_SA came to.
pub(crate) struct Agreed {
    pub(crate) proposal: Proposal,
    pub(crate) suite: ChildSuite,
    pub(crate) keys: ChildKeys,
    /// The end's role in the exchange that made the keys.
    pub(crate) role: Role,
    pub(crate) spi_out: u32,
    pub(crate) local_ts: Vec<TrafficSelector>,
    pub(crate) remote_ts: Vec<TrafficSelector>,
    pub(crate) encap: bool,
}

impl Selectors {
    /// Where inbound packets come from, or outbound ones.
    fn from(&self, inbound: bool) -> &[TrafficSelector] {
        if inbound { &self.remote } else { &self.local }
    }
}

impl ChildSa {
    /// A CHILD_SA to be negotiated, with what is reserved for it.
    pub(crate) fn new(
        unique_id: u32,
        config: Arc<ChildConfig>,
        reserved: Reserved,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Self {
        Self {
            unique_id,
            mode: config.mode,
            config,
            state: ChildState::Created,
            protocol: reserved.protocol,
            spi_in: reserved.spi,
            spi_out: 0,
            cpis: Cpis::of(reserved),
            selectors: Arc::default(),
            reqid: 0,
            first_selectors: Arc::default(),
            proposal: None,
            encap: None,
            ends: (local.ip(), remote.ip()),
            installed: None,
            rekey_at: None,
            expires_at: None,
            outbound: Outbound::Gone,
            overlaps: false,
            listed: false,
            unwanted: false,
            told_down: false,
            successor: None,
            timer: Timer::OFF,
            usage: None,
        }
    }

    /// Takes over what was agreed, and says what the kernel has to do: the inbound SA first, so that nothing the peer
    /// sends is lost, then the outbound one, then the policies.
    pub(crate) fn install(
        &mut self,
        shared: &mut Shared,
        agreed: Agreed,
        numbers: Numbers,
        local: SocketAddr,
        remote: SocketAddr,
        send: SendFrom,
    ) -> Vec<KernelOp> {
        self.transition_to(ChildState::install);
        self.ends = (local.ip(), remote.ip());
        self.encap = agreed.encap.then_some((local.port(), remote.port()));
        self.spi_out = agreed.spi_out;
        self.selectors = Arc::new(Selectors {
            local: agreed.local_ts.into(),
            remote: agreed.remote_ts.into(),
            numbers,
        });
        self.reqid = match self.config.reqid {
            0 => shared.reqids.acquire(&self.selectors),
            fixed => fixed,
        };
        self.first_selectors = Arc::clone(&self.selectors);
        let lifetime = self.lifetime(shared);
        self.rekey_at = after(shared.now, lifetime.soft_time);
        self.expires_at = after(shared.now, lifetime.hard_time);

        if agreed.suite.protocol != self.protocol {
            // The peer has chosen the other protocol of those offered with this SPI.
            shared.out.kernel(vec![KernelOp::DeleteSa(self.inbound())]);
            self.protocol = agreed.suite.protocol;
        }
        let Agreed {
            proposal,
            suite,
            keys,
            role,
            ..
        } = agreed;
        let replay_window = self.config.replay_window.unwrap_or(shared.settings.replay_window);
        let [mut ops, mut sending] = self.sas(&suite, keys, role, lifetime, replay_window);
        let (outbound, inbound): (Vec<_>, Vec<_>) = self
            .policies()
            .into_iter()
            .partition(|policy| policy.direction == Direction::Out);
        sending.extend(outbound.into_iter().map(KernelOp::AddPolicy));
        if send == SendFrom::Now {
            ops.append(&mut sending);
            self.outbound = Outbound::Installed;
        } else {
            self.outbound = Outbound::Waiting(sending.into());
        }
        if send == SendFrom::Overlapping {
            self.overlaps = true;
            self.timer = Timer::after(shared.now, OVERLAP);
        }
        ops.extend(inbound.into_iter().map(KernelOp::AddPolicy));
        self.proposal = Some(shared.common.child_proposal(proposal));
        ops
    }

    /// What installs the half that sends, if that waits.
    pub(crate) fn start_sending(&mut self) -> Vec<KernelOp> {
        match std::mem::replace(&mut self.outbound, Outbound::Gone) {
            // The inbound half has gone already.
            Outbound::Waiting(_) if matches!(self.state, ChildState::Deleting | ChildState::Deleted) => {
                Vec::new()
            }
            Outbound::Waiting(ops) => {
                self.outbound = Outbound::Installed;
                ops.into_vec()
            }
            other => {
                self.outbound = other;
                Vec::new()
            }
        }
    }

    /// What installs the half that sends, if a CHILD_SA of another IKE_SA has sent in its place.
    pub(crate) fn take_over(&mut self) -> Vec<KernelOp> {
        if !std::mem::take(&mut self.overlaps) {
            return Vec::new();
        }
        self.timer = Timer::OFF;
        self.start_sending()
    }

    /// What the kernel has to do so that it sends no more; packets of the peer are still taken.
    pub(crate) fn stop_sending(&mut self) -> Vec<KernelOp> {
        let ops = self.remove_outbound();
        self.outbound = Outbound::Gone;
        ops
    }

    fn remove_outbound(&self) -> Vec<KernelOp> {
        if !matches!(self.outbound, Outbound::Installed) {
            return Vec::new();
        }
        let mut ops: Vec<_> = self
            .policies()
            .into_iter()
            .filter(|policy| policy.direction == Direction::Out)
            .rev()
            .map(KernelOp::DeletePolicy)
            .collect();
        ops.extend(self.sa_removal(false));
        ops
    }

    /// The kernel has it.
    pub(crate) fn on_installed(&mut self, now: Instant) {
        self.transition_to(ChildState::installed);
        self.installed = Some(now);
        self.usage = Use::new(now, self.config.inactivity).map(Box::new);
    }

    /// What asks for the usage of both SAs.
    pub(crate) fn query(&self) -> Vec<KernelOp> {
        vec![
            KernelOp::QuerySa(self.inbound()),
            KernelOp::QuerySa(self.outbound()),
        ]
    }

    /// What asks for the usage of the SAs that the kernel has.
    fn query_installed(&self) -> Vec<KernelOp> {
        let mut ops = self.query();
        if !matches!(self.outbound, Outbound::Installed) {
            ops.truncate(1);
        }
        ops
    }

    /// What the kernel has to do so that nothing of it remains.
    pub(crate) fn remove(&self) -> Vec<KernelOp> {
        if matches!(self.state, ChildState::Created) {
            return self.sa_removal(true);
        }
        let mut ops = self.remove_outbound();
        ops.extend(
            self.policies()
                .into_iter()
                .filter(|policy| policy.direction != Direction::Out)
                .rev()
                .map(KernelOp::DeletePolicy),
        );
        ops.extend(self.sa_removal(true));
        ops
    }

    /// Gives back the reqid; the kernel operations of [`remove`](Self::remove) go with it.
    pub(crate) fn release(&self, shared: &mut Shared) {
        self.unlist(shared);
        self.release_reqid(shared);
    }

    /// Takes it out of the Endpoint's tables.
    pub(crate) fn unlist(&self, shared: &mut Shared) {
        if self.listed {
            shared.unlisted.push(self.spi_in);
        }
    }

    pub(crate) fn release_reqid(&self, shared: &mut Shared) {
        if self.reqid != 0 && self.config.reqid == 0 {
            shared.reqids.release(&self.first_selectors);
        }
    }

    /// Its outer addresses, own and the peer's.
    pub(crate) fn ends(&self) -> (IpAddr, IpAddr) {
        self.ends
    }

    /// The kernel could not move it from these.
    pub(crate) fn stay_at(&mut self, ends: (IpAddr, IpAddr)) {
        self.move_ends(ends);
    }

    /// It is between other addresses; selectors that stand for those of the ends go along.
    fn move_ends(&mut self, to: (IpAddr, IpAddr)) {
        let from = std::mem::replace(&mut self.ends, to);
        let (config, own) = (&self.config, &self.selectors);
        let local = selectors::follow(&config.local_ts, &own.local, from.0, to.0);
        let remote = selectors::follow(&config.remote_ts, &own.remote, from.1, to.1);
        if local.is_some() || remote.is_some() {
            self.selectors = Arc::new(Selectors {
                local: local.unwrap_or_else(|| own.local.clone()),
                remote: remote.unwrap_or_else(|| own.remote.clone()),
                numbers: own.numbers,
            });
        }
    }

    /// Moves both SAs to other addresses and ports, into UDP or out of it, with their policies (RFC 4555, 3.5); nothing
    /// if that is where they are.
    pub(crate) fn relocate(&mut self, local: SocketAddr, remote: SocketAddr, encap: bool) -> Vec<KernelOp> {
        let (ends, ports) = (
            (local.ip(), remote.ip()),
            encap.then_some((local.port(), remote.port())),
        );
        if self.installed.is_none() || (ends, ports) == (self.ends, self.encap) {
            return Vec::new();
        }
        let sends = matches!(self.outbound, Outbound::Installed);
        let mut ops = self.sa_moves(true, remote, local, encap);
        if sends {
            ops.extend(self.sa_moves(false, local, remote, encap));
        }
        let installed = |child: &Self| {
            let mut policies = child.policies();
            policies.retain(|policy| sends || policy.direction != Direction::Out);
            policies
        };
        let old = installed(self);
        self.move_ends(ends);
        self.encap = ports;
        let new = installed(self);
        // The new ones come before the old ones go, or packets would leave unprotected between the two.
        if new != old {
            ops.extend(new.into_iter().map(KernelOp::AddPolicy));
            ops.extend(old.into_iter().rev().map(KernelOp::DeletePolicy));
        }
        self.move_waiting();
        ops
    }

    /// What waits to be installed is for where it is now.
    fn move_waiting(&mut self) {
        let encap = self
            .encap
            .map(|(src_port, dst_port)| UdpEncap { src_port, dst_port });
        let policies = self.policies().into_iter();
        let mut policies = policies.filter(|policy| policy.direction == Direction::Out);
        let Outbound::Waiting(waiting) = &mut self.outbound else {
            return;
        };
        for op in waiting {
            match op {
                KernelOp::AddSa(sa) => {
                    (sa.id.src, sa.id.dst) = self.ends;
                    if !sa.src_ts.is_empty() {
                        sa.src_ts = self.selectors.local.to_vec();
                        sa.dst_ts = self.selectors.remote.to_vec();
                    }
                    if sa.id.protocol != IPCOMP {
                        sa.encap = encap;
                    }
                }
                KernelOp::AddPolicy(policy) => {
                    if let Some(moved) = policies.next() {
                        *policy = moved;
                    }
                }
                _ => {}
            }
        }
    }

    /// How many SAs come before the policies when it is installed.
    pub(crate) fn sa_count(&self) -> usize {
        let directions = match self.outbound {
            Outbound::Installed => 2,
            Outbound::Waiting(_) | Outbound::Gone => 1,
        };
        directions * self.sas_of_direction()
    }

    /// Whether the kernel had SAs of it when it refused the rest, its policies.
    pub(crate) fn lacks_policies(&self, result: &KernelResult) -> bool {
        let failure = result.as_ref().err();
        failure.is_some_and(|failure| failure.completed >= self.sa_count())
    }

    /// What the peer is told where the kernel refuses it.
    pub(crate) fn refusal(&self, result: &KernelResult) -> NotifyType {
        if self.lacks_policies(result) {
            NotifyType::TS_UNACCEPTABLE
        } else {
            NotifyType::NO_PROPOSAL_CHOSEN
        }
    }

    /// Whether the CHILD_SA of this unique number takes over when this one goes.
    pub(crate) fn is_succeeded_by(&self, id: u32) -> bool {
        self.successor.is_some_and(|successor| successor.get() == id)
    }

    /// Whether it is what carries the traffic; those that were rekeyed are not.
    pub(crate) fn is_installed(&self) -> bool {
        matches!(
            self.state,
            ChildState::Installed | ChildState::Rekeying | ChildState::Deleting
        ) && self.successor.is_none()
    }

    /// Whether it carries the traffic and nothing is queued or under way that ends it.
    pub(crate) fn stays(&self) -> bool {
        self.is_installed() && !self.unwanted && self.state != ChildState::Deleting
    }

    /// Whether the kernel has SAs of it.
    pub(crate) fn is_in_kernel(&self) -> bool {
        self.installed.is_some() && self.state != ChildState::Destroying
    }

    pub(crate) fn reqid(&self) -> u32 {
        self.reqid
    }

    /// Moves to another state; an impossible transition leaves the state, and fails tests.
    pub(crate) fn transition_to(
        &mut self,
        event: impl Fn(ChildState) -> Result<ChildState, crate::transitions::InvalidTransition>,
    ) {
        match event(self.state) {
            Ok(state) => self.state = state,
            Err(error) => debug_assert!(false, "{error}"),
        }
    }

    /// As log lines name it: `Tunnel1{1}`.
    pub(crate) fn label(&self) -> String {
        format!("{}{{{}}}", self.config.name, self.unique_id)
    }

    /// Both selectors, as log lines have them.
    pub(crate) fn list_selectors(&self) -> String {
        format!(
            "{} === {}",
            selectors::list(&self.selectors.local),
            selectors::list(&self.selectors.remote)
        )
    }

    pub(crate) fn info(&self) -> ChildSaInfo {
        ChildSaInfo {
            unique_id: self.unique_id,
            config: Arc::clone(&self.config),
            reqid: self.reqid,
            numbers: self.selectors.numbers,
            state: self.state,
            mode: self.mode,
            encap: self.encap.is_some(),
            protocol: self.protocol,
            cpis: self.cpis.both(),
            spi_in: self.spi_in,
            spi_out: self.spi_out,
            proposal: self.proposal.as_deref().map(|proposal| Proposal {
                spi: self.spi_out.to_be_bytes().to_vec(),
                ..proposal.clone()
            }),
            local_ts: self.selectors.local.to_vec(),
            remote_ts: self.selectors.remote.to_vec(),
            installed: self.installed,
            rekey_at: self.rekey_at,
            expires_at: self.expires_at,
            kernel: self.is_in_kernel().then(|| (self.inbound(), self.outbound())),
            sends: matches!(self.outbound, Outbound::Installed),
        }
    }

    fn sa_mode(&self) -> SaMode {
        if self.mode == Mode::Transport {
            SaMode::Transport
        } else {
            SaMode::Tunnel
        }
    }

    fn policies(&self) -> Vec<PolicyParameters> {
        let (local, remote) = self.ends;
        let policy = |direction, src_ts: &TrafficSelector, dst_ts: &TrafficSelector| {
            let outbound = direction == Direction::Out;
            PolicyParameters {
                direction,
                src_ts: src_ts.clone(),
                dst_ts: dst_ts.clone(),
                action: PolicyAction::Protect,
                priority: PolicyPriority::Default,
                src: if outbound { local } else { remote },
                dst: if outbound { remote } else { local },
                reqid: self.reqid,
                spi: if outbound { self.spi_out } else { self.spi_in },
                mode: self.sa_mode(),
                mark: self.selectors.numbers.policy_mark(direction),
                options: PolicyOptions {
                    ah: self.protocol == Protocol::AH,
                    cpi: self.cpis.agreed(!outbound),
                    ..self.selectors.numbers.policy(&self.config.kernel, direction)
                },
            }
        };
        // It lets forwarded packets past a policy that drops them, and asks for no SA. So it has no reqid, and a lower rank
        // than the inbound one that an SA with the opposite selectors may have.
        let forward_out = |out: &PolicyParameters| PolicyParameters {
            direction: Direction::Forward,
            priority: PolicyPriority::Routed,
            reqid: 0,
            spi: 0,
            ..out.clone()
        };
        let mut policies = Vec::new();
        if !self.config.policies {
            return policies;
        }
        for local in &self.selectors.local {
            for remote in self
                .selectors
                .remote
                .iter()
                .filter(|remote| remote.start.is_ipv4() == local.start.is_ipv4())
            {
                policies.push(policy(Direction::In, remote, local));
                if self.sa_mode() == SaMode::Tunnel {
                    policies.push(policy(Direction::Forward, remote, local));
                }
                let out = policy(Direction::Out, local, remote);
                if self.config.kernel.forward_out && self.sa_mode() == SaMode::Tunnel {
                    policies.push(forward_out(&out));
                }
                policies.push(out);
            }
        }
        policies
    }

    fn lifetime(&self, shared: &mut Shared) -> SaLifetime {
        let limits = &self.config.lifetime;
        let soft_time = limits
            .time
            .rekey
            .saturating_sub(shared.random_below(limits.time.jitter));
        let soft = |limit: &Limit<u64>, shared: &mut Shared| match limit.jitter {
            0 => limit.rekey,
            jitter => limit
                .rekey
                .saturating_sub(u64::from_be_bytes(shared.random()) % jitter),
        };
        SaLifetime {
            soft_time,
            hard_time: limits.time.life,
            soft_octets: soft(&limits.octets, shared),
            hard_octets: limits.octets.life,
            soft_packets: soft(&limits.packets, shared),
            hard_packets: limits.packets.life,
        }
    }
}

fn after(now: Instant, time: Duration) -> Option<Instant> {
    (!time.is_zero()).then(|| now + time)
}
