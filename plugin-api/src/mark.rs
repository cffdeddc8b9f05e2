//! Marks of packets, as strongswan.conf has them.

/// Reads `value[/mask]`, each decimal, with `0x` or a leading `0`; the mask is all ones unless given. Returns the bits of the
/// value that are within the mask, and the mask.
pub fn mark(text: &str) -> Option<(u32, u32)> {
    let (value, mask) = match text.split_once('/') {
        Some((value, mask)) => (value, number(mask)?),
        None => (text, u32::MAX),
    };
    Some((number(value)? & mask, mask))
}

fn number(text: &str) -> Option<u32> {
    let (radix, digits) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if text.len() > 1 && text.starts_with('0') => (8, &text[1..]),
        None => (10, text),
    };
    // from_str_radix would take a sign.
    let unsigned = digits.starts_with(|first: char| first.is_ascii_hexdigit());
    u32::from_str_radix(digits, radix).ok().filter(|_| unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_within_its_mask() {
        assert_eq!(mark("0x42"), Some((0x42, u32::MAX)));
        assert_eq!(mark("0x1234/0xff"), Some((0x34, 0xff)));
        assert_eq!(mark("010"), Some((8, u32::MAX)));
        for text in [
            "",
            "!0x42",
            "red",
            "1/",
            "/1",
            "+1",
            "-1",
            "0x",
            "%unique",
            "4294967296",
        ] {
            assert_eq!(mark(text), None, "{text}");
        }
    }
}
