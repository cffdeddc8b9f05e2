//! Message IDs, retransmission, and repeated requests (RFC 7296, 2.1 to 2.3). The window is one, both ways.

use std::net::IpAddr;
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
    repeats: Option<Box<Repeats>>,
}

/// How often a response may still be repeated. One small datagram, captured or made by the peer itself, would otherwise
/// send a large response any number of times to any address.
#[derive(Debug)]
struct Repeats {
    /// Repetitions to the peer, fewer with time.
    recent: f64,
    at: Instant,
    /// Octets that have come from another address, which may get as many.
    elsewhere: Option<(IpAddr, usize)>,
}

/// Repetitions to the peer that may follow each other at once, and in a second afterwards. Peers wait for seconds
/// between theirs.
const REPEATS: (f64, f64) = (4.0, 2.0);

impl Repeats {
    fn new(now: Instant) -> Self {
        Self {
            recent: 0.0,
            at: now,
            elsewhere: None,
        }
    }

    fn grant(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.recent = (self.recent - passed * REPEATS.1).max(0.0);
        self.at = now;
        let granted = self.recent + 1.0 <= REPEATS.0;
        self.recent += f64::from(u8::from(granted));
        granted
    }

    fn credit(&mut self, from: IpAddr, octets: usize) -> &mut usize {
        let (address, credit) = self.elsewhere.get_or_insert((from, 0));
        if *address != from {
            (*address, *credit) = (from, 0);
        }
        *credit = credit.saturating_add(octets);
        credit
    }
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
                repeats: None,
            });
            self.expected = self.expected.wrapping_add(1);
        }
    }

    /// Whether the last response may be repeated to the peer: a few times.
    pub(crate) fn may_repeat(&mut self, now: Instant) -> bool {
        self.repeats(now).is_some_and(|repeats| repeats.grant(now))
    }

    /// Whether it may be repeated to another address, which its request came from in so many octets: in no more octets than
    /// have come from there.
    pub(crate) fn may_repeat_elsewhere(&mut self, now: Instant, from: IpAddr, octets: usize) -> bool {
        let packets = self.answered.iter().flat_map(|answered| &answered.packets);
        let response: usize = packets.map(Vec::len).sum();
        let Some(repeats) = self.repeats(now) else {
            return false;
        };
        let credit = repeats.credit(from, octets);
        let granted = *credit >= response;
        *credit -= if granted { response } else { 0 };
        granted
    }

    /// A fragment of the last request came again that does not ask for a repetition by itself; its octets count.
    pub(crate) fn credit_fragment(&mut self, now: Instant, message_id: u32, from: IpAddr, octets: usize) {
        let answered = self.answered.as_ref();
        if answered.is_some_and(|answered| answered.message_id == message_id)
            && let Some(repeats) = self.repeats(now)
        {
            repeats.credit(from, octets);
        }
    }

    fn repeats(&mut self, now: Instant) -> Option<&mut Repeats> {
        let answered = self.answered.as_mut()?;
        Some(
            answered
                .repeats
                .get_or_insert_with(|| Box::new(Repeats::new(now))),
        )
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
    use std::net::Ipv4Addr;
    use std::time::Duration;

    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66));

    #[test]
    fn a_response_is_repeated_a_few_times_and_elsewhere_in_as_many_octets_as_came() {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let mut window = Window::default();
        window.take_on();
        window.answer(vec![vec![0; 600], vec![0; 400]]);
        let granted = (0..100).filter(|_| window.may_repeat(now)).count();
        assert_eq!(granted, 4);
        let later = now + Duration::from_secs(4);
        assert!(window.may_repeat(later), "as a peer does it");
        let granted = (0..100).filter(|_| window.may_repeat_elsewhere(now, THERE, 62));
        assert_eq!(granted.count(), 6, "6200 octets have come, 6000 have gone");
    }

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
