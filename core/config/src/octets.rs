//! Octets of configuration files as text that loses none of them.
//!
//! Names and secrets may be in Latin-1, and a peer compares octets. An octet that is not part of UTF-8 therefore becomes
//! one of the last 128 characters of Unicode, which are for private use, until [`release`] gives it back.

/// What is added to an octet, all of which are 128 at least.
const BASE: u32 = 0x10_ff00;

/// The octet that a character stands for.
fn held(c: char) -> Option<u8> {
    let octet = u32::from(c).checked_sub(BASE)?;
    u8::try_from(octet).ok().filter(|octet| *octet >= 0x80)
}

/// Text for octets, from which [`release`] makes the same octets again. UTF-8 stays as it is.
pub fn hold(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.chars().any(|c| held(c).is_some()) => text.to_owned(),
        // The text may be a secret: it must not leave copies behind while it grows.
        _ => hold_each(octets, String::with_capacity(octets.len() * 4)),
    }
}

fn hold_each(octets: &[u8], mut text: String) -> String {
    let push = |text: &mut String, octet: u8| text.extend(char::from_u32(BASE + u32::from(octet)));
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            match held(c) {
                // The file has such a character itself.
                Some(_) => c
                    .encode_utf8(&mut [0; 4])
                    .bytes()
                    .for_each(|octet| push(&mut text, octet)),
                None => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|octet| push(&mut text, *octet));
    }
    text
}

/// The octets of a text.
pub fn release(text: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    for c in text.chars() {
        match held(c) {
            Some(octet) => octets.push(octet),
            None => octets.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    octets
}

/// The line of the first carriage return that ends no line. Old editors end lines by it alone; such a file would be one line,
/// and perhaps one comment.
pub(crate) fn lone_return(octets: &[u8]) -> Option<usize> {
    let lone = |pair: &[u8]| pair[0] == b'\r' && !matches!(pair[1], b'\n' | b'\r');
    let at = octets.windows(2).position(lone)?;
    let line_feeds = octets[..at].iter().filter(|octet| **octet == b'\n');
    Some(line_feeds.count() + 1)
}

/// What is said about such a line.
pub(crate) const LONE_RETURN: &str =
    "the line has a carriage return that ends no line, save the file with line feeds";

/// A text for messages, with what cannot be printed escaped.
pub fn shown(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match held(c) {
            Some(octet) => out.push_str(&format!("\\x{octet:02x}")),
            None if matches!(c, '"' | '\'' | '\\') => out.push(c),
            None => out.extend(c.escape_debug()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_come_back_as_they_were() {
        for octets in [
            &b"plain"[..],
            "p\u{e4}ss".as_bytes(),
            b"p\xe4ss",
            b"\xff\x80\xc3",
            "\u{10ffe4}\u{10ff7f}".as_bytes(),
            b"",
        ] {
            assert_eq!(release(&hold(octets)), octets);
        }
        assert_eq!(hold("p\u{e4}ss".as_bytes()), "p\u{e4}ss", "UTF-8 stays readable");
    }

    #[test]
    fn messages_show_them_escaped() {
        assert_eq!(shown(&hold(b"\"p\xe4ss\"\n")), "\"p\\xe4ss\"\\n");
    }
}
