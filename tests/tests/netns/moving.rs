//! carol gets another address while packets flow (RFC 4555).
#![allow(clippy::disallowed_methods, reason = "the time of a move is what is printed")]

use std::time::{Duration, Instant};

use super::pair::{Pair, ask, tunnelled};
use super::stream::Stream;

/// Takes an address away from carol, and returns how long it took until both hosts had moved.
fn take_away(pair: &Pair, address: &str) -> Duration {
    let marks = [&pair.moon, &pair.carol].map(|host| (host, host.read("charon.log").len()));
    let start = Instant::now();
    pair.carol
        .namespace
        .ip(&format!("addr del {address} dev eth0"))
        .expect("removed");
    for (host, mark) in marks {
        pair.expect_logged(host, mark, "moving IKE_SA");
    }
    start.elapsed()
}

#[test]
fn a_move_loses_the_packets_in_flight_at_most() {
    let Some(pair) = tunnelled() else { return };
    let spis = spis(&pair);
    let count = 1000;
    let mut stream = Stream::start(&pair.carol.namespace, "10.1.0.2", count);
    assert!(stream.until(200), "pings come back");
    // Not of the same network, or it would go with the first.
    pair.carol
        .namespace
        .ip("addr add 192.168.0.4/25 dev eth0")
        .expect("added");
    let took = take_away(&pair, "192.168.0.3/24");
    assert!(stream.until(600), "pings come back after the first move");
    pair.carol
        .namespace
        .ip("addr add 192.168.0.3/24 dev eth0")
        .expect("added");
    let took_back = take_away(&pair, "192.168.0.4/25");
    let gaps = stream.gaps();
    println!("moved in {took:?} and back in {took_back:?}; lost {gaps:?} of {count} pings, one every 10 ms");
    // Those on their way between the loss of the address and the peer's knowledge of the new one; none after the first
    // that came back.
    let earliest = [200, 600];
    assert!(
        gaps.len() <= earliest.len()
            && gaps
                .iter()
                .zip(earliest)
                .all(|(gap, before)| *gap.start() > before),
        "more was lost than what was in flight: {gaps:?}"
    );
    for host in [&pair.moon, &pair.carol] {
        let log = host.read("charon.log");
        assert!(!log.contains("retransmit"), "each move needs one exchange: {log}");
    }
    pair.expect(
        &pair.carol.read("charon.log"),
        "requesting address change using MOBIKE",
    );
    let after = self::spis(&pair);
    assert_eq!(after, spis, "the SAs are the same");
    pair.ping();
}

#[test]
fn a_tunnel_moves_to_ipv6_and_back() {
    let Some(pair) = super::pair::hosts() else { return };
    let addresses = [(&pair.moon, "2001:db8::2/64"), (&pair.carol, "2001:db8::3/64")];
    pair.moon
        .namespace
        .ip(&format!("addr add {} dev eth0 nodad", addresses[0].1))
        .expect("an IPv6 address");
    pair.start();
    pair.up();
    pair.ping();
    pair.carol
        .namespace
        .ip(&format!("addr add {} dev eth0 nodad", addresses[1].1))
        .expect("an IPv6 address");
    take_away(&pair, "192.168.0.3/24");
    pair.ping();
    let status = ask(&pair.moon, "ipsec statusall");
    pair.expect(
        &status,
        "2001:db8::2[moon.strongswan.org]...2001:db8::3[carol.strongswan.org]",
    );
    pair.carol
        .namespace
        .ip("addr add 192.168.0.3/24 dev eth0")
        .expect("added");
    take_away(&pair, "2001:db8::3/64");
    pair.ping();
}

/// Without MOBIKE nobody can say that an address has changed, so the old path dies, and who notices starts anew.
#[test]
fn without_mobike_a_liveness_check_restarts_the_tunnel_from_the_new_address() {
    let Some(pair) = super::pair::hosts() else { return };
    let any = "left=%any\n    mobike=no\n    dpdaction=restart\n    dpddelay=1s\n    keyingtries=%forever";
    pair.carol.edit("ipsec.conf", "left=192.168.0.3", any).unwrap();
    let anyone = "right=%any\n    mobike=no";
    pair.moon.edit("ipsec.conf", "right=192.168.0.3", anyone).unwrap();
    pair.carol
        .set("charon {\n retransmit_timeout = 0.1\n retransmit_tries = 3\n}\n")
        .unwrap();
    pair.start();
    pair.up();
    pair.ping();
    let marks = [&pair.moon, &pair.carol].map(|host| host.read("charon.log").len());
    // Not of the same network, or it would go with the first.
    for change in ["add 192.168.0.4/25", "del 192.168.0.3/24"] {
        let line = format!("addr {change} dev eth0");
        pair.carol.namespace.ip(&line).expect("a change of addresses");
    }
    for text in [
        "sending DPD request",
        "giving up after 3 retransmits",
        "restarting CHILD_SA Tunnel1",
        "IKE_SA Tunnel1[2] established between 192.168.0.4[carol.strongswan.org]",
    ] {
        pair.expect_logged(&pair.carol, marks[1], text);
    }
    pair.carol.wait_for_log(marks[1], "CHILD_SA Tunnel1{").unwrap();
    pair.ping();
    let (moon, carol) = (
        &pair.moon.read("charon.log")[marks[0]..],
        &pair.carol.read("charon.log")[marks[1]..],
    );
    for log in [moon, carol] {
        assert!(!log.contains("moving IKE_SA"), "{log}");
        assert!(!log.contains("N(UPD_SA_ADDR)"), "{log}");
    }
    // moon has replaced the one that can no longer be reached.
    for host in [&pair.moon, &pair.carol] {
        let status = ask(host, "ipsec status");
        pair.expect(&status, "Security Associations (1 up, 0 connecting):");
    }
}

/// The SPIs of carol's IKE_SA and CHILD_SA.
fn spis(pair: &Pair) -> Vec<String> {
    let status = ask(&pair.carol, "ipsec statusall");
    let spis: Vec<String> = status
        .lines()
        .filter_map(|line| line.split("SPIs: ").nth(1))
        .flat_map(|rest| rest.split([' ', ',']).take(2))
        .map(str::to_owned)
        .collect();
    assert_eq!(spis.len(), 4, "{status}");
    spis
}
