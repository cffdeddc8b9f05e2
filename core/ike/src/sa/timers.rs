//! When an IKE_SA has to be looked at, and what is due then.

use std::time::Instant;

use iana::ExchangeType;

use crate::alert::Alert;
use crate::sa::window::Due;
use crate::sa::{IkeSa, lifetime};
use crate::shared::{Shared, log};
use crate::task::Task;
use crate::timer::{Timer, earliest};

impl IkeSa {
    /// The next deadline, with its reason.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        earliest(
            [
                (self.window.timer(), "retransmission"),
                (self.lifetime.half_open, "half-open IKE_SA"),
                (self.lifetime.rekey, "rekeying"),
                (self.lifetime.reauth, "reauthentication"),
                (self.lifetime.over, "lifetime of IKE_SA"),
                (self.lifetime.superseded, "rekeyed IKE_SA"),
                (self.abandoned(), "IKE_FOLLOWUP_KE"),
                (self.lifetime.liveness, "liveness check"),
                (self.natt.keepalive, "NAT keepalive"),
            ]
            .into_iter()
            .chain(self.later.iter().map(|(timer, _)| (*timer, "task")))
            .chain(self.children.iter().flat_map(|child| {
                [
                    (child.timer, "CHILD_SA"),
                    (child.inactivity_timer(), "inactivity"),
                ]
            })),
        )
    }

    pub(crate) fn handle_timeout(&mut self, shared: &mut Shared) {
        let now = shared.now;
        if self.lifetime.half_open.expire(now) {
            log!(
                shared,
                self,
                Job,
                1,
                "deleting half open IKE_SA with {} after timeout",
                self.remote.ip()
            );
            self.alert(shared, Alert::HalfOpenTimeout);
            return self.destroy();
        }
        if self.lifetime.superseded.expire(now) {
            let label = self.label();
            log!(
                shared,
                self,
                Job,
                1,
                "deleting replaced IKE_SA {label} after timeout"
            );
            return self.destroy();
        }
        if self.lifetime.over.expire(now) {
            self.alert(shared, Alert::IkeSaExpired);
            self.enqueue(shared, Task::DeleteIke(None));
        }
        if self.abandoned().expire(now) {
            self.forget_abandoned(shared);
        }
        if self.lifetime.rekey.expire(now) {
            self.enqueue(shared, Task::RekeyIke(None));
        }
        if self.lifetime.reauth.expire(now) {
            self.reauthenticate(shared);
        }
        let retransmit = shared.settings.retransmit;
        let cut = u64::from_be_bytes(shared.random());
        let due = self.window.on_timeout(now, &retransmit, |delay| {
            lifetime::shorten(delay, retransmit.jitter, cut)
        });
        match due {
            Some(Due::Again(n)) => {
                if let Some(request) = self.window.outstanding() {
                    let (id, packets) = (request.message_id, request.packets.clone());
                    let first_under_keys =
                        request.exchange == ExchangeType::IKE_AUTH && self.negotiation.is_some();
                    log!(
                        shared,
                        self,
                        Ike,
                        1,
                        "retransmit {n} of request with message ID {id}"
                    );
                    // A peer with other keys cannot open the request, and may say nothing of it.
                    if n == 1 && first_under_keys {
                        self.suspect_key_exchange(shared);
                    }
                    self.alert(shared, Alert::RetransmitSend);
                    if let Some(tally) = &mut shared.tally {
                        tally.retransmitted_requests += 1;
                    }
                    self.transmit_request(shared, packets);
                    self.doubt_path(shared, n);
                }
            }
            Some(Due::GiveUp(n)) => {
                log!(shared, self, Ike, 1, "giving up after {n} retransmits");
                self.alert(shared, Alert::RetransmitSendTimeout);
                self.on_peer_dead(shared);
            }
            None => {}
        }
        if self.natt.keepalive.expire(now) {
            self.send_keepalive(shared);
        }
        if self.lifetime.liveness.expire(now) {
            self.check_liveness(shared);
        }
        self.suspect_inactivity(shared);
        let mut due = std::mem::take(&mut self.later);
        due.retain_mut(|(timer, task)| {
            let due = timer.expire(now);
            if due {
                self.tasks.push_back(task.clone());
            }
            !due
        });
        self.later = due;
        self.start_next_task(shared);
        for index in (0..self.children.len()).rev() {
            if self.children[index].timer.expire(now) {
                self.on_child_timer(shared, index);
            }
        }
    }

    /// When to forget what the peer began to make.
    fn abandoned(&self) -> Timer {
        self.answering
            .as_ref()
            .map_or(Timer::OFF, |creation| creation.abandoned)
    }
}
