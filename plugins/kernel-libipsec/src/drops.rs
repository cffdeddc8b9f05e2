//! Counts of packets that were not carried, and log lines about them that a flood cannot multiply.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use plugin_api::Host;
use plugin_api::log::{CONTROL, Group};

/// Why a packet was not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Reason {
    UnknownSpi,
    WrongDestination,
    Replayed,
    NotAuthentic,
    Malformed,
    PolicyViolation,
    ExpiredSa,
    NoPolicy,
    Refused,
    NoSa,
    Loop,
    NoSocket,
    SendFailed,
    TunFailed,
}

impl Reason {
    const ALL: [Self; 14] = [
        Self::UnknownSpi,
        Self::WrongDestination,
        Self::Replayed,
        Self::NotAuthentic,
        Self::Malformed,
        Self::PolicyViolation,
        Self::ExpiredSa,
        Self::NoPolicy,
        Self::Refused,
        Self::NoSa,
        Self::Loop,
        Self::NoSocket,
        Self::SendFailed,
        Self::TunFailed,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::UnknownSpi => "no SA has their SPI",
            Self::WrongDestination => "their SA has another destination address",
            Self::Replayed => "they were replayed or came too late",
            Self::NotAuthentic => "they are not authentic",
            Self::Malformed => "they are malformed",
            Self::PolicyViolation => "their SA's policy does not admit what was in them",
            Self::ExpiredSa => "their SA reached its hard limit",
            Self::NoPolicy => "no policy covers them",
            Self::Refused => "their policy is to drop or not to protect them",
            Self::NoSa => "their policy has no SA",
            Self::Loop => "they are our own ESP or IKE packets, led into the tunnel by a route",
            Self::NoSocket => "there is no socket of their address family",
            Self::SendFailed => "sending failed",
            Self::TunFailed => "the TUN device took them not",
        }
    }

    /// What others can cause at will, or what happens in the best of tunnels, is for those who look for faults.
    const fn level(self) -> i8 {
        match self {
            Self::NoPolicy | Self::Refused | Self::NoSa | Self::Replayed | Self::UnknownSpi => CONTROL + 1,
            _ => CONTROL,
        }
    }
}

/// One line a reason in this time.
const INTERVAL: Duration = Duration::from_secs(10);

/// The counters.
pub struct Drops {
    start: Instant,
    reasons: [Counter; Reason::ALL.len()],
}

#[derive(Default)]
struct Counter {
    total: AtomicU64,
    told: AtomicU64,
    /// Milliseconds from `start` to the next line.
    next: AtomicU64,
}

impl Drops {
    /// Counters at zero.
    pub fn new(now: Instant) -> Self {
        Self {
            start: now,
            reasons: Default::default(),
        }
    }

    /// Counts a packet; `what` tells of it if a line is due.
    pub fn count(&self, host: &dyn Host, reason: Reason, now: Instant, what: impl Display) {
        let counter = &self.reasons[reason as usize];
        let total = counter.total.fetch_add(1, Relaxed) + 1;
        let elapsed = now.saturating_duration_since(self.start).as_millis() as u64;
        let next = counter.next.load(Relaxed);
        let later = elapsed + INTERVAL.as_millis() as u64;
        if elapsed < next
            || counter
                .next
                .compare_exchange(next, later, Relaxed, Relaxed)
                .is_err()
        {
            return;
        }
        let since = total - counter.told.swap(total, Relaxed);
        let plural = if since == 1 { "" } else { "s" };
        let text = reason.text();
        host.log(
            Group::Esp,
            reason.level(),
            &format!("dropped {since} packet{plural}, {text}: {what}"),
        );
    }

    /// How many packets were dropped for a reason.
    pub fn total(&self, reason: Reason) -> u64 {
        self.reasons[reason as usize].total.load(Relaxed)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // any instant does
mod tests {
    use super::*;
    use plugin_api::testing::Recorder;

    #[test]
    fn a_flood_makes_one_line_an_interval() {
        let (now, host) = (Instant::now(), Recorder::default());
        let drops = Drops::new(now);
        for _ in 0..1000 {
            drops.count(&host, Reason::NotAuthentic, now, "SPI 00000001");
        }
        drops.count(&host, Reason::Malformed, now, "SPI 00000001");
        drops.count(&host, Reason::NotAuthentic, now + INTERVAL, "SPI 00000002");
        assert_eq!(
            host.lines(),
            [
                "dropped 1 packet, they are not authentic: SPI 00000001",
                "dropped 1 packet, they are malformed: SPI 00000001",
                "dropped 1000 packets, they are not authentic: SPI 00000002",
            ]
        );
        assert_eq!(drops.total(Reason::NotAuthentic), 1001);
    }
}
