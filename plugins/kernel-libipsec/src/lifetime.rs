//! What an SA carried, and whether it may carry more.
//!
//! Counters are atomics, because packets of one SA may be in work on several threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use plugin_api::kernel::{SaLifetime, SaUsage};

/// Counters and limits of one SA.
#[derive(Debug)]
pub struct Lifetime {
    limits: SaLifetime,
    created: Instant,
    octets: AtomicU64,
    packets: AtomicU64,
    /// Nanoseconds from `created` to the last packet.
    last_use: AtomicU64,
    soft_reached: AtomicBool,
    hard_reached: AtomicBool,
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
    /// Counters at zero.
    pub fn new(limits: SaLifetime, now: Instant) -> Self {
        Self {
            limits,
            created: now,
            octets: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            last_use: AtomicU64::new(0),
            soft_reached: AtomicBool::new(false),
            hard_reached: AtomicBool::new(false),
        }
    }

    /// When the SA is to be rekeyed and when it ends.
    pub fn deadlines(&self) -> (Option<Instant>, Option<Instant>) {
        let at = |time: Duration| {
            (!time.is_zero())
                .then(|| self.created.checked_add(time))
                .flatten()
        };
        (at(self.limits.soft_time), at(self.limits.hard_time))
    }

    /// Counts an inner packet of `octets`, unless a hard limit forbids it.
    pub fn count(&self, octets: usize, now: Instant) -> Verdict {
        if self.is_dead() {
            return Verdict::Dead;
        }
        let octets = octets as u64;
        let total_octets = self.octets.fetch_add(octets, Relaxed) + octets;
        let total_packets = self.packets.fetch_add(1, Relaxed) + 1;
        let exceeds = |total: u64, limit: u64| limit != 0 && total > limit;
        if exceeds(total_octets, self.limits.hard_octets) || exceeds(total_packets, self.limits.hard_packets)
        {
            self.octets.fetch_sub(octets, Relaxed);
            self.packets.fetch_sub(1, Relaxed);
            return if self.reach_hard() {
                Verdict::Expired
            } else {
                Verdict::Dead
            };
        }
        self.last_use
            .store((now - self.created).as_nanos() as u64, Relaxed);
        let reaches = |total: u64, limit: u64| limit != 0 && total >= limit;
        if (reaches(total_octets, self.limits.soft_octets)
            || reaches(total_packets, self.limits.soft_packets))
            && self.reach_soft()
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
    pub fn usage(&self, now: Instant) -> SaUsage {
        let packets = self.packets.load(Relaxed);
        let last = self.created + Duration::from_nanos(self.last_use.load(Relaxed));
        SaUsage {
            octets: self.octets.load(Relaxed),
            packets,
            last_use: (packets > 0).then(|| now.saturating_duration_since(last)),
        }
    }
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
        let lifetime = Lifetime::new(limits, now);
        let verdicts: Vec<_> = (0..6).map(|_| lifetime.count(100, now)).collect();
        use Verdict::{Carry, CarryAndRekey, Dead, Expired};
        assert_eq!(verdicts, [Carry, CarryAndRekey, Carry, Carry, Expired, Dead]);
        let usage = lifetime.usage(now + Duration::from_secs(3));
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
        let lifetime = Lifetime::new(limits, now);
        assert_eq!(lifetime.count(100, now), Verdict::Carry);
        assert_eq!(lifetime.count(100, now), Verdict::CarryAndRekey);
        assert_eq!(lifetime.count(1, now), Verdict::Expired);
        let unlimited = Lifetime::new(SaLifetime::default(), now);
        assert_eq!(unlimited.count(usize::MAX / 2, now), Verdict::Carry);
        assert_eq!(unlimited.deadlines(), (None, None));
    }
}
