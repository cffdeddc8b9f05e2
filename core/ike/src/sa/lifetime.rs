//! When an IKE_SA is reauthenticated, ends, or checks its peer's liveness (RFC 7296, 2.8 and 2.4; RFC 4478).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::identity::Identity;

use crate::child::ChildSa;
use crate::endpoint::Initiate;
use crate::exchange::creation::retry_delay;
use crate::sa::{IkeSa, IkeSaState};
use crate::shared::{Again, Shared, Wish, log};
use crate::task::Task;
use crate::timer::Timer;

/// How long an IKE_SA that seems to be reauthenticated waits to be deleted by the peer.
const SUSPECTED: Duration = Duration::from_secs(10);

/// The deadlines of an IKE_SA as a whole.
#[derive(Debug)]
pub(crate) struct Lifetime {
    pub(crate) established: Option<Instant>,
    /// A responder's IKE_SA must be established by then.
    pub(crate) half_open: Timer,
    pub(crate) rekey: Timer,
    pub(crate) reauth: Timer,
    /// The IKE_SA is deleted then.
    pub(crate) over: Timer,
    pub(crate) liveness: Timer,
    /// One that another has replaced is gone by then.
    pub(crate) superseded: Timer,
    /// When the peer was last heard, by an authenticated message.
    pub(crate) last_inbound: Instant,
}

impl Lifetime {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            established: None,
            half_open: Timer::OFF,
            rekey: Timer::OFF,
            reauth: Timer::OFF,
            over: Timer::OFF,
            liveness: Timer::OFF,
            superseded: Timer::OFF,
            last_inbound: now,
        }
    }

    /// Nothing is due any more.
    pub(crate) fn stop(&mut self) {
        (self.rekey, self.reauth, self.over, self.liveness) =
            (Timer::OFF, Timer::OFF, Timer::OFF, Timer::OFF);
    }
}

/// `delay` less a random part of at most `percent` of it, 20 at the most.
pub(crate) fn shorten(delay: Duration, percent: u8, random: u64) -> Duration {
    let part = f64::from(percent.min(20)) / 100.0 * (random as f64 / u64::MAX as f64);
    delay.mul_f64(1.0 - part)
}

/// When to authenticate again so that it is done within so many seconds.
fn by(seconds: u32, over: Duration) -> Duration {
    Duration::from_secs(u64::from(seconds)).saturating_sub(over)
}

impl IkeSa {
    /// Starts the clocks of an IKE_SA that was just established, and says so.
    ///
    /// The AUTH_LIFETIME that came with the response is taken out if this end authenticates again before that.
    pub(crate) fn schedule(&mut self, shared: &mut Shared, auth_lifetime: &mut Option<u32>) {
        let Some(config) = self.config.clone() else { return };
        let now = shared.now;
        self.lifetime.established = Some(now);
        self.lifetime.half_open = Timer::OFF;
        self.if_ids(shared);
        // Nothing may be sent for a long time.
        self.rest_keepalive(shared);
        let limits = config.lifetime;
        let mut soonest: Option<Duration> = None;
        if !limits.rekey.is_zero() {
            let rekey = limits.rekey.saturating_sub(shared.random_below(limits.jitter));
            self.lifetime.rekey = Timer::at(now + rekey);
            log!(
                shared,
                self,
                Ike,
                1,
                "scheduling rekeying in {}s",
                rekey.as_secs()
            );
            soonest = Some(rekey);
        }
        if !limits.reauth.is_zero() {
            let reauth = limits.reauth.saturating_sub(shared.random_below(limits.jitter));
            let over = limits.over;
            if let Some(seconds) = auth_lifetime.take_if(|seconds| by(*seconds, over) >= reauth) {
                let soft = by(seconds, over).as_secs();
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "received AUTH_LIFETIME of {seconds}s, scheduling reauthentication in {soft}s"
                );
            }
            self.lifetime.reauth = Timer::at(now + reauth);
            log!(
                shared,
                self,
                Ike,
                1,
                "scheduling reauthentication in {}s",
                reauth.as_secs()
            );
            soonest = Some(soonest.map_or(reauth, |rekey| rekey.min(reauth)));
        }
        if let Some(soonest) = soonest {
            let over = soonest + limits.over;
            self.lifetime.over = Timer::at(now + over);
            log!(
                shared,
                self,
                Ike,
                1,
                "maximum IKE_SA lifetime {}s",
                over.as_secs()
            );
        }
        self.lifetime.liveness = Timer::after(now, config.dpd_delay);
    }

    /// A rekeying proves nothing about the peer: when it has to authenticate again stays.
    pub(crate) fn keep_reauthentication(&mut self, shared: &mut Shared, at: Instant) {
        let over = self
            .config
            .as_ref()
            .map_or(Duration::ZERO, |config| config.lifetime.over);
        let left = at.saturating_duration_since(shared.now).as_secs();
        let most = left + over.as_secs();
        self.lifetime.reauth = Timer::at(at);
        self.lifetime.over = Timer::at(at + over);
        log!(
            shared,
            self,
            Ike,
            1,
            "rescheduling reauthentication in {left}s after rekeying, lifetime reduced to {most}s"
        );
    }

    /// Seconds until the reauthentication, for the AUTH_LIFETIME notify.
    pub(crate) fn auth_lifetime(&self, now: Instant) -> Option<u32> {
        let left = self.lifetime.reauth.deadline()?.saturating_duration_since(now);
        // The time that the exchange has taken does not make it a second less than configured.
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// The peer will not take this IKE_SA any longer than that (RFC 4478).
    pub(crate) fn on_auth_lifetime(&mut self, shared: &mut Shared, seconds: u32) {
        let over = self
            .config
            .as_ref()
            .map_or(Duration::ZERO, |config| config.lifetime.over);
        let left = Duration::from_secs(u64::from(seconds));
        let (now, soft) = (shared.now, by(seconds, over));
        if soft.is_zero() {
            log!(
                shared,
                self,
                Ike,
                1,
                "received AUTH_LIFETIME of {seconds}s, starting reauthentication"
            );
            return self.reauthenticate(shared);
        }
        match self.lifetime.reauth.deadline() {
            Some(own) if own <= now + soft => {
                let own = own.saturating_duration_since(now).as_secs();
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "received AUTH_LIFETIME of {seconds}s, reauthentication already scheduled in {own}s"
                );
            }
            _ => {
                let soft_seconds = soft.as_secs();
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "received AUTH_LIFETIME of {seconds}s, scheduling reauthentication in {soft_seconds}s"
                );
                self.lifetime.reauth = Timer::at(now + soft);
                self.lifetime.over = Timer::at(now + left.max(Duration::from_secs(10)));
            }
        }
    }

    /// Deletes the IKE_SA and establishes it anew. That is up to the end that initiated it, which AUTH_LIFETIME tells; the
    /// other one does it where its peer did not.
    pub(crate) fn reauthenticate(&mut self, shared: &mut Shared) {
        if self.initiate.is_none() {
            log!(
                shared,
                self,
                Ike,
                1,
                "initiator did not reauthenticate as requested"
            );
        }
        if self.what_again().is_none() {
            let left = self.lifetime.over.deadline();
            let left = left.map_or(0, |over| over.saturating_duration_since(shared.now).as_secs());
            log!(
                shared,
                self,
                Ike,
                1,
                "IKE_SA {} will timeout in {left} seconds",
                self.label()
            );
            return;
        }
        if self.state != IkeSaState::Established || self.is_changing_children() {
            return self.retry_reauthentication(shared);
        }
        let actively = if self.initiate.is_none() { " actively" } else { "" };
        log!(
            shared,
            self,
            Ike,
            0,
            "reauthenticating IKE_SA {}{actively}",
            self.label()
        );
        if shared.settings.make_before_break {
            return self.wish(shared, |_| true, Some(self.unique_id));
        }
        self.reauthenticate = true;
        self.enqueue(shared, Task::DeleteIke(None));
    }

    /// The peer has established another IKE_SA from the same address: it may be about to delete this one itself, once
    /// it has the CHILD_SAs anew (make-before-break).
    pub(crate) fn suspect_reauthentication(&mut self, shared: &mut Shared, peer: &Identity) {
        log!(
            shared,
            self,
            Ike,
            1,
            "schedule delete of duplicate IKE_SA for peer '{peer}' due to uniqueness policy and suspected reauthentication"
        );
        self.reauthenticate = false;
        self.lifetime.reauth = Timer::OFF;
        self.lifetime.over = Timer::after(shared.now, SUSPECTED);
    }

    /// It is not possible right now.
    pub(crate) fn retry_reauthentication(&mut self, shared: &mut Shared) {
        if self.stays_after_redirect(shared) {
            return;
        }
        let delay = retry_delay(shared);
        log!(
            shared,
            self,
            Ike,
            1,
            "unable to reauthenticate IKE_SA {} now, trying again in {} seconds",
            self.label(),
            delay.as_secs()
        );
        self.lifetime.reauth = Timer::at(shared.now + delay);
    }

    /// What to establish to have the IKE_SA anew. An end that did not initiate it may do so where the peer needs nothing that
    /// only an initiator can ask for. A peer behind a NAT is reached by the mapping that this IKE_SA keeps open.
    fn what_again(&self) -> Option<Initiate> {
        if let Some(mut what) = self.initiate.as_deref().cloned() {
            let own = self.paths.way_out.unwrap_or(self.local.ip());
            self.redirects.send_home(&mut what, own);
            return Some(what);
        }
        let peer = self.config.clone()?;
        let (local, remote) = if self.natt.remote {
            (self.local, self.remote)
        } else {
            let local = SocketAddr::new(self.local.ip(), peer.local_port);
            (local, SocketAddr::new(self.remote.ip(), peer.remote_port))
        };
        let can_ask = peer.vips.is_empty() && peer.pools.is_empty();
        can_ask.then_some(Initiate {
            child: None,
            local,
            remote,
            peer,
        })
    }

    /// Wishes the IKE_SA anew, with those of its CHILD_SAs.
    pub(crate) fn wish_again(&mut self, shared: &mut Shared, again: impl Fn(&ChildSa) -> bool) {
        self.wish(shared, again, None);
    }

    fn wish(&mut self, shared: &mut Shared, again: impl Fn(&ChildSa) -> bool, instead_of: Option<u32>) {
        let Some(mut what) = self.what_again() else { return };
        // Of one that is about to go nothing else is made.
        let wanted = if instead_of.is_none() {
            self.take_wanted()
        } else {
            Vec::new()
        };
        let mut children: Vec<_> = self
            .children
            .iter()
            .filter(|child| child.stays() && again(child))
            .map(|child| (Arc::clone(&child.config), None))
            .chain(wanted)
            .collect();
        let mut command = None;
        if !children.is_empty() {
            let (first, waits) = children.remove(0);
            (what.child, command) = (Some(first), waits);
        }
        shared.wishes.push(Wish::Reinitiate(Box::new(Again {
            what,
            command,
            children,
            instead_of,
            luggage: None,
            addresses: self.given.own.clone(),
        })));
    }

    /// Asks a peer that was not heard for a while whether it lives (RFC 7296, 2.4).
    pub(crate) fn check_liveness(&mut self, shared: &mut Shared) {
        let Some(delay) = self.config.as_ref().map(|config| config.dpd_delay) else {
            return;
        };
        let quiet = shared.now.saturating_duration_since(self.lifetime.last_inbound);
        if quiet < delay {
            self.lifetime.liveness = Timer::at(self.lifetime.last_inbound + delay);
            return;
        }
        self.lifetime.liveness = Timer::after(shared.now, delay);
        // A request on its way is as good a check.
        if self.is_established() && !self.window.is_busy() {
            self.enqueue(shared, Task::Liveness);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_shortens_by_at_most_twenty_percent() {
        let delay = Duration::from_secs(100);
        assert_eq!(shorten(delay, 0, u64::MAX), delay);
        assert_eq!(shorten(delay, 20, 0), delay);
        assert_eq!(shorten(delay, 90, u64::MAX), Duration::from_secs(80));
    }
}
