//! Deadlines: each lives in the component it concerns and carries its reason.

use std::time::{Duration, Instant};

/// A deadline that may be off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timer(Option<Instant>);

impl Timer {
    pub(crate) const OFF: Self = Self(None);

    pub(crate) fn at(when: Instant) -> Self {
        Self(Some(when))
    }

    /// `after` from `now`, or off if `after` is zero, as configuration files mean it.
    pub(crate) fn after(now: Instant, after: Duration) -> Self {
        Self((!after.is_zero()).then(|| now + after))
    }

    pub(crate) fn is_on(self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn deadline(self) -> Option<Instant> {
        self.0
    }

    /// Whether the deadline has come; it is off afterwards.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let due = self.0.is_some_and(|when| when <= now);
        if due {
            self.0 = None;
        }
        due
    }
}

/// The earliest of several deadlines, with its reason.
pub(crate) fn earliest(
    timers: impl IntoIterator<Item = (Timer, &'static str)>,
) -> Option<(Instant, &'static str)> {
    timers
        .into_iter()
        .filter_map(|(timer, reason)| Some((timer.0?, reason)))
        .min_by_key(|(when, _)| *when)
}
