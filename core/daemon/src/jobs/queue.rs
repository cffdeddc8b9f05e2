//! The order in which jobs that wait are done, so that strangers hold up no peer that is known, and each other as little
//! as possible.
//!
//! Jobs for known peers go first. Of strangers, the network that has taken the least time on the processor lately goes
//! first, and within it the smaller network, and then the address. So neither one address nor many of one network keep
//! others waiting for longer than the job that is being done takes.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ike::{Beneficiary, Job, JobId};

/// Jobs for known peers that may wait; this only bounds memory.
const KNOWN: usize = 4096;
/// Jobs for strangers that may wait. Looking through as many takes less time than one of them.
const STRANGERS: usize = 1024;

/// How long it takes until half of the time that a network has taken is forgotten.
const HALF_LIFE: Duration = Duration::from_secs(5);

/// Networks whose time is known. Which are depends on strangers.
const MAX_NETWORKS: usize = 4096;

/// A network of strangers: an address without as many of its last bits as IPv6 addresses have, at one of three widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(u8, u128);

/// The networks of an address, the widest first: /16, /24 and the address of IPv4; /32, /48 and /64 of IPv6.
fn networks(address: IpAddr) -> [Network; 3] {
    let (number, widths) = match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_ipv6_mapped()), [112, 120, 128]),
        IpAddr::V6(v6) => (u128::from(v6), [32, 48, 64]),
    };
    widths.map(|width: u8| Network(width, number >> (128 - width)))
}

/// What a job that does not wait came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// Too many jobs for known peers wait.
    Known(JobId),
    /// Too many jobs for strangers wait, and of these this one goes.
    Stranger(JobId),
}

/// Time on the processor that falls by itself.
struct Spent {
    seconds: f64,
    at: Instant,
}

impl Spent {
    fn now(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.seconds * (-passed / HALF_LIFE.as_secs_f64()).exp2()
    }
}

struct Waiting {
    id: JobId,
    job: Job,
    address: IpAddr,
    networks: [Network; 3],
}

/// See the module.
#[derive(Default)]
pub(super) struct Queue {
    known: VecDeque<(JobId, Job)>,
    strangers: VecDeque<Waiting>,
    spent: HashMap<Network, Spent>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.known.len() + self.strangers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.strangers.clear();
    }

    /// Lets a job wait. If too many do, one of those that count least is rejected.
    pub(super) fn push(
        &mut self,
        now: Instant,
        id: JobId,
        job: Job,
        beneficiary: Beneficiary,
    ) -> Result<(), Rejected> {
        let address = match beneficiary {
            Beneficiary::Known if self.known.len() >= KNOWN => return Err(Rejected::Known(id)),
            Beneficiary::Known => {
                self.known.push_back((id, job));
                return Ok(());
            }
            Beneficiary::Stranger(address) => address,
        };
        self.strangers.push_back(Waiting {
            id,
            job,
            address,
            networks: networks(address),
        });
        if self.strangers.len() <= STRANGERS {
            return Ok(());
        }
        let rejected = self.worst(now).and_then(|place| self.strangers.remove(place));
        Err(Rejected::Stranger(rejected.map_or(id, |waiting| waiting.id)))
    }

    /// The place of the newest job of the address that most jobs wait for, and of equal ones of the networks that have taken
    /// most.
    fn worst(&self, now: Instant) -> Option<usize> {
        let mut waiting: HashMap<IpAddr, usize> = HashMap::new();
        for stranger in &self.strangers {
            *waiting.entry(stranger.address).or_default() += 1;
        }
        let mut worst: Option<(usize, (usize, [f64; 3]))> = None;
        for (place, stranger) in self.strangers.iter().enumerate() {
            let rank = (waiting[&stranger.address], self.spent(stranger, now));
            if worst.is_none_or(|(_, worst)| rank >= worst) {
                worst = Some((place, rank));
            }
        }
        worst.map(|(place, _)| place)
    }

    /// The job to do next, and for which stranger.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(JobId, Job, Beneficiary)> {
        if let Some((id, job)) = self.known.pop_front() {
            return Some((id, job, Beneficiary::Known));
        }
        let first = self.best(now)?;
        let Waiting { id, job, address, .. } = self.strangers.remove(first)?;
        Some((id, job, Beneficiary::Stranger(address)))
    }

    /// The place of the oldest job of the networks that have taken least.
    fn best(&self, now: Instant) -> Option<usize> {
        let mut best: Option<(usize, [f64; 3])> = None;
        for (place, stranger) in self.strangers.iter().enumerate() {
            let spent = self.spent(stranger, now);
            if best.is_none_or(|(_, best)| spent < best) {
                best = Some((place, spent));
            }
        }
        best.map(|(place, _)| place)
    }

    /// Seconds that the networks of a stranger have taken lately.
    fn spent(&self, stranger: &Waiting, now: Instant) -> [f64; 3] {
        let of = |network| self.spent.get(&network).map_or(0.0, |spent| spent.now(now));
        stranger.networks.map(of)
    }

    /// Takes out a job that nothing waits for any more.
    pub(super) fn remove(&mut self, id: JobId) {
        self.known.retain(|(other, _)| *other != id);
        self.strangers.retain(|waiting| waiting.id != id);
    }

    /// A job for a stranger has taken so long.
    pub(super) fn took(&mut self, now: Instant, beneficiary: Beneficiary, time: Duration) {
        let Beneficiary::Stranger(address) = beneficiary else {
            return;
        };
        for network in networks(address) {
            let spent = self.spent.entry(network).or_insert(Spent {
                seconds: 0.0,
                at: now,
            });
            spent.seconds = spent.now(now) + time.as_secs_f64();
            spent.at = now;
        }
        if self.spent.len() > MAX_NETWORKS {
            self.spent.retain(|_, spent| spent.now(now) > 0.001);
        }
        if self.spent.len() > MAX_NETWORKS {
            // Where so many take part, none of them is known to be worse than others.
            self.spent.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iana::KeyExchangeMethod;
    use plugin_api::{KeyExchange, PendingKeyExchange, PluginError, Secret};

    use super::*;

    struct Nothing;

    impl KeyExchange for Nothing {
        fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
            unreachable!("it only waits")
        }

        fn respond(&self, _: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
            unreachable!("it only waits")
        }
    }

    fn job() -> Job {
        Job::Initiate(KeyExchangeMethod::CURVE_25519, Arc::new(Nothing))
    }

    fn stranger(address: &str) -> Beneficiary {
        Beneficiary::Stranger(address.parse().expect("an address"))
    }

    fn push(queue: &mut Queue, now: Instant, id: u64, whose: Beneficiary) -> Result<(), Rejected> {
        queue.push(now, JobId(id), job(), whose)
    }

    fn order(queue: &mut Queue, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop(now).map(|(id, ..)| id.0)).collect()
    }

    #[test]
    fn known_peers_go_before_strangers() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for id in 0..100 {
            let address = IpAddr::from([198, 18, 0, id as u8]);
            push(&mut queue, now, id, Beneficiary::Stranger(address)).expect("room");
        }
        push(&mut queue, now, 100, Beneficiary::Known).expect("room");
        assert_eq!(queue.pop(now).map(|(id, ..)| id), Some(JobId(100)));
    }

    #[test]
    fn a_stranger_does_not_wait_for_a_network_that_has_taken_more() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for host in 0..200_u8 {
            let address = IpAddr::from([198, 18, host, 1]);
            queue.took(now, Beneficiary::Stranger(address), Duration::from_millis(10));
        }
        for id in 0..200 {
            let address = IpAddr::from([198, 18, 200, id as u8]);
            push(&mut queue, now, id, Beneficiary::Stranger(address)).expect("room");
        }
        push(&mut queue, now, 200, stranger("198.18.0.2")).expect("room");
        push(&mut queue, now, 201, stranger("192.0.2.1")).expect("room");
        push(&mut queue, now, 202, stranger("2001:db8::1")).expect("room");
        let order = order(&mut queue, now);
        assert_eq!(order[..2], [201, 202], "of networks that have taken nothing");
        assert_eq!(order.last(), Some(&200), "its smaller network has taken more");
    }

    #[test]
    fn what_was_taken_is_forgotten() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.took(now, stranger("198.18.0.1"), Duration::from_secs(1));
        queue.took(
            now + 20 * HALF_LIFE,
            stranger("192.0.2.1"),
            Duration::from_millis(1),
        );
        push(&mut queue, now, 1, stranger("192.0.2.1")).expect("room");
        push(&mut queue, now, 2, stranger("198.18.0.1")).expect("room");
        assert_eq!(order(&mut queue, now + 20 * HALF_LIFE), [2, 1]);
    }

    #[test]
    fn one_address_fills_only_its_own_places() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for id in 0..STRANGERS as u64 {
            push(&mut queue, now, id, stranger("198.18.0.1")).expect("room");
        }
        let newest = Rejected::Stranger(JobId(STRANGERS as u64 - 1));
        assert_eq!(push(&mut queue, now, 5_000, stranger("198.18.0.2")), Err(newest));
        let own = Rejected::Stranger(JobId(6_000));
        assert_eq!(push(&mut queue, now, 6_000, stranger("198.18.0.1")), Err(own));
    }

    #[test]
    fn a_full_queue_rejects_those_that_have_taken_most() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.took(now, stranger("198.18.0.1"), Duration::from_millis(10));
        for id in 0..STRANGERS as u64 {
            let address = IpAddr::from([198, 18, (id / 250) as u8, (id % 250) as u8]);
            push(&mut queue, now, id, Beneficiary::Stranger(address)).expect("room");
        }
        let Err(Rejected::Stranger(rejected)) = push(&mut queue, now, 9_000, stranger("192.0.2.1")) else {
            unreachable!("it is full")
        };
        assert_ne!(rejected, JobId(9_000));
        assert_eq!(queue.len(), STRANGERS);
        assert_eq!(queue.pop(now).map(|(id, ..)| id), Some(JobId(9_000)));
    }

    #[test]
    fn a_job_that_nothing_waits_for_is_not_done() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        push(&mut queue, now, 1, Beneficiary::Known).expect("room");
        push(&mut queue, now, 2, stranger("192.0.2.1")).expect("room");
        queue.remove(JobId(1));
        queue.remove(JobId(2));
        assert!(queue.is_empty() && queue.pop(now).is_none());
    }

    #[test]
    fn the_networks_that_are_remembered_are_few() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for number in 0..20_000_u32 {
            let address = IpAddr::from((number << 12).to_be_bytes());
            queue.took(now, Beneficiary::Stranger(address), Duration::from_millis(10));
        }
        assert!(queue.spent.len() <= MAX_NETWORKS);
    }
}
