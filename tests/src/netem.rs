//! A network without sockets: delay, jitter, loss, duplication, reordering and MTU, all from one seed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ike::Transmit;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// How bad the network is. Probabilities are in percent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    pub delay: Duration,
    pub jitter: Duration,
    pub loss: u32,
    pub duplication: u32,
    /// Datagrams longer than this are lost; 0 is no limit.
    pub mtu: usize,
}

pub struct Netem {
    pub conditions: Conditions,
    random: ChaCha8Rng,
    queue: BTreeMap<(Instant, u64), Transmit>,
    sent: u64,
}

impl Netem {
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            random: ChaCha8Rng::seed_from_u64(seed),
            queue: BTreeMap::new(),
            sent: 0,
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.next_u32() % 100 < percent
    }

    /// Takes a datagram; it arrives never, once or twice.
    pub fn send(&mut self, now: Instant, datagram: Transmit) {
        if self.conditions.mtu > 0 && datagram.octets.len() > self.conditions.mtu {
            return;
        }
        let copies = if self.chance(self.conditions.duplication) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            if self.chance(self.conditions.loss) {
                continue;
            }
            let jitter = match self.conditions.jitter.as_micros() as u64 {
                0 => 0,
                bound => self.random.next_u64() % bound,
            };
            let arrival = now + self.conditions.delay + Duration::from_micros(jitter);
            self.sent += 1;
            self.queue.insert((arrival, self.sent), datagram.clone());
        }
    }

    pub fn next_arrival(&self) -> Option<Instant> {
        self.queue.keys().next().map(|(when, _)| *when)
    }

    pub fn receive(&mut self, now: Instant) -> Option<Transmit> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}
