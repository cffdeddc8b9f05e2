//! Successors of SAs under traffic, and what an operator sees of them.
#![allow(clippy::disallowed_methods)] // it goes by the clock

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::pair::{ask, hosts, sizes, tunnelled};

/// Lifetimes of seconds, so that the tunnel is rekeyed several times while packets flow both ways.
#[test]
fn in_time_they_lose_no_packet() {
    let Some(pair) = hosts() else { return };
    for host in [&pair.moon, &pair.carol] {
        host.edit("ipsec.conf", "lifetime=20m", "lifetime=9s").unwrap();
        let margin = host.edit("ipsec.conf", "rekeymargin=3m", "rekeymargin=6s\n    rekeyfuzz=0%");
        margin.unwrap();
    }
    pair.start();
    pair.up();
    let pinged = ask(&pair.carol, "ping -q -i 0.005 -c 2400 -w 60 10.1.0.2");
    pair.expect(&pinged, "2400 received, 0% packet loss");
    let log = pair.carol.read("charon.log");
    let rekeyed = log.matches("outbound CHILD_SA Tunnel1{").count();
    assert!(rekeyed >= 2, "{rekeyed} rekeyings: {log}");
    println!(
        "{rekeyed} rekeyings, {}",
        pinged.lines().rev().nth(1).unwrap_or_default()
    );
    let status = ask(&pair.carol, "ipsec statusall");
    pair.expect(&status, "Tunnel1[1]: ESTABLISHED");
}

/// A CHILD_SA rekeyed every second and the IKE_SA every five for a minute, while a thousand packets a second go both
/// ways.
#[test]
fn on_command_they_lose_no_packet() {
    let Some(pair) = tunnelled() else { return };
    let (ended, end) = channel();
    let pinged = std::thread::scope(|scope| {
        let pinging = scope.spawn(|| {
            let said = ask(&pair.carol, "ping -q -i 0.001 -c 60000 -w 180 10.1.0.2");
            ended.send(()).expect("somebody waits");
            said
        });
        let mut next = Instant::now();
        for second in 1.. {
            next += Duration::from_secs(1);
            match end.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => break,
            }
            let target = if second % 5 == 0 { "Tunnel1[]" } else { "Tunnel1{}" };
            // Both ends rekey, one after the other.
            let host = if second % 2 == 0 { &pair.moon } else { &pair.carol };
            ask(host, &format!("ipsec stroke rekey {target}"));
        }
        pinging.join().expect("pings")
    });
    pair.expect(
        &pinged,
        "60000 packets transmitted, 60000 received, 0% packet loss",
    );
    let log = pair.carol.read("charon.log");
    let children = log.matches("inbound CHILD_SA Tunnel1{").count();
    let ikes = log.matches("rekeyed between").count();
    println!(
        "{children} CHILD_SAs and {ikes} IKE_SAs rekeyed, {}",
        pinged.lines().rev().nth(1).unwrap_or_default()
    );
    assert!(
        children >= 30 && ikes >= 8,
        "{children} and {ikes} rekeyings: {log}"
    );
    for host in [&pair.carol, &pair.moon] {
        let status = ask(host, "ipsec status");
        pair.expect(&status, "(1 up, 0 connecting)");
    }
}

#[test]
fn an_ike_sa_is_rekeyed_with_the_lengths_of_the_seed() {
    let Some(pair) = tunnelled() else { return };
    let before = pair.carol.read("charon.log").len();
    ask(&pair.carol, "ipsec stroke rekey Tunnel1[]");
    pair.expect_logged(&pair.carol, before, "IKE_SA deleted");
    let log = pair.carol.read("charon.log");
    assert_eq!(sizes(&log[before..]), [661, 198, 1258, 1153, 65, 57], "{log}");
    pair.expect(
        &log,
        "IKE_SA Tunnel1[2] rekeyed between 192.168.0.3[carol.strongswan.org]...192.168.0.2[moon.strongswan.org]",
    );
    pair.ping();
    pair.expect(&ask(&pair.moon, "ipsec status"), "Tunnel1[2]: ESTABLISHED");
    pair.expect(
        &ask(&pair.carol, "ipsec down Tunnel1"),
        "IKE_SA [2] closed successfully",
    );
    pair.expect_nothing();
}

/// A limit of packets that is reached every few seconds.
#[test]
fn by_their_limit_of_packets_they_lose_no_packet() {
    let Some(pair) = hosts() else { return };
    for host in [&pair.moon, &pair.carol] {
        let limits = "lifetime=20m\n    lifepackets=3000\n    marginpackets=2000\n    rekeyfuzz=0%";
        host.edit("ipsec.conf", "lifetime=20m", limits).unwrap();
    }
    pair.start();
    pair.up();
    let pinged = ask(&pair.carol, "ping -q -i 0.002 -c 3500 -w 60 10.1.0.2");
    pair.expect(&pinged, "3500 received, 0% packet loss");
    let log = pair.carol.read("charon.log");
    let rekeyed = log.matches("outbound CHILD_SA Tunnel1{").count();
    assert!(rekeyed >= 3, "{rekeyed} rekeyings: {log}");
}

/// The IKE_SA and its CHILD_SA are made anew every few seconds, before the old ones go.
#[test]
fn reauthentication_that_makes_before_it_breaks_loses_no_packet() {
    let Some(pair) = hosts() else { return };
    for host in [&pair.moon, &pair.carol] {
        host.edit("ipsec.conf", "ikelifetime=60m", "ikelifetime=8s")
            .unwrap();
        let margin = host.edit("ipsec.conf", "rekeymargin=3m", "rekeymargin=2s\n    rekeyfuzz=0%");
        margin.unwrap();
        host.set("charon {\n    make_before_break = yes\n}").unwrap();
    }
    pair.start();
    pair.up();
    let pinged = ask(&pair.carol, "ping -q -i 0.005 -c 2800 -W 5 10.1.0.2");
    let log = pair.carol.read("charon.log");
    let established = log.matches("established between").count();
    assert!(established >= 3, "{established} IKE_SAs: {log}");
    pair.expect(&pinged, "2800 received, 0% packet loss");
    println!(
        "{established} IKE_SAs, {}",
        pinged.lines().rev().nth(1).unwrap_or_default()
    );
}
