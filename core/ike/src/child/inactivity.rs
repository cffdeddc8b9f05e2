//! CHILD_SAs without traffic are closed after a while.
//!
//! The kernel is asked no sooner than a CHILD_SA can have been idle for long enough: an idle one once, one in use once in
//! its `inactivity`.

use std::time::{Duration, Instant};

use plugin_api::kernel::SaUsage;

use crate::child::{ChildSa, ChildState};
use crate::output::{KernelAnswer, KernelResult};
use crate::sa::{IkeSa, KernelWork};
use crate::shared::{Shared, log};
use crate::timer::Timer;

/// The least time between two looks; kernels count in seconds.
const RESOLUTION: Duration = Duration::from_secs(1);

/// What is known of the use of a CHILD_SA.
#[derive(Debug)]
pub(crate) struct Use {
    /// When it can have been idle for long enough.
    timer: Timer,
    /// When it last carried something, as far as the last look goes.
    last: Instant,
    /// What its SAs had carried then. A kernel may know that an SA was used, but not when.
    packets: u64,
}

impl Use {
    /// Of a CHILD_SA that carries nothing yet, and may be idle for so long; zero is for ever.
    pub(crate) fn new(now: Instant, inactivity: Duration) -> Option<Self> {
        (!inactivity.is_zero()).then(|| Self {
            timer: Timer::after(now, inactivity),
            last: now,
            packets: 0,
        })
    }

    /// Takes in what the kernel says, and returns for how long the CHILD_SA was idle.
    fn look(&mut self, now: Instant, usages: &[SaUsage]) -> Duration {
        let packets = usages.iter().map(|usage| usage.packets).sum();
        let ago = usages.iter().filter_map(|usage| usage.last_use).min();
        let last = match ago {
            Some(ago) => now.checked_sub(ago),
            None => (packets != self.packets).then_some(now),
        };
        self.packets = packets;
        self.last = last.map_or(self.last, |last| last.max(self.last));
        now.saturating_duration_since(self.last)
    }
}

impl ChildSa {
    /// When it can have been idle for long enough.
    pub(crate) fn inactivity_timer(&self) -> Timer {
        self.usage.as_ref().map_or(Timer::OFF, |usage| usage.timer)
    }
}

impl IkeSa {
    /// Asks the kernel for the use of CHILD_SAs that can have been idle for long enough.
    pub(crate) fn suspect_inactivity(&mut self, shared: &mut Shared) {
        let now = shared.now;
        for child in &mut self.children {
            let Some(usage) = &mut child.usage else { continue };
            if !usage.timer.expire(now) {
                continue;
            }
            // The answer is lost if another IKE_SA inherits it meanwhile, and what is being rekeyed has another after it.
            usage.timer = Timer::after(now, child.config.inactivity);
            if child.state == ChildState::Installed {
                let kernel = shared.start_kernel(self.unique_id, child.query_installed());
                self.kernel_work
                    .insert(kernel, KernelWork::FindUse(child.unique_id));
            }
        }
    }

    /// The kernel has said when a CHILD_SA was used.
    pub(crate) fn on_use_found(&mut self, shared: &mut Shared, id: u32, result: &KernelResult) {
        let now = shared.now;
        let installed = |child: &&mut ChildSa| child.state == ChildState::Installed;
        let Some(child) = self.child_mut(id).filter(installed) else {
            return;
        };
        let usages: Option<Vec<_>> = result
            .iter()
            .flatten()
            .map(|answer| match answer {
                KernelAnswer::Usage(usage) => Some(*usage),
                _ => None,
            })
            .collect();
        // Of one that the kernel does not know nothing is known; it is asked again after the same time.
        let Some(usages) = usages.filter(|usages| !usages.is_empty()) else {
            return;
        };
        let allowed = child.config.inactivity;
        let Some(usage) = &mut child.usage else { return };
        let idle = usage.look(now, &usages);
        if idle < allowed {
            usage.timer = Timer::after(now, (allowed - idle).max(RESOLUTION));
            return;
        }
        usage.timer = Timer::OFF;
        let seconds = allowed.as_secs();
        let others = |child: &ChildSa| child.unique_id != id && child.state != ChildState::Deleted;
        if shared.settings.inactivity_close_ike && !self.children.iter().any(others) {
            log!(
                shared,
                self,
                Job,
                1,
                "deleting IKE_SA after {seconds} seconds of CHILD_SA inactivity"
            );
            return self.close(shared, None);
        }
        log!(
            shared,
            self,
            Job,
            1,
            "deleting CHILD_SA after {seconds} seconds of inactivity"
        );
        self.close_when_possible(shared, id, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(packets: u64, last_use: Option<u64>) -> SaUsage {
        SaUsage {
            octets: 100 * packets,
            packets,
            last_use: last_use.map(Duration::from_secs),
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do as the beginning")]
    fn what_was_used_last_counts_and_what_was_never_used_is_idle_from_the_beginning() {
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        let mut usage = Use::new(start, minute).expect("one that is closed");
        let idle = |usage: &mut Use, minutes: u32, usages: &[SaUsage]| {
            usage.look(start + minute * minutes, usages).as_secs()
        };
        assert_eq!(idle(&mut usage, 1, &[used(0, None), used(0, None)]), 60);
        assert_eq!(idle(&mut usage, 2, &[used(3, Some(7)), used(2, Some(9))]), 7);
        assert_eq!(
            idle(&mut usage, 3, &[used(0, None), used(0, None)]),
            0,
            "it was moved, and counts anew"
        );
        assert_eq!(idle(&mut usage, 4, &[used(0, None), used(0, None)]), 60);
        assert_eq!(
            idle(&mut usage, 5, &[used(1, None), used(0, None)]),
            0,
            "used, and the kernel does not know when"
        );
        assert_eq!(idle(&mut usage, 6, &[used(1, None), used(0, None)]), 60);
        assert_eq!(
            idle(&mut usage, 7, &[used(1, Some(3600)), used(0, None)]),
            120,
            "a clock that was set back makes nothing older than it was"
        );
    }
}
