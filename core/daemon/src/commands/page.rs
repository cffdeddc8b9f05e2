//! Long listings come page by page, so that nothing waits in memory for a client that reads slowly. Whoever carries the
//! command asks for the next page once its client has read the last.
//!
//! Three keys of our own: `page` in a request is the most events to send, `after` is where the last page ended, and `next`
//! in an answer is where this one did, if there is more.

use control::vici::Message;

/// How far a listing goes.
pub(super) struct Page {
    left: Option<u64>,
    /// The number of the last element of the page before; 0 is none.
    pub(super) after: u32,
    last: u32,
}

impl Page {
    pub(super) fn of(request: &Message) -> Self {
        let number = |key: &str| request.get_str(key)?.parse::<u32>().ok();
        Self {
            left: number("page").map(u64::from),
            after: number("after").unwrap_or(0),
            last: 0,
        }
    }

    /// Whether the page has room for an element.
    pub(super) fn takes(&mut self, number: u32) -> bool {
        match &mut self.left {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.last = number;
        true
    }

    /// The answer of a page that has room for no more, of which there is.
    pub(super) fn full(&self) -> Message {
        Message::new().value("next", self.last)
    }
}
