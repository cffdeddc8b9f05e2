//! What strangers may begin: how many IKE_SA_INITs, from where, and how much is written about them.
//!
//! An IKE_SA_INIT counts from when it is taken on, whether it is refused, given up or goes on, and until its peer has
//! authenticated. So neither refused requests nor IKE_SAs that are given back at once escape the limits.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use crate::settings::Settings;

/// How many IKE_SA_INITs of one block are forgotten in a second.
const FORGOTTEN: f64 = 5.0;

/// How many times `block_threshold` a block may begin in a burst, once its addresses are proved.
const BURST: usize = 2;

/// Seconds after which everything is forgotten, so that the end of a long attack is the end of its effects.
const LONGEST: f64 = 10.0;

/// Blocks that are counted by themselves. Their number is bounded, because a block is forgotten within seconds and those
/// that have proved nothing are few; should there be more all the same, each further one needs a cookie.
const MAX_BLOCKS: usize = 1 << 16;

/// Lines about strangers that may come at once, and in each second afterwards.
const LINES: (f64, f64) = (10.0, 1.0);

/// Refused IKE_SA_INITs that are described at once, and in each second afterwards.
const DESCRIBED: (f64, f64) = (5.0, 1.0);

/// Addresses that one host can take at will: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Block(IpAddr);

impl Block {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let prefix = u128::from(v6) & (u128::MAX << 64);
                IpAddr::V6(Ipv6Addr::from(prefix))
            }
            v4 => v4,
        })
    }
}

/// Where an IKE_SA_INIT came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) block: Block,
    /// Whether a cookie has shown that its sender receives what is sent there.
    pub(crate) proven: bool,
}

/// A count that falls by itself.
#[derive(Clone, Copy, Debug)]
struct Level {
    value: f64,
    at: Instant,
}

impl Level {
    fn new(at: Instant) -> Self {
        Self { value: 0.0, at }
    }

    /// The value now, if it falls by so much in a second.
    fn now(&self, now: Instant, per_second: f64) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.value - passed * per_second).max(0.0)
    }

    /// Changes the value, which is never more than what falls within [`LONGEST`], or `most` if that is more.
    fn change(&mut self, now: Instant, per_second: f64, by: f64, most: f64) {
        let most = most.max(LONGEST * per_second);
        self.value = (self.now(now, per_second) + by).clamp(0.0, most);
        self.at = now;
    }
}

/// So many of something at once, and so many a second afterwards.
#[derive(Debug)]
pub(crate) struct Budget {
    spent: Level,
    burst: f64,
    per_second: f64,
    /// How many were refused since one was granted.
    refused: u64,
}

impl Budget {
    fn new(now: Instant, (burst, per_second): (f64, f64)) -> Self {
        Self {
            spent: Level::new(now),
            burst,
            per_second,
            refused: 0,
        }
    }

    pub(crate) fn has_room(&self, now: Instant) -> bool {
        self.spent.now(now, self.per_second) + 1.0 <= self.burst
    }

    /// Takes one, and returns how many were refused before it; or refuses it.
    pub(crate) fn take(&mut self, now: Instant) -> Option<u64> {
        if !self.has_room(now) {
            self.refused += 1;
            return None;
        }
        self.spent.change(now, self.per_second, 1.0, self.burst);
        Some(std::mem::take(&mut self.refused))
    }
}

/// What one block has begun.
#[derive(Debug)]
struct Begun {
    all: Level,
    proven: Level,
    /// Of these, the IKE_SAs that are half open.
    half_open: usize,
    half_open_proven: usize,
}

impl Begun {
    fn is_forgotten(&self, now: Instant) -> bool {
        self.half_open == 0 && self.all.now(now, FORGOTTEN) == 0.0
    }

    fn change(&mut self, settings: &Settings, now: Instant, by: f64, proven: bool) {
        let most = burst(settings).max(settings.cookie_threshold_ip as f64);
        self.all.change(now, FORGOTTEN, by, most);
        if proven {
            self.proven.change(now, FORGOTTEN, by, most);
        }
    }
}

/// How many IKE_SA_INITs with proved addresses one block may begin in a burst.
fn burst(settings: &Settings) -> f64 {
    BURST as f64 * settings.block_threshold as f64
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Admission {
    blocks: BTreeMap<Block, Begun>,
    half_open: usize,
    all: Level,
    /// When blocks that are forgotten are looked for.
    limit: usize,
    /// Lines about what strangers send, by topic: many about one leave room for those about another.
    lines: [Budget; Topic::COUNT],
    /// Descriptions of refused IKE_SA_INITs.
    pub(crate) refusals: Budget,
}

/// What lines are about that anyone can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// A datagram that does not begin as an IKE message does.
    Header,
    /// A message of another version of IKE.
    Version,
    /// An IKE_SA_INIT that is malformed.
    Init,
    /// An IKE_SA_INIT that is not looked at, because too much is under way.
    Limits,
    /// A message of an IKE_SA that is out of turn.
    OutOfTurn,
    /// A message of an IKE_SA that fails the integrity check.
    Forged,
    /// Any other message of an IKE_SA that does not prove to be its peer's.
    Other,
}

impl Topic {
    const COUNT: usize = 7;
}

/// What an IKE_SA_INIT needs to be taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    Nothing,
    /// A cookie, because too much of all is under way.
    CookieOfAll,
    /// A cookie, because too much of this block is.
    CookieOfBlock,
}

impl Admission {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            blocks: BTreeMap::new(),
            half_open: 0,
            all: Level::new(now),
            limit: 1024,
            lines: std::array::from_fn(|_| Budget::new(now, LINES)),
            refusals: Budget::new(now, DESCRIBED),
        }
    }

    /// The budget of the lines about a topic.
    pub(crate) fn lines(&mut self, topic: Topic) -> &mut Budget {
        &mut self.lines[topic as usize]
    }

    /// How many IKE_SAs are half open.
    pub(crate) fn half_open(&self) -> usize {
        self.half_open
    }

    /// Whether a block has begun so much that it is not listened to. Only what has proved its address counts: others could
    /// keep its owner out.
    pub(crate) fn is_blocked(&self, settings: &Settings, now: Instant, block: Block) -> bool {
        let Some(begun) = self.blocks.get(&block).filter(|_| settings.block_threshold > 0) else {
            return false;
        };
        begun.half_open_proven >= settings.block_threshold
            || begun.proven.now(now, FORGOTTEN) + 1.0 > burst(settings)
    }

    /// What a block has to show before it may begin another.
    pub(crate) fn demand(&self, settings: &Settings, now: Instant, block: Block) -> Demand {
        let per_second = settings.cookie_threshold as f64;
        let reaches = |count: f64, limit: usize| limit > 0 && count + 1.0 > limit as f64;
        if reaches(self.half_open as f64, settings.cookie_threshold)
            || reaches(self.all.now(now, per_second), settings.cookie_threshold)
            || self.blocks.len() >= MAX_BLOCKS
        {
            return Demand::CookieOfAll;
        }
        // A block is never shut out before a cookie could have told its owner from others.
        let limits = [settings.cookie_threshold_ip, settings.block_threshold];
        let limit = limits.into_iter().filter(|limit| *limit > 0).min().unwrap_or(0);
        match self.blocks.get(&block) {
            Some(begun)
                if reaches(begun.half_open as f64, limit)
                    || reaches(begun.all.now(now, FORGOTTEN), limit) =>
            {
                Demand::CookieOfBlock
            }
            _ => Demand::Nothing,
        }
    }

    /// An IKE_SA_INIT is taken on.
    pub(crate) fn begin(&mut self, settings: &Settings, now: Instant, origin: Origin) {
        self.forget(now);
        self.change(settings, now, 1.0);
        self.half_open += 1;
        let begun = self.blocks.entry(origin.block).or_insert_with(|| Begun {
            all: Level::new(now),
            proven: Level::new(now),
            half_open: 0,
            half_open_proven: 0,
        });
        begun.change(settings, now, 1.0, origin.proven);
        begun.half_open += 1;
        begun.half_open_proven += usize::from(origin.proven);
    }

    /// What was begun is half open no more: its peer has authenticated, or it is over.
    pub(crate) fn end(&mut self, settings: &Settings, now: Instant, origin: Origin, authenticated: bool) {
        self.half_open -= 1;
        if authenticated {
            self.change(settings, now, -1.0);
        }
        let Some(begun) = self.blocks.get_mut(&origin.block) else {
            return;
        };
        begun.half_open -= 1;
        begun.half_open_proven -= usize::from(origin.proven);
        if authenticated {
            begun.change(settings, now, -1.0, origin.proven);
        }
        if begun.is_forgotten(now) {
            self.blocks.remove(&origin.block);
        }
    }

    fn change(&mut self, settings: &Settings, now: Instant, by: f64) {
        self.all.change(now, settings.cookie_threshold as f64, by, 0.0);
    }

    fn forget(&mut self, now: Instant) {
        if self.blocks.len() >= self.limit {
            self.blocks.retain(|_, begun| !begun.is_forgotten(now));
            self.limit = 1024.max(2 * self.blocks.len());
        }
    }

    /// Whether nothing is half open: an Endpoint without IKE_SAs leaks none.
    pub(crate) fn is_idle(&self) -> bool {
        self.half_open == 0 && self.blocks.values().all(|begun| begun.half_open == 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn start() -> Instant {
        Instant::now()
    }

    fn origin(address: &str, proven: bool) -> Origin {
        Origin {
            block: Block::of(address.parse().expect("an address")),
            proven,
        }
    }

    #[test]
    fn a_host_cannot_hide_behind_its_own_addresses() {
        let block = |text: &str| origin(text, false).block;
        assert_eq!(block("2001:db8::1"), block("2001:db8::ffff:1:2:3"));
        assert_ne!(block("2001:db8::1"), block("2001:db8:0:1::1"));
        assert_ne!(block("192.0.2.1"), block("192.0.2.2"));
        assert_eq!(block("192.0.2.1"), block("::ffff:192.0.2.1"));
    }

    #[test]
    fn what_is_given_back_at_once_counts_all_the_same() {
        let (settings, now) = (Settings::default(), start());
        let mut admission = Admission::new(now);
        let origin = origin("192.0.2.1", false);
        for begun in 0..settings.cookie_threshold_ip {
            let demand = admission.demand(&settings, now, origin.block);
            assert_eq!(demand, Demand::Nothing, "{begun}");
            admission.begin(&settings, now, origin);
            admission.end(&settings, now, origin, false);
        }
        assert_eq!(admission.half_open(), 0);
        assert_eq!(
            admission.demand(&settings, now, origin.block),
            Demand::CookieOfBlock
        );
        assert!(!admission.is_blocked(&settings, now, origin.block));
        let later = now + Duration::from_secs(1);
        assert_eq!(admission.demand(&settings, later, origin.block), Demand::Nothing);
    }

    #[test]
    fn who_authenticates_is_not_counted() {
        let (settings, now) = (Settings::default(), start());
        let mut admission = Admission::new(now);
        let origin = origin("192.0.2.1", true);
        for _ in 0..1000 {
            assert_eq!(admission.demand(&settings, now, origin.block), Demand::Nothing);
            admission.begin(&settings, now, origin);
            admission.end(&settings, now, origin, true);
        }
        assert!(admission.is_idle() && !admission.is_blocked(&settings, now, origin.block));
    }

    #[test]
    fn only_what_has_proved_its_address_shuts_a_block_out() {
        let (settings, now) = (Settings::default(), start());
        let mut admission = Admission::new(now);
        let (spoofed, own) = (origin("192.0.2.1", false), origin("192.0.2.1", true));
        for _ in 0..100 {
            admission.begin(&settings, now, spoofed);
        }
        assert!(!admission.is_blocked(&settings, now, own.block));
        for _ in 0..BURST * settings.block_threshold {
            admission.begin(&settings, now, own);
            admission.end(&settings, now, own, false);
        }
        assert!(admission.is_blocked(&settings, now, own.block));
        let later = now + Duration::from_secs(1);
        assert!(!admission.is_blocked(&settings, later, own.block));
    }

    #[test]
    fn a_long_attack_is_forgotten_soon_after_its_end() {
        let thresholds = |all, ip, block| Settings {
            cookie_threshold: all,
            cookie_threshold_ip: ip,
            block_threshold: block,
            ..Settings::default()
        };
        let (defaults, start) = (Settings::default(), start());
        for during in [defaults.clone(), thresholds(0, 0, 0), thresholds(10, 3, 0)] {
            let (mut admission, mut now) = (Admission::new(start), start);
            let origin = origin("192.0.2.1", true);
            for _ in 0..1_000_000 {
                now += Duration::from_millis(1);
                admission.begin(&during, now, origin);
                admission.end(&during, now, origin, false);
            }
            now += Duration::from_secs(11);
            // The operator may have set other thresholds meanwhile.
            assert_eq!(admission.demand(&defaults, now, origin.block), Demand::Nothing);
            assert!(!admission.is_blocked(&defaults, now, origin.block));
        }
    }

    #[test]
    fn blocks_are_forgotten() {
        let (settings, mut now) = (Settings::default(), start());
        let mut admission = Admission::new(now);
        for number in 0..100_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            let origin = Origin {
                block: Block::of(address),
                proven: true,
            };
            admission.begin(&settings, now, origin);
            admission.end(&settings, now, origin, false);
            now += Duration::from_millis(1);
        }
        assert!(admission.blocks.len() <= 1024, "{}", admission.blocks.len());
    }

    #[test]
    fn a_budget_says_how_much_it_has_refused() {
        let now = start();
        let mut budget = Budget::new(now, (2.0, 1.0));
        let taken: Vec<_> = (0..5).map(|_| budget.take(now)).collect();
        assert_eq!(taken, [Some(0), Some(0), None, None, None]);
        assert_eq!(budget.take(now + Duration::from_secs(1)), Some(3));
    }
}
