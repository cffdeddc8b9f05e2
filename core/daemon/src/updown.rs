//! The events `script` and `updown`: what a script needs to know, as variables of its environment, once for each pair of
//! selectors. A listener to `script` reports the end of each script; one to `updown` is only told.

mod runs;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use config::identity::Identity;
use control::vici::Message;
use iana::{IpProtocol, Protocol, TrafficSelector};
use ike::{ChildSaInfo, IkeSaInfo};

use runs::Runs;

/// Remembers the interface of a CHILD_SA by its reqid: when it goes down, the route may be gone.
#[derive(Default)]
pub(crate) struct Updown {
    interfaces: BTreeMap<u32, String>,
    /// `charon.plugins.updown.dns_handler`: scripts are told of DNS servers.
    pub(crate) dns: bool,
    /// How long what depends on a script waits for it, if that is set.
    pub(crate) patience: Option<Duration>,
    pub(crate) runs: Runs,
    /// The device of IPsec in user space.
    pub(crate) tun: Option<String>,
}

impl Updown {
    /// The events, one for each pair of selectors of the same family.
    pub(crate) fn events(
        &mut self,
        sa: &IkeSaInfo,
        child: &ChildSaInfo,
        up: bool,
        interface: &dyn Fn(IpAddr) -> Option<String>,
    ) -> Vec<Message> {
        let known = if up {
            None
        } else {
            self.interfaces.remove(&child.reqid)
        };
        let interface = known
            .or_else(|| interface(sa.remote.ip()))
            .unwrap_or_else(|| "unknown".to_owned());
        if up {
            self.interfaces.insert(child.reqid, interface.clone());
        }
        let mut events = Vec::new();
        for local in &child.local_ts {
            for remote in child
                .remote_ts
                .iter()
                .filter(|remote| remote.start.is_ipv4() == local.start.is_ipv4())
            {
                let mut event = event(sa, child, up, &interface, (local, remote));
                if let Some(tun) = &self.tun {
                    event.push_value("PLUTO_TUN", tun);
                }
                if self.dns {
                    number(&mut event, "PLUTO_DNS", &sa.dns);
                }
                events.push(event);
            }
        }
        events
    }
}

fn event(
    sa: &IkeSaInfo,
    child: &ChildSaInfo,
    up: bool,
    interface: &str,
    (local, remote): (&TrafficSelector, &TrafficSelector),
) -> Message {
    let mut out = Message::default();
    let direction = if up { "up" } else { "down" };
    out.push_value("verb", direction);
    out.push_value("script", child.config.updown.as_deref().unwrap_or_default());
    let me = sa.local.ip();
    let kind = if local.is_host(me) { "host" } else { "client" };
    let family = if local.start.is_ipv6() { "-v6" } else { "" };
    out.push_value("PLUTO_VERSION", "1.1");
    out.push_value("PLUTO_VERB", format_args!("{direction}-{kind}{family}"));
    out.push_value("PLUTO_CONNECTION", &child.config.name);
    out.push_value("PLUTO_INTERFACE", interface);
    out.push_value("PLUTO_REQID", child.reqid);
    let protocol = if child.protocol == Protocol::AH {
        "ah"
    } else {
        "esp"
    };
    out.push_value("PLUTO_PROTO", protocol);
    out.push_value("PLUTO_UNIQUEID", sa.unique_id);
    let identity = |id: &Option<Identity>| id.as_ref().map_or_else(|| "%any".to_owned(), ToString::to_string);
    for (whose, ip, id, selector, icmp_type) in [
        ("MY", me, identity(&sa.local_id), local, true),
        ("PEER", sa.remote.ip(), identity(&sa.remote_id), remote, false),
    ] {
        out.push_value(if whose == "MY" { "PLUTO_ME" } else { "PLUTO_PEER" }, ip);
        out.push_value(&format!("PLUTO_{whose}_ID"), id);
        let (network, prefix, _) = selector.covering_subnet();
        out.push_value(
            &format!("PLUTO_{whose}_CLIENT"),
            format_args!("{network}/{prefix}"),
        );
        out.push_value(&format!("PLUTO_{whose}_PORT"), port(selector, icmp_type));
        out.push_value(&format!("PLUTO_{whose}_PROTOCOL"), selector.protocol);
    }
    for (name, addresses) in [
        ("PLUTO_MY_SOURCEIP", &sa.local_vips),
        ("PLUTO_PEER_SOURCEIP", &sa.remote_vips),
    ] {
        if let Some(first) = addresses.first() {
            out.push_value(name, first);
        }
        number(&mut out, name, addresses);
    }
    for (way, mark, if_id) in [("IN", 0), ("OUT", 1)]
        .map(|(way, number)| (way, child.numbers.marks[number], child.numbers.if_ids[number]))
    {
        if let Some((value, mask)) = mark {
            out.push_value(&format!("PLUTO_MARK_{way}"), format_args!("{value}/0x{mask:08x}"));
        }
        if if_id != 0 {
            out.push_value(&format!("PLUTO_IF_ID_{way}"), if_id);
        }
    }
    if child.cpis.is_some() {
        out.push_value("PLUTO_IPCOMP", 1);
    }
    if sa.nat_local || sa.nat_remote || sa.nat_fake {
        out.push_value("PLUTO_UDP_ENC", sa.remote.port());
    }
    if child.config.host_access {
        out.push_value("PLUTO_HOST_ACCESS", 1);
    }
    out
}

/// Adds addresses as `NAME4_1`, `NAME4_2`, `NAME6_1`.
fn number(out: &mut Message, name: &str, addresses: &[IpAddr]) {
    for (family, v4) in [("4", true), ("6", false)] {
        let of_family = addresses.iter().filter(|address| address.is_ipv4() == v4);
        for (number, address) in (1..).zip(of_family) {
            out.push_value(&format!("{name}{family}_{number}"), address);
        }
    }
}

/// A number, `0` for any, or a range; ICMP has its type on the own side and its code on the peer's.
fn port(selector: &TrafficSelector, icmp_type: bool) -> String {
    if selector.all_ports() || selector.is_opaque() {
        return "0".to_owned();
    }
    if matches!(
        IpProtocol(selector.protocol),
        IpProtocol::ICMP | IpProtocol::ICMPV6
    ) {
        let [kind, code] = selector.start_port.to_be_bytes();
        return if icmp_type { kind } else { code }.to_string();
    }
    match (selector.start_port, selector.end_port) {
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start}:{end}"),
    }
}

#[cfg(test)]
mod tests;
