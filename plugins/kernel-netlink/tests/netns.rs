//! The plugin in a network namespace of its own.
//!
//! Needs root; without it the tests say so and pass, unless `CI=true`.

mod world;

use std::sync::mpsc::Receiver;

use charon_kernel_netlink::net::Netlink;
use plugin_api::kernel::{KernelEvent, Route};
use plugin_api::{ErrorKind, KernelNet};
use world::{Daemon, Told, address, ip};

struct World {
    net: Netlink,
    told: Receiver<Told>,
}

impl World {
    /// Moves the calling thread into a new namespace, if root may.
    fn new(name: &str) -> Option<Self> {
        if !world::enter(name) {
            return None;
        }
        let (daemon, told) = Daemon::new(&[]);
        let net = Netlink::new(daemon).expect("netlink");
        Some(Self { net, told })
    }

    fn next(&self) -> Told {
        world::next(&self.told)
    }

    /// Everything told up to and with the next event, sorted; IPv6 addresses of links left out, they come when they
    /// like.
    fn lines_to_event(&self) -> (Vec<String>, KernelEvent) {
        let mut lines = Vec::new();
        loop {
            match self.next() {
                Told::Line(line) if line.contains("fe80") => {}
                Told::Line(line) => lines.push(line),
                Told::Migration(migration) => lines.push(format!("{migration:?}")),
                Told::Event(event) => {
                    lines.sort();
                    return (lines, event);
                }
            }
        }
    }

    /// Everything told until a line comes.
    fn until(&self, wanted: &str) -> Vec<Told> {
        let mut all = Vec::new();
        while all.last() != Some(&Told::Line(wanted.to_owned())) {
            all.push(self.next());
        }
        all
    }
}

/// To the network behind a peer.
fn route_over(interface: &str) -> Route {
    Route {
        destination: address("10.1.0.0"),
        prefix: 16,
        gateway: None,
        source: None,
        interface: interface.into(),
    }
}

#[test]
fn changes_are_logged_and_told_once_for_a_flock() {
    let Some(world) = World::new("changes") else {
        return;
    };
    ip("addr add 192.0.2.1/24 dev eth0");
    let (lines, event) = world.lines_to_event();
    assert_eq!(lines, ["192.0.2.1 appeared on eth0"]);
    assert_eq!(event, KernelEvent::Roam { address: true });

    ip("link set eth0 up");
    ip("link set eth1 up");
    world.until("interface eth1 activated");
    ip("addr del 192.0.2.1/24 dev eth0");
    world.until("192.0.2.1 disappeared from eth0");
    ip("link set eth0 down");
    world.until("interface eth0 deactivated");
    ip("link del eth0");
    world.until("interface eth1 deactivated");
}

#[test]
fn a_flood_of_changes_is_caught_up_with() {
    let Some(world) = World::new("flood") else { return };
    let batch: String = (0..250)
        .flat_map(|high| (1..=16).map(move |low| format!("addr add 10.9.{high}.{low}/32 dev eth0\n")))
        .collect();
    let file = std::env::temp_dir().join(format!("netlink-flood-{}", std::process::id()));
    std::fs::write(&file, batch).expect("a batch file");
    ip(&format!("-batch {}", file.display()));
    std::fs::remove_file(&file).expect("removed");
    ip("addr add 192.0.2.77/32 dev eth0");
    let told = world.until("192.0.2.77 appeared on eth0");
    let appeared = told
        .iter()
        .filter(
            |told| matches!(told, Told::Line(line) if line.contains(" 10.9.") || line.starts_with("10.9.")),
        )
        .count();
    assert_eq!(appeared, 4000, "whatever the socket had room for");
    assert_eq!(
        world
            .net
            .addresses()
            .expect("a list")
            .iter()
            .filter(|one| one.interface == "eth0")
            .count(),
        4001
    );
}

/// What the plugin says that an interface has of IPv4.
fn addresses_of(net: &Netlink, interface: &str) -> Vec<String> {
    let all = net.addresses().expect("a list").into_iter();
    all.filter(|one| one.interface == interface && one.address.is_ipv4())
        .map(|one| format!("{}/{} {}", one.address, one.prefix, one.up))
        .collect()
}

#[test]
fn what_has_changed_is_seen_at_once() {
    let Some(World { net, .. }) = World::new("at once") else {
        return;
    };
    for round in 0..20 {
        let address = format!("192.0.2.{}/24", 2 * round + 1);
        ip(&format!("addr add {address} dev eth0"));
        assert_eq!(addresses_of(&net, "eth0"), [format!("{address} false")]);
        ip("link set eth0 up");
        assert_eq!(addresses_of(&net, "eth0"), [format!("{address} true")]);
        ip("link set eth0 down");
        ip("link set eth0 name renamed0");
        assert_eq!(addresses_of(&net, "eth0"), [""; 0]);
        assert_eq!(addresses_of(&net, "renamed0"), [format!("{address} false")]);
        ip("link set renamed0 name eth0");
        ip(&format!("addr add {} dev eth0", address.replace("/24", "/16")));
        ip(&format!("addr del {address} dev eth0"));
        let wide = address.replace("/24", "/16 false");
        assert_eq!(addresses_of(&net, "eth0"), [wide]);
        ip("addr flush dev eth0");
        assert_eq!(addresses_of(&net, "eth0"), [""; 0]);
    }
    ip("addr add 192.0.2.1/24 dev eth0");
    ip("link property add dev eth0 altname uplink");
    let route = route_over("uplink");
    ip("link set eth0 up");
    net.add_route(&route).expect("by another name of the interface");
    ip("link del eth0");
    assert_eq!(addresses_of(&net, "eth0"), [""; 0]);
    ip("link add eth0 type veth peer name eth1");
    ip("addr add 192.0.2.77/24 dev eth0");
    assert_eq!(addresses_of(&net, "eth0"), ["192.0.2.77/24 false"]);
}

#[test]
fn an_interface_that_leaves_a_bridge_is_there_as_before() {
    let Some(World { net, .. }) = World::new("bridge") else {
        return;
    };
    ip("addr add 192.0.2.1/24 dev eth0");
    ip("link add br0 type bridge");
    for change in ["link set eth0 master br0", "link set eth0 nomaster"] {
        ip(change);
        assert_eq!(addresses_of(&net, "eth0"), ["192.0.2.1/24 false"], "{change}");
    }
}

#[test]
fn news_that_were_lost_are_no_loss() {
    if !world::enter("lost news") {
        return;
    }
    let (daemon, _told) = Daemon::new(&[("charon.plugins.kernel-netlink.receive_buffer_size", "4096")]);
    let net = Netlink::new(daemon).expect("netlink");
    assert_eq!(addresses_of(&net, "eth0"), [""; 0]);
    for last in 1..=100 {
        ip(&format!("addr add 192.0.2.{last}/32 dev eth0"));
    }
    assert_eq!(addresses_of(&net, "eth0").len(), 100);
    ip("addr del 192.0.2.100/32 dev eth0");
    assert_eq!(addresses_of(&net, "eth0").len(), 99);
}

#[test]
fn a_route_that_went_without_our_doing_is_added_again() {
    for settings in [&[][..], &[("charon.process_route", "no")][..]] {
        if !world::enter("gone routes") {
            return;
        }
        let (daemon, told) = Daemon::new(settings);
        let net = Netlink::new(daemon).expect("netlink");
        let until = |wanted: &str| while world::next(&told) != Told::Line(wanted.to_owned()) {};
        ip("link set eth0 up");
        ip("addr add 192.0.2.1/24 dev eth0");
        until("192.0.2.1 appeared on eth0");
        let route = route_over("eth0");
        net.add_route(&route).expect("added");
        let there = ip("route show table 220");
        let again = || net.add_route(&route).map_err(|error| error.kind);
        assert_eq!(again(), Err(ErrorKind::AlreadyExists));
        for lose in ["route flush table 220", "route del 10.1.0.0/16 table 220"] {
            ip(lose);
            assert_eq!(again(), Ok(()), "{lose}");
            assert_eq!(again(), Err(ErrorKind::AlreadyExists));
            assert_eq!(ip("route show table 220"), there);
        }
        // The monitor sees to those that go with an address or an interface.
        for (lose, restore, line) in [
            (
                "addr del 192.0.2.1/24 dev eth0",
                "addr add 192.0.2.1/24 dev eth0",
                "192.0.2.1 appeared on eth0",
            ),
            (
                "link set eth0 down",
                "link set eth0 up",
                "interface eth0 activated",
            ),
        ] {
            ip(lose);
            assert_eq!(ip("route show table 220"), "", "{lose}");
            ip(restore);
            until(line);
            assert_eq!(ip("route show table 220"), there, "{restore}");
            assert_eq!(again(), Err(ErrorKind::AlreadyExists));
        }
    }
}

#[test]
fn virtual_addresses_come_and_go_without_news() {
    let Some(world) = World::new("virtual") else {
        return;
    };
    for (text, prefix) in [("10.3.0.1", 32), ("fd00::5", 128)] {
        world.net.add_address(address(text), prefix, "lo").expect("added");
        let again = world
            .net
            .add_address(address(text), prefix, "lo")
            .expect_err("there already");
        assert_eq!(again.kind, ErrorKind::AlreadyExists);
        let all = world.net.addresses().expect("a list");
        let ours = all
            .iter()
            .find(|one| one.address == address(text))
            .expect("there");
        assert!(
            ours.is_virtual && ours.loopback && ours.up && ours.prefix == prefix,
            "{ours:?}"
        );
        assert!(
            all.iter()
                .any(|one| one.address == address("127.0.0.1") && !one.is_virtual)
        );
        world
            .net
            .delete_address(address(text), prefix, "lo")
            .expect("removed");
        world
            .net
            .add_address(address(text), prefix, "lo")
            .expect("added again at once");
        world
            .net
            .delete_address(address(text), prefix, "lo")
            .expect("removed");
        let again = world
            .net
            .delete_address(address(text), prefix, "lo")
            .expect_err("gone");
        assert_eq!(again.kind, ErrorKind::NotFound);
    }
    let missing = world
        .net
        .add_address(address("10.3.0.1"), 32, "nowhere0")
        .expect_err("no such interface");
    assert_eq!(missing.kind, ErrorKind::NotFound);
    ip("addr add 192.0.2.1/24 dev eth0");
    let before: Vec<_> = world
        .until("192.0.2.1 appeared on eth0")
        .into_iter()
        .rev()
        .skip(1)
        .collect();
    assert!(
        before
            .iter()
            .all(|told| matches!(told, Told::Event(KernelEvent::Roam { address: false }))),
        "{before:?}"
    );
}

#[test]
fn rules_lead_to_our_table_as_long_as_we_live() {
    let Some(world) = World::new("rules") else { return };
    for family in ["-4", "-6"] {
        assert!(ip(&format!("{family} rule show")).contains("220:\tfrom all lookup 220"));
    }
    let second = Netlink::new(Daemon::new(&[]).0).expect("netlink");
    drop(second);
    assert!(
        ip("-4 rule show").contains("lookup 220"),
        "the second did not make it, so it does not take it away"
    );
    drop(world);
    for family in ["-4", "-6"] {
        assert!(!ip(&format!("{family} rule show")).contains("lookup 220"));
    }
}

#[test]
fn rules_of_others_are_news_if_wanted() {
    for (process_rules, settings) in [
        (
            true,
            &[("charon.plugins.kernel-netlink.process_rules", "yes")][..],
        ),
        (false, &[][..]),
    ] {
        if !world::enter("news of rules") {
            return;
        }
        let (daemon, told) = Daemon::new(settings);
        let _net = Netlink::new(daemon).expect("netlink");
        ip("rule add from 192.0.2.7 lookup 7");
        if process_rules {
            let expected = Told::Event(KernelEvent::Roam { address: false });
            assert_eq!(world::next(&told), expected);
        }
        // The next event is about this.
        ip("addr add 192.0.2.1/24 dev eth0");
        let next =
            std::iter::from_fn(|| Some(world::next(&told))).find(|told| matches!(told, Told::Event(_)));
        assert_eq!(next, Some(Told::Event(KernelEvent::Roam { address: true })));
    }
}

#[test]
fn routes_that_a_killed_daemon_has_left_are_removed() {
    if !world::enter("left") {
        return;
    }
    ip("addr add 198.51.100.1/24 dev eth0");
    ip("link set eth0 up");
    ip("rule add priority 220 table 220");
    ip("route add 10.1.0.0/16 via 198.51.100.2 dev eth0 proto static table 220");
    // Nobody adds such for a daemon, but by hand.
    ip("route add 10.2.0.0/16 via 198.51.100.2 dev eth0 proto boot table 220");
    ip("route add 10.3.0.0/16 via 198.51.100.2 dev eth0 proto static");
    let (daemon, _told) = Daemon::new(&[]);
    let _net = Netlink::new(daemon).expect("netlink");
    let table = ip("route show table 220");
    assert!(!table.contains("10.1.0.0/16"), "{table}");
    assert!(table.contains("10.2.0.0/16"), "{table}");
    assert!(ip("route show").contains("10.3.0.0/16"));
}

#[test]
fn routes_go_to_our_table_and_next_hops_come_from_others() {
    let Some(world) = World::new("routes") else { return };
    let net = &world.net;
    assert_eq!(
        net.next_hop(address("198.51.100.1"), None)
            .expect_err("nowhere")
            .kind,
        ErrorKind::NotFound
    );
    // Before the addresses: the kernel tells their routes only after a while that the cable has another end now.
    ip("link set eth0 up");
    ip("link set eth1 up");
    ip("addr add 192.0.2.1/24 dev eth0");
    ip("addr add 203.0.113.1/24 dev eth1");
    ip("addr add fd01::1/64 dev eth0 nodad");
    ip("route add default via 192.0.2.254");
    ip("route add default via 203.0.113.254 metric 500");
    let everything = Route {
        destination: address("0.0.0.0"),
        prefix: 0,
        gateway: None,
        source: Some(address("192.0.2.1")),
        interface: "eth1".into(),
    };
    let hop = net
        .next_hop(address("198.51.100.1"), None)
        .expect("the default route");
    assert_eq!(
        (hop.gateway, hop.interface.as_str()),
        (Some(address("192.0.2.254")), "eth0")
    );
    assert_eq!(hop.source, Some(address("192.0.2.1")));

    net.add_route(&everything).expect("added");
    assert_eq!(
        net.add_route(&everything).expect_err("there").kind,
        ErrorKind::AlreadyExists
    );
    let table = ip("route show table 220");
    assert_eq!(
        table.trim(),
        "default dev eth1 proto static scope link src 192.0.2.1"
    );
    assert!(
        ip("route get 198.51.100.1").contains("dev eth1"),
        "that is what the kernel thinks now"
    );

    let hop = net
        .next_hop(address("198.51.100.1"), None)
        .expect("not our own route");
    assert_eq!(
        (hop.gateway, hop.interface.as_str()),
        (Some(address("192.0.2.254")), "eth0")
    );
    let hop = net
        .next_hop(address("198.51.100.1"), Some(address("203.0.113.1")))
        .expect("by the source");
    assert_eq!(
        (hop.gateway, hop.interface.as_str()),
        (Some(address("203.0.113.254")), "eth1")
    );
    let hop = net.next_hop(address("192.0.2.9"), None).expect("on link");
    assert_eq!((hop.gateway, hop.interface.as_str()), (None, "eth0"));

    let exclude = Route {
        destination: address("198.51.100.1"),
        prefix: 32,
        gateway: Some(address("192.0.2.254")),
        source: None,
        interface: "eth0".into(),
    };
    net.add_route(&exclude).expect("added");
    let six = Route {
        destination: address("fd02::"),
        prefix: 64,
        gateway: None,
        source: Some(address("fd01::1")),
        interface: "eth0".into(),
    };
    net.add_route(&six).expect("added");
    assert!(ip("-6 route show table 220").contains("fd02::/64 dev eth0 proto static src fd01::1"));
    for route in [&everything, &exclude, &six] {
        net.delete_route(route).expect("removed");
        assert_eq!(
            net.delete_route(route).expect_err("gone").kind,
            ErrorKind::NotFound
        );
    }
    let gone = Route {
        interface: "ipsec9".into(),
        ..everything
    };
    assert_eq!(
        net.delete_route(&gone).expect_err("no device").kind,
        ErrorKind::NotFound
    );
}

#[test]
fn our_routes_come_back_with_the_address_that_they_went_with() {
    let Some(world) = World::new("restored") else {
        return;
    };
    ip("link set eth0 up");
    ip("link set eth1 up");
    world.until("interface eth1 activated");
    ip("addr add 192.0.2.1/24 dev eth0");
    world.until("192.0.2.1 appeared on eth0");
    let route = Route {
        gateway: Some(address("192.0.2.254")),
        ..route_over("eth0")
    };
    world.net.add_route(&route).expect("added");
    let there = ip("route show table 220");
    assert_ne!(there, "");
    ip("addr del 192.0.2.1/24 dev eth0");
    assert_eq!(ip("route show table 220"), "", "the kernel drops it");
    world.until("192.0.2.1 disappeared from eth0");
    ip("addr add 192.0.2.2/24 dev eth0");
    world.until("192.0.2.2 appeared on eth0");
    assert_eq!(ip("route show table 220"), there);
    world.net.delete_route(&route).expect("removed");
    ip("addr add 192.0.2.3/24 dev eth0");
    world.until("192.0.2.3 appeared on eth0");
    assert_eq!(ip("route show table 220"), "");
}

#[test]
fn rules_and_routes_have_the_marks_and_metrics_that_were_set() {
    if !world::enter("marks") {
        return;
    }
    let (daemon, _told) = Daemon::new(&[
        ("charon.plugins.kernel-netlink.fwmark", "!0x42/0xff"),
        ("charon.plugins.kernel-netlink.mtu", "1400"),
        ("charon.plugins.kernel-netlink.mss", "1360"),
        ("charon.routing_table", "300"),
    ]);
    let net = Netlink::new(daemon).expect("netlink");
    for family in ["-4", "-6"] {
        let rules = ip(&format!("{family} rule show"));
        assert!(
            rules.contains("220:\tnot from all fwmark 0x42/0xff lookup 300"),
            "{rules}"
        );
    }
    ip("link set eth0 up");
    let route = route_over("eth0");
    net.add_route(&route).expect("added");
    let table = ip("route show table 300");
    assert!(
        table.contains("mtu 1400") && table.contains("advmss 1360"),
        "{table}"
    );
    net.delete_route(&route).expect("removed");
    assert_eq!(ip("route show table 300"), "");
}
