//! A bad network between two hosts, for kernels without netem: packets wait and get lost on their way from the TUN device of
//! one to that of the other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// How long a packet is under way.
    pub(crate) delay: Duration,
    /// How many packets of a hundred are lost.
    pub(crate) loss: u32,
}

/// What is under way. Packets leave in the order of their time, and of their coming.
struct Queue {
    conditions: Conditions,
    random: ChaCha8Rng,
    under_way: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    count: u64,
}

impl Queue {
    fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            random: ChaCha8Rng::seed_from_u64(seed),
            under_way: BTreeMap::new(),
            count: 0,
        }
    }

    /// Takes a packet to one of the hosts, or loses it.
    fn send(&mut self, now: Instant, to: usize, packet: &[u8]) {
        if self.random.next_u32() % 100 < self.conditions.loss {
            return;
        }
        self.count += 1;
        let key = (now + self.conditions.delay, self.count);
        self.under_way.insert(key, (to, packet.to_vec()));
    }

    fn next(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(when, _)| *when)
    }

    /// A packet that has arrived.
    fn receive(&mut self, now: Instant) -> Option<(usize, Vec<u8>)> {
        let entry = self.under_way.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

/// The network at work, until this is dropped.
pub(crate) struct Relay {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Between two devices.
    pub(crate) fn start(devices: [File; 2], conditions: Conditions, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || carry(devices, Queue::new(conditions, seed), &stopped));
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn carry(mut devices: [File; 2], mut queue: Queue, stop: &AtomicBool) {
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        while let Some((to, packet)) = queue.receive(now) {
            // A host whose device is full loses it, like any other.
            let _ = devices[to].write(&packet);
        }
        for (from, device) in devices.iter_mut().enumerate() {
            loop {
                match device.read(&mut buffer) {
                    Ok(len) => queue.send(Instant::now(), 1 - from, &buffer[..len]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => return, // the device is gone, with its host
                }
            }
        }
        let wait = queue.next().map_or(Duration::from_millis(20), |when| {
            when.saturating_duration_since(Instant::now())
        });
        let wait = wait.min(Duration::from_millis(20));
        let mut fds = devices
            .each_ref()
            .map(|device| PollFd::new(device.as_fd(), PollFlags::POLLIN));
        let timeout = nix::sys::time::TimeSpec::from_duration(wait);
        let _ = ppoll(&mut fds, Some(timeout), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(conditions: Conditions, seed: u64, count: u32) -> Vec<(usize, Vec<u8>)> {
        let mut queue = Queue::new(conditions, seed);
        let now = Instant::now();
        for number in 0..count {
            queue.send(now, 1, &number.to_be_bytes());
        }
        assert!(conditions.delay.is_zero() || queue.receive(now).is_none());
        let later = now + conditions.delay;
        std::iter::from_fn(|| queue.receive(later)).collect()
    }

    #[test]
    fn packets_arrive_after_their_delay_and_in_order() {
        let conditions = Conditions {
            delay: Duration::from_millis(50),
            loss: 0,
        };
        let arrived = run(conditions, 1, 100);
        let numbers: Vec<u32> = arrived
            .iter()
            .map(|(_, packet)| u32::from_be_bytes(packet[..].try_into().unwrap()))
            .collect();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn so_many_are_lost_as_was_asked_for_and_the_same_with_the_same_seed() {
        let conditions = Conditions {
            delay: Duration::ZERO,
            loss: 10,
        };
        let arrived = run(conditions, 7, 10_000);
        assert!((8_800..9_200).contains(&arrived.len()), "{}", arrived.len());
        assert_eq!(arrived, run(conditions, 7, 10_000));
        assert_ne!(arrived, run(conditions, 8, 10_000));
    }
}
