//! Pieces of text that the listings share.

use control::vici::Message;

/// Text fit for a terminal: names and identities come from files and peers, so what would control one is escaped.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            clean.extend(c.escape_default())
        } else {
            clean.push(c)
        }
    }
    clean
}

/// The clean value of a key, if it is there.
pub fn value(message: &Message, key: &str) -> Option<String> {
    message
        .get_octets(key)
        .map(|value| clean(&String::from_utf8_lossy(value)))
}

/// The clean value of a key, or nothing.
pub fn or_empty(message: &Message, key: &str) -> String {
    value(message, key).unwrap_or_default()
}

/// The clean value of a key, or `0`.
pub fn or_zero(message: &Message, key: &str) -> String {
    value(message, key).unwrap_or_else(|| "0".into())
}

/// The clean items of a list, joined.
pub fn joined(message: &Message, key: &str, separator: &str) -> String {
    message
        .get_texts(key)
        .iter()
        .map(|item| clean(item))
        .collect::<Vec<_>>()
        .join(separator)
}

/// A time span in the largest unit of which there are more than two: `53 minutes`.
pub fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..=120 => (seconds, "second"),
        121..=7_200 => (seconds / 60, "minute"),
        7_201..=172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_change_their_unit_past_two_of_the_next() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (120, "120 seconds"),
            (121, "2 minutes"),
            (7_200, "120 minutes"),
            (7_201, "2 hours"),
            (172_800, "48 hours"),
            (172_801, "2 days"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn nothing_controls_the_terminal() {
        assert_eq!(clean("moon\u{1b}[2J\nCN=é"), "moon\\u{1b}[2J\\nCN=é");
    }
}
