//! The replay window of an inbound SA (RFC 4303, 3.4.3), with the high half of extended sequence numbers inferred as
//! in its appendix A2.
//!
//! The bitmap is a ring of words (RFC 6479): moving the window clears words instead of shifting all of them, and the
//! ring has one word more than the window so that a cleared word never held a number still in the window.

/// Which sequence numbers were received.
#[derive(Debug)]
pub struct ReplayWindow {
    size: u64,
    top: u64,
    words: Box<[u64]>,
}

/// Why a packet is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Left of the window.
    #[error("sequence number left of the replay window")]
    TooOld,
    /// In the window, and received before.
    #[error("replayed packet")]
    Repeated,
    /// Senders start at 1.
    #[error("sequence number zero")]
    Zero,
}

impl ReplayWindow {
    /// The largest window: more would only cost memory that a peer's configuration never uses.
    pub const MAX_SIZE: u32 = 65_536;

    /// A window of `size` packets; 0 accepts everything.
    pub fn new(size: u32) -> Self {
        let size = size.min(Self::MAX_SIZE);
        let words = if size == 0 {
            0
        } else {
            (size.div_ceil(64) + 1).next_power_of_two() as usize
        };
        Self {
            size: size.into(),
            top: 0,
            words: vec![0; words].into_boxed_slice(),
        }
    }

    /// The highest number accepted.
    pub fn top(&self) -> u64 {
        self.top
    }

    /// Whether the number may be accepted; the window stays as it is, because the packet is not authenticated yet.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn check(&self, sequence: u64) -> Result<(), Error> {
        if self.size == 0 || sequence > self.top {
            return Ok(());
        }
        if sequence == 0 {
            return Err(Error::Zero);
        }
        if self.top - sequence >= self.size {
            return Err(Error::TooOld);
        }
        let (word, bit) = self.position(sequence);
        if self.words[word] & bit == 0 {
            Ok(())
        } else {
            Err(Error::Repeated)
        }
    }

    /// Marks the number of an authenticated packet as received.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check): another thread may have accepted the same number in between.
    pub fn accept(&mut self, sequence: u64) -> Result<(), Error> {
        self.check(sequence)?;
        if self.size == 0 {
            self.top = self.top.max(sequence);
            return Ok(());
        }
        if sequence > self.top {
            let ring = self.words.len() as u64;
            let moved = (sequence / 64 - self.top / 64).min(ring);
            for step in 1..=moved {
                let word = (self.top / 64 + step) % ring;
                self.words[word as usize] = 0;
            }
            self.top = sequence;
        }
        let (word, bit) = self.position(sequence);
        self.words[word] |= bit;
        Ok(())
    }

    /// The whole extended sequence number that the low half on the wire most likely stands for (RFC 4303, A2.2);
    /// only authentication proves it.
    pub fn infer(&self, low: u32) -> u64 {
        // A window that does not check still has to have a width here, or every reordering would jump an epoch.
        let width = if self.size == 0 { 64 } else { self.size as u32 };
        let (top_high, top_low) = ((self.top >> 32) as u32, self.top as u32);
        let bottom = top_low.wrapping_sub(width - 1);
        let high = if top_low >= width - 1 {
            if low >= bottom {
                top_high
            } else {
                top_high.wrapping_add(1)
            }
        } else if low >= bottom {
            // The window reaches back into the epoch before. In the first epoch there is none, and the number, which
            // would be far ahead, does not authenticate.
            top_high.saturating_sub(1)
        } else {
            top_high
        };
        u64::from(high) << 32 | u64::from(low)
    }

    fn position(&self, sequence: u64) -> (usize, u64) {
        (
            (sequence / 64 % self.words.len() as u64) as usize,
            1 << (sequence % 64),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_accepted_once() {
        let mut window = ReplayWindow::new(32);
        assert_eq!(window.accept(1), Ok(()));
        assert_eq!(window.accept(1), Err(Error::Repeated));
        assert_eq!(window.accept(40), Ok(()));
        assert_eq!(
            window.check(8),
            Err(Error::TooOld),
            "40 - 32 is the first number left of the window"
        );
        assert_eq!(window.accept(9), Ok(()));
        assert_eq!(window.accept(0), Err(Error::Zero));
    }

    #[test]
    fn checking_moves_nothing() {
        let window = ReplayWindow::new(64);
        assert_eq!(window.check(1_000_000), Ok(()));
        assert_eq!(
            window.check(1),
            Ok(()),
            "an unauthenticated packet must not shut out honest ones"
        );
    }

    #[test]
    fn without_a_window_everything_passes() {
        let mut window = ReplayWindow::new(0);
        assert_eq!(window.accept(7), Ok(()));
        assert_eq!(window.accept(7), Ok(()));
    }

    #[test]
    fn the_high_half_follows_the_window() {
        let mut window = ReplayWindow::new(64);
        assert_eq!(window.infer(5), 5);
        window.accept(0xffff_fff0).expect("fresh");
        assert_eq!(window.infer(0xffff_fff5), 0xffff_fff5);
        assert_eq!(
            window.infer(3),
            0x1_0000_0003,
            "a small number after a large one is the next epoch"
        );
        window.accept(0x1_0000_0003).expect("fresh");
        assert_eq!(
            window.infer(0xffff_ffff),
            0xffff_ffff,
            "a late packet of the epoch before"
        );
        assert_eq!(window.infer(100), 0x1_0000_0064);
    }

    /// A window as one would write it down first: every number ever accepted, and the largest.
    struct Naive {
        size: u64,
        seen: BTreeSet<u64>,
    }

    impl Naive {
        fn accept(&mut self, sequence: u64) -> bool {
            let top = self.seen.last().copied().unwrap_or(0);
            let fresh = sequence != 0 && sequence + self.size > top && !self.seen.contains(&sequence);
            if fresh {
                self.seen.insert(sequence);
            }
            fresh
        }
    }

    proptest! {
        #[test]
        fn the_ring_agrees_with_the_naive_window(
            size in 1u32..300,
            steps in proptest::collection::vec((-400i64..200, any::<bool>()), 1..600),
        ) {
            let mut window = ReplayWindow::new(size);
            let mut naive = Naive { size: size.into(), seen: BTreeSet::new() };
            let mut at: i64 = 0;
            for (step, jump) in steps {
                let sequence = (at + step + if jump { 500 } else { 0 }).max(0);
                let expected = naive.accept(sequence as u64);
                prop_assert_eq!(window.check(sequence as u64).is_ok(), expected);
                prop_assert_eq!(window.accept(sequence as u64).is_ok(), expected);
                at = at.max(sequence);
            }
        }

        #[test]
        fn inference_finds_every_number_near_the_window(
            top in 1u64..u64::MAX / 2, size in 1u32..1000, ahead in 1u64..1_000_000_000, behind in 0u64..1000,
        ) {
            let mut window = ReplayWindow::new(size);
            window.accept(top).expect("the first");
            prop_assert_eq!(window.infer((top + ahead) as u32), top + ahead);
            let late = top.saturating_sub(behind % u64::from(size)).max(1);
            prop_assert_eq!(window.infer(late as u32), late);
        }
    }
}
