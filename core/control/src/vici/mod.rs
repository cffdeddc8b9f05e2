//! vici's messages: sections, keys with values, and lists, in order, names repeated at will.

pub mod client;
mod codec;
mod look;
#[cfg(test)]
mod tests;

use std::fmt::Display;

pub use look::{parse_bool, parse_int};

pub use crate::packet::{Packet, PacketType};

/// How deep sections may be nested.
pub const MAX_DEPTH: usize = 32;

/// A message: its elements in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What is at the root.
    pub elements: Vec<Element>,
}

/// An element of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// A named section with what is in it.
    Section(String, Vec<Element>),
    /// A key with its value.
    Value(String, Vec<u8>),
    /// A named list.
    List(String, Vec<Vec<u8>>),
}

impl Element {
    /// The name.
    pub fn name(&self) -> &str {
        match self {
            Self::Section(name, _) | Self::Value(name, _) | Self::List(name, _) => name,
        }
    }
}

impl From<Vec<Element>> for Message {
    fn from(elements: Vec<Element>) -> Self {
        Self { elements }
    }
}

impl FromIterator<Element> for Message {
    fn from_iter<T: IntoIterator<Item = Element>>(elements: T) -> Self {
        Self {
            elements: elements.into_iter().collect(),
        }
    }
}

/// Building a message by value, one element after the other.
impl Message {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key with a value as text.
    #[must_use]
    pub fn value(mut self, name: &str, value: impl Display) -> Self {
        self.push_value(name, value);
        self
    }

    /// Adds a key with a value as text, if there is one.
    #[must_use]
    pub fn value_if(mut self, name: &str, value: Option<impl Display>) -> Self {
        if let Some(value) = value {
            self.push_value(name, value);
        }
        self
    }

    /// Adds a key with `yes` or `no`.
    #[must_use]
    pub fn flag(self, name: &str, value: bool) -> Self {
        self.value(name, if value { "yes" } else { "no" })
    }

    /// Adds a key with octets.
    #[must_use]
    pub fn octets(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.elements.push(Element::Value(name.to_owned(), value.into()));
        self
    }

    /// Adds a section, filled by `fill`.
    #[must_use]
    pub fn section(mut self, name: &str, fill: impl FnOnce(Self) -> Self) -> Self {
        self.push_section(name, fill(Self::new()));
        self
    }

    /// Adds a list of texts, also an empty one.
    #[must_use]
    pub fn list<T: Display>(mut self, name: &str, items: impl IntoIterator<Item = T>) -> Self {
        self.push_list(name, items);
        self
    }
}

/// Building a message in place.
impl Message {
    /// Adds a key with a value as text.
    pub fn push_value(&mut self, name: &str, value: impl Display) {
        self.elements
            .push(Element::Value(name.to_owned(), value.to_string().into_bytes()));
    }

    /// Adds a section.
    pub fn push_section(&mut self, name: &str, section: Self) {
        self.elements
            .push(Element::Section(name.to_owned(), section.elements));
    }

    /// Adds a list of texts, also an empty one.
    pub fn push_list<T: Display>(&mut self, name: &str, items: impl IntoIterator<Item = T>) {
        let items = items
            .into_iter()
            .map(|item| item.to_string().into_bytes())
            .collect();
        self.elements.push(Element::List(name.to_owned(), items));
    }
}
