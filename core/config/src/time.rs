//! Times as configuration files write them.

use std::time::Duration;

/// Seconds, or a number with the suffix s, m, h or d.
pub fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3_600),
        (at, 'd') => (&text[..at], 86_400),
        _ => (text, 1),
    };
    let number: u64 = number.trim_end().parse().ok()?;
    // A hundred years are enough, and keep sums of times within bounds.
    number
        .checked_mul(unit)
        .filter(|seconds| *seconds <= 100 * 365 * 86_400)
        .map(Duration::from_secs)
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
