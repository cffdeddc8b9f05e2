//! Message IDs, retransmission, and repeated requests (RFC 7296, 2.1 to 2.3). The window is one, both ways.

use std::time::Instant;

use iana::ExchangeType;

use crate::settings::Retransmit;
use crate::timer::Timer;

/// The message IDs of an IKE_SA.
#[derive(Debug, Default)]
pub(crate) struct Window {
    next_request: u32,
    expected: u32,
    outstanding: Option<Box<Outstanding>>,
    answered: Option<Answered>,
    /// Digest of the peer's next request, or of the one that is being processed: of its packet or first fragment.
    request: [u8; 20],
    processing: bool,
}

/// A request of ours that waits for its response.
#[derive(Debug)]
pub(crate) struct Outstanding {
    pub(crate) message_id: u32,
    pub(crate) exchange: ExchangeType,
    pub(crate) packets: Vec<Vec<u8>>,
    transmissions: u32,
    timer: Timer,
}

/// The peer's last request, by its digest, and our response.
#[derive(Debug)]
struct Answered {
    message_id: u32,
    digest: [u8; 20],
    packets: Box<[Vec<u8>]>,
}

/// How a request of the peer stands to the window.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// It is the next.
    New,
    /// It is the one being processed.
    InProgress,
    /// It is the last one again; this was the response.
    Repeated(&'a [Vec<u8>]),
    /// Neither.
    Stale { expected: u32 },
}

/// What a retransmission timer says.
#[derive(Debug)]
pub(crate) enum Due {
    /// Send again; this is the n-th time.
    Again(u32),
    /// The peer does not answer.
    GiveUp(u32),
}

impl Window {
    /// Where a request with this ID stands; `digest` is that of its packet, or of its first fragment.
    pub(crate) fn standing(&self, message_id: u32, digest: &[u8; 20]) -> Standing<'_> {
        if message_id == self.expected {
            return if self.processing {
                Standing::InProgress
            } else {
                Standing::New
            };
        }
        match &self.answered {
            Some(answered) if answered.message_id == message_id && answered.digest == *digest => {
                Standing::Repeated(&answered.packets)
            }
            _ => Standing::Stale {
                expected: self.expected,
            },
        }
    }

    /// This may become the peer's next request.
    pub(crate) fn note(&mut self, digest: [u8; 20]) {
        if !self.processing {
            self.request = digest;
        }
    }

    /// The request noted last is taken on; repetitions are dropped until [`answer`](Self::answer).
    pub(crate) fn take_on(&mut self) {
        self.processing = true;
    }

    /// Stores the response to the request taken on, and expects the next.
    pub(crate) fn answer(&mut self, mut packets: Vec<Vec<u8>>) {
        // They are kept for as long as the peer asks for nothing else.
        packets.iter_mut().for_each(Vec::shrink_to_fit);
        if std::mem::take(&mut self.processing) {
            self.answered = Some(Answered {
                message_id: self.expected,
                digest: self.request,
                packets: packets.into(),
            });
            self.expected = self.expected.wrapping_add(1);
        }
    }

    /// The ID of the peer's request that is or will be processed next.
    pub(crate) fn expected(&self) -> u32 {
        self.expected
    }

    /// The ID of our next request.
    pub(crate) fn next_request(&self) -> u32 {
        self.next_request
    }

    /// Our request went out.
    pub(crate) fn sent(
        &mut self,
        now: Instant,
        retransmit: &Retransmit,
        exchange: ExchangeType,
        packets: Vec<Vec<u8>>,
    ) {
        self.outstanding = Some(Box::new(Outstanding {
            message_id: self.next_request,
            exchange,
            packets,
            transmissions: 0,
            timer: Timer::after(now, retransmit.delay(0)),
        }));
    }

    /// Whether a request of the peer is being processed.
    pub(crate) fn is_processing(&self) -> bool {
        self.processing
    }

    /// Whether a request of ours is on its way.
    pub(crate) fn is_busy(&self) -> bool {
        self.outstanding.is_some()
    }

    pub(crate) fn outstanding(&self) -> Option<&Outstanding> {
        self.outstanding.as_deref()
    }

    /// Whether a response with this ID and exchange answers our request.
    pub(crate) fn awaits(&self, message_id: u32, exchange: ExchangeType) -> bool {
        self.outstanding
            .as_ref()
            .is_some_and(|request| request.message_id == message_id && request.exchange == exchange)
    }

    /// Our request was answered.
    pub(crate) fn answered(&mut self) {
        if self.outstanding.take().is_some() {
            self.next_request = self.next_request.wrapping_add(1);
        }
    }

    /// Our IKE_SA_INIT request has to be repeated with other content, under the same ID.
    pub(crate) fn withdraw(&mut self) {
        self.outstanding = None;
    }

    pub(crate) fn timer(&self) -> Timer {
        self.outstanding
            .as_ref()
            .map_or(Timer::OFF, |request| request.timer)
    }

    /// What the retransmission timer says; `shorten` cuts a random part of the next delay.
    pub(crate) fn on_timeout(
        &mut self,
        now: Instant,
        retransmit: &Retransmit,
        shorten: impl FnOnce(std::time::Duration) -> std::time::Duration,
    ) -> Option<Due> {
        let request = self.outstanding.as_mut()?;
        if !request.timer.expire(now) {
            return None;
        }
        if request.transmissions >= retransmit.tries {
            return Some(Due::GiveUp(request.transmissions));
        }
        request.transmissions += 1;
        request.timer = Timer::at(now + shorten(retransmit.delay(request.transmissions)));
        Some(Due::Again(request.transmissions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_request_is_new_then_in_progress_then_repeated() {
        let mut window = Window::default();
        assert_eq!(window.standing(0, &[1; 20]), Standing::New);
        window.note([1; 20]);
        window.take_on();
        window.note([2; 20]);
        assert_eq!(window.standing(0, &[1; 20]), Standing::InProgress);
        window.answer(vec![vec![7]]);
        assert_eq!(window.standing(0, &[1; 20]), Standing::Repeated(&[vec![7]]));
        assert_eq!(
            window.standing(0, &[2; 20]),
            Standing::Stale { expected: 1 },
            "other octets, same ID"
        );
        assert_eq!(window.standing(1, &[3; 20]), Standing::New);
        assert_eq!(window.standing(2, &[3; 20]), Standing::Stale { expected: 1 });
    }

    #[test]
    fn retransmissions_end_after_the_configured_tries() {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        let start = Instant::now();
        let retransmit = crate::Settings::default().retransmit;
        let mut window = Window::default();
        window.sent(start, &retransmit, ExchangeType::IKE_AUTH, vec![]);
        let mut now = start;
        for n in 1..=5 {
            now = window.timer().deadline().expect("a deadline");
            assert!(matches!(window.on_timeout(now, &retransmit, |d| d), Some(Due::Again(k)) if k == n));
        }
        now += Duration::from_secs(75);
        assert!(window.on_timeout(now, &retransmit, |d| d).is_none());
        now += Duration::from_secs(1);
        assert!(matches!(
            window.on_timeout(now, &retransmit, |d| d),
            Some(Due::GiveUp(5))
        ));
        assert_eq!((now - start).as_secs(), 165);
    }
}
