//! Reassembly of fragmented IKE messages (RFC 7383).
//!
//! Fragments are authenticated before they get here, so each one counted is the peer's.

use std::collections::BTreeMap;

use iana::PayloadType;

use crate::rare::Empty;

/// No message may have more fragments.
pub(crate) const MAX_FRAGMENTS: u16 = 255;

/// Collects the fragments of one message until none is missing.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    message_id: u32,
    total: u16,
    first: Option<PayloadType>,
    parts: BTreeMap<u16, Vec<u8>>,
    octets: usize,
}

impl Empty for Reassembly {
    fn empty() -> &'static Self {
        static NOTHING: Reassembly = Reassembly {
            message_id: 0,
            total: 0,
            first: None,
            parts: BTreeMap::new(),
            octets: 0,
        };
        &NOTHING
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// What became of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// Others are missing.
    Waiting,
    /// It was there already.
    Duplicate,
    /// It was cut for a larger number of fragments before; what came since is smaller.
    Stale,
    /// The whole content, and the type of its first payload.
    Complete(PayloadType, Vec<u8>),
    /// More than [`MAX_FRAGMENTS`]; everything collected is dropped.
    TooMany,
    /// Longer than allowed; everything collected is dropped.
    TooLong,
}

impl Reassembly {
    /// Adds fragment `number` of `total`, both counted from 1 and verified so by the codec.
    ///
    /// A larger `total` starts over, because the sender has gone to smaller fragments; a smaller one is stale
    /// (RFC 7383, 2.5.2). Fragments of another message take the place of what was collected.
    pub(crate) fn add(
        &mut self,
        message_id: u32,
        number: u16,
        total: u16,
        first: PayloadType,
        content: Vec<u8>,
        max_octets: usize,
    ) -> Added {
        if total > MAX_FRAGMENTS {
            *self = Self::default();
            return Added::TooMany;
        }
        if self.message_id != message_id || total > self.total {
            *self = Self {
                message_id,
                total,
                ..Self::default()
            };
        } else if total < self.total {
            return Added::Stale;
        }
        if self.parts.contains_key(&number) {
            return Added::Duplicate;
        }
        self.octets += content.len();
        if self.octets > max_octets {
            *self = Self::default();
            return Added::TooLong;
        }
        if number == 1 {
            self.first = Some(first);
        }
        self.parts.insert(number, content);
        match self.first {
            Some(first) if self.parts.len() == usize::from(total) => {
                let mut whole = Vec::with_capacity(self.octets);
                self.parts.values().for_each(|part| whole.extend_from_slice(part));
                *self = Self::default();
                Added::Complete(first, whole)
            }
            _ => Added::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(message: &mut Reassembly, number: u16, total: u16, content: &[u8]) -> Added {
        message.add(1, number, total, PayloadType::KE, content.to_vec(), 16)
    }

    #[test]
    fn fragments_in_any_order_make_the_message() {
        let mut message = Reassembly::default();
        assert_eq!(add(&mut message, 2, 2, b"world"), Added::Waiting);
        assert_eq!(add(&mut message, 2, 2, b"again"), Added::Duplicate);
        assert_eq!(
            add(&mut message, 1, 2, b"hello "),
            Added::Complete(PayloadType::KE, b"hello world".to_vec())
        );
    }

    #[test]
    fn a_larger_total_starts_over_and_a_smaller_one_is_stale() {
        let mut message = Reassembly::default();
        assert_eq!(add(&mut message, 1, 2, b"ab"), Added::Waiting);
        assert_eq!(add(&mut message, 2, 3, b"c"), Added::Waiting);
        assert_eq!(add(&mut message, 2, 2, b"cd"), Added::Stale);
        assert_eq!(add(&mut message, 1, 3, b"a"), Added::Waiting);
        assert_eq!(
            add(&mut message, 3, 3, b"d"),
            Added::Complete(PayloadType::KE, b"acd".to_vec())
        );
    }

    #[test]
    fn limits_drop_what_was_collected() {
        let mut message = Reassembly::default();
        assert_eq!(add(&mut message, 1, 300, b"a"), Added::TooMany);
        assert_eq!(add(&mut message, 1, 2, b"0123456789"), Added::Waiting);
        assert_eq!(add(&mut message, 2, 2, b"0123456789"), Added::TooLong);
        assert_eq!(
            add(&mut message, 2, 2, b"0"),
            Added::Waiting,
            "fragment 1 went with the rest"
        );
    }

    #[test]
    fn another_message_takes_the_place_of_an_incomplete_one() {
        let mut message = Reassembly::default();
        assert_eq!(add(&mut message, 1, 2, b"a"), Added::Waiting);
        assert_eq!(
            message.add(2, 2, 2, PayloadType::NONE, b"y".to_vec(), 16),
            Added::Waiting
        );
        assert_eq!(
            message.add(2, 1, 2, PayloadType::SA, b"x".to_vec(), 16),
            Added::Complete(PayloadType::SA, b"xy".to_vec())
        );
    }
}
