//! What commands print for people.

use std::io::{self, Write};

use control::vici::{Element, Message};

pub(super) mod authorities;
pub(super) mod certs;
pub(super) mod conns;
pub(super) mod daemon;
pub(super) mod log;
pub(super) mod policies;
pub(super) mod sas;

/// The sections of a message, with their names, as messages of their own.
fn sections(message: &Message) -> impl Iterator<Item = (&str, Message)> {
    message.sections()
}

/// A value, or nothing.
fn value<'a>(message: &'a Message, key: &str) -> &'a str {
    message.get_str(key).unwrap_or_default()
}

/// The items of a list, with a blank between them.
fn joined(message: &Message, key: &str) -> String {
    message.get_texts(key).join(" ")
}

/// `local:  10.1.0.0/16`, if there is such a list.
fn line(out: &mut dyn Write, head: &str, message: &Message, key: &str) -> io::Result<()> {
    match message.get_list(key) {
        Some(items) if !items.is_empty() => writeln!(out, "{head}{}", joined(message, key)),
        _ => Ok(()),
    }
}

/// The names and values of a section.
fn values(message: &Message) -> impl Iterator<Item = (&str, &str)> {
    message.values()
}

/// Whether a message has a section of this name, empty or not.
fn has_section(message: &Message, name: &str) -> bool {
    message
        .elements
        .iter()
        .any(|element| matches!(element, Element::Section(own, _) if own == name))
}
