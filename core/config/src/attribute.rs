//! Attributes that peers are given in configuration payloads, as configuration files name them.

use std::net::IpAddr;

use iana::attribute::ConfigurationAttribute;

use crate::selector;

/// An attribute with its value as it goes on the wire (RFC 7296, 3.15.1).
pub type Attribute = (ConfigurationAttribute, Vec<u8>);

/// Why something is no attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no attribute of this name.
    Key,
    /// The attribute cannot have this value.
    Value,
}

/// The attribute of a name, `dns`, or of a number. Names with a dash are as good as those with an underscore. Nothing comes
/// of those that only IKEv1 has a use for.
///
/// # Errors
///
/// See [`Error`].
pub fn parse(key: &str, value: &str) -> Result<Option<Attribute>, Error> {
    use ConfigurationAttribute as A;
    let key = key.replace('-', "_");
    let families = match key.as_str() {
        "address" => (A::INTERNAL_IP4_ADDRESS, A::INTERNAL_IP6_ADDRESS),
        "dns" => (A::INTERNAL_IP4_DNS, A::INTERNAL_IP6_DNS),
        "nbns" => (A::INTERNAL_IP4_NBNS, A::INTERNAL_IP6_NBNS),
        "dhcp" => (A::INTERNAL_IP4_DHCP, A::INTERNAL_IP6_DHCP),
        // It was never more than a number for IPv6.
        "netmask" => (A::INTERNAL_IP4_NETMASK, A(9)),
        "server" => (A::INTERNAL_IP4_SERVER, A::INTERNAL_IP6_SERVER),
        "p_cscf" => (A::P_CSCF_IP4, A::P_CSCF_IP6),
        "subnet" => return subnet(value).map(Some),
        "split_include" | "split_exclude" => return subnet(value).map(|_| None),
        _ => {
            let kind = key.parse().map_err(|_| Error::Key)?;
            return Ok(Some((A(kind), octets(value)?)));
        }
    };
    let mut attribute = match value.trim().parse().map_err(|_| Error::Value)? {
        IpAddr::V4(v4) => (families.0, v4.octets().to_vec()),
        IpAddr::V6(v6) => (families.1, v6.octets().to_vec()),
    };
    if attribute.0 == A::INTERNAL_IP6_ADDRESS {
        attribute.1.push(128);
    }
    Ok(Some(attribute))
}

/// A subnet: IPv4 with its mask, IPv6 with the length of its prefix.
fn subnet(text: &str) -> Result<Attribute, Error> {
    let range = selector::addresses_of(text.trim()).ok_or(Error::Value)?;
    let (network, prefix, exact) = range.covering_subnet();
    if !exact {
        return Err(Error::Value);
    }
    Ok(match network {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            let value = [v4.octets(), mask.to_be_bytes()].concat();
            (ConfigurationAttribute::INTERNAL_IP4_SUBNET, value)
        }
        IpAddr::V6(v6) => {
            let mut value = v6.octets().to_vec();
            value.push(prefix);
            (ConfigurationAttribute::INTERNAL_IP6_SUBNET, value)
        }
    })
}

/// Text, or octets in hexadecimal behind `0x`.
fn octets(text: &str) -> Result<Vec<u8>, Error> {
    let Some(hex) = text.strip_prefix("0x") else {
        return Ok(text.as_bytes().to_vec());
    };
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    let octet = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let octets: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(octet).collect();
    octets.ok_or(Error::Value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_the_attribute_of_the_family() {
        for (key, value, kind, octets) in [
            ("dns", "10.1.0.1", 3, vec![10, 1, 0, 1]),
            ("nbns", "10.1.0.1", 4, vec![10, 1, 0, 1]),
            ("subnet", "10.1.0.0/16", 13, vec![10, 1, 0, 0, 255, 255, 0, 0]),
            ("subnet", "0.0.0.0/0", 13, vec![0; 8]),
            ("25", "example.org", 25, b"example.org".to_vec()),
            ("30000", "0x0a0b", 30000, vec![10, 11]),
        ] {
            let expected = (ConfigurationAttribute(kind), octets);
            assert_eq!(parse(key, value), Ok(Some(expected)), "{key} = {value}");
        }
        let (kind, value) = parse("address", "fec3::1")
            .expect("an address")
            .expect("of IKEv2");
        assert_eq!((kind.0, value.len(), value[16]), (8, 17, 128));
        assert_eq!(parse("split-include", "10.1.0.0/16"), Ok(None));
    }

    #[test]
    fn what_is_none_is_refused() {
        for (key, value, error) in [
            ("dsn", "10.1.0.1", Error::Key),
            ("70000", "x", Error::Key),
            ("dns", "moon", Error::Value),
            ("subnet", "10.1.0.1-10.1.0.2", Error::Value),
            ("split_include", "x", Error::Value),
            ("7", "0x123", Error::Value),
            ("7", "0x+1", Error::Value),
        ] {
            assert_eq!(parse(key, value), Err(error), "{key} = {value}");
        }
    }
}
