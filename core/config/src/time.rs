//! Times as configuration files write them.

use std::time::Duration;

use crate::kernel::Number;

/// A hundred years are enough, and keep sums of times within bounds.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Seconds, or a number with the suffix s, m, h or d.
pub fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let number: u64 = number.parse().ok()?;
    number
        .checked_mul(unit)
        .map(Duration::from_secs)
        .filter(|time| *time <= LONGEST)
}

/// A time as vici carries it: with a suffix in any case of letters, and a number as C reads it. -1 is the longest time.
pub fn parse_any_case(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    if text == "-1" {
        return Some(LONGEST);
    }
    let (number, unit) = split(&text)?;
    match number.starts_with('0') {
        true => match Number::parse(number)? {
            Number::Fixed(number) => parse(&(u64::from(number) * unit).to_string()),
            _ => None,
        },
        false => parse(&text),
    }
}

/// A number with its unit in seconds. Hexadecimal digits end in a unit only if a blank is before it.
fn split(text: &str) -> Option<(&str, u64)> {
    let (at, last) = text.char_indices().last()?;
    let (number, unit) = match last {
        's' => (&text[..at], 1),
        'm' => (&text[..at], 60),
        'h' => (&text[..at], 3_600),
        'd' if !text.starts_with("0x") || text[..at].ends_with(' ') => (&text[..at], 86_400),
        _ => (text, 1),
    };
    Some((number.trim_end(), unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_multiply_and_nonsense_is_none() {
        for (text, seconds) in [
            ("60m", 3600),
            ("20", 20),
            ("3h", 10_800),
            ("1d", 86_400),
            ("9 s", 9),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "m",
            "-1",
            "1w",
            "99999999999999999999",
            "9999999999999999d",
            "1ö",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
