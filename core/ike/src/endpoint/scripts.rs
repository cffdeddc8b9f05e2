//! The driver's side of scripts.

use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::output::KernelId;
use crate::sa::KernelWork;
use crate::shared::log_plain;

impl Endpoint {
    /// Says that the driver runs the scripts of [`Event::Scripts`](crate::Event::Scripts), and how long each run is waited
    /// for at most; `None` if it runs none, so that nothing waits.
    pub fn set_scripts(&mut self, patience: Option<Duration>) {
        self.shared.scripts.patience = patience;
    }

    /// Whether any scripts run.
    pub fn awaits_scripts(&self) -> bool {
        self.shared.scripts.deadline().is_some()
    }

    /// The scripts of a run have ended.
    pub fn handle_scripts_done(&mut self, now: Instant, id: KernelId) {
        self.shared.now = now;
        if self.shared.scripts.end(id).is_some() {
            self.go_on_after(id);
        }
    }

    /// What waits for scripts that take too long goes on without them.
    pub(super) fn give_scripts_up(&mut self) {
        while let Some((id, name)) = self.shared.scripts.overdue(self.shared.now) {
            let patience = self.shared.scripts.patience.unwrap_or_default().as_secs();
            log_plain!(
                self.shared,
                Chd,
                1,
                "updown script of '{name}' has not ended after {patience} s, going on without it"
            );
            self.go_on_after(id);
        }
    }

    fn go_on_after(&mut self, id: KernelId) {
        if let Some(farewell) = self.shared.scripts.farewell_after(id) {
            farewell.finish(&mut self.shared);
        }
        let Some(key) = self.shared.kernel_ops.remove(&id) else {
            return;
        };
        self.with_sa(key, |sa, shared| {
            if let Some(KernelWork::Scripts(waiting)) = sa.kernel_work.remove(&id) {
                sa.after_scripts(shared, *waiting);
            }
        });
    }
}
