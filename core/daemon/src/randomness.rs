//! Randomness for the state machine, read ahead: a handshake asks for little, several times, and each call of the system costs
//! as much as hashing a kilobyte.

use std::sync::Arc;

use ike::Randomness;
use plugin_api::Random;
use zeroize::{Zeroize, Zeroizing};

/// Octets read at once.
const AHEAD: usize = 256;

/// Octets from a plugin, each of which is given away once and not kept.
pub(crate) struct ReadAhead {
    source: Arc<dyn Random>,
    octets: Zeroizing<[u8; AHEAD]>,
    used: usize,
}

impl ReadAhead {
    pub(crate) fn new(source: Arc<dyn Random>) -> Self {
        Self {
            source,
            octets: Zeroizing::new([0; AHEAD]),
            used: AHEAD,
        }
    }
}

impl Randomness for ReadAhead {
    fn fill(&mut self, out: &mut [u8]) {
        // Nothing may be sent without randomness, and there is nobody to ask: the daemon ends.
        const WORKS: &str = "the source of randomness works";
        if out.len() > AHEAD {
            return self.source.fill(out).expect(WORKS);
        }
        if out.len() > AHEAD - self.used {
            self.source.fill(self.octets.as_mut_slice()).expect(WORKS);
            self.used = 0;
        }
        let next = &mut self.octets[self.used..][..out.len()];
        out.copy_from_slice(next);
        next.zeroize();
        self.used += out.len();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use plugin_api::PluginError;

    use super::*;

    /// Counts up, and how often it is asked.
    #[derive(Default)]
    struct Counter {
        next: AtomicUsize,
        asked: AtomicUsize,
    }

    impl Random for Counter {
        fn fill(&self, out: &mut [u8]) -> Result<(), PluginError> {
            self.asked.fetch_add(1, Relaxed);
            for octet in out {
                *octet = (self.next.fetch_add(1, Relaxed) % 251 + 1) as u8;
            }
            Ok(())
        }
    }

    #[test]
    fn octets_come_in_order_and_once() {
        let counter = Arc::new(Counter::default());
        let mut ahead = ReadAhead::new(Arc::clone(&counter) as Arc<dyn Random>);
        let mut first = [0; 8];
        ahead.fill(&mut first);
        assert_eq!(first, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(ahead.octets[..8], [0; 8], "nothing is kept");
        let mut second = [0; 32];
        ahead.fill(&mut second);
        assert_eq!((second[0], second[31]), (9, 40));
        assert_eq!(counter.asked.load(Relaxed), 1);
    }

    #[test]
    fn what_is_left_is_not_stretched() {
        let counter = Arc::new(Counter::default());
        let mut ahead = ReadAhead::new(Arc::clone(&counter) as Arc<dyn Random>);
        let mut most = [0; AHEAD - 1];
        ahead.fill(&mut most);
        let mut two = [0; 2];
        ahead.fill(&mut two);
        assert_eq!(counter.asked.load(Relaxed), 2);
        assert!(two.iter().all(|octet| *octet != 0));
        let mut many = [0; 2 * AHEAD];
        ahead.fill(&mut many);
        assert!(many.iter().all(|octet| *octet != 0));
        assert_eq!(counter.asked.load(Relaxed), 3);
    }
}
