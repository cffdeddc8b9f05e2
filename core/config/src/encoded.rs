//! Secrets that are written as hexadecimal digits or in base64 (RFC 4648, 4).

use crate::identity::hex;
use crate::secret::SharedSecret;

/// What follows `0x` or `0s`, in any case of letters; none if the text begins with neither.
pub fn decode(text: &str) -> Option<Result<SharedSecret, &'static str>> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let octets = hex(digits).ok_or("expected pairs of hexadecimal digits after 0x");
        return Some(octets.map(SharedSecret::new));
    }
    let digits = text.strip_prefix("0s").or_else(|| text.strip_prefix("0S"))?;
    let octets = base64(digits).ok_or("expected base64 after 0s");
    Some(octets.map(SharedSecret::new))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    for c in text.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}
