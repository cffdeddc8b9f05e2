//! IKE_SAs and CHILD_SAs.

use control::vici::Message;

use super::connections::selectors;
use crate::text::{clean, joined, or_empty, or_zero, span, value};

/// An event `list-sa` as lines, `all` with details. With a name only an IKE_SA that is called so, or else its CHILD_SAs
/// that are.
pub fn security_association(event: &Message, all: bool, only: Option<&str>) -> String {
    let mut text = String::new();
    for (name, sa) in event.sections() {
        let whole = only.is_none_or(|only| only == name);
        let children = sa.get_section("child-sas");
        let mut children = children
            .sections()
            .filter(|(_, child)| whole || child.get_str("name") == only)
            .map(|(_, child)| child)
            .peekable();
        if whole || children.peek().is_some() {
            ike_sa(&mut text, &clean(name), &sa, all);
            children.for_each(|child| child_sa(&mut text, &child, all));
        }
    }
    text
}

fn ike_sa(text: &mut String, name: &str, sa: &Message, all: bool) {
    let of = |key: &str| or_empty(sa, key);
    let label = format!("{name:>12}[{}]", or_zero(sa, "uniqueid"));
    let state = of("state");
    text.push_str(&format!("{label}: {state}"));
    if let Some(since) = sa
        .get_int("established")
        .and_then(|since| u64::try_from(since).ok())
    {
        text.push_str(&format!(" {} ago", span(since)));
    }
    let end = |side: &str| format!("{}[{}]", of(&format!("{side}-host")), of(&format!("{side}-id")));
    text.push_str(&format!(", {}...{}\n", end("local"), end("remote")));
    if !all {
        return;
    }
    if let Some(id) = value(sa, "remote-eap-id").or_else(|| value(sa, "remote-xauth-id")) {
        text.push_str(&format!("{label}: Remote EAP identity: {id}\n"));
    }
    let (own_i, own_r) = if sa.get_bool("initiator") == Some(true) {
        ("*", "")
    } else {
        ("", "*")
    };
    text.push_str(&format!(
        "{label}: IKEv{} SPIs: {}_i{own_i} {}_r{own_r}",
        of("version"),
        of("initiator-spi"),
        of("responder-spi")
    ));
    let rekeying = sa.get_int("rekey-time");
    let reauthentication = sa.get_int("reauth-time");
    if let Some(time) = rekeying {
        text.push_str(&format!(", rekeying {}", when(time)));
    }
    if let Some(time) = reauthentication {
        text.push_str(&format!(
            ", {} reauthentication {}",
            of("local-class"),
            when(time)
        ));
    }
    if state == "ESTABLISHED" && rekeying.is_none() && reauthentication.is_none() {
        text.push_str(", rekeying disabled");
    }
    text.push('\n');
    let proposal = proposal(sa);
    if !proposal.is_empty() {
        text.push_str(&format!("{label}: IKE proposal: {proposal}\n"));
    }
    for kind in ["queued", "active", "passive"] {
        let tasks = joined(sa, &format!("tasks-{kind}"), " ");
        if !tasks.is_empty() {
            text.push_str(&format!("{label}: Tasks {kind}: {tasks}\n"));
        }
    }
}

fn child_sa(text: &mut String, child: &Message, all: bool) {
    let of = |key: &str| or_empty(child, key);
    let label = format!("{:>12}{{{}}}", of("name"), or_zero(child, "uniqueid"));
    let state = of("state");
    text.push_str(&format!(
        "{label}:  {state}, {}, reqid {}",
        of("mode"),
        or_zero(child, "reqid")
    ));
    match state.as_str() {
        "INSTALLED" => {
            let in_udp = if child.get_bool("encap") == Some(true) {
                " in UDP"
            } else {
                ""
            };
            text.push_str(&format!(
                ", {}{in_udp} SPIs: {}_i {}_o",
                of("protocol"),
                of("spi-in"),
                of("spi-out")
            ));
            if let (Some(cpi_in), Some(cpi_out)) = (value(child, "cpi-in"), value(child, "cpi-out")) {
                text.push_str(&format!(", IPCOMP CPIs: {cpi_in}_i {cpi_out}_o"));
            }
            text.push('\n');
            if all {
                installed(text, &label, child);
            }
        }
        "REKEYING" | "REKEYED" => {
            if let Some(left) = child
                .get_int("life-time")
                .and_then(|left| u64::try_from(left).ok())
            {
                text.push_str(&format!(", expires in {}", span(left)));
            }
            text.push('\n');
        }
        _ => text.push('\n'),
    }
    text.push_str(&format!("{label}:   {}\n", selectors(child)));
}

fn installed(text: &mut String, label: &str, child: &Message) {
    // Key exchanges beyond the first are not shown here, as by charon.
    let mut algorithms = algorithm(child, "encr-alg", "encr-keysize");
    for part in [
        algorithm(child, "integ-alg", "integ-keysize"),
        or_empty(child, "dh-group"),
    ] {
        if !part.is_empty() {
            algorithms.push('/');
            algorithms.push_str(&part);
        }
    }
    if child.get_int("esn") == Some(1) {
        algorithms.push_str("/ESN");
    }
    text.push_str(&format!("{label}:  {algorithms}"));
    for (side, suffix) in [("in", "i"), ("out", "o")] {
        text.push_str(&format!(
            ", {} bytes_{suffix}",
            or_zero(child, &format!("bytes-{side}"))
        ));
        if let Some(ago) = value(child, &format!("use-{side}")) {
            let packets = or_zero(child, &format!("packets-{side}"));
            let unit = if packets == "1" { "pkt" } else { "pkts" };
            text.push_str(&format!(" ({packets} {unit}, {ago}s ago)"));
        }
    }
    let rekeying = child
        .get_int("rekey-time")
        .map_or_else(|| "disabled".to_owned(), when);
    text.push_str(&format!(", rekeying {rekeying}\n"));
}

fn when(seconds: i64) -> String {
    u64::try_from(seconds).map_or_else(|_| "active".to_owned(), |left| format!("in {}", span(left)))
}

fn proposal(sa: &Message) -> String {
    let mut parts = vec![
        algorithm(sa, "encr-alg", "encr-keysize"),
        algorithm(sa, "integ-alg", "integ-keysize"),
        or_empty(sa, "prf-alg"),
        or_empty(sa, "dh-group"),
    ];
    parts.extend((1..=7).filter_map(|slot| Some(format!("KE{slot}_{}", value(sa, &format!("ake{slot}"))?))));
    if sa.get_bool("ppk") == Some(true) {
        parts.push("PPK".into());
    }
    parts.retain(|part| !part.is_empty());
    parts.join("/")
}

fn algorithm(message: &Message, name: &str, size: &str) -> String {
    let name = or_empty(message, name);
    match value(message, size) {
        Some(size) if size != "0" => format!("{name}_{size}"),
        _ => name,
    }
}
