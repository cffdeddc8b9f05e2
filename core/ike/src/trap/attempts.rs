//! What a trap is about. Packets that meet it cost nothing but a look at this.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use super::Packet;

/// With how many peers a trap establishes CHILD_SAs at once; further ones wait. Whoever makes this host send packets, even
/// with false addresses, makes it start no more than these.
const MAX_PENDING: usize = 32;

/// How many peers a trap remembers that it is about or has failed with. Packets to others are lost.
const MAX_KNOWN: usize = 1024;

/// The attempts of a trap by peer: one at a time with each.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    by_peer: BTreeMap<IpAddr, Attempt>,
    pending: usize,
    /// Peers that wait for the end of an attempt with another; those that do not wait any more are skipped.
    waiting: VecDeque<IpAddr>,
}

#[derive(Debug)]
enum Attempt {
    /// A CHILD_SA is being established for this packet.
    Pending(Packet),
    /// Too many others are.
    Waiting(Packet),
    /// There is no other before then, and one then if a packet has asked for it.
    Pausing(Instant, Option<Packet>),
}

/// What a packet makes of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// An attempt begins; one that was due at this time is not any more.
    Begin(Option<Instant>),
    /// An attempt is due then.
    Later(Instant),
    /// Nothing new.
    Known,
}

impl Attempts {
    /// A packet to a peer has met the trap.
    pub(crate) fn meet(&mut self, peer: IpAddr, packet: &Packet, now: Instant) -> Met {
        let before = match self.by_peer.get_mut(&peer) {
            None => None,
            Some(Attempt::Pending(_) | Attempt::Waiting(_)) => return Met::Known,
            Some(Attempt::Pausing(until, next)) if *until > now => {
                next.get_or_insert_with(|| packet.clone());
                return Met::Later(*until);
            }
            Some(Attempt::Pausing(until, next)) => next.is_some().then_some(*until),
        };
        if self.by_peer.len() >= MAX_KNOWN {
            self.by_peer
                .retain(|_, attempt| !matches!(attempt, Attempt::Pausing(until, None) if *until <= now));
        }
        if self.pending < MAX_PENDING {
            self.begin(peer, packet.clone());
            return Met::Begin(before);
        }
        if before.is_none() && self.by_peer.len() < MAX_KNOWN {
            self.by_peer.insert(peer, Attempt::Waiting(packet.clone()));
            self.waiting.push_back(peer);
        }
        Met::Known
    }

    fn begin(&mut self, peer: IpAddr, packet: Packet) {
        self.pending += 1;
        self.by_peer.insert(peer, Attempt::Pending(packet));
    }

    /// The packet that an attempt with a peer is for.
    pub(crate) fn pending(&self, peer: IpAddr) -> Option<&Packet> {
        match self.by_peer.get(&peer) {
            Some(Attempt::Pending(packet)) => Some(packet),
            _ => None,
        }
    }

    /// An attempt has come to its end; its packet.
    pub(crate) fn end(&mut self, peer: IpAddr) -> Option<Packet> {
        self.pending(peer)?;
        match self.by_peer.remove(&peer) {
            Some(Attempt::Pending(packet)) => {
                self.pending -= 1;
                Some(packet)
            }
            _ => None,
        }
    }

    /// No attempt with a peer begins before then.
    pub(crate) fn pause(&mut self, peer: IpAddr, until: Instant) {
        self.by_peer.insert(peer, Attempt::Pausing(until, None));
    }

    /// A pause is over that a packet has waited for.
    pub(crate) fn resume(&mut self, peer: IpAddr) {
        if let Some(Attempt::Pausing(_, Some(packet))) = self.by_peer.get(&peer) {
            self.begin(peer, packet.clone());
        }
    }

    /// Begins an attempt with a peer that has waited for one to end.
    pub(crate) fn next_waiting(&mut self) -> Option<IpAddr> {
        while self.pending < MAX_PENDING {
            let peer = self.waiting.pop_front()?;
            if let Some(Attempt::Waiting(packet)) = self.by_peer.get(&peer) {
                self.begin(peer, packet.clone());
                return Some(peer);
            }
        }
        None
    }

    /// When attempts are due, and with whom.
    pub(crate) fn due(&self) -> impl Iterator<Item = (Instant, IpAddr)> {
        self.by_peer.iter().filter_map(|(peer, attempt)| match attempt {
            Attempt::Pausing(until, Some(_)) => Some((*until, *peer)),
            _ => None,
        })
    }

    /// Without the pauses.
    pub(crate) fn under_way(mut self) -> Self {
        self.by_peer
            .retain(|_, attempt| !matches!(attempt, Attempt::Pausing(..)));
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use iana::TrafficSelector;

    use super::*;

    fn peer(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + number).to_be_bytes())
    }

    fn packet(number: u32) -> Packet {
        (
            TrafficSelector::host(peer(0)),
            TrafficSelector::host(peer(number)),
        )
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do as the beginning")]
    fn there_are_so_many_attempts_at_once_and_the_others_wait_their_turn() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for number in 1..=2000 {
            let expected = if number <= 32 {
                Met::Begin(None)
            } else {
                Met::Known
            };
            assert_eq!(attempts.meet(peer(number), &packet(number), now), expected);
            assert_eq!(attempts.meet(peer(number), &packet(number), now), Met::Known);
        }
        assert_eq!(attempts.by_peer.len(), MAX_KNOWN);
        assert_eq!(attempts.next_waiting(), None);
        assert_eq!(attempts.end(peer(7)), Some(packet(7)));
        assert_eq!(attempts.end(peer(7)), None, "it has ended");
        assert_eq!(attempts.next_waiting(), Some(peer(33)));
        assert_eq!(attempts.pending(peer(33)), Some(&packet(33)));

        attempts.end(peer(8));
        attempts.pause(peer(8), now + Duration::from_secs(5));
        let due = now + Duration::from_secs(5);
        assert_eq!(attempts.meet(peer(8), &packet(8), now), Met::Later(due));
        assert_eq!(attempts.due().collect::<Vec<_>>(), [(due, peer(8))]);
        assert_eq!(attempts.meet(peer(8), &packet(8), due), Met::Begin(Some(due)));
    }
}
