//! Identities: what `leftid` says, what IDi and IDr carry, and what secrets are selected by (RFC 7296, 3.5).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use iana::IdType;

use crate::dn;

/// Who somebody is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// What the data is.
    pub kind: IdType,
    /// The identity, as on the wire.
    pub data: Vec<u8>,
}

/// How well an identity fits a pattern; larger is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// It does not.
    No,
    /// The pattern takes anyone.
    Any,
    /// By a wildcard.
    Wildcard,
    /// It is the pattern.
    Exact,
}

impl Identity {
    /// An identity as received.
    pub fn new(kind: IdType, data: Vec<u8>) -> Self {
        Self { kind, data }
    }

    /// The pattern that takes anyone.
    pub fn any() -> Self {
        Self::new(IdType::ANY, Vec::new())
    }

    /// An address.
    pub fn address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::new(IdType::IPV4_ADDR, v4.octets().to_vec()),
            IpAddr::V6(v6) => Self::new(IdType::IPV6_ADDR, v6.octets().to_vec()),
        }
    }

    /// Whether it takes anyone.
    pub fn is_any(&self) -> bool {
        self.kind == IdType::ANY
    }

    /// An identity as configuration files write it. Whatever fits nothing else is a key ID.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some(identity) = typed(text).or_else(|| numbered(text)) {
            return identity;
        }
        if text.contains('=') {
            return dn::parse(text).map_or_else(
                || key_id(text.as_bytes()),
                |der| Self::new(IdType::DER_ASN1_DN, der),
            );
        }
        if let Some(rest) = text.strip_prefix('@') {
            if let Some(octets) = rest.strip_prefix('#').and_then(hex) {
                return key_id(&octets);
            }
            return match rest.strip_prefix('@') {
                Some(user) => Self::new(IdType::RFC822_ADDR, user.into()),
                None => Self::new(IdType::FQDN, rest.into()),
            };
        }
        if text.contains('@') {
            return Self::new(IdType::RFC822_ADDR, text.into());
        }
        match text {
            "" | "%any" | "%any6" | "0.0.0.0" | "*" | "::" | "0::0" => Self::any(),
            _ => match text.parse::<IpAddr>() {
                Ok(address) => Self::address(address),
                Err(_) if text.contains(':') => key_id(text.as_bytes()),
                Err(_) => Self::new(IdType::FQDN, text.into()),
            },
        }
    }

    /// How well this identity fits a pattern: `*` stands for a relative name in a DN, and for any start of a name or
    /// mail address.
    pub fn matches(&self, pattern: &Self) -> Match {
        if pattern.is_any() {
            return Match::Any;
        }
        if self.kind != pattern.kind {
            return Match::No;
        }
        match self.kind {
            IdType::FQDN | IdType::RFC822_ADDR => {
                if self.data.eq_ignore_ascii_case(&pattern.data) {
                    return Match::Exact;
                }
                let suffix = pattern.data.strip_prefix(b"*");
                let fits = suffix.is_some_and(|suffix| {
                    self.data.len() >= suffix.len()
                        && self.data[self.data.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
                });
                if fits { Match::Wildcard } else { Match::No }
            }
            IdType::DER_ASN1_DN if self.data != pattern.data => {
                if dn::matches(&self.data, &pattern.data) {
                    Match::Wildcard
                } else {
                    Match::No
                }
            }
            _ if self.data == pattern.data => Match::Exact,
            _ => Match::No,
        }
    }
}

fn key_id(octets: &[u8]) -> Identity {
    Identity::new(IdType::KEY_ID, octets.to_vec())
}

/// `fqdn:`, `keyid:` and the like before the value; a `#` after the colon makes it hexadecimal.
fn typed(text: &str) -> Option<Identity> {
    let (prefix, value) = text.split_once(':')?;
    let kind = match prefix {
        "ipv4" => IdType::IPV4_ADDR,
        "ipv6" => IdType::IPV6_ADDR,
        "rfc822" | "email" | "userfqdn" => IdType::RFC822_ADDR,
        "fqdn" | "dns" => IdType::FQDN,
        "asn1dn" => IdType::DER_ASN1_DN,
        "asn1gn" => IdType::DER_ASN1_GN,
        "keyid" => IdType::KEY_ID,
        _ => return None,
    };
    if let Some(octets) = value.strip_prefix('#').and_then(hex) {
        return Some(Identity::new(kind, octets));
    }
    let data = match kind {
        IdType::IPV4_ADDR => value.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
        IdType::IPV6_ADDR => value.parse::<Ipv6Addr>().ok()?.octets().to_vec(),
        IdType::DER_ASN1_DN => dn::parse(value)?,
        _ => value.into(),
    };
    Some(Identity::new(kind, data))
}

/// `{11}:value`: a numeric type.
fn numbered(text: &str) -> Option<Identity> {
    let (number, value) = text.strip_prefix('{')?.split_once("}:")?;
    let data = value
        .strip_prefix('#')
        .and_then(hex)
        .unwrap_or_else(|| value.into());
    Some(Identity::new(IdType(number.parse().ok()?), data))
}

/// Octets from hexadecimal digits, colons between them allowed.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Text from a peer or file, with control characters and octets that are no text escaped.
fn escaped(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?
            } else {
                write!(f, "{c}")?
            }
        }
        for octet in chunk.invalid() {
            write!(f, "\\x{octet:02x}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            IdType::ANY => f.write_str("%any"),
            IdType::IPV4_ADDR => match <[u8; 4]>::try_from(self.data.as_slice()) {
                Ok(octets) => write!(f, "{}", Ipv4Addr::from(octets)),
                Err(_) => f.write_str("(invalid ID_IPV4_ADDR)"),
            },
            IdType::IPV6_ADDR => match <[u8; 16]>::try_from(self.data.as_slice()) {
                Ok(octets) => write!(f, "{}", Ipv6Addr::from(octets)),
                Err(_) => f.write_str("(invalid ID_IPV6_ADDR)"),
            },
            IdType::FQDN | IdType::RFC822_ADDR => escaped(f, &self.data),
            IdType::DER_ASN1_DN => match dn::to_text(&self.data) {
                Some(text) => escaped(f, text.as_bytes()),
                None => f.write_str("(invalid ID_DER_ASN1_DN)"),
            },
            _ => {
                let printable = self.data.iter().all(|octet| (b' '..=b'~').contains(octet));
                if printable {
                    return escaped(f, &self.data);
                }
                let hex: Vec<_> = self
                    .data
                    .iter()
                    .take(128)
                    .map(|octet| format!("{octet:02x}"))
                    .collect();
                f.write_str(&hex.join(":"))
            }
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_types_strongswan_gives_them() {
        for (text, kind, shown) in [
            ("moon.strongswan.org", IdType::FQDN, "moon.strongswan.org"),
            ("@moon.strongswan.org", IdType::FQDN, "moon.strongswan.org"),
            (
                "carol@strongswan.org",
                IdType::RFC822_ADDR,
                "carol@strongswan.org",
            ),
            (
                "@@carol@strongswan.org",
                IdType::RFC822_ADDR,
                "carol@strongswan.org",
            ),
            ("192.168.0.3", IdType::IPV4_ADDR, "192.168.0.3"),
            ("fec0::1", IdType::IPV6_ADDR, "fec0::1"),
            ("%any", IdType::ANY, "%any"),
            ("@#0a0B", IdType::KEY_ID, "0a:0b"),
            ("keyid:router 7", IdType::KEY_ID, "router 7"),
            ("fqdn:#6d6f6f6e", IdType::FQDN, "moon"),
            ("{11}:abc", IdType::KEY_ID, "abc"),
            (
                "C=CH, O=strongSwan, CN=moon",
                IdType::DER_ASN1_DN,
                "C=CH, O=strongSwan, CN=moon",
            ),
            ("a=b=c=,", IdType::KEY_ID, "a=b=c=,"),
        ] {
            let identity = Identity::parse(text);
            assert_eq!(
                (identity.kind, identity.to_string().as_str()),
                (kind, shown),
                "{text}"
            );
        }
    }

    #[test]
    fn the_better_match_is_larger() {
        let moon = Identity::parse("moon.strongswan.org");
        assert_eq!(
            moon.matches(&Identity::parse("MOON.strongswan.org")),
            Match::Exact
        );
        assert_eq!(
            moon.matches(&Identity::parse("*.strongswan.org")),
            Match::Wildcard
        );
        assert_eq!(moon.matches(&Identity::any()), Match::Any);
        assert_eq!(moon.matches(&Identity::parse("sun.strongswan.org")), Match::No);
        assert_eq!(
            moon.matches(&Identity::parse("keyid:moon.strongswan.org")),
            Match::No
        );
        assert!(Match::Exact > Match::Wildcard && Match::Wildcard > Match::Any && Match::Any > Match::No);
        let dn = Identity::parse("C=CH, O=strongSwan, CN=moon");
        assert_eq!(
            dn.matches(&Identity::parse("C=CH, O=strongSwan, CN=*")),
            Match::Wildcard
        );
        assert_eq!(dn.matches(&Identity::parse("C=CH, O=other, CN=*")), Match::No);
    }

    #[test]
    fn a_peers_control_characters_do_not_reach_the_log() {
        let identity = Identity::new(IdType::FQDN, b"moon\n00[IKE] forged\xff".to_vec());
        assert_eq!(identity.to_string(), "moon\\n00[IKE] forged\\xff");
    }
}
