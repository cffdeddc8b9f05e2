//! The SAs that the daemon has installed, and what it has been told about each, so that nothing is told twice and nothing
//! that the kernel had no room to say is lost.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use iana::{Protocol, TrafficSelector};
use netlink_packet_xfrm::constants::XFRM_INF;
use netlink_packet_xfrm::{AcquireMessage, MappingMessage, UserSaInfo, XfrmAttrs};
use plugin_api::kernel::{IPCOMP, KernelEvent, SaId, SaParameters};

use super::sa::{address, protocol};
use super::selector;

/// What the kernel knows an SA by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    dst: IpAddr,
    spi: u32,
    protocol: u8,
}

impl Key {
    fn of(id: &SaId) -> Self {
        Self {
            dst: id.dst,
            spi: id.spi,
            protocol: super::sa::protocol_number(id.protocol),
        }
    }

    fn of_info(info: &UserSaInfo) -> Self {
        Self {
            dst: address(&info.id.daddr, info.family),
            spi: info.id.spi,
            protocol: info.id.proto,
        }
    }
}

/// An SA of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Installed {
    pub(super) inbound: bool,
    pub(super) reqid: u32,
    pub(super) mark: Option<(u32, u32)>,
    soft_told: bool,
    hard_told: bool,
}

/// How many acquires are remembered, more than any daemon has under way.
const ACQUIRES: usize = 4096;

/// All SAs of ours.
#[derive(Debug, Default)]
pub(super) struct Sad {
    installed: HashMap<Key, Installed>,
    /// Acquires that were told, the last ones.
    acquired: VecDeque<Acquired>,
}

/// What the kernel has asked for. It keeps a place for the SA, and does not ask again while that is there.
#[derive(Debug)]
struct Acquired {
    sequence: u32,
    /// Source and destination of the packet.
    packet: (TrafficSelector, TrafficSelector),
    /// Whether an SA has come for it.
    answered: bool,
}

impl Sad {
    /// It is in the kernel.
    pub(super) fn add(&mut self, sa: &SaParameters) {
        let installed = Installed {
            inbound: sa.inbound,
            reqid: sa.reqid,
            mark: sa.mark,
            soft_told: false,
            hard_told: false,
        };
        self.installed.insert(Key::of(&sa.id), installed);
    }

    pub(super) fn get(&self, id: &SaId) -> Option<&Installed> {
        self.installed.get(&Key::of(id))
    }

    /// It has another name now.
    pub(super) fn relocate(&mut self, old: &SaId, new: &SaId) {
        if let Some(installed) = self.installed.remove(&Key::of(old)) {
            self.installed.insert(Key::of(new), installed);
        }
    }

    pub(super) fn remove(&mut self, id: &SaId) {
        self.installed.remove(&Key::of(id));
    }

    pub(super) fn clear(&mut self) {
        self.installed.clear();
    }

    /// What to tell when the kernel says that a limit was reached. Reserved SPIs expire too, and SAs of others; neither
    /// is the daemon's business.
    pub(super) fn expire(&mut self, info: &UserSaInfo, hard: bool) -> Option<KernelEvent> {
        let key = Key::of_info(info);
        self.installed.get_mut(&key)?.expire(key, hard)
    }

    /// What to tell when a packet met a trap.
    pub(super) fn acquire(&mut self, message: &AcquireMessage) -> Option<KernelEvent> {
        let acquire = &message.acquire;
        let reqid = message.nlas.iter().find_map(|attribute| match attribute {
            XfrmAttrs::Template(templates) => templates.first().map(|template| template.reqid),
            _ => None,
        })?;
        self.ask(acquire.seq, reqid, &acquire.selector)
    }

    /// What to tell after messages of the kernel were lost, from all SAs that it has at this moment, `now` in seconds since
    /// 1970.
    pub(super) fn missed(&mut self, states: &[UserSaInfo], now: Duration) -> Vec<KernelEvent> {
        let mut events = Vec::new();
        let mut there = HashMap::new();
        for info in states {
            if info.id.spi == 0 && protocol(info.id.proto).is_some() {
                // What the kernel keeps in place of an SA that it has asked for.
                events.extend(self.ask(info.seq, info.reqid, &info.selector));
            } else {
                there.insert(Key::of_info(info), info);
            }
        }
        let mut keys: Vec<_> = self.installed.iter_mut().collect();
        keys.sort_by_key(|(key, _)| **key);
        for (key, installed) in keys {
            match there.get(key) {
                // It has no limits, and goes with the SA around it.
                None if protocol(key.protocol) == Some(IPCOMP) => {}
                None => events.extend(installed.expire(*key, true)),
                Some(info) if is_due(info, now) => events.extend(installed.expire(*key, false)),
                Some(_) => {}
            }
        }
        events
    }

    fn ask(
        &mut self,
        sequence: u32,
        reqid: u32,
        packet: &netlink_packet_xfrm::Selector,
    ) -> Option<KernelEvent> {
        if self.acquired.iter().any(|known| known.sequence == sequence) {
            return None;
        }
        let (src, dst) = selector::packet(packet);
        self.acquired.push_back(Acquired {
            sequence,
            packet: (src.clone(), dst.clone()),
            answered: false,
        });
        if self.acquired.len() > ACQUIRES {
            self.acquired.pop_front();
        }
        Some(KernelEvent::Acquire { reqid, src, dst })
    }

    /// The number of what the kernel has asked for and gets by an outbound SA, or 0. By the reqid alone it would not find
    /// that where the SA is narrower than the trap, and ask for nothing more until its patience ends, minutes later.
    pub(super) fn answers(&mut self, sa: &SaParameters) -> u32 {
        let covers = |all: &[TrafficSelector], packet: &TrafficSelector| {
            all.iter().any(|one| one.contains_address(packet.start))
        };
        let answered = self.acquired.iter_mut().rev().find(|acquired| {
            let (src, dst) = &acquired.packet;
            !sa.inbound && !acquired.answered && covers(&sa.src_ts, src) && covers(&sa.dst_ts, dst)
        });
        answered.map_or(0, |acquired| {
            acquired.answered = true;
            acquired.sequence
        })
    }
}

impl Installed {
    fn expire(&mut self, key: Key, hard: bool) -> Option<KernelEvent> {
        let told = if hard {
            &mut self.hard_told
        } else {
            &mut self.soft_told
        };
        let first = !std::mem::replace(told, true);
        // There is nothing to rekey any more.
        self.soft_told |= hard;
        first.then_some(KernelEvent::Expire {
            protocol: protocol(key.protocol).unwrap_or(Protocol::ESP),
            spi: key.spi,
            dst: key.dst,
            hard,
        })
    }
}

/// Whether a soft limit is behind it.
fn is_due(info: &UserSaInfo, now: Duration) -> bool {
    let (limits, carried) = (&info.lifetime_cfg, &info.lifetime_cur);
    let reached = |limit: u64, value: u64| limit != XFRM_INF && value >= limit;
    let age = now.as_secs().saturating_sub(carried.add_time);
    reached(limits.soft_byte_limit, carried.bytes)
        || reached(limits.soft_packet_limit, carried.packets)
        || (limits.soft_add_expires_seconds != 0 && age >= limits.soft_add_expires_seconds)
}

/// What to tell when packets of an SA come from elsewhere.
pub(super) fn mapping(message: &MappingMessage) -> KernelEvent {
    let map = &message.map;
    let family = map.id.family;
    KernelEvent::Mapping {
        spi: map.id.spi,
        dst: address(&map.id.daddr, family),
        endpoint: SocketAddr::new(address(&map.new_saddr, family), map.new_sport),
    }
}

#[cfg(test)]
mod tests;
