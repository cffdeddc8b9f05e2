//! The security policy database (RFC 4301, 4.4.1): which packets go into a tunnel, and which may come out.
//!
//! Policies are found by the subnets of both ends: one look-up for every pair of prefix lengths in use, of which there are
//! few, instead of a walk over all of them.

mod table;

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use plugin_api::kernel::{
    Direction, HwOffload, PolicyAction, PolicyOptions, PolicyParameters, PolicyPriority, SaMode,
};
use plugin_api::{ErrorKind, PluginError};

use crate::packet::Flow;
use crate::selectors::{Pair, Selectors};
use table::Table;

/// A policy: what to do with packets that meet it, and what tells it from others. There is one of each direction for each
/// CHILD_SA, so it is kept small.
#[derive(Debug)]
pub struct Treatment {
    /// Protect, pass or drop.
    pub action: PolicyAction,
    /// The SA's reqid.
    pub reqid: u32,
    /// The SA's SPI.
    pub spi: u32,
    inbound: bool,
    priority: PolicyPriority,
    mode: SaMode,
    hw_offload: HwOffload,
    /// Whether the configuration says what `rank` is.
    ranked: bool,
    rank: u32,
    /// How many have installed it.
    users: AtomicU32,
    selectors: Arc<Selectors>,
    /// Outer source and destination address.
    ends: Pair,
    /// Of a trap, when it asked for an SA.
    acquired: Option<Box<Mutex<Option<Instant>>>>,
}

/// How long a trap stays quiet after it has asked for an SA: about as long as a peer may take to answer, so that a lost
/// negotiation is tried again while somebody still waits for the connection.
const ACQUIRE_INTERVAL: Duration = Duration::from_secs(10);

impl Treatment {
    /// That of a policy of one user.
    pub fn new(policy: &PolicyParameters) -> Self {
        let inbound = policy.direction != Direction::Out;
        Self {
            action: policy.action,
            reqid: policy.reqid,
            spi: policy.spi,
            inbound,
            priority: policy.priority,
            mode: policy.mode,
            hw_offload: policy.options.hw_offload,
            ranked: policy.options.priority != 0,
            rank: policy.rank(),
            users: AtomicU32::new(1),
            selectors: Selectors::new(&policy.src_ts, &policy.dst_ts, inbound),
            ends: Pair::new(policy.src, policy.dst),
            acquired: (policy.priority == PolicyPriority::Routed).then(Box::default),
        }
    }

    /// Whether nothing but a trap protects its packets: without an SA they ask for one.
    pub fn is_trap(&self) -> bool {
        self.acquired.is_some()
    }

    /// Whether it is time to ask for an SA (again); never, if it is no trap.
    pub fn may_acquire(&self, now: Instant) -> bool {
        let Some(acquired) = &self.acquired else {
            return false;
        };
        let mut acquired = acquired.lock().unwrap_or_else(PoisonError::into_inner);
        let due = acquired.is_none_or(|last| now.saturating_duration_since(last) >= ACQUIRE_INTERVAL);
        if due {
            *acquired = Some(now);
        }
        due
    }

    /// The policy that it was made of.
    pub fn parameters(&self) -> PolicyParameters {
        let (src_ts, dst_ts) = self.selectors.get(self.inbound);
        let (src, dst) = self.ends.get();
        PolicyParameters {
            direction: if self.inbound {
                Direction::In
            } else {
                Direction::Out
            },
            src_ts,
            dst_ts,
            action: self.action,
            priority: self.priority,
            src,
            dst,
            reqid: self.reqid,
            spi: self.spi,
            mode: self.mode,
            mark: None,
            options: PolicyOptions {
                priority: if self.ranked { self.rank } else { 0 },
                hw_offload: self.hw_offload,
                ..PolicyOptions::default()
            },
        }
    }

    fn admits(&self, flow: &Flow) -> bool {
        self.selectors.admit(flow, self.inbound)
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

impl Spd {
    /// Installs a policy or one more user of an equal one; what it became, if it is the first with these parameters.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`] for policies that user space cannot hold.
    pub fn add(&self, policy: &PolicyParameters) -> Result<Option<Arc<Treatment>>, PluginError> {
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
        Ok(tables.table(policy.direction).and_then(|table| table.add(policy)))
    }

    /// Removes one user of a policy; what it was, if that was the last with these parameters. A policy whose SPI has
    /// changed since it was installed is found by the rest of its parameters.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is none.
    pub fn remove(&self, policy: &PolicyParameters) -> Result<Option<Arc<Treatment>>, PluginError> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let Some(table) = tables.table(policy.direction) else {
            return Ok(None);
        };
        table.remove(policy).ok_or_else(|| {
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
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.outbound.find(flow, None).cloned()
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

#[cfg(test)]
mod tests;
