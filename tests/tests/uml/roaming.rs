//! carol gets another address, and her selectors are no networks: they are that address, or a virtual one.

use super::host::{Machine, Who};
use super::moving::{AFTER, BEFORE, PEERS, readdress, until_moved};
use super::net::command;
use super::pair::{ESP, Pair, SETTINGS, all_esp, pair_with};
use super::setup::{CAROL, MOON, conf};
use super::stream::Stream;
use super::tables::{policies, states};

const POOL: &str = "pools {\n rw {\n  addrs = 10.4.0.0/24\n }\n}\n";

const VIRTUAL: &str = "10.4.0.1";

/// A tunnel from a carol who takes the address that she has, with a virtual one or without, to the network of moon.
fn tunnel(who: [Who; 2], virtually: bool) -> Option<Pair> {
    let pair = pair_with(who, SETTINGS)?;
    let carol = CAROL.alone().at("%any");
    let [pools, vips] = if virtually {
        ["pools = rw", "vips = 0.0.0.0"]
    } else {
        [""; 2]
    };
    let moon = conf(MOON, carol, ESP, &format!("mobike = yes\n {pools}"), "");
    pair.moon.load(&format!("{moon}{POOL}"));
    pair.carol
        .load(&conf(carol, MOON, ESP, &format!("mobike = yes\n {vips}"), ""));
    pair.carol.swanctl("--initiate --child net");
    pair.expect_one();
    Some(pair)
}

/// Which of its own addresses a host has policies for.
fn protected(host: &Machine, own: &str) -> bool {
    let own = format!("{own}/32");
    let policies = policies(host.namespace());
    !policies.is_empty()
        && policies
            .iter()
            .all(|policy| policy.source == own || policy.destination == own)
}

#[test]
fn a_dynamic_selector_follows_the_address() {
    for who in PEERS {
        let Some(pair) = tunnel(who, false) else { return };
        all_esp(&pair.ping(BEFORE, "10.1.0.2"), 4);
        readdress(&pair);
        for host in pair.both() {
            until_moved(host);
            host.ask_until("policies of the new address", || protected(host, AFTER));
        }
        pair.expect_one();
        all_esp(&pair.ping(AFTER, "10.1.0.2"), 4);
        // Back again, as a client that is carried to and fro.
        let carol = pair.carol.namespace();
        carol.ip(&format!("addr add {BEFORE}/24 dev eth0")).unwrap();
        carol.ip(&format!("addr del {AFTER}/25 dev eth0")).unwrap();
        for host in pair.both() {
            host.ask_until("policies of the first address", || {
                protected(host, BEFORE) && !host.tables().contains(AFTER)
            });
        }
        pair.expect_one();
        all_esp(&pair.ping(BEFORE, "10.1.0.2"), 4);
        pair.carol.swanctl("--terminate --ike net");
        until_nothing(&pair);
    }
}

#[test]
fn traffic_of_a_virtual_address_goes_on_after_a_move() {
    for who in PEERS {
        let Some(pair) = tunnel(who, true) else { return };
        all_esp(&pair.ping(VIRTUAL, "10.1.0.2"), 4);
        let mut stream = Stream::start(pair.carol.namespace(), &format!("-I {VIRTUAL} 10.1.0.2"), 300);
        assert!(stream.until(50), "pings come back");
        readdress(&pair);
        for host in pair.both() {
            until_moved(host);
        }
        pair.carol.ask_until("route from the virtual address", || {
            let route = pair.carol.namespace().ip("route show table 220");
            route.is_ok_and(|route| route.contains(&format!("src {VIRTUAL}")))
        });
        let after = Stream::start(pair.carol.namespace(), &format!("-I {VIRTUAL} 10.1.0.2"), 200);
        let lost = after.gaps();
        assert!(lost.is_empty(), "lost when all had moved: {lost:?}");
        let gaps = stream.gaps();
        assert!(gaps.iter().all(|gap| *gap.start() > 50), "lost before: {gaps:?}");
        pair.expect_one();
        assert!(protected(&pair.carol, VIRTUAL), "{}", pair.carol.tables());
        all_esp(&pair.ping(VIRTUAL, "10.1.0.2"), 4);
        // Without a source named, the route has to choose it.
        command(pair.carol.namespace(), "ping", "-c 1 -W 5 10.1.0.2");
        pair.carol.swanctl("--terminate --ike net");
        until_nothing(&pair);
        pair.carol.ask_until("end of the virtual address", || {
            !pair.carol.tables().contains(VIRTUAL)
        });
    }
}

/// From WLAN to cable, so to speak: the interface that had the virtual address loses its cable.
#[test]
fn a_virtual_address_outlives_its_interface() {
    for who in PEERS {
        let Some(pair) = tunnel(who, true) else { return };
        let [moon, carol] = pair.both().map(Machine::namespace);
        carol.cable("eth2", moon, "eth2").unwrap();
        carol.ip(&format!("addr add {AFTER}/32 dev eth2")).unwrap();
        moon.ip(&format!("route add {AFTER}/32 dev eth2")).unwrap();
        carol
            .ip(&format!("route add {}/32 dev eth2 metric 9", MOON.address))
            .unwrap();
        carol.ip(&format!("addr del {BEFORE}/24 dev eth0")).unwrap();
        for host in pair.both() {
            until_moved(host);
        }
        pair.carol.ask_until("pings by the other cable", || {
            let mut ping = std::process::Command::new("ping");
            ping.args(["-c", "1", "-W", "1", "-I", VIRTUAL, "10.1.0.2"]);
            carol.output(&mut ping).unwrap().status.success()
        });
        let after = Stream::start(carol, &format!("-I {VIRTUAL} 10.1.0.2"), 100);
        let lost = after.gaps();
        assert!(lost.is_empty(), "lost when all had moved: {lost:?}");
        pair.carol.swanctl("--terminate --ike net");
        until_nothing(&pair);
    }
}

fn until_nothing(pair: &Pair) {
    for host in pair.both() {
        host.ask_until("end of the IKE_SA", || states(host.namespace()).is_empty());
        host.expect_nothing();
    }
}
