//! Policies without an SA: traps, whose first packet starts a CHILD_SA, and shunts, which pass packets by or drop them.
//!
//! A trap has the lower rank: the policies of its CHILD_SA come before it as long as there is one, and it is there again
//! when that goes, however it went. Both share the reqid.

mod attempts;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::connection::{ChildConfig, Host, Mode, PeerConfig, SelectorSpec};
use iana::TrafficSelector;
use plugin_api::kernel::{Direction, PolicyAction, PolicyOptions, PolicyParameters, PolicyPriority, SaMode};

use crate::child::{Numbers, Selectors};
use crate::endpoint::{Initiate, is_of};
use crate::output::{CommandId, KernelId, KernelOp};
use crate::reqids::Reqids;
use crate::selectors;
use attempts::{Attempts, Met};

/// How long a trap waits after an attempt that did not help its packet before it makes another, so that neither a peer that
/// refuses nor one that narrows too much is asked without pause. A packet in the meantime is remembered, not lost.
pub(crate) const PAUSE: Duration = Duration::from_secs(5);

/// Names a trap or shunt as long as it is there; in the order of their installation.
pub(crate) type PolicyId = u32;

/// Source and destination of a packet that met a trap.
pub(crate) type Packet = (TrafficSelector, TrafficSelector);

/// All traps and shunts.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    all: BTreeMap<PolicyId, Policy>,
    by_child: BTreeMap<String, BTreeSet<PolicyId>>,
    traps_by_reqid: BTreeMap<u32, BTreeSet<PolicyId>>,
    /// What the kernel is working at.
    pub(crate) changing: BTreeMap<KernelId, Change>,
    /// Traps that make an attempt with a peer then.
    due: BTreeSet<(Instant, PolicyId, IpAddr)>,
    /// What is under way, by numbers of its own.
    attempts: BTreeMap<u64, (PolicyId, IpAddr)>,
    last_id: PolicyId,
    last_attempt: u64,
}

/// A trap or a shunt.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) peer: Arc<PeerConfig>,
    pub(crate) child: Arc<ChildConfig>,
    /// What the kernel has of it.
    pub(crate) parameters: Vec<PolicyParameters>,
    /// A trap, unless it is a shunt.
    pub(crate) trap: Option<Trap>,
}

/// What a trap needs to establish its CHILD_SA.
#[derive(Debug)]
pub(crate) struct Trap {
    /// A number of the same series as those of CHILD_SAs.
    pub(crate) unique_id: u32,
    pub(crate) reqid: u32,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// With its marks and ids of interfaces, which its CHILD_SAs share.
    pub(crate) selectors: Arc<Selectors>,
    attempts: Attempts,
}

/// A batch of kernel operations under way, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) id: PolicyId,
    pub(crate) command: Option<CommandId>,
    /// What is new in the kernel, in the order of the batch.
    pub(crate) added: Vec<PolicyParameters>,
    /// What stays if the batch fails, unless the policy is new.
    pub(crate) before: Option<Box<Policy>>,
}

impl Policies {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
            && self.by_child.is_empty()
            && self.changing.is_empty()
            && self.due.is_empty()
            && self.attempts.is_empty()
    }

    pub(crate) fn next_id(&mut self) -> PolicyId {
        self.last_id += 1;
        self.last_id
    }

    /// Takes one in, under a number that is free.
    pub(crate) fn insert(&mut self, id: PolicyId, policy: Policy) {
        if let Some(trap) = &policy.trap {
            self.traps_by_reqid.entry(trap.reqid).or_default().insert(id);
        }
        self.by_child
            .entry(policy.child.name.clone())
            .or_default()
            .insert(id);
        self.all.insert(id, policy);
    }

    /// Takes one out; it has its reqid still.
    pub(crate) fn take(&mut self, id: PolicyId) -> Option<Policy> {
        let policy = self.all.remove(&id)?;
        drop_from(&mut self.by_child, policy.child.name.as_str(), id);
        if let Some(trap) = &policy.trap {
            drop_from(&mut self.traps_by_reqid, &trap.reqid, id);
            for (until, peer) in trap.attempts.due() {
                self.due.remove(&(until, id, peer));
            }
        }
        Some(policy)
    }

    /// A connection is not quite what it was, but still between the same ends.
    pub(crate) fn follow(&mut self, old: &PeerConfig, new: &Arc<PeerConfig>) {
        for policy in self.all.values_mut().filter(|policy| is_of(&policy.peer, old)) {
            policy.peer = Arc::clone(new);
        }
    }

    pub(crate) fn get(&self, id: PolicyId) -> Option<&Policy> {
        self.all.get(&id)
    }

    /// The one of a CHILD_SA's configuration, within a connection if one is named.
    pub(crate) fn find(&self, ike: Option<&str>, child: &str) -> Option<PolicyId> {
        let mut ids = self.by_child.get(child)?.iter().copied();
        ids.find(|id| ike.is_none_or(|ike| self.all.get(id).is_some_and(|policy| policy.peer.name == ike)))
    }

    /// All of them, in the order of their installation.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PolicyId, &Policy)> {
        self.all.iter().map(|(id, policy)| (*id, policy))
    }

    /// The trap of a CHILD_SA's configuration.
    fn trap_of(&self, config: &Arc<ChildConfig>) -> Option<&Trap> {
        let mut ids = self.by_child.get(&config.name)?.iter();
        ids.find_map(|id| {
            let policy = self.all.get(id)?;
            let same = Arc::ptr_eq(&policy.child, config) || policy.child == *config;
            policy.trap.as_ref().filter(|_| same)
        })
    }

    /// The marks and ids of interfaces of the trap of a CHILD_SA's configuration, which its CHILD_SAs share.
    pub(crate) fn numbers_of(&self, config: &Arc<ChildConfig>) -> Option<Numbers> {
        self.trap_of(config).map(|trap| trap.selectors.numbers)
    }

    /// The packet that a CHILD_SA of this configuration is being established for with a peer, and the reqid of its trap.
    pub(crate) fn awaited(&self, config: &Arc<ChildConfig>, peer: IpAddr) -> Option<(&Packet, u32)> {
        let trap = self.trap_of(config)?;
        Some((trap.awaited(peer)?, trap.reqid))
    }

    /// Puts the selectors of the packet that waits for a CHILD_SA first, so that the peer narrows to what it needs
    /// (RFC 7296, 2.9), unless the configuration does not cover them.
    pub(crate) fn put_packet_first(
        &self,
        config: &Arc<ChildConfig>,
        peer: IpAddr,
        local_ts: &mut Vec<TrafficSelector>,
        remote_ts: &mut Vec<TrafficSelector>,
    ) {
        let Some(((src, dst), _)) = self.awaited(config, peer) else {
            return;
        };
        for (packet, selectors) in [(src, local_ts), (dst, remote_ts)] {
            let covered = selectors.iter().any(|wide| wide.covers(packet));
            if covered && selectors.first() != Some(packet) {
                selectors.insert(0, packet.clone());
            }
        }
    }

    /// A packet has met a trap. The number of the attempt that is to establish a CHILD_SA for it now, unless one does
    /// already.
    pub(crate) fn meet(&mut self, reqid: u32, packet: &Packet, now: Instant) -> Option<u64> {
        let ids = self.traps_by_reqid.get(&reqid)?;
        let covering = |id: &&PolicyId| {
            let trap = self.all.get(id).and_then(|policy| policy.trap.as_ref());
            trap.is_some_and(|trap| trap.covers(packet))
        };
        let id = *ids.iter().find(covering).or(ids.first())?;
        let policy = self.all.get_mut(&id)?;
        let trap = policy.trap.as_mut()?;
        let peer = trap.peer_of(&policy.peer, packet)?;
        match trap.attempts.meet(peer, packet, now) {
            Met::Begin(before) => {
                if let Some(until) = before {
                    self.due.remove(&(until, id, peer));
                }
                Some(self.number(id, peer))
            }
            Met::Later(until) => {
                self.due.insert((until, id, peer));
                None
            }
            Met::Known => None,
        }
    }

    fn number(&mut self, id: PolicyId, peer: IpAddr) -> u64 {
        self.last_attempt += 1;
        self.attempts.insert(self.last_attempt, (id, peer));
        self.last_attempt
    }

    fn trap_mut(&mut self, id: PolicyId) -> Option<&mut Trap> {
        self.all.get_mut(&id)?.trap.as_mut()
    }

    /// The trap of an attempt and the peer.
    pub(crate) fn attempt(&self, number: u64) -> Option<(PolicyId, IpAddr)> {
        self.attempts.get(&number).copied()
    }

    /// A trap's attempt has come to its end. The packet, for the caller to judge whether it was any use, with the trap and the
    /// peer.
    pub(crate) fn end_attempt(&mut self, number: u64) -> Option<(PolicyId, IpAddr, Packet)> {
        let (id, peer) = self.attempts.remove(&number)?;
        let packet = self.trap_mut(id)?.attempts.end(peer)?;
        Some((id, peer, packet))
    }

    /// It was of none.
    pub(crate) fn pause(&mut self, id: PolicyId, peer: IpAddr, now: Instant) {
        if let Some(trap) = self.trap_mut(id) {
            trap.attempts.pause(peer, now + PAUSE);
        }
    }

    /// The number of an attempt for a packet that has waited for the end of others of its trap.
    pub(crate) fn next_waiting(&mut self, id: PolicyId) -> Option<u64> {
        let peer = self.trap_mut(id)?.attempts.next_waiting()?;
        Some(self.number(id, peer))
    }

    /// When [`next_due`](Self::next_due) has something.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(when, ..)| *when)
    }

    /// The number of an attempt of a trap whose pause is over and that a packet has met in the meantime.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<u64> {
        let (_, id, peer) = self.due.first().copied().filter(|(when, ..)| *when <= now)?;
        self.due.pop_first();
        self.trap_mut(id)?.attempts.resume(peer);
        Some(self.number(id, peer))
    }
}

impl Policy {
    /// A trap between resolved addresses, or to all peers that the connection allows. Its reqid is
    /// [released](Self::release) when it goes.
    pub(crate) fn trap(
        what: &Initiate,
        child: &Arc<ChildConfig>,
        unique_id: u32,
        numbers: Numbers,
        reqids: &mut Reqids,
    ) -> Self {
        let selectors = Arc::new(Selectors {
            local: selectors::resolve(&child.local_ts, &[what.local.ip()]).into(),
            remote: remote_selectors(what, child).into(),
            numbers,
        });
        let reqid = match child.reqid {
            0 => reqids.hold(&selectors),
            fixed => fixed,
        };
        let mode = if child.mode == Mode::Transport {
            SaMode::Transport
        } else {
            SaMode::Tunnel
        };
        let template = Template {
            action: PolicyAction::Protect,
            priority: PolicyPriority::Routed,
            ends: (what.local.ip(), what.remote.ip()),
            reqid,
            mode,
            numbers,
        };
        let parameters = if child.policies {
            template.policies(child, &selectors.local, &selectors.remote)
        } else {
            Vec::new()
        };
        Self {
            peer: Arc::clone(&what.peer),
            child: Arc::clone(child),
            parameters,
            trap: Some(Trap {
                unique_id,
                reqid,
                local: what.local,
                remote: what.remote,
                selectors,
                attempts: Attempts::default(),
            }),
        }
    }

    /// A shunt. What drops packets is the last resort, so that it is no obstacle to a tunnel within it; what passes them
    /// comes before everything.
    pub(crate) fn shunt(peer: &Arc<PeerConfig>, child: &Arc<ChildConfig>, numbers: Numbers) -> Self {
        let (action, priority) = match child.mode {
            Mode::Drop => (PolicyAction::Drop, PolicyPriority::Fallback),
            _ => (PolicyAction::Pass, PolicyPriority::Pass),
        };
        let mut parameters = Vec::new();
        for any in [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ] {
            let of_family = |specs: &[SelectorSpec]| -> Vec<TrafficSelector> {
                let resolved = specs.iter().map(|spec| anywhere(spec, any));
                resolved
                    .filter(|ts| ts.start.is_ipv4() == any.is_ipv4())
                    .collect()
            };
            let template = Template {
                action,
                priority,
                ends: (any, any),
                reqid: 0,
                mode: SaMode::Transport,
                numbers,
            };
            let (local_ts, remote_ts) = (of_family(&child.local_ts), of_family(&child.remote_ts));
            parameters.extend(template.policies(child, &local_ts, &remote_ts));
        }
        Self {
            peer: Arc::clone(peer),
            child: Arc::clone(child),
            parameters,
            trap: None,
        }
    }

    pub(crate) fn release(&self, reqids: &mut Reqids) {
        if let Some(trap) = self.trap.as_ref().filter(|_| self.child.reqid == 0) {
            reqids.let_go(&trap.selectors);
        }
    }

    /// What takes it out of the kernel.
    pub(crate) fn removal(&self) -> Vec<KernelOp> {
        let parameters = self.parameters.iter().rev().cloned();
        parameters.map(KernelOp::DeletePolicy).collect()
    }
}

impl Trap {
    fn covers(&self, (src, dst): &Packet) -> bool {
        let covers = |selectors: &[TrafficSelector], packet| selectors.iter().any(|ts| ts.covers(packet));
        covers(&self.selectors.local, src) && covers(&self.selectors.remote, dst)
    }

    /// Whether its peers are those of its packets.
    pub(crate) fn has_any_peer(&self) -> bool {
        self.remote.ip().is_unspecified()
    }

    /// The peer that a CHILD_SA for a packet is established with.
    fn peer_of(&self, peer: &PeerConfig, (_, dst): &Packet) -> Option<IpAddr> {
        if !self.has_any_peer() {
            return Some(self.remote.ip());
        }
        // The kernel's policies may be wider than a range.
        let address = dst.start;
        let is_peer = dst.start == dst.end
            && !address.is_multicast()
            && (peer.remote_addrs.is_empty() || peer.remote_addrs.iter().any(|host| host.matches(address)));
        is_peer.then_some(address)
    }

    /// The packet that it establishes a CHILD_SA for with a peer.
    pub(crate) fn awaited(&self, peer: IpAddr) -> Option<&Packet> {
        let peer = if self.has_any_peer() {
            peer
        } else {
            self.remote.ip()
        };
        self.attempts.pending(peer)
    }

    /// Goes on with what another version of it was about.
    pub(crate) fn continue_from(&mut self, before: &mut Self) {
        self.unique_id = before.unique_id;
        if self.remote.ip() == before.remote.ip() {
            self.attempts = std::mem::take(&mut before.attempts).under_way();
        }
    }
}

/// Whether a trap may be met by packets to any peer of a connection. In transport mode a packet's destination is the peer; in
/// tunnel mode it says nothing of it.
pub fn takes_any_peer(peer: &PeerConfig, child: &ChildConfig) -> bool {
    let several = |host: &Host| matches!(host, Host::Any | Host::Any4 | Host::Any6 | Host::Range(..));
    child.mode == Mode::Transport && peer.remote_addrs.iter().all(several)
}

/// What is sent to the peer of a trap, or to any of its peers.
fn remote_selectors(what: &Initiate, child: &ChildConfig) -> Vec<TrafficSelector> {
    let any = what.remote.ip();
    let mut resolved = Vec::new();
    for spec in &child.remote_ts {
        let wide = selectors::resolve(std::slice::from_ref(spec), &[any]);
        let ranges: Vec<_> = what
            .peer
            .remote_addrs
            .iter()
            .filter_map(|host| match host {
                Host::Range(start, end) if start.is_ipv4() == any.is_ipv4() => Some((*start, *end)),
                _ => None,
            })
            .collect();
        let narrowable = any.is_unspecified() && matches!(spec, SelectorSpec::Dynamic { .. });
        if narrowable && !ranges.is_empty() && ranges.len() == what.peer.remote_addrs.len() {
            for (start, end) in ranges {
                resolved.extend(wide.iter().map(|wide| TrafficSelector {
                    start,
                    end,
                    ..wide.clone()
                }));
            }
        } else {
            resolved.extend(wide);
        }
    }
    resolved
}

/// What the policies of one trap or shunt have in common.
struct Template {
    action: PolicyAction,
    priority: PolicyPriority,
    ends: (IpAddr, IpAddr),
    reqid: u32,
    mode: SaMode,
    numbers: Numbers,
}

impl Template {
    fn policies(
        &self,
        child: &ChildConfig,
        local_ts: &[TrafficSelector],
        remote_ts: &[TrafficSelector],
    ) -> Vec<PolicyParameters> {
        let (local, remote) = self.ends;
        let policy = |direction, src_ts: &TrafficSelector, dst_ts: &TrafficSelector| {
            let outbound = direction == Direction::Out;
            PolicyParameters {
                direction,
                src_ts: src_ts.clone(),
                dst_ts: dst_ts.clone(),
                action: self.action,
                priority: self.priority,
                src: if outbound { local } else { remote },
                dst: if outbound { remote } else { local },
                reqid: self.reqid,
                spi: 0,
                mode: self.mode,
                mark: self.numbers.policy_mark(direction),
                options: if self.action == PolicyAction::Protect {
                    PolicyOptions {
                        ah: child.kernel.prefers_ah(),
                        ..self.numbers.policy(&child.kernel, direction)
                    }
                } else {
                    self.numbers.shunt(&child.kernel, direction)
                },
            }
        };
        let forward_out = |out: &PolicyParameters| PolicyParameters {
            direction: Direction::Forward,
            ..out.clone()
        };
        let compatible = |a: &TrafficSelector, b: &TrafficSelector| {
            a.start.is_ipv4() == b.start.is_ipv4()
                && (a.protocol == b.protocol || a.protocol == 0 || b.protocol == 0)
        };
        let mut policies = Vec::new();
        for local in local_ts {
            for remote in remote_ts.iter().filter(|remote| compatible(local, remote)) {
                policies.push(policy(Direction::In, remote, local));
                if self.mode == SaMode::Tunnel || self.action != PolicyAction::Protect {
                    policies.push(policy(Direction::Forward, remote, local));
                }
                let out = policy(Direction::Out, local, remote);
                if child.kernel.forward_out && self.action != PolicyAction::Protect {
                    policies.push(forward_out(&out));
                }
                policies.push(out);
            }
        }
        policies
    }
}

/// A shunt knows no addresses of its ends: `dynamic` stands for all of a family.
fn anywhere(spec: &SelectorSpec, any: IpAddr) -> TrafficSelector {
    let resolved = spec.resolve(any);
    match spec {
        SelectorSpec::Fixed(_) => resolved,
        SelectorSpec::Dynamic { .. } => TrafficSelector {
            protocol: resolved.protocol,
            start_port: resolved.start_port,
            end_port: resolved.end_port,
            ..TrafficSelector::subnet(any, 0)
        },
    }
}

fn drop_from<K, Q>(index: &mut BTreeMap<K, BTreeSet<PolicyId>>, key: &Q, id: PolicyId)
where
    K: Ord + Borrow<Q>,
    Q: Ord + ?Sized,
{
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
