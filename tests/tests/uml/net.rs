//! Networks of the guest.

use std::ops::RangeInclusive;

use xtask::netns::{Namespace, Network};

/// Two hosts on one cable, with networks behind them; none outside a guest.
pub(crate) fn cable() -> Option<Network> {
    inside().then(|| Network::new().unwrap())
}

fn inside() -> bool {
    let inside = xtask::uml::inside();
    if !inside {
        println!("skipped: `cargo xtask test uml` runs this in a guest");
    }
    inside
}

/// moon as ever, 192.168.0.2 with 10.1.0.2; carol 192.168.1.3 with 10.3.0.1 behind a router that hides her.
pub(crate) struct Hidden {
    pub(crate) moon: Namespace,
    pub(crate) carol: Namespace,
    pub(crate) router: Namespace,
}

/// What the router makes of a client's UDP ports.
pub(crate) const PORTS: RangeInclusive<u16> = 40_000..=49_999;

/// The network of a client behind a router that translates addresses and ports; none outside a guest.
pub(crate) fn hidden() -> Option<Hidden> {
    if !inside() {
        return None;
    }
    let router = Namespace::new().unwrap();
    let [moon, carol] = [(); 2].map(|()| Namespace::new().unwrap());
    for (host, device, theirs, own, inner) in [
        (
            &moon,
            "outside",
            "192.168.0.1/24",
            "192.168.0.2/24",
            "10.1.0.2/16",
        ),
        (
            &carol,
            "inside",
            "192.168.1.1/24",
            "192.168.1.3/24",
            "10.3.0.1/16",
        ),
    ] {
        host.cable("eth0", &router, device).unwrap();
        router.ip(&format!("addr add {theirs} dev {device}")).unwrap();
        host.ip(&format!("addr add {own} dev eth0")).unwrap();
        host.ip("link add eth1 type dummy").unwrap();
        host.ip(&format!("addr add {inner} dev eth1")).unwrap();
        host.ip("link set eth1 up").unwrap();
    }
    carol.ip("route add default via 192.168.1.1").unwrap();
    // The guest's kernel has no tables of netfilter for it, but the actions that tc takes to its connection tracking.
    command(&router, "tc", "qdisc add dev outside clsact");
    let (first, last) = (PORTS.start(), PORTS.end());
    for (direction, translate) in [
        (
            "egress",
            format!("commit nat src addr 192.168.0.1 port {first}-{last}"),
        ),
        ("ingress", "nat pipe".to_owned()),
    ] {
        let rule = format!(
            "filter add dev outside {direction} protocol ip flower ip_proto udp action ct {translate}"
        );
        command(&router, "tc", &rule);
    }
    router
        .run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))
        .unwrap()
        .unwrap();
    Some(Hidden { moon, carol, router })
}

/// Runs a command line that must succeed, and returns what it printed.
pub(crate) fn command(namespace: &Namespace, program: &str, arguments: &str) -> String {
    let mut command = std::process::Command::new(program);
    let output = namespace
        .output(command.args(arguments.split_whitespace()))
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments}: {text}");
    text
}
