//! Values as swanctl.conf writes them and vici carries them.

use std::time::Duration;

use config::time;
use control::vici::{Element, parse_bool, parse_int};

/// A key with what it has been given.
pub(super) struct Given<'a>(pub(super) &'a Element);

impl<'a> Given<'a> {
    pub(super) fn key(&self) -> &'a str {
        self.0.name()
    }

    /// The value is none of this key.
    pub(super) fn invalid(&self) -> String {
        format!("invalid value for: {}, config discarded", self.key())
    }

    /// There is no such key here.
    pub(super) fn unknown(&self) -> String {
        match self.0 {
            Element::Section(name, _) => format!("invalid section: {name}"),
            _ => format!("unknown option: {}, config discarded", self.key()),
        }
    }

    pub(super) fn section(&self) -> Result<&'a [Element], String> {
        match self.0 {
            Element::Section(_, elements) => Ok(elements),
            _ => Err(self.unknown()),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, String> {
        self.parsed(Some)
    }

    /// The value as something else; one that it cannot be is refused.
    pub(super) fn parsed<T>(&self, parse: impl FnOnce(&'a str) -> Option<T>) -> Result<T, String> {
        let Element::Value(_, octets) = self.0 else {
            return Err(self.invalid());
        };
        let text = std::str::from_utf8(octets)
            .ok()
            .filter(|text| !text.contains('\0'));
        text.and_then(parse).ok_or_else(|| self.invalid())
    }

    pub(super) fn yes(&self) -> Result<bool, String> {
        self.parsed(parse_bool)
    }

    pub(super) fn time(&self) -> Result<Duration, String> {
        self.parsed(time::parse)
    }

    pub(super) fn number<T: TryFrom<i64>>(&self) -> Result<T, String> {
        self.parsed(|text| T::try_from(parse_int(text)?).ok())
    }

    /// A number of octets, or with the suffix k, m or g.
    pub(super) fn amount(&self) -> Result<u64, String> {
        self.parsed(amount)
    }

    /// The items of a list, each as something else.
    pub(super) fn list<T>(&self, parse: impl Fn(&'a str) -> Option<T>) -> Result<Vec<T>, String> {
        let Element::List(_, items) = self.0 else {
            return Err(self.invalid());
        };
        let item = |octets: &'a Vec<u8>| parse(std::str::from_utf8(octets).ok()?);
        let items: Option<Vec<T>> = items.iter().map(item).collect();
        items.ok_or_else(|| self.invalid())
    }
}

fn amount(text: &str) -> Option<u64> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1 << 10),
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        (at, 'g' | 'G') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    u64::try_from(parse_int(number.trim_end())?)
        .ok()?
        .checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_of_two_to_the_tenth() {
        for (text, octets) in [
            ("0", 0),
            ("500", 500),
            ("2k", 2048),
            ("1 m", 1 << 20),
            ("0x10G", 16 << 30),
        ] {
            assert_eq!(amount(text), Some(octets), "{text}");
        }
        for text in ["", "k", "-1", "1t", "99999999999g"] {
            assert_eq!(amount(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_text_or_of_another_kind_is_refused() {
        let value = |octets: &[u8]| Element::Value("dpd_delay".into(), octets.to_vec());
        for element in [
            value(&[0xff]),
            value(b"1\0"),
            value(b"soon"),
            Element::List("dpd_delay".into(), vec![]),
        ] {
            let refused = Given(&element).time();
            assert_eq!(
                refused,
                Err("invalid value for: dpd_delay, config discarded".into())
            );
        }
    }
}
