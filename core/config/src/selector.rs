//! Traffic selectors and hosts as configuration files write them.

use std::net::IpAddr;

use iana::{IpProtocol, TrafficSelector};

use crate::connection::{Host, SelectorSpec};

/// A comma list of [`one`]s.
///
/// # Errors
///
/// For the first that is none.
pub fn list(text: &str) -> Result<Vec<SelectorSpec>, String> {
    text.split(',').map(|part| one(part.trim())).collect()
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
        format!("'{addresses}' is no subnet, range or address, expected one like 10.1.0.0/16")
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

/// `tcp`, `udp/53`, `6/1000-2000`, `any/any`, `%any/opaque`.
pub(crate) fn protocol_and_ports(text: &str) -> Result<(u8, (u16, u16)), String> {
    let (protocol, port) = text.split_once('/').unwrap_or((text, ""));
    let protocol = match protocol.trim() {
        "" | "any" | "%any" => 0,
        name => name
            .parse()
            .ok()
            .or_else(|| {
                IpProtocol::ALL
                    .iter()
                    .find(|known| known.name() == Some(name))
                    .map(|known| known.0)
            })
            .or(if name == "ipv6-icmp" || name == "icmp6" {
                Some(58)
            } else {
                None
            })
            .ok_or_else(|| format!("# bad protocol: {name}"))?,
    };
    let port = port.trim();
    let ports = match port {
        "" | "any" | "%any" | "0" => (0, u16::MAX),
        "opaque" | "%opaque" => (u16::MAX, 0),
        _ => {
            let number = |text: &str| text.trim().parse().ok().or_else(|| service(text.trim()));
            let (start, end) = port.split_once('-').unwrap_or((port, port));
            match (number(start), number(end)) {
                (Some(start), Some(end)) if start <= end => (start, end),
                _ => return Err(format!("# bad port: {port}")),
            }
        }
    };
    Ok((protocol, ports))
}

/// Ports by the names that selectors print.
fn service(name: &str) -> Option<u16> {
    Some(match name {
        "ssh" => 22,
        "smtp" => 25,
        "domain" => 53,
        "http" => 80,
        "ntp" => 123,
        "https" => 443,
        "isakmp" => 500,
        "l2tp" | "l2f" => 1701,
        "ipsec-nat-t" => 4500,
        _ => return None,
    })
}

/// A single end that others can be sent to: an address, or a name that can be looked up.
pub fn gateway(text: &str) -> Option<Host> {
    match host(text) {
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
pub(crate) fn hosts(text: &str) -> Vec<Host> {
    text.split(',').map(|part| host(part.trim())).collect()
}

/// An end: an address, a name, a subnet, a range, `%any`.
pub fn host(text: &str) -> Host {
    match text {
        "%any" | "%defaultroute" | "0.0.0.0" | "::" => return Host::Any,
        "%any4" => return Host::Any4,
        "%any6" => return Host::Any6,
        _ => {}
    }
    if let Ok(address) = text.parse() {
        return Host::Address(address);
    }
    match addresses_of(text) {
        Some(range) => Host::Range(range.start, range.end),
        None => Host::Name(text.to_owned()),
    }
}
