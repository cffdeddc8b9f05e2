//! Identities: what `leftid` says, what IDi and IDr carry, and what secrets are selected by (RFC 7296, 3.5).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use iana::{IdType, TrafficSelector};

use crate::dn::{self, Fit};
use crate::{octets, selector};

/// Types without a place in IKEv2 that configuration files can name, and secrets be selected by (RFC 2407, 4.6.2.1).
const IPV4_ADDR_SUBNET: IdType = IdType(4);
const IPV6_ADDR_SUBNET: IdType = IdType(6);
const IPV4_ADDR_RANGE: IdType = IdType(7);
const IPV6_ADDR_RANGE: IdType = IdType(8);

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
                || key_id(&octets::release(text)),
                |der| Self::new(IdType::DER_ASN1_DN, der),
            );
        }
        if let Some(rest) = text.strip_prefix('@') {
            if let Some(octets) = rest.strip_prefix('#').and_then(hex) {
                return key_id(&octets);
            }
            return match rest.strip_prefix('@') {
                Some(user) => Self::new(IdType::RFC822_ADDR, octets::release(user)),
                None => Self::new(IdType::FQDN, octets::release(rest)),
            };
        }
        if text.contains('@') {
            return Self::new(IdType::RFC822_ADDR, octets::release(text));
        }
        match text {
            "" | "%any" | "%any6" | "0.0.0.0" | "*" | "::" | "0::0" => Self::any(),
            _ => match text.parse::<IpAddr>() {
                Ok(address) => Self::address(address),
                Err(_) => network(text).unwrap_or_else(|| {
                    if text.contains(':') {
                        key_id(&octets::release(text))
                    } else {
                        Self::new(IdType::FQDN, octets::release(text))
                    }
                }),
            },
        }
    }

    /// An identity as configuration files write it, unless it is a mistake that would pass for an identity of another
    /// type, or of nobody.
    ///
    /// # Errors
    ///
    /// With what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let identity = Self::parse(text);
        let text = text.trim();
        let shown = octets::shown(text);
        if !identity.is_any() && identity.data.is_empty() {
            return Err(format!(
                "'{shown}' is empty behind its prefix, expected an identity"
            ));
        }
        let hexadecimal = text.strip_prefix("@#").or_else(|| {
            let (prefix, value) = text.split_once(':')?;
            value.strip_prefix('#').filter(|_| has_type(prefix))
        });
        if hexadecimal.is_some_and(|digits| hex(digits).is_none()) {
            return Err(format!(
                "'{shown}' has no pairs of hexadecimal digits behind its '#'"
            ));
        }
        let prefix = text.split_once(':').map(|(prefix, _)| prefix);
        if typed(text).is_none() && prefix.is_some_and(has_type) {
            return Err(format!("'{shown}' is not of the type that its prefix says"));
        }
        if identity.kind == IdType::FQDN && is_nearly_an_address(text) {
            return Err(format!(
                "'{shown}' is not an address, subnet or range; write '@{shown}' if it is a name"
            ));
        }
        Ok(identity)
    }

    /// The address, if it is one.
    fn as_address(&self) -> Option<IpAddr> {
        match self.kind {
            IdType::IPV4_ADDR => Some(Ipv4Addr::from(<[u8; 4]>::try_from(self.data.as_slice()).ok()?).into()),
            IdType::IPV6_ADDR => {
                Some(Ipv6Addr::from(<[u8; 16]>::try_from(self.data.as_slice()).ok()?).into())
            }
            _ => None,
        }
    }

    /// First and last address, if it is a subnet or range.
    fn as_range(&self) -> Option<(IpAddr, IpAddr)> {
        let (first, second) = self.data.split_at_checked(self.data.len() / 2)?;
        let kind = if first.len() == 4 {
            IdType::IPV4_ADDR
        } else {
            IdType::IPV6_ADDR
        };
        let address = |octets: &[u8]| Self::new(kind, octets.to_vec()).as_address();
        match (self.kind, first.len()) {
            (IPV4_ADDR_RANGE, 4) | (IPV6_ADDR_RANGE, 16) => Some((address(first)?, address(second)?)),
            (IPV4_ADDR_SUBNET, 4) | (IPV6_ADDR_SUBNET, 16) => {
                let last: Vec<u8> = first
                    .iter()
                    .zip(second)
                    .map(|(octet, mask)| octet | !mask)
                    .collect();
                Some((address(first)?, address(&last)?))
            }
            _ => None,
        }
    }

    /// How much a pattern leaves fixed; it compares with patterns of the same kind only. The smaller of two networks, the
    /// longer of two names with a wildcard, and the distinguished name with fewer wildcards are larger here.
    pub fn specificity(&self) -> u128 {
        let Some((start, end)) = self.as_range() else {
            let fixed = match self.kind {
                IdType::DER_ASN1_DN => dn::fixed(&self.data) as u128,
                _ => 0,
            };
            return fixed << usize::BITS | self.data.len() as u128;
        };
        let number = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)),
            IpAddr::V6(v6) => u128::from(v6),
        };
        !number(end).saturating_sub(number(start))
    }

    /// How well this identity fits a pattern: `*` stands for a relative name in a DN, and for any start of a name or
    /// mail address; a subnet or range for the addresses within.
    pub fn matches(&self, pattern: &Self) -> Match {
        if pattern.is_any() {
            return Match::Any;
        }
        if self.kind != pattern.kind {
            let within = self.as_address().zip(pattern.as_range());
            let within = within.is_some_and(|(own, (start, end))| {
                own.is_ipv4() == start.is_ipv4() && (start..=end).contains(&own)
            });
            return if within { Match::Wildcard } else { Match::No };
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
            _ if self.data == pattern.data => Match::Exact,
            IdType::DER_ASN1_DN => match dn::matches(&self.data, &pattern.data) {
                Fit::Same => Match::Exact,
                Fit::Wildcard => Match::Wildcard,
                Fit::No => Match::No,
            },
            _ => Match::No,
        }
    }
}

fn key_id(octets: &[u8]) -> Identity {
    Identity::new(IdType::KEY_ID, octets.to_vec())
}

/// Whether a text without a prefix consists of four numbers and what a subnet or range has besides.
fn is_nearly_an_address(text: &str) -> bool {
    let start = text.split(['/', '-']).next().unwrap_or_default();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_digit());
    let all = text
        .bytes()
        .all(|octet| octet.is_ascii_digit() || b"./-".contains(&octet));
    all && start.split('.').count() == 4 && start.split('.').all(digits)
}

fn has_type(prefix: &str) -> bool {
    kind_of(prefix).is_some()
}

/// The type that a prefix stands for, in any case of letters.
fn kind_of(prefix: &str) -> Option<IdType> {
    Some(match prefix.to_ascii_lowercase().as_str() {
        "ipv4" => IdType::IPV4_ADDR,
        "ipv6" => IdType::IPV6_ADDR,
        "ipv4net" => IPV4_ADDR_SUBNET,
        "ipv6net" => IPV6_ADDR_SUBNET,
        "ipv4range" => IPV4_ADDR_RANGE,
        "ipv6range" => IPV6_ADDR_RANGE,
        "rfc822" | "email" | "userfqdn" => IdType::RFC822_ADDR,
        "fqdn" | "dns" => IdType::FQDN,
        "asn1dn" => IdType::DER_ASN1_DN,
        "asn1gn" | "xmppaddr" => IdType::DER_ASN1_GN,
        "keyid" => IdType::KEY_ID,
        _ => return None,
    })
}

/// `fqdn:`, `keyid:` and the like before the value; a `#` after the colon makes it hexadecimal.
fn typed(text: &str) -> Option<Identity> {
    let (prefix, value) = text.split_once(':')?;
    let kind = kind_of(prefix)?;
    if let Some(octets) = value.strip_prefix('#').and_then(hex) {
        return Some(Identity::new(kind, octets));
    }
    let data = match kind {
        IdType::IPV4_ADDR => value.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
        IdType::IPV6_ADDR => value.parse::<Ipv6Addr>().ok()?.octets().to_vec(),
        IdType::DER_ASN1_DN => dn::parse(value)?,
        IdType::DER_ASN1_GN if prefix.eq_ignore_ascii_case("xmppaddr") => xmpp(value)?,
        IPV4_ADDR_SUBNET | IPV6_ADDR_SUBNET | IPV4_ADDR_RANGE | IPV6_ADDR_RANGE => {
            return network(value).filter(|identity| identity.kind == kind);
        }
        _ => octets::release(value),
    };
    Some(Identity::new(kind, data))
}

/// `10.1.0.0/16` or `10.1.0.1-10.1.0.9`.
fn network(text: &str) -> Option<Identity> {
    let range = selector::addresses_of(text)?;
    let octets = |address: IpAddr| Identity::address(address).data;
    let (start, end) = (octets(range.start), octets(range.end));
    let v4 = range.start.is_ipv4();
    if text.contains('/') {
        let mask = start
            .iter()
            .zip(&end)
            .map(|(first, last)| !(first ^ last))
            .collect();
        let kind = if v4 { IPV4_ADDR_SUBNET } else { IPV6_ADDR_SUBNET };
        return Some(Identity::new(kind, [start, mask].concat()));
    }
    let kind = if v4 { IPV4_ADDR_RANGE } else { IPV6_ADDR_RANGE };
    text.contains('-')
        .then(|| Identity::new(kind, [start, end].concat()))
}

/// A GeneralName of the form otherName with an XMPP address (RFC 5280, 4.2.1.6; RFC 6120, 13.7.1.4).
fn xmpp(address: &str) -> Option<Vec<u8>> {
    const ID_ON_XMPP_ADDR: [u8; 8] = [0x2b, 6, 1, 5, 5, 7, 8, 5];
    const CONTEXT_0: u8 = 0xa0;
    let value = dn::tlv(CONTEXT_0, &dn::tlv(dn::UTF8, address.as_bytes())?)?;
    dn::tlv(CONTEXT_0, &[dn::tlv(dn::OID, &ID_ON_XMPP_ADDR)?, value].concat())
}

/// `{11}:value`: a numeric type.
fn numbered(text: &str) -> Option<Identity> {
    let (number, value) = text.strip_prefix('{')?.split_once("}:")?;
    let data = value
        .strip_prefix('#')
        .and_then(hex)
        .unwrap_or_else(|| octets::release(value));
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
                Some(text) => escaped(f, &octets::release(&text)),
                None => f.write_str("(invalid ID_DER_ASN1_DN)"),
            },
            IPV4_ADDR_SUBNET | IPV6_ADDR_SUBNET | IPV4_ADDR_RANGE | IPV6_ADDR_RANGE => {
                match self.as_range() {
                    Some((start, end)) if matches!(self.kind, IPV4_ADDR_RANGE | IPV6_ADDR_RANGE) => {
                        write!(f, "{start}-{end}")
                    }
                    Some((start, end)) => {
                        let (network, prefix, _) = TrafficSelector {
                            end,
                            ..TrafficSelector::host(start)
                        }
                        .covering_subnet();
                        write!(f, "{network}/{prefix}")
                    }
                    None => write!(f, "(invalid {})", self.kind),
                }
            }
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
    fn what_would_be_another_identity_than_was_meant_is_a_mistake() {
        for text in [
            "@",
            "@#",
            "@#0",
            "@#xyz",
            "keyid:",
            "keyid:#0",
            "ipv4:moon",
            "ipv6:10.0.0.1",
            "asn1dn:moon",
            "192.168.0.300",
            "10.1.0.0/33",
            "10.1.0.9-10.1.0.1",
        ] {
            assert!(Identity::read(text).is_err(), "{text}");
        }
        for text in [
            "%any",
            "moon",
            "@#0a0b",
            "keyid:#0a",
            "@192.168.0.300",
            "1.2.3",
            "02:42:ac:11:00:02",
            "a@b",
            "C=CH, CN=moon",
            "192.168.0.2,192.168.0.7",
        ] {
            assert_eq!(Identity::read(text), Ok(Identity::parse(text)), "{text}");
        }
    }

    #[test]
    fn octets_that_are_no_text_stay() {
        for (octets, data) in [
            (&b"g\xe4te.example.org"[..], &b"g\xe4te.example.org"[..]),
            (b"@g\xe4te", b"g\xe4te"),
            (b"keyid:\xff", b"\xff"),
            (b"p\xe4ul@example.org", b"p\xe4ul@example.org"),
        ] {
            assert_eq!(Identity::parse(&octets::hold(octets)).data, data);
        }
        let dn = Identity::parse(&octets::hold(b"C=CH, CN=M\xfcller"));
        assert_eq!(dn.kind, IdType::DER_ASN1_DN);
        assert!(
            dn.data.ends_with(b"M\xfcller") && dn.to_string() == "C=CH, CN=M\\xfcller",
            "{dn}"
        );
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
    fn subnets_and_ranges_stand_for_the_addresses_within() {
        for (text, shown) in [
            ("10.1.0.7/16", "10.1.0.0/16"),
            ("10.1.0.1-10.1.0.9", "10.1.0.1-10.1.0.9"),
            ("ipv4net:10.1.0.0/16", "10.1.0.0/16"),
            ("ipv6range:fec0::1-fec0::9", "fec0::1-fec0::9"),
            ("fec0::/16", "fec0::/16"),
        ] {
            assert_eq!(Identity::parse(text).to_string(), shown);
        }
        let host = Identity::parse("10.1.0.5");
        assert_eq!(host.matches(&Identity::parse("10.1.0.0/16")), Match::Wildcard);
        assert_eq!(
            host.matches(&Identity::parse("10.1.0.1-10.1.0.9")),
            Match::Wildcard
        );
        assert_eq!(host.matches(&Identity::parse("10.2.0.0/16")), Match::No);
        assert_eq!(host.matches(&Identity::parse("fec0::/16")), Match::No);
        assert_eq!(Identity::parse("ipv4net:fec0::/16").kind, IdType::KEY_ID);
    }

    #[test]
    fn a_mail_address_has_a_wildcard_too_and_names_of_a_peer_none() {
        let carol = Identity::parse("carol@strongswan.org");
        assert_eq!(
            carol.matches(&Identity::parse("*@strongswan.org")),
            Match::Wildcard
        );
        let peer = Identity::parse("*.strongswan.org");
        assert_eq!(peer.matches(&Identity::parse("moon.strongswan.org")), Match::No);
        let sent_any = Identity::any();
        assert_eq!(
            sent_any.matches(&Identity::parse("moon.strongswan.org")),
            Match::No
        );
    }

    #[test]
    fn names_that_differ_in_encoding_alone_are_the_same() {
        let upper = Identity::parse("C=CH, CN=Moon");
        assert_eq!(upper.matches(&Identity::parse("C=ch, CN=moon")), Match::Exact);
        let xmpp = Identity::parse("xmppaddr:a@b");
        assert_eq!(xmpp.kind, IdType::DER_ASN1_GN);
        assert_eq!(
            xmpp.data,
            [
                0xa0, 0x11, 6, 8, 0x2b, 6, 1, 5, 5, 7, 8, 5, 0xa0, 5, 0x0c, 3, b'a', b'@', b'b'
            ]
        );
    }

    #[test]
    fn a_peers_control_characters_do_not_reach_the_log() {
        let identity = Identity::new(IdType::FQDN, b"moon\n00[IKE] forged\xff".to_vec());
        assert_eq!(identity.to_string(), "moon\\n00[IKE] forged\\xff");
    }
}
