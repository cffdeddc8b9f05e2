//! A kernel that only remembers: what is installed must be what the daemon believes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use iana::{Protocol, TrafficSelector};
use ike::{Destination, KernelAnswer, KernelFailure, KernelOp, KernelResult};
use plugin_api::kernel::{
    Direction, IPCOMP, KernelEvent, PolicyAction, PolicyParameters, PolicyPriority, SaId, SaMode, SaOptions,
    SaUsage,
};
use plugin_api::{ErrorKind, PluginError};

/// What becomes of a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes by the SA with this SPI.
    Carried(u32),
    /// It met a trap.
    Acquired(KernelEvent),
    /// It goes past IPsec.
    Unprotected,
    Dropped,
}

#[derive(Debug, Default)]
pub struct Kernel {
    next_spi: u32,
    pub reserved: Vec<u32>,
    /// SPI of each SA, whether it is inbound, and its key of encryption, or of integrity for AH.
    pub sas: BTreeMap<u32, (bool, Vec<u8>)>,
    /// Protocol and mode of each SA. Those of IPComp have their CPIs in place of SPIs.
    pub kinds: BTreeMap<u32, (Protocol, SaMode)>,
    /// SPIs that were reserved and given back.
    given_back: Vec<u32>,
    /// Has no CPI to reserve.
    pub no_cpis: bool,
    /// The mark of each SA, and what else it was asked for.
    pub asked: BTreeMap<u32, (Option<(u32, u32)>, SaOptions)>,
    pub policies: Vec<PolicyParameters>,
    /// Virtual addresses, each as often as it was added.
    pub addresses: Vec<IpAddr>,
    /// Source and destination of each SA; ports are zero outside UDP.
    pub ends: BTreeMap<u32, (SocketAddr, SocketAddr)>,
    /// The own addresses, the preferred first.
    pub own: Vec<IpAddr>,
    /// Own and other addresses between which routes lead nowhere.
    pub unrouted: Vec<(IpAddr, IpAddr)>,
    /// Does not move SAs.
    pub immovable: bool,
    /// How many packets an SA has carried, and when the last.
    pub carried: BTreeMap<u32, (u64, Instant)>,
    /// How often the usage of an SA was asked for.
    pub queries: usize,
    /// Fail the n-th operation from now on that adds something.
    pub fail_add: Option<usize>,
}

impl Kernel {
    /// A kernel whose SPIs differ from those of other hosts, so that tests can tell them apart.
    pub fn new(host: u32) -> Self {
        Self {
            next_spi: host << 16,
            ..Self::default()
        }
    }

    pub fn run(&mut self, now: Instant, ops: Vec<KernelOp>) -> KernelResult {
        let mut answers = Vec::new();
        for op in ops {
            match self.one(now, op) {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    return Err(KernelFailure {
                        completed: answers.len(),
                        error,
                    });
                }
            }
        }
        Ok(answers)
    }

    fn one(&mut self, now: Instant, op: KernelOp) -> Result<KernelAnswer, PluginError> {
        if matches!(
            op,
            KernelOp::AllocateSpi { .. } | KernelOp::AddSa(_) | KernelOp::AddPolicy(_)
        ) && let Some(left) = &mut self.fail_add
        {
            if *left == 0 {
                return Err(PluginError::new(ErrorKind::System, "told to fail"));
            }
            *left -= 1;
        }
        Ok(match op {
            KernelOp::AllocateSpi { protocol: IPCOMP, .. } if self.no_cpis => {
                return Err(PluginError::new(ErrorKind::System, "no CPI is free"));
            }
            KernelOp::AllocateSpi { protocol, .. } => {
                self.next_spi += 1;
                let spi = match protocol {
                    IPCOMP => 0x100 + (self.next_spi >> 16) * 0x1000 + (self.next_spi & 0xfff),
                    _ => 0xc000_0000 + self.next_spi,
                };
                self.reserved.push(spi);
                KernelAnswer::Spi(spi)
            }
            KernelOp::AddSa(sa) => {
                if sa.inbound {
                    match self.reserved.iter().position(|spi| *spi == sa.id.spi) {
                        Some(at) => drop(self.reserved.remove(at)),
                        // It was reserved for another protocol.
                        None => assert!(self.given_back.contains(&sa.id.spi), "a reserved SPI"),
                    }
                }
                let key = match sa.id.protocol {
                    Protocol::AH => &sa.integrity_key,
                    _ => &sa.encryption_key,
                };
                let old = self.sas.insert(sa.id.spi, (sa.inbound, key.expose().to_vec()));
                assert!(old.is_none(), "SPI {:08x} is installed twice", sa.id.spi);
                self.kinds.insert(sa.id.spi, (sa.id.protocol, sa.mode));
                self.asked.insert(sa.id.spi, (sa.mark, sa.options.clone()));
                let (src_port, dst_port) = sa.encap.map_or((0, 0), |encap| (encap.src_port, encap.dst_port));
                let ends = ((sa.id.src, src_port).into(), (sa.id.dst, dst_port).into());
                self.ends.insert(sa.id.spi, ends);
                KernelAnswer::Done
            }
            KernelOp::UpdateSa { .. } if self.immovable => {
                return Err(PluginError::new(ErrorKind::NotSupported, "told to stay"));
            }
            KernelOp::UpdateSa {
                id,
                mut src,
                mut dst,
                encap,
            } => {
                let ends = self.ends.get_mut(&id.spi).expect("an installed SA");
                assert_eq!((ends.0.ip(), ends.1.ip()), (id.src, id.dst), "the SA's addresses");
                if !encap {
                    src.set_port(0);
                    dst.set_port(0);
                }
                *ends = (src, dst);
                KernelAnswer::Done
            }
            KernelOp::DeleteSa(SaId { spi, src, dst, .. }) => {
                if let Some(ends) = self.ends.remove(&spi) {
                    assert_eq!((ends.0.ip(), ends.1.ip()), (src, dst), "the SA's addresses");
                }
                let reserved = self.reserved.iter().position(|known| *known == spi);
                self.asked.remove(&spi);
                self.kinds.remove(&spi);
                match (self.sas.remove(&spi), reserved) {
                    (None, Some(at)) => {
                        self.reserved.remove(at);
                        self.given_back.push(spi);
                        KernelAnswer::Done
                    }
                    (None, None) => KernelAnswer::Failed,
                    (Some(_), _) => KernelAnswer::Done,
                }
            }
            KernelOp::AddPolicy(policy) => {
                self.policies.push(policy);
                KernelAnswer::Done
            }
            KernelOp::DeletePolicy(policy) => match self.policies.iter().position(|known| *known == policy) {
                Some(at) => {
                    self.policies.remove(at);
                    KernelAnswer::Done
                }
                None => KernelAnswer::Failed,
            },
            KernelOp::AddAddress { address, .. } => {
                self.addresses.push(address);
                KernelAnswer::Done
            }
            KernelOp::DeleteAddress(address) => {
                let at = self.addresses.iter().position(|known| *known == address);
                self.addresses.remove(at.expect("an address that was added"));
                KernelAnswer::Done
            }
            KernelOp::QuerySa(id) if self.sas.contains_key(&id.spi) => {
                self.queries += 1;
                let carried = self.carried.get(&id.spi);
                KernelAnswer::Usage(carried.map_or_else(SaUsage::default, |(packets, last)| SaUsage {
                    octets: 100 * packets,
                    packets: *packets,
                    last_use: Some(now - *last),
                }))
            }
            KernelOp::QuerySa(_) => KernelAnswer::Failed,
        })
    }

    /// What becomes of a packet that leaves the host: the best of the policies that cover it says so.
    pub fn send(&self, src: &TrafficSelector, dst: &TrafficSelector) -> Fate {
        let covering = self.policies.iter().filter(|policy| {
            policy.direction == Direction::Out && policy.src_ts.covers(src) && policy.dst_ts.covers(dst)
        });
        // As strongSwan ranks them in a kernel.
        let rank = |policy: &&PolicyParameters| {
            let base = match policy.priority {
                PolicyPriority::Pass => 200_000,
                PolicyPriority::Default | PolicyPriority::Routed => 400_000,
                PolicyPriority::Fallback => 600_000,
            };
            let length = |ts: &TrafficSelector| u32::from(ts.covering_subnet().1);
            base - 512 * (length(&policy.src_ts) + length(&policy.dst_ts))
                - u32::from(policy.priority != PolicyPriority::Routed)
        };
        let Some(policy) = covering.min_by_key(rank) else {
            return Fate::Unprotected;
        };
        match policy.action {
            PolicyAction::Pass => Fate::Unprotected,
            PolicyAction::Drop => Fate::Dropped,
            PolicyAction::Protect if self.sas.contains_key(&policy.spi) => Fate::Carried(policy.spi),
            PolicyAction::Protect => Fate::Acquired(KernelEvent::Acquire {
                reqid: policy.reqid,
                src: src.clone(),
                dst: dst.clone(),
            }),
        }
    }

    /// The own address to reach another from.
    pub fn source(&self, to: &Destination) -> Option<IpAddr> {
        let mut usable = self.own.iter().copied().filter(|own| {
            own.is_ipv4() == to.remote.is_ipv4() && !self.unrouted.contains(&(*own, to.remote))
        });
        usable.find(|own| to.local.is_none_or(|local| local == *own))
    }

    /// Whether nothing is installed or reserved.
    pub fn is_empty(&self) -> bool {
        self.reserved.is_empty()
            && self.sas.is_empty()
            && self.policies.is_empty()
            && self.addresses.is_empty()
    }
}
