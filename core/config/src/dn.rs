//! Distinguished names: from `C=CH, O=x, CN=y` to DER and back (RFC 4514, X.501).

/// Attribute types by their usual abbreviations.
const TYPES: [(&str, &[u8]); 14] = [
    ("C", &[0x55, 4, 6]),
    ("ST", &[0x55, 4, 8]),
    ("L", &[0x55, 4, 7]),
    ("O", &[0x55, 4, 10]),
    ("OU", &[0x55, 4, 11]),
    ("CN", &[0x55, 4, 3]),
    ("SN", &[0x55, 4, 5]),
    ("S", &[0x55, 4, 4]),
    ("G", &[0x55, 4, 42]),
    ("T", &[0x55, 4, 12]),
    ("D", &[0x55, 4, 13]),
    ("E", &[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 9, 1]),
    ("DC", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25]),
    ("UID", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1]),
];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const PRINTABLE: u8 = 0x13;
const UTF8: u8 = 0x0c;
const IA5: u8 = 0x16;

/// DER of a name in text, or nothing if it is none. Both `C=CH, O=x` and `/C=CH/O=x` are names.
pub(crate) fn parse(text: &str) -> Option<Vec<u8>> {
    let parts: Vec<&str> = match text.strip_prefix('/') {
        Some(rest) => rest.split('/').collect(),
        None => text.split(',').collect(),
    };
    let mut names = Vec::new();
    for part in parts {
        let (kind, value) = part.split_once('=')?;
        let (kind, value) = (kind.trim(), value.trim());
        let kind = if kind.eq_ignore_ascii_case("emailAddress") {
            "E"
        } else {
            kind
        };
        let (kind, oid) = TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind))?;
        if value.is_empty() || value.contains('=') {
            return None;
        }
        let printable = value
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&c));
        let string = match *kind {
            "E" | "DC" => IA5,
            _ if printable => PRINTABLE,
            _ => UTF8,
        };
        let attribute = [tlv(OID, oid), tlv(string, value.as_bytes())].concat();
        names.extend(tlv(SET, &tlv(SEQUENCE, &attribute)));
    }
    Some(tlv(SEQUENCE, &names))
}

/// The name in text, or nothing if the octets are none.
pub(crate) fn to_text(der: &[u8]) -> Option<String> {
    let names: Vec<String> = attributes(der)?
        .into_iter()
        .map(|(oid, value)| {
            let value = String::from_utf8_lossy(value).into_owned();
            match TYPES.iter().find(|(_, known)| *known == oid) {
                Some((name, _)) => format!("{name}={value}"),
                None => format!("{oid:02x?}={value}"),
            }
        })
        .collect();
    Some(names.join(", "))
}

/// Whether a name fits a pattern in which `*` stands for any value.
pub(crate) fn matches(name: &[u8], pattern: &[u8]) -> bool {
    let (Some(name), Some(pattern)) = (attributes(name), attributes(pattern)) else {
        return false;
    };
    name.len() == pattern.len()
        && name
            .iter()
            .zip(&pattern)
            .all(|((oid, value), (pattern_oid, pattern))| {
                oid == pattern_oid && (*pattern == b"*" || value.eq_ignore_ascii_case(pattern))
            })
}

fn attributes(der: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let (SEQUENCE, mut names, []) = read(der)? else {
        return None;
    };
    let mut attributes = Vec::new();
    while !names.is_empty() {
        let (SET, set, rest) = read(names)? else {
            return None;
        };
        let (SEQUENCE, attribute, []) = read(set)? else {
            return None;
        };
        let (OID, oid, value) = read(attribute)? else {
            return None;
        };
        let (_, value, []) = read(value)? else { return None };
        attributes.push((oid, value));
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

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        len @ 0..=0x7f => out.push(len as u8),
        len @ 0x80..=0xff => out.extend([0x81, len as u8]),
        // A name in a configuration file is far below 64 KiB.
        len => {
            out.push(0x82);
            out.extend((len as u16).to_be_bytes());
        }
    }
    out.extend(content);
    out
}
