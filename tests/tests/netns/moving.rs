//! carol gets another address while packets flow (RFC 4555).
#![allow(clippy::disallowed_methods, reason = "the time of a move is what is measured")]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use super::pair::{Pair, ask, tunnelled};

/// Time between two pings.
const INTERVAL: Duration = Duration::from_millis(10);

/// A stream of pings from carol through the tunnel, and which of them came back.
struct Stream {
    ping: Child,
    lines: Lines<BufReader<ChildStdout>>,
    came_back: Vec<u32>,
}

impl Stream {
    fn start(pair: &Pair, count: u32) -> Self {
        let mut command = pair.carol.command("ping");
        let count = count.to_string();
        command
            .args(["-n", "-i", "0.01", "-W", "2", "-c", &count, "10.1.0.2"])
            .stdout(Stdio::piped());
        let mut ping = pair.carol.namespace.spawn(&mut command).expect("ping");
        let output = ping.stdout.take().expect("its output");
        Self {
            ping,
            lines: BufReader::new(output).lines(),
            came_back: Vec::new(),
        }
    }

    /// Reads on until ping `number` or a later one has come back; `false` at the end.
    fn until(&mut self, number: u32) -> bool {
        for line in &mut self.lines {
            let line = line.expect("a line");
            let sequence = line
                .split("icmp_seq=")
                .nth(1)
                .and_then(|rest| rest.split(' ').next());
            if let Some(sequence) = sequence.and_then(|text| text.parse().ok()) {
                self.came_back.push(sequence);
                if sequence >= number {
                    return true;
                }
            }
        }
        false
    }

    /// How many of `count` pings were lost.
    fn lost(mut self, count: u32) -> usize {
        self.until(u32::MAX);
        self.ping.wait().expect("its end");
        let lost: Vec<u32> = (1..=count)
            .filter(|number| !self.came_back.contains(number))
            .collect();
        println!("lost {lost:?} of {count}");
        lost.len()
    }
}

/// Takes an address away from carol, and returns how long it took until both hosts had moved.
fn take_away(pair: &Pair, address: &str) -> Duration {
    let marks = [&pair.moon, &pair.carol].map(|host| (host, host.read("charon.log").len()));
    let start = Instant::now();
    pair.carol
        .namespace
        .ip(&format!("addr del {address} dev eth0"))
        .expect("removed");
    for (host, mark) in marks {
        host.wait_for_log(mark, "moving IKE_SA").unwrap_or_else(|error| {
            pair.expect(&error, "a move");
        });
    }
    start.elapsed()
}

#[test]
fn a_move_loses_the_packets_in_flight_at_most() {
    let Some(pair) = tunnelled() else { return };
    let spis = spis(&pair);
    let count = 1000;
    let mut stream = Stream::start(&pair, count);
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
    let lost = stream.lost(count);
    // One of each move is on its way when the address goes, another when the peer learns of it.
    let in_flight = (took + took_back).as_millis() / INTERVAL.as_millis() + 4;
    println!("moved in {took:?} and back in {took_back:?}");
    assert!(
        lost as u128 <= in_flight,
        "{lost} pings were lost, {in_flight} may have been in flight in {took:?} and {took_back:?}"
    );
    pair.expect(
        &pair.carol.read("charon.log"),
        "requesting address change using MOBIKE",
    );
    let after = self::spis(&pair);
    assert_eq!(after, spis, "the CHILD_SA is the same");
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

/// The SPIs of carol's CHILD_SA.
fn spis(pair: &Pair) -> String {
    let status = ask(&pair.carol, "ipsec statusall");
    let line = status.lines().find(|line| line.contains("SPIs: "));
    line.and_then(|line| line.split("SPIs: ").nth(1))
        .expect("SPIs")
        .to_owned()
}
