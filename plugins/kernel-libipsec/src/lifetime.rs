//! What an SA carried, and whether it may carry more.
//!
//! Counters are atomics, because packets of one SA may be in work on several threads.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use plugin_api::kernel::{SaLifetime, SaUsage};

/// Limits of one SA.
#[derive(Debug)]
pub struct Lifetime {
    /// Nanoseconds from [`START`].
    created: i64,
    /// Nanoseconds from `created`; 0 is never.
    soft_time: u64,
    /// See `soft_time`.
    hard_time: u64,
    /// None for most.
    volumes: Option<Box<Volumes>>,
    soft_reached: AtomicBool,
    hard_reached: AtomicBool,
}

/// Limits of what is carried; 0 is none.
#[derive(Debug, PartialEq, Eq)]
struct Volumes {
    soft_octets: u64,
    hard_octets: u64,
    soft_packets: u64,
    hard_packets: u64,
}

/// Counters of one SA that has carried something.
#[derive(Debug, Default)]
pub struct Carried {
    octets: AtomicU64,
    packets: AtomicU64,
    /// Nanoseconds from the SA's making to the last packet.
    last_use: AtomicU64,
}

/// Whether a packet may pass, and whether its SA asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Carry,
    /// It may pass, and was the first past a soft limit.
    CarryAndRekey,
    /// It may not, and is the first to learn that.
    Expired,
    /// It may not.
    Dead,
}

impl Lifetime {
    /// Nothing is reached yet.
    pub fn new(limits: SaLifetime, now: Instant) -> Self {
        let SaLifetime {
            soft_octets,
            hard_octets,
            soft_packets,
            hard_packets,
            ..
        } = limits;
        let volumes = Volumes {
            soft_octets,
            hard_octets,
            soft_packets,
            hard_packets,
        };
        let unlimited = [soft_octets, hard_octets, soft_packets, hard_packets] == [0; 4];
        Self {
            created: since_start(now),
            soft_time: nanos(limits.soft_time),
            hard_time: nanos(limits.hard_time),
            volumes: (!unlimited).then(|| Box::new(volumes)),
            soft_reached: AtomicBool::new(false),
            hard_reached: AtomicBool::new(false),
        }
    }

    /// When the SA is to be rekeyed and when it ends.
    pub fn deadlines(&self) -> (Option<Instant>, Option<Instant>) {
        let at = |time: u64| {
            let time = Duration::from_nanos(time);
            (!time.is_zero())
                .then(|| self.created().checked_add(time))
                .flatten()
        };
        (at(self.soft_time), at(self.hard_time))
    }

    fn created(&self) -> Instant {
        let start = *START.wait();
        let distance = Duration::from_nanos(self.created.unsigned_abs());
        if self.created < 0 {
            start - distance
        } else {
            start + distance
        }
    }

    /// Counts an inner packet of `octets`, unless a hard limit forbids it.
    pub fn count(&self, carried: &Carried, octets: usize, now: Instant) -> Verdict {
        if self.is_dead() {
            return Verdict::Dead;
        }
        let octets = octets as u64;
        let total_octets = carried.octets.fetch_add(octets, Relaxed) + octets;
        let total_packets = carried.packets.fetch_add(1, Relaxed) + 1;
        let exceeds = |total: u64, limit: u64| limit != 0 && total > limit;
        let volumes = self.volumes.as_deref();
        if volumes.is_some_and(|limits| {
            exceeds(total_octets, limits.hard_octets) || exceeds(total_packets, limits.hard_packets)
        }) {
            carried.octets.fetch_sub(octets, Relaxed);
            carried.packets.fetch_sub(1, Relaxed);
            return if self.reach_hard() {
                Verdict::Expired
            } else {
                Verdict::Dead
            };
        }
        carried
            .last_use
            .store(nanos(now.saturating_duration_since(self.created())), Relaxed);
        let reaches = |total: u64, limit: u64| limit != 0 && total >= limit;
        if volumes.is_some_and(|limits| {
            reaches(total_octets, limits.soft_octets) || reaches(total_packets, limits.soft_packets)
        }) && self.reach_soft()
        {
            return Verdict::CarryAndRekey;
        }
        Verdict::Carry
    }

    /// Notes that a soft limit was reached; whether it was the first.
    pub fn reach_soft(&self) -> bool {
        !self.soft_reached.swap(true, Relaxed)
    }

    /// Notes that a hard limit was reached, after which nothing passes; whether it was the first. There is no rekeying
    /// to ask for any more.
    pub fn reach_hard(&self) -> bool {
        self.soft_reached.store(true, Relaxed);
        !self.hard_reached.swap(true, Relaxed)
    }

    /// Whether a hard limit was reached.
    pub fn is_dead(&self) -> bool {
        self.hard_reached.load(Relaxed)
    }

    /// What the SA carried.
    pub fn usage(&self, carried: &Carried, now: Instant) -> SaUsage {
        let packets = carried.packets.load(Relaxed);
        let last = self.created() + Duration::from_nanos(carried.last_use.load(Relaxed));
        SaUsage {
            octets: carried.octets.load(Relaxed),
            packets,
            last_use: (packets > 0).then(|| now.saturating_duration_since(last)),
        }
    }
}

/// The first moment that this process asked for: what is counted from there takes half of what an [`Instant`] takes.
static START: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds, of moments before the first one negative.
fn since_start(now: Instant) -> i64 {
    let start = *START.get_or_init(|| now);
    let nanos = |time| nanos(time).cast_signed();
    now.checked_duration_since(start)
        .map_or_else(|| -nanos(start - now), nanos)
}

/// All that fit, which is centuries.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // any instant does
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_told_once_and_the_hard_one_holds() {
        let now = Instant::now();
        let limits = SaLifetime {
            soft_packets: 2,
            hard_packets: 4,
            ..Default::default()
        };
        let (lifetime, carried) = (Lifetime::new(limits, now), Carried::default());
        let verdicts: Vec<_> = (0..6).map(|_| lifetime.count(&carried, 100, now)).collect();
        use Verdict::{Carry, CarryAndRekey, Dead, Expired};
        assert_eq!(verdicts, [Carry, CarryAndRekey, Carry, Carry, Expired, Dead]);
        let usage = lifetime.usage(&carried, now + Duration::from_secs(3));
        assert_eq!(
            usage,
            SaUsage {
                octets: 400,
                packets: 4,
                last_use: Some(Duration::from_secs(3))
            }
        );
    }

    #[test]
    fn octets_count_too_and_zero_is_no_limit() {
        let now = Instant::now();
        let limits = SaLifetime {
            soft_octets: 150,
            hard_octets: 200,
            ..Default::default()
        };
        let (lifetime, carried) = (Lifetime::new(limits, now), Carried::default());
        assert_eq!(lifetime.count(&carried, 100, now), Verdict::Carry);
        assert_eq!(lifetime.count(&carried, 100, now), Verdict::CarryAndRekey);
        assert_eq!(lifetime.count(&carried, 1, now), Verdict::Expired);
        let unlimited = Lifetime::new(SaLifetime::default(), now);
        assert_eq!(
            unlimited.count(&Carried::default(), usize::MAX / 2, now),
            Verdict::Carry
        );
        assert_eq!(unlimited.deadlines(), (None, None));
    }
}
