//! Looking things up: by dotted paths, the first match counts.

use std::borrow::Cow;

use super::{Element, Message};

impl Message {
    /// The element at a path, `child-sas.net-1.state`.
    ///
    /// A name may hold dots itself, as those of connections do, so every reading of the path is tried.
    pub fn get(&self, path: &str) -> Option<&Element> {
        find(&self.elements, path)
    }

    /// A value in octets.
    pub fn get_octets(&self, path: &str) -> Option<&[u8]> {
        match self.get(path)? {
            Element::Value(_, value) => Some(value),
            _ => None,
        }
    }

    /// A value as text; none if it is no text.
    pub fn get_str(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(self.get_octets(path)?).ok()
    }

    /// A value as `yes` or `no`; none if it is neither.
    pub fn get_bool(&self, path: &str) -> Option<bool> {
        parse_bool(self.get_str(path)?)
    }

    /// A value as a number, decimal, octal (`010`) or hexadecimal (`0x10`); none if it is no number.
    pub fn get_int(&self, path: &str) -> Option<i64> {
        parse_int(self.get_str(path)?)
    }

    /// The items of a list; none if there is no such list.
    pub fn get_list(&self, path: &str) -> Option<&[Vec<u8>]> {
        match self.get(path)? {
            Element::List(_, items) => Some(items),
            _ => None,
        }
    }

    /// The items of a list as text, what is no text with replacement characters; empty if there is no such list.
    pub fn get_texts(&self, path: &str) -> Vec<Cow<'_, str>> {
        self.get_list(path)
            .unwrap_or_default()
            .iter()
            .map(|item| String::from_utf8_lossy(item))
            .collect()
    }

    /// A section as a message of its own; empty if there is no such section.
    pub fn get_section(&self, path: &str) -> Self {
        match self.get(path) {
            Some(Element::Section(_, elements)) => Self {
                elements: elements.clone(),
            },
            _ => Self::new(),
        }
    }

    /// The sections at the root, with their names.
    pub fn sections(&self) -> impl Iterator<Item = (&str, Self)> {
        self.elements.iter().filter_map(|element| match element {
            Element::Section(name, elements) => Some((
                name.as_str(),
                Self {
                    elements: elements.clone(),
                },
            )),
            _ => None,
        })
    }

    /// The keys at the root with their values, those that are text.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.elements.iter().filter_map(|element| match element {
            Element::Value(name, value) => Some((name.as_str(), std::str::from_utf8(value).ok()?)),
            _ => None,
        })
    }
}

fn find<'a>(elements: &'a [Element], path: &str) -> Option<&'a Element> {
    elements.iter().find_map(|element| {
        if element.name() == path {
            return Some(element);
        }
        let Element::Section(name, inner) = element else {
            return None;
        };
        find(inner, path.strip_prefix(name.as_str())?.strip_prefix('.')?)
    })
}

/// `1 yes true enabled` or `0 no false disabled`.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "enabled" => Some(true),
        "0" | "no" | "false" | "disabled" => Some(false),
        _ => None,
    }
}

/// A number as C reads it: `0x` is hexadecimal, another leading `0` octal.
pub fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    // from_str_radix would take a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -number } else { number }).ok()
}
