//! Packets on their way out that can go in one call.

use std::io::IoSlice;
use std::ops::Range;

use crate::esp::{HEADROOM, TAILROOM};
use crate::udp::{MAX_OCTETS, MAX_SEGMENTS, Outer};

/// Octets of a slot: any IP packet, and what ESP puts around it.
pub(crate) const SLOT_LEN: usize = HEADROOM + 65_535 + TAILROOM;

/// Packets with one outer header, each in a slot. Slots are of the largest size, of which the system only provides the
/// pages that packets touched.
pub(crate) struct Batch {
    slots: Vec<Box<[u8]>>,
    packets: Vec<Range<usize>>,
    octets: usize,
    outer: Option<Outer>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..MAX_SEGMENTS)
                .map(|_| vec![0; SLOT_LEN].into_boxed_slice())
                .collect(),
            packets: Vec::with_capacity(MAX_SEGMENTS),
            octets: 0,
            outer: None,
        }
    }

    pub(crate) fn free_slot(&mut self) -> &mut [u8] {
        &mut self.slots[self.packets.len()]
    }

    /// Whether a packet can go with those that are here already: all of one length, but the last, which may be shorter.
    pub(crate) fn takes(&self, len: usize, outer: &Outer) -> bool {
        let (Some(first), Some(last)) = (self.packets.first(), self.packets.last()) else {
            return true;
        };
        self.outer.as_ref() == Some(outer)
            && last.len() == first.len()
            && len <= first.len()
            && self.octets + len <= MAX_OCTETS
    }

    /// Adds the packet in the free slot.
    pub(crate) fn push(&mut self, packet: Range<usize>, outer: Outer) {
        self.octets += packet.len();
        self.outer = Some(outer);
        self.packets.push(packet);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.packets.len() == MAX_SEGMENTS
    }

    pub(crate) fn datagrams<'a, 'b>(
        &'a self,
        slices: &'b mut [IoSlice<'a>; MAX_SEGMENTS],
    ) -> &'b [IoSlice<'a>] {
        for ((slice, slot), packet) in slices.iter_mut().zip(&self.slots).zip(&self.packets) {
            *slice = IoSlice::new(&slot[packet.clone()]);
        }
        &slices[..self.packets.len()]
    }

    pub(crate) fn clear(&mut self) {
        self.packets.clear();
        self.octets = 0;
        self.outer = None;
    }

    /// Makes the packet in a slot, of a batch that was emptied since, the one in the free slot.
    pub(crate) fn keep(&mut self, slot: usize) {
        self.slots.swap(0, slot);
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    /// The header of the packets, if there are any.
    pub(crate) fn outer(&self) -> Option<Outer> {
        self.outer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sad::Endpoints;

    fn to(port: u16) -> Outer {
        Outer {
            endpoints: Endpoints {
                local: ([192, 0, 2, 1], 4500).into(),
                remote: ([192, 0, 2, 2], port).into(),
            },
            tos: 0,
        }
    }

    #[test]
    fn packets_of_one_length_go_together_and_a_shorter_one_is_the_last() {
        let mut batch = Batch::new();
        for octet in [1, 2] {
            assert!(batch.takes(100, &to(1)));
            batch.free_slot()[10] = octet;
            batch.push(10..110, to(1));
        }
        assert!(!batch.takes(100, &to(2)), "another destination");
        assert!(!batch.takes(100, &Outer { tos: 2, ..to(1) }), "another ECN");
        assert!(!batch.takes(101, &to(1)), "longer");
        assert!(batch.takes(50, &to(1)));
        batch.push(10..60, to(1));
        assert!(!batch.takes(50, &to(1)), "after a shorter one");
        let mut slices = [IoSlice::new(&[]); MAX_SEGMENTS];
        let lens: Vec<_> = batch
            .datagrams(&mut slices)
            .iter()
            .map(|slice| (slice.len(), slice[0]))
            .collect();
        assert_eq!(lens, [(100, 1), (100, 2), (50, 0)]);
    }

    #[test]
    fn a_packet_that_did_not_fit_is_the_first_of_the_next_batch() {
        let mut batch = Batch::new();
        batch.push(0..100, to(1));
        batch.free_slot()[0] = 7;
        let slot = batch.len();
        batch.clear();
        batch.keep(slot);
        batch.push(0..200, to(1));
        let mut slices = [IoSlice::new(&[]); MAX_SEGMENTS];
        assert_eq!(batch.datagrams(&mut slices)[0][0], 7);
    }

    #[test]
    fn a_batch_is_no_longer_than_a_datagram_may_be() {
        let mut batch = Batch::new();
        while batch.takes(9000, &to(1)) {
            batch.push(0..9000, to(1));
        }
        assert_eq!(batch.len(), MAX_OCTETS / 9000);
    }
}
