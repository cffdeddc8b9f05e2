//! Traffic selectors and hosts as configuration files write them.

use std::net::IpAddr;

use iana::{IpProtocol, TrafficSelector};

use crate::connection::{Host, SelectorSpec};
use crate::{kernel, octets, services};

/// A comma list of [`one`]s.
///
/// # Errors
///
/// For the first that is none.
pub fn list(text: &str) -> Result<Vec<SelectorSpec>, String> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(one).collect()
}

/// A selector: `10.1.0.0/16`, `10.2.0.1[tcp/80]`, `dynamic[udp]`.
///
/// # Errors
///
/// With what was expected.
pub fn one(text: &str) -> Result<SelectorSpec, String> {
    let (addresses, restriction) = match text.split_once('[') {
        Some((addresses, rest)) => {
            let inner = rest
                .strip_suffix(']')
                .ok_or_else(|| format!("'{text}' lacks a closing ']'"))?;
            (addresses.trim(), Some(inner))
        }
        None => (text, None),
    };
    let (protocol, ports) = restriction.map_or(Ok((0, (0, u16::MAX))), protocol_and_ports)?;
    if matches!(addresses, "dynamic" | "%dynamic") {
        return Ok(SelectorSpec::Dynamic { protocol, ports });
    }
    let mut selector = addresses_of(addresses).ok_or_else(|| {
        let shown = octets::shown(addresses);
        format!("'{shown}' is not a subnet, range or address, expected one like 10.1.0.0/16")
    })?;
    (selector.protocol, selector.start_port, selector.end_port) = (protocol, ports.0, ports.1);
    Ok(SelectorSpec::Fixed(selector))
}

/// A subnet, range or address, with all protocols and ports.
pub fn addresses_of(text: &str) -> Option<TrafficSelector> {
    if let Some((network, prefix)) = text.split_once('/') {
        let network: IpAddr = network.parse().ok()?;
        let prefix: u8 = prefix.parse().ok()?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        return (prefix <= longest).then(|| TrafficSelector::subnet(network, prefix));
    }
    if let Some((start, end)) = text.split_once('-') {
        let (start, end): (IpAddr, IpAddr) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
        let fits = start.is_ipv4() == end.is_ipv4() && start <= end;
        return fits.then(|| TrafficSelector {
            end,
            ..TrafficSelector::host(start)
        });
    }
    text.parse().ok().map(TrafficSelector::host)
}

/// `tcp`, `udp/53`, `6/1000-2000`, `tcp/mysql`, `any/any`, `%any/opaque`; for ICMP the type, or type and code as one
/// number: `icmp/8`.
pub(crate) fn protocol_and_ports(text: &str) -> Result<(u8, (u16, u16)), String> {
    let (protocol, port) = text.split_once('/').unwrap_or((text, ""));
    let protocol = match protocol.trim() {
        "" | "any" | "%any" => 0,
        name => number(name)
            .and_then(|number| u8::try_from(number).ok())
            .or_else(|| services::protocol(name))
            .ok_or_else(|| {
                format!(
                    "'{}' is not a protocol that /etc/protocols has",
                    octets::shown(name)
                )
            })?,
    };
    let is_icmp = matches!(IpProtocol(protocol), IpProtocol::ICMP | IpProtocol::ICMPV6);
    let port = port.trim();
    let ports = match port {
        "" | "any" | "%any" => (0, u16::MAX),
        "opaque" | "%opaque" => (u16::MAX, 0),
        // Of other protocols no packet has this port.
        "0" if !is_icmp => (0, u16::MAX),
        _ => ports(port).ok_or_else(|| {
            let shown = octets::shown(port);
            format!("'{shown}' is not a port, a range of ports or a service that /etc/services has")
        })?,
    };
    // A type without a code has the code 0.
    let packed = |port: u16| if port < 256 { port << 8 } else { port };
    match is_icmp && ports.0 <= ports.1 && ports != (0, u16::MAX) {
        true => Ok((protocol, (packed(ports.0), packed(ports.1)))),
        false => Ok((protocol, ports)),
    }
}

/// A port or a range of ports. Names may have dashes.
fn ports(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| number(text).and_then(|number| u16::try_from(number).ok());
    if let Some(port) = port(text).or_else(|| services::port(text)) {
        return Some((port, port));
    }
    let (start, end) = text.split_once('-')?;
    let ports = (port(start.trim())?, port(end.trim())?);
    (ports.0 <= ports.1).then_some(ports)
}

/// A number as C reads it: with `0x` hexadecimal, with another leading `0` octal.
fn number(text: &str) -> Option<u32> {
    match kernel::Number::parse(text)? {
        kernel::Number::Fixed(number) => Some(number),
        _ => None,
    }
}

/// A single end that others can be sent to: an address, or a name that can be looked up.
pub fn gateway(text: &str) -> Option<Host> {
    match host(text).ok()? {
        Host::Address(address) => Some(Host::Address(address)),
        Host::Name(name) if is_name(&name) => Some(Host::Name(name)),
        _ => None,
    }
}

/// Whether it can be looked up; a peer is not to have anything else looked up for it.
pub fn is_name(name: &str) -> bool {
    let octet = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    (1..=253).contains(&name.len()) && !name.starts_with(['-', '.']) && name.bytes().all(octet)
}

/// A comma list of ends: addresses, names, subnets, ranges, `%any`.
///
/// # Errors
///
/// See [`host`].
pub(crate) fn hosts(text: &str) -> Result<Vec<Host>, String> {
    text.split(',').map(|part| host(part.trim())).collect()
}

/// An end: an address, a name, a subnet, a range, `%any`.
///
/// # Errors
///
/// For what looks like an address, subnet or range but is not one. Taken for a name, a typo would be looked up, and
/// resolvers read some of these as other addresses: `10.0.1` as 10.0.0.1.
pub fn host(text: &str) -> Result<Host, String> {
    match text {
        "%any" | "%defaultroute" | "0.0.0.0" | "::" => return Ok(Host::Any),
        "%any4" => return Ok(Host::Any4),
        "%any6" => return Ok(Host::Any6),
        _ => {}
    }
    if let Ok(address) = text.parse() {
        return Ok(Host::Address(address));
    }
    match addresses_of(text) {
        Some(range) => Ok(Host::Range(range.start, range.end)),
        None if looks_like_addresses(text) => {
            let shown = octets::shown(text);
            Err(format!(
                "'{shown}' looks like an address but is not one, expected an address, subnet, range, name or %any"
            ))
        }
        None => Ok(Host::Name(text.to_owned())),
    }
}

/// Whether a text that is not an address cannot be a name either: no name has colons or slashes, and the last label of
/// a name is never a number (RFC 1123, 2.1).
fn looks_like_addresses(text: &str) -> bool {
    let last = text.strip_suffix('.').unwrap_or(text).rsplit('.').next();
    // One label like 0xc0a80003 is no typo of an address; resolvers read it as strongSwan has it read.
    let is_hexadecimal = !text.contains('.') && text.starts_with("0x");
    text.contains([':', '/']) || !is_hexadecimal && last.is_some_and(is_numeric)
}

/// A number as resolvers read parts of an address.
fn is_numeric(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|octet| octet.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|octet| octet.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        one(text).expect(text).to_string()
    }

    #[test]
    fn protocols_and_ports_have_numbers_and_names() {
        for (text, is) in [
            ("10.1.0.0/16[tcp/80]", "10.1.0.0/16[tcp/http]"),
            ("10.1.0.0/16[0x6/0x50]", "10.1.0.0/16[tcp/http]"),
            ("10.1.0.0/16[ospf]", "10.1.0.0/16[ospf]"),
            ("10.1.0.0/16[udp/ipsec-nat-t]", "10.1.0.0/16[udp/ipsec-nat-t]"),
            ("dynamic[udp/1000-2000]", "dynamic[udp/1000-2000]"),
            ("10.1.0.0/16[tcp/0]", "10.1.0.0/16[tcp]"),
        ] {
            assert_eq!(shown(text), is);
        }
        for text in [
            "[nosuch]",
            "[tcp/nosuch]",
            "[tcp/2-1]",
            "[tcp/65536]",
            "[256]",
            "[%unique]",
        ] {
            let text = format!("10.1.0.0/16{text}");
            assert!(one(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_icmp_type_without_a_code_has_the_code_0() {
        for (text, is) in [
            ("10.1.0.0/16[icmp/8]", "10.1.0.0/16[icmp/8]"),
            ("10.1.0.0/16[icmp/0]", "10.1.0.0/16[icmp/0]"),
            ("10.1.0.0/16[icmp/771]", "10.1.0.0/16[icmp/3(3)]"),
            ("10.1.0.0/16[icmp]", "10.1.0.0/16[icmp]"),
            ("10.1.0.0/16[icmp/any]", "10.1.0.0/16[icmp]"),
            ("fec1::/16[ipv6-icmp/128]", "fec1::/16[ipv6-icmp/128]"),
        ] {
            assert_eq!(shown(text), is);
        }
    }

    #[test]
    fn what_looks_like_an_address_but_is_none_is_not_a_name() {
        for text in [
            "10.0.0.300",
            "10.0.0",
            "10.0.0.1.",
            "10",
            "10.0.0.1.5",
            "gw.example.7",
            "0x0a.0.0.0x1",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-10.0.0.300",
            "fe80::zz",
            "fe80::1%eth0",
            "[fe80::1]",
            "gw.example:500",
        ] {
            let why = host(text).expect_err(text);
            assert!(
                why.starts_with(&format!("'{text}' looks like an address")),
                "{why}"
            );
            assert_eq!(gateway(text), None);
            assert!(one(text).is_err(), "{text}");
        }
        for text in [
            "gw.example",
            "gw1",
            "10.0.0.1.example",
            "1.0x10.gw",
            "0xc0a80003",
            "gw-7.",
            "a_b",
        ] {
            assert_eq!(host(text), Ok(Host::Name(text.to_owned())));
        }
        for text in ["10.0.0.0/8", "10.0.0.1-10.0.0.9", "fe80::1", "%any6"] {
            assert!(!matches!(host(text), Ok(Host::Name(_)) | Err(_)), "{text}");
        }
    }

    #[test]
    fn a_comma_at_the_end_of_a_list_is_nothing() {
        assert_eq!(list("10.1.0.0/16, ,10.2.0.0/16,").expect("a list").len(), 2);
        assert!(list("10.1.0.0/33,10.2.0.0/16").is_err());
    }
}
