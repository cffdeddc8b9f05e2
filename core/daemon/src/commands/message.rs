//! What the commands need of vici messages beyond `control`.

use std::fmt::Display;

use control::vici::Message;

/// See the module.
pub trait Extra {
    /// Adds `key = yes`, or nothing.
    fn push_flag(&mut self, key: &str, value: bool);

    /// Adds a list that is not empty.
    fn push_list_if_any<T: Display>(&mut self, key: &str, items: &[T]);

    /// Whether a key says yes.
    fn is(&self, key: &str) -> bool;

    /// The message in octets. One that cannot be encoded, because a value is too long, becomes an empty one: a client
    /// that gets nothing at all would wait for ever.
    fn encode_or_empty(&self) -> Vec<u8>;
}

impl Extra for Message {
    fn push_flag(&mut self, key: &str, value: bool) {
        if value {
            self.push_value(key, "yes");
        }
    }

    fn push_list_if_any<T: Display>(&mut self, key: &str, items: &[T]) {
        if !items.is_empty() {
            self.push_list(key, items);
        }
    }

    fn is(&self, key: &str) -> bool {
        self.get_bool(key) == Some(true)
    }

    fn encode_or_empty(&self) -> Vec<u8> {
        self.encode().unwrap_or_default()
    }
}
