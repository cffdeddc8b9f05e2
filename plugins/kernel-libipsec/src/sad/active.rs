//! What an SA needs once packets pass by it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::lifetime::Carried;
use crate::replay::ReplayWindow;

/// See the module.
pub struct Active {
    /// Counters.
    pub(super) carried: Carried,
    /// Inbound: which numbers came.
    pub replay: Mutex<ReplayWindow>,
    /// Outbound: the last number used.
    sequence: AtomicU64,
    /// None for those that stay where they are.
    roaming: Mutex<Option<Box<Roaming>>>,
}

#[derive(Default)]
struct Roaming {
    /// This host's address before the last move, where packets may still come in that were on their way.
    former: Option<IpAddr>,
    /// Inbound: the last endpoint told of in a mapping event.
    reported: Option<SocketAddr>,
}

impl Active {
    pub(super) fn new(replay_window: u32) -> Self {
        Self {
            carried: Carried::default(),
            replay: Mutex::new(ReplayWindow::new(replay_window)),
            sequence: AtomicU64::new(0),
            roaming: Mutex::default(),
        }
    }

    /// Uses the next number up to `last`; how many had been used before.
    pub(super) fn use_number(&self, last: u64) -> Option<u64> {
        let next = |used| (used < last).then_some(used + 1);
        self.sequence.fetch_update(Relaxed, Relaxed, next).ok()
    }

    /// Whether an authenticated packet's source is news to the daemon.
    pub fn is_new_mapping(&self, remote: SocketAddr) -> bool {
        let mut roaming = self.roaming.lock().unwrap_or_else(PoisonError::into_inner);
        let roaming = roaming.get_or_insert_default();
        roaming.reported.replace(remote) != Some(remote)
    }

    /// The SA has moved, and so has this host if its addresses differ.
    pub(super) fn moved(&self, before: IpAddr, now: IpAddr) {
        let mut roaming = self.roaming.lock().unwrap_or_else(PoisonError::into_inner);
        if before != now {
            roaming.get_or_insert_default().former = Some(before);
        }
        if let Some(roaming) = &mut *roaming {
            roaming.reported = None;
        }
    }

    /// See [`Sa::was_at`](super::Sa::was_at).
    pub(super) fn was_at(&self, address: IpAddr) -> bool {
        let roaming = self.roaming.lock().unwrap_or_else(PoisonError::into_inner);
        roaming
            .as_ref()
            .is_some_and(|roaming| roaming.former == Some(address))
    }

    #[cfg(test)]
    pub(super) fn skip_to(&self, sequence: u64) {
        self.sequence.store(sequence, Relaxed);
    }
}
