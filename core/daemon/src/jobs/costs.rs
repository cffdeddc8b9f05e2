//! How long jobs take, by their kind, as measured.

use std::collections::HashMap;
use std::time::Duration;

use ike::JobKind;

/// What takes less holds the loop up for less than the exchange of two threads would cost it, wake-ups and caches included.
const SMALL: Duration = Duration::from_micros(200);

/// Measurements that count. The fastest of them does, since what else the machine does only adds to them.
const KEPT: usize = 4;

/// See the module.
#[derive(Default)]
pub(super) struct Costs {
    known: HashMap<JobKind, Measured>,
}

struct Measured {
    times: [Duration; KEPT],
    next: usize,
}

impl Costs {
    /// A job has taken so long.
    pub(super) fn took(&mut self, kind: JobKind, time: Duration) {
        let measured = self.known.entry(kind).or_insert(Measured {
            times: [time; KEPT],
            next: 0,
        });
        measured.times[measured.next] = time;
        measured.next = (measured.next + 1) % KEPT;
    }

    /// Whether jobs of this kind are known to be small.
    pub(super) fn is_small(&self, kind: JobKind) -> bool {
        let measured = self.known.get(&kind);
        measured.is_some_and(|measured| measured.times.iter().any(|time| *time < SMALL))
    }
}

#[cfg(test)]
mod tests {
    use iana::KeyExchangeMethod;
    use ike::JobStep;

    use super::*;

    const KIND: JobKind = JobKind {
        method: KeyExchangeMethod::CURVE_25519,
        step: JobStep::Respond,
    };
    const OTHER: JobKind = JobKind {
        step: JobStep::Finish,
        ..KIND
    };

    #[test]
    fn what_was_never_measured_is_not_small() {
        let mut costs = Costs::default();
        assert!(!costs.is_small(KIND));
        costs.took(KIND, SMALL / 2);
        assert!(costs.is_small(KIND));
        assert!(!costs.is_small(OTHER));
    }

    #[test]
    fn a_slow_moment_changes_nothing_and_a_slow_algorithm_does() {
        let mut costs = Costs::default();
        costs.took(KIND, 9 * SMALL);
        assert!(!costs.is_small(KIND), "the first use of a library");
        costs.took(KIND, SMALL / 2);
        for _ in 1..KEPT {
            assert!(costs.is_small(KIND));
            costs.took(KIND, 9 * SMALL);
        }
        assert!(costs.is_small(KIND));
        costs.took(KIND, 9 * SMALL);
        assert!(!costs.is_small(KIND));
    }
}
