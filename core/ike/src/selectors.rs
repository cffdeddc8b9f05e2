//! Traffic selectors: between configuration and wire, and never wider than either.

use std::net::IpAddr;

use config::connection::SelectorSpec;
use iana::TrafficSelector;
use wire::payload::{Selector, Ts};

/// The configured selectors of one end, whose addresses stand for `dynamic`; an unspecified one for all of its family.
pub(crate) fn resolve(configured: &[SelectorSpec], hosts: &[IpAddr]) -> Vec<TrafficSelector> {
    let of_host = |spec: &SelectorSpec, host: &IpAddr| {
        let mut selector = spec.resolve(*host);
        if host.is_unspecified() {
            let all = TrafficSelector::subnet(*host, 0);
            (selector.start, selector.end) = (all.start, all.end);
        }
        selector
    };
    let mut resolved = Vec::new();
    for spec in configured {
        match spec {
            SelectorSpec::Fixed(selector) => resolved.push(selector.clone()),
            SelectorSpec::Dynamic { .. } => resolved.extend(hosts.iter().map(|host| of_host(spec, host))),
        }
    }
    resolved
}

/// The selectors of an end that goes from one address to another, if any of them stands for its address.
pub(crate) fn follow(
    configured: &[SelectorSpec],
    selectors: &[TrafficSelector],
    from: IpAddr,
    to: IpAddr,
) -> Option<Box<[TrafficSelector]>> {
    let is_dynamic = |spec: &SelectorSpec| matches!(spec, SelectorSpec::Dynamic { .. });
    let stands_for = |own: &TrafficSelector| own.is_host(from);
    if from == to || !configured.iter().any(is_dynamic) || !selectors.iter().any(stands_for) {
        return None;
    }
    let followed = selectors.iter().map(|own| {
        let (start, end) = if stands_for(own) {
            (to, to)
        } else {
            (own.start, own.end)
        };
        TrafficSelector {
            start,
            end,
            ..own.clone()
        }
    });
    Some(followed.collect())
}

/// What both lists cover: each of the peer's selectors cut down to what is configured (RFC 7296, 2.9).
pub(crate) fn narrow(configured: &[TrafficSelector], supplied: &[TrafficSelector]) -> Vec<TrafficSelector> {
    let mut narrowed: Vec<TrafficSelector> = Vec::new();
    for own in configured {
        for theirs in supplied {
            if let Some(both) = own.intersection(theirs)
                && !narrowed.iter().any(|known| known.covers(&both))
            {
                narrowed.retain(|known| !both.covers(known));
                narrowed.push(both);
            }
        }
    }
    narrowed
}

/// Whether every selector of `inner` lies within one of `outer`.
pub(crate) fn within(inner: &[TrafficSelector], outer: &[TrafficSelector]) -> bool {
    !inner.is_empty()
        && inner
            .iter()
            .all(|selector| outer.iter().any(|wide| wide.covers(selector)))
}

/// As in log lines: joined by a blank.
pub(crate) fn list(selectors: &[TrafficSelector]) -> String {
    let texts: Vec<_> = selectors.iter().map(TrafficSelector::to_string).collect();
    texts.join(" ")
}

pub(crate) fn to_wire(selectors: &[TrafficSelector]) -> Ts {
    let selectors = selectors
        .iter()
        .map(|selector| Selector {
            protocol: selector.protocol,
            start_port: selector.start_port,
            end_port: selector.end_port,
            start: selector.start,
            end: selector.end,
        })
        .collect();
    Ts { selectors }
}

pub(crate) fn from_wire(ts: &Ts) -> Vec<TrafficSelector> {
    ts.selectors
        .iter()
        .map(|selector| TrafficSelector {
            protocol: selector.protocol,
            start_port: selector.start_port,
            end_port: selector.end_port,
            start: selector.start,
            end: selector.end,
        })
        .filter(|selector| selector.start <= selector.end)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> TrafficSelector {
        let (address, prefix) = text.split_once('/').expect("a subnet");
        TrafficSelector::subnet(address.parse().expect("address"), prefix.parse().expect("prefix"))
    }

    #[test]
    fn narrowing_cuts_to_what_both_want_and_leaves_no_duplicates() {
        let configured = [subnet("10.1.0.0/16"), subnet("10.2.0.0/16")];
        let supplied = [subnet("10.0.0.0/8"), subnet("10.1.2.0/24")];
        assert_eq!(narrow(&configured, &supplied), configured);
        assert_eq!(
            narrow(&configured, &[subnet("10.1.2.0/24")]),
            [subnet("10.1.2.0/24")]
        );
        assert!(narrow(&configured, &[subnet("192.168.0.0/16")]).is_empty());
    }

    #[test]
    fn narrowing_looks_at_protocols_and_ports() {
        let of = |text: &str| config::selector::list(text).expect("selectors");
        let narrowed = |own: &str, peer: &str| {
            let address = [IpAddr::from([10, 9, 9, 9])];
            list(&narrow(
                &resolve(&of(own), &address),
                &resolve(&of(peer), &address),
            ))
        };
        for (own, peer, both) in [
            ("10.1.0.0/16[tcp/http]", "10.1.0.0/16", "10.1.0.0/16[tcp/http]"),
            ("10.1.0.0/16", "10.1.2.3[udp/53]", "10.1.2.3/32[udp/domain]"),
            (
                "10.1.0.0/16[tcp]",
                "10.0.0.0/8[tcp/1000-2000]",
                "10.1.0.0/16[tcp/1000-2000]",
            ),
            (
                "10.1.0.0/16[tcp/80-100]",
                "10.1.0.0/16[tcp/90-200]",
                "10.1.0.0/16[tcp/90-100]",
            ),
            ("10.1.0.0/16[tcp/80]", "10.1.0.0/16[udp/80]", ""),
            ("10.1.0.0/16[tcp/80]", "10.1.0.0/16[tcp/443]", ""),
            ("10.1.0.0/16[icmp/2048]", "0.0.0.0/0[icmp]", "10.1.0.0/16[icmp/8]"),
            (
                "10.1.0.0/16[udp/opaque]",
                "10.1.0.0/16[udp]",
                "10.1.0.0/16[udp/OPAQUE]",
            ),
            ("dynamic[47]", "0.0.0.0/0", "10.9.9.9/32[gre]"),
            ("2001:db8::/32", "10.0.0.0/8", ""),
            (
                "10.1.0.0/16[tcp/80],10.2.0.0/16",
                "10.2.1.0/24,10.1.1.0/24[tcp]",
                "10.1.1.0/24[tcp/http] 10.2.1.0/24",
            ),
        ] {
            assert_eq!(narrowed(own, peer), both, "{own} and {peer}");
            let commuted = narrowed(peer, own);
            assert_eq!(commuted.len(), both.len(), "{peer} and {own}");
        }
    }

    #[test]
    fn an_answer_must_lie_within_what_was_asked_for() {
        assert!(within(&[subnet("10.1.2.0/24")], &[subnet("10.1.0.0/16")]));
        assert!(!within(&[subnet("10.0.0.0/8")], &[subnet("10.1.0.0/16")]));
        assert!(!within(&[], &[subnet("10.1.0.0/16")]));
    }
}
