//! Distinguished names: from `C=CH, O=x, CN=y` to DER and back (X.501, RFC 4514 for escapes).

use crate::octets;

/// Attribute types by their usual abbreviations; of several for one type the first is printed.
const TYPES: [(&str, &[u8]); 26] = [
    ("C", &[0x55, 4, 6]),
    ("ST", &[0x55, 4, 8]),
    ("L", &[0x55, 4, 7]),
    ("O", &[0x55, 4, 10]),
    ("OU", &[0x55, 4, 11]),
    ("CN", &[0x55, 4, 3]),
    ("SN", &[0x55, 4, 5]),
    ("serialNumber", &[0x55, 4, 5]),
    ("S", &[0x55, 4, 4]),
    ("SURNAME", &[0x55, 4, 4]),
    ("G", &[0x55, 4, 42]),
    ("GN", &[0x55, 4, 42]),
    ("I", &[0x55, 4, 43]),
    ("N", &[0x55, 4, 41]),
    ("T", &[0x55, 4, 12]),
    ("D", &[0x55, 4, 13]),
    ("ID", &[0x55, 4, 45]),
    ("STREET", &[0x55, 4, 9]),
    ("postalCode", &[0x55, 4, 17]),
    ("dnQualifier", &[0x55, 4, 46]),
    ("pseudonym", &[0x55, 4, 65]),
    ("E", &[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 9, 1]),
    ("emailAddress", &[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 9, 1]),
    ("Email", &[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 9, 1]),
    ("DC", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25]),
    ("UID", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1]),
];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
pub(crate) const OID: u8 = 0x06;
const PRINTABLE: u8 = 0x13;
pub(crate) const UTF8: u8 = 0x0c;
const IA5: u8 = 0x16;

/// DER of a name in text, or nothing if it is none. Both `C=CH, O=x` and `/C=CH/O=x` are names; a backslash takes the
/// character after it literally.
pub(crate) fn parse(text: &str) -> Option<Vec<u8>> {
    let (text, separator) = match text.strip_prefix('/') {
        Some(rest) => (rest, '/'),
        None => (text, ','),
    };
    let mut names = Vec::new();
    for part in split(text, separator) {
        let (kind, value) = part.split_once('=')?;
        let oid = attribute_type(kind.trim())?;
        let value = octets::release(&unescaped(value)?);
        if value.is_empty() {
            return None;
        }
        let printable = value
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(c));
        let string = match oid.as_slice() {
            // Email and DC (RFC 5280, appendix A; RFC 4519, 2.4).
            [0x2a, .., 9, 1] | [9, .., 1, 25] if value.is_ascii() => IA5,
            _ if printable => PRINTABLE,
            _ => UTF8,
        };
        let attribute = [tlv(OID, &oid)?, tlv(string, &value)?].concat();
        names.extend(tlv(SET, &tlv(SEQUENCE, &attribute)?)?);
    }
    tlv(SEQUENCE, &names)
}

/// Splits at separators that no backslash precedes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == separator && !escaped {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// The value without blanks around it and without its backslashes. An `=` that is not escaped is a forgotten separator.
fn unescaped(text: &str) -> Option<String> {
    let mut value = String::new();
    // Blanks at the end count if they are escaped.
    let mut kept = 0;
    let mut characters = text.trim_start().chars();
    while let Some(c) = characters.next() {
        match c {
            '=' => return None,
            '\\' => {
                value.push(characters.next()?);
                kept = value.len();
            }
            c => {
                value.push(c);
                if !c.is_whitespace() {
                    kept = value.len();
                }
            }
        }
    }
    value.truncate(kept);
    Some(value)
}

/// The OID of an attribute type, by name or dotted.
fn attribute_type(kind: &str) -> Option<Vec<u8>> {
    match TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind)) {
        Some((_, oid)) => Some(oid.to_vec()),
        None => dotted(kind),
    }
}

fn dotted(text: &str) -> Option<Vec<u8>> {
    let mut arcs = text.split('.').map(|arc| arc.parse::<u32>().ok());
    let (first, second) = (arcs.next()??, arcs.next()??);
    let lowest = first.checked_mul(40)?.checked_add(second)?;
    if first > 2 || (first < 2 && second > 39) {
        return None;
    }
    let mut oid = Vec::new();
    for arc in std::iter::once(Some(lowest)).chain(arcs) {
        let arc = arc?;
        let groups = (32 - arc.leading_zeros()).div_ceil(7).max(1);
        for group in (0..groups).rev() {
            let more = if group > 0 { 0x80 } else { 0 };
            oid.push((arc >> (7 * group) & 0x7f) as u8 | more);
        }
    }
    Some(oid)
}

/// `2.5.4.3`, or nothing if the octets are no OID, or one with larger numbers than there are.
fn to_dotted(oid: &[u8]) -> Option<String> {
    let (mut arcs, mut arc): (Vec<u32>, u32) = (Vec::new(), 0);
    for octet in oid {
        arc = arc.checked_mul(128)? | u32::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            arcs.push(std::mem::take(&mut arc));
        }
    }
    if oid.last()? & 0x80 != 0 {
        return None;
    }
    let (lowest, rest) = arcs.split_first()?;
    let first = (lowest / 40).min(2);
    let arcs = [first, lowest - first * 40]
        .into_iter()
        .chain(rest.iter().copied());
    Some(arcs.map(|arc| arc.to_string()).collect::<Vec<_>>().join("."))
}

/// The name in text, or nothing if the octets are none. What would read as the start of another attribute is escaped.
pub(crate) fn to_text(der: &[u8]) -> Option<String> {
    let mut names = Vec::new();
    for (oid, value) in attributes(der)? {
        let mut name = match TYPES.iter().find(|(_, known)| *known == oid) {
            Some((name, _)) => (*name).to_owned(),
            None => to_dotted(oid)?,
        };
        name.push('=');
        for c in octets::hold(value).chars() {
            if matches!(c, ',' | '=' | '\\') {
                name.push('\\');
            }
            name.push(c);
        }
        names.push(name);
    }
    Some(names.join(", "))
}

/// How a name fits a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    No,
    /// A `*` of the pattern stands for some value.
    Wildcard,
    /// They are the same but for letter case and the types of strings.
    Same,
}

/// Whether a name fits a pattern in which `*` stands for any value.
pub(crate) fn matches(name: &[u8], pattern: &[u8]) -> Fit {
    let (Some(name), Some(pattern)) = (attributes(name), attributes(pattern)) else {
        return Fit::No;
    };
    if name.len() != pattern.len() {
        return Fit::No;
    }
    let mut fit = Fit::Same;
    for ((oid, value), (pattern_oid, pattern)) in name.iter().zip(&pattern) {
        if oid != pattern_oid {
            return Fit::No;
        }
        if !value.eq_ignore_ascii_case(pattern) {
            if *pattern != b"*" {
                return Fit::No;
            }
            fit = Fit::Wildcard;
        }
    }
    fit
}

/// How many values a pattern leaves fixed.
pub(crate) fn fixed(pattern: &[u8]) -> usize {
    let attributes = attributes(pattern).unwrap_or_default();
    attributes.iter().filter(|(_, value)| *value != b"*").count()
}

/// Types and values, those of relative names with several of them one after the other.
fn attributes(der: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let (SEQUENCE, mut names, []) = read(der)? else {
        return None;
    };
    let mut attributes = Vec::new();
    while !names.is_empty() {
        let (SET, mut set, rest) = read(names)? else {
            return None;
        };
        while !set.is_empty() {
            let (SEQUENCE, attribute, others) = read(set)? else {
                return None;
            };
            let (OID, oid, value) = read(attribute)? else {
                return None;
            };
            let (_, value, []) = read(value)? else { return None };
            attributes.push((oid, value));
            set = others;
        }
        names = rest;
    }
    Some(attributes)
}

/// Tag, content, and what follows.
fn read(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, der) = der.split_first()?;
    let (first, der) = der.split_first()?;
    let (len, der) = match first {
        0..=0x7f => (usize::from(*first), der),
        0x81 => (usize::from(*der.first()?), &der[1..]),
        0x82 => (
            usize::from(u16::from_be_bytes([*der.first()?, *der.get(1)?])),
            &der[2..],
        ),
        _ => return None,
    };
    let (content, rest) = der.split_at_checked(len)?;
    Some((*tag, content, rest))
}

/// Nothing past 64 KiB, which no payload could carry.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let len = u16::try_from(content.len()).ok()?;
    let mut out = vec![tag];
    match len {
        0..=0x7f => out.push(len as u8),
        0x80..=0xff => out.extend([0x81, len as u8]),
        _ => {
            out.push(0x82);
            out.extend(len.to_be_bytes());
        }
    }
    out.extend(content);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(text: &str) -> Vec<u8> {
        parse(text).expect("a name")
    }

    #[test]
    fn both_forms_make_the_same_der() {
        let expected = [
            0x30, 0x26, 0x31, 0x0b, 0x30, 0x09, 6, 3, 0x55, 4, 6, 0x13, 2, b'C', b'H', 0x31, 0x17, 0x30,
            0x15, 6, 3, 0x55, 4, 3, 0x13, 14, b'm', b'o', b'o', b'n', b'.', b's', b't', b'r', b'o', b'n',
            b'g', b's', b'w', b'a',
        ];
        assert_eq!(der("C=CH, CN=moon.strongswa"), expected);
        assert_eq!(der("/C=CH/CN=moon.strongswa"), expected);
        assert_eq!(der("  c = CH ,cn=moon.strongswa "), expected);
    }

    #[test]
    fn text_goes_to_der_and_back() {
        for text in [
            "C=CH, O=strongSwan Project, OU=R&D, CN=carol@strongswan.org",
            "DC=org, DC=strongswan, UID=7, E=moon@strongswan.org",
            "O=Company\\, Inc., CN=a\\=b\\\\c",
            "CN=Zoë, 1.3.6.1.4.1.36906=x",
        ] {
            assert_eq!(to_text(&der(text)).as_deref(), Some(text));
        }
        assert_eq!(
            to_text(&der("emailAddress=a, SURNAME=b")).as_deref(),
            Some("E=a, S=b")
        );
    }

    #[test]
    fn what_is_no_name_is_none() {
        for text in [
            "", "CN", "CN=", "X=1", "C=CH O=x", "C=CH,", "CN=a\\", "9.9=x", "1.99=x", "2.5.=x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("CN={}", "x".repeat(70_000))), None);
    }

    #[test]
    fn cut_der_is_refused() {
        let whole = der("C=CH, O=strongSwan, CN=moon");
        for end in 0..whole.len() {
            assert_eq!(to_text(&whole[..end]), None);
        }
    }

    #[test]
    fn a_relative_name_may_have_several_attributes() {
        let one = |kind: u8, value: u8| [0x30, 8, 6, 3, 0x55, 4, kind, 0x13, 1, value];
        let der = [&[0x30, 22, 0x31, 20], &one(3, b'a')[..], &one(10, b'b')].concat();
        assert_eq!(to_text(&der).as_deref(), Some("CN=a, O=b"));
    }
}
