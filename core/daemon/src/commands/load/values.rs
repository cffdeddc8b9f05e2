//! Values as swanctl.conf writes them and vici carries them.

use std::time::Duration;

use config::identity::Identity;
use config::{octets, time};
use control::vici::{Element, parse_bool, parse_int};

/// Keys of which an empty value says nothing, as in strongSwan: clients send one for a number, a time or an action that is
/// not set.
#[rustfmt::skip]
const UNSET_IF_EMPTY: &[&str] = &[
    "version", "local_port", "remote_port", "dscp", "keyingtries", "dpd_delay", "dpd_timeout",
    "reauth_time", "rekey_time", "over_time", "rand_time", "life_time",
    "rekey_bytes", "life_bytes", "rand_bytes", "rekey_packets", "life_packets", "rand_packets",
    "reqid", "priority", "inactivity", "tfc_padding", "replay_window",
    "mark_in", "mark_out", "set_mark_in", "set_mark_out", "if_id_in", "if_id_out",
    "start_action", "dpd_action", "close_action",
];

/// The keys of a section that say something.
pub(super) fn given(elements: &[Element]) -> impl Iterator<Item = Given<'_>> {
    elements.iter().map(Given).filter(|given| !given.is_unset())
}

/// A key with what it has been given.
pub(super) struct Given<'a>(pub(super) &'a Element);

impl<'a> Given<'a> {
    pub(super) fn key(&self) -> &'a str {
        self.0.name()
    }

    fn is_unset(&self) -> bool {
        let empty = matches!(self.0, Element::Value(_, octets) if octets.is_empty());
        empty && UNSET_IF_EMPTY.contains(&self.key())
    }

    /// The value is none of this key. A list says itself which item it is.
    pub(super) fn invalid(&self) -> String {
        match self.0 {
            Element::Value(_, octets) => self.invalid_as(octets, None),
            _ => format!("invalid value for: {}, config discarded", self.key()),
        }
    }

    /// The value, or an item of a list, is none of this key; why, if more can be said.
    pub(super) fn invalid_as(&self, octets: &[u8], why: Option<&str>) -> String {
        const LONGEST: usize = 100;
        let key = self.key();
        let shown = octets::shown(&octets::hold(&octets[..octets.len().min(LONGEST)]));
        match why {
            Some(why) => format!("invalid value for: {key}, config discarded ({why})"),
            None => format!("invalid value for: {key}, config discarded ('{shown}')"),
        }
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

    /// One of some words, in any case of letters.
    pub(super) fn word<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, String> {
        self.parsed(|text| parse(&text.to_ascii_lowercase()))
    }

    pub(super) fn yes(&self) -> Result<bool, String> {
        self.parsed(parse_bool)
    }

    pub(super) fn time(&self) -> Result<Duration, String> {
        self.parsed(time::parse_any_case)
    }

    /// Who somebody is; its octets may be none of UTF-8.
    pub(super) fn identity(&self) -> Result<Identity, String> {
        let Element::Value(_, octets) = self.0 else {
            return Err(self.invalid());
        };
        Identity::read(&octets::hold(octets)).map_err(|why| self.invalid_as(octets, Some(&why)))
    }

    /// A number of 32 bits, where -1 stands for the largest.
    pub(super) fn number_or_all_ones(&self) -> Result<u32, String> {
        match self.number::<i64>() {
            Ok(-1) => Ok(u32::MAX),
            _ => self.number(),
        }
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
        self.list_or(|text| parse(text).ok_or(None))
    }

    /// The items of a list, each as something else, or why one cannot be it.
    pub(super) fn list_or<T>(
        &self,
        parse: impl Fn(&'a str) -> Result<T, Option<String>>,
    ) -> Result<Vec<T>, String> {
        let Element::List(_, items) = self.0 else {
            return Err(self.invalid());
        };
        let item = |octets: &'a Vec<u8>| {
            let text = std::str::from_utf8(octets).map_err(|_| None);
            let item = text.and_then(&parse);
            item.map_err(|why| self.invalid_as(octets, why.as_deref()))
        };
        items.iter().map(item).collect()
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
        for (element, shown) in [
            (value(&[0xff]), " ('\\xff')"),
            (value(b"1\0"), " ('1\\0')"),
            (value(b"soon"), " ('soon')"),
            (Element::List("dpd_delay".into(), vec![]), ""),
        ] {
            let refused = Given(&element).time();
            let expected = format!("invalid value for: dpd_delay, config discarded{shown}");
            assert_eq!(refused, Err(expected));
        }
    }

    #[test]
    fn times_and_numbers_are_read_as_c_does() {
        let value = |text: &str| Element::Value("x".into(), text.into());
        for (text, seconds) in [
            ("30S", 30),
            ("1H", 3600),
            ("0x10", 16),
            ("1 D", 86_400),
            ("010", 8),
        ] {
            let time = Given(&value(text)).time();
            assert_eq!(time, Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert!(
            Given(&value("-1"))
                .time()
                .is_ok_and(|time| time > Duration::from_secs(1 << 31))
        );
        assert_eq!(Given(&value("-1")).number_or_all_ones(), Ok(u32::MAX));
        assert_eq!(Given(&value("0x2")).number_or_all_ones(), Ok(2));
        assert!(Given(&value("-2")).number_or_all_ones().is_err());
        assert!(Given(&value("4294967296")).number_or_all_ones().is_err());
    }
}
