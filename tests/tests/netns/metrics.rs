//! The daemon by its metrics.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use daemon::plugins::DEFAULT_LOAD;
use xtask::host::Host;

use super::openmetrics::{Family, parse};
use super::pair::{Pair, ask, hosts, start};

fn with_metrics() -> Option<Pair> {
    let pair = hosts()?;
    let load = format!("charon {{\n load = {DEFAULT_LOAD} metrics!\n}}");
    pair.moon.set(&load).unwrap();
    pair.start();
    Some(pair)
}

/// What a scraper on the host gets.
fn scrape(host: &Host) -> BTreeMap<String, Family> {
    let get = || {
        let mut stream = TcpStream::connect("127.0.0.1:9814").expect("the endpoint");
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).expect("a timeout");
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let answer = host.namespace.run(get).expect("the namespace");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    parse(body).unwrap_or_else(|why| panic!("{why}\n{body}"))
}

/// The sum of all samples of a family that have these values of labels.
fn sum(families: &BTreeMap<String, Family>, name: &str, labels: &[&str]) -> f64 {
    let samples = families[name].samples.iter().filter(|it| {
        let values: Vec<&str> = it.labels.values().map(String::as_str).collect();
        labels.iter().all(|label| values.contains(label))
    });
    samples.map(|it| it.value).sum()
}

#[test]
fn a_tunnel_shows_in_the_metrics() {
    let Some(pair) = with_metrics() else { return };
    let idle = scrape(&pair.moon);
    assert_eq!(sum(&idle, "pqswan_ike_sas", &[]), 0.0);
    assert_eq!(sum(&idle, "pqswan_messages", &[]), 0.0);
    assert_eq!(sum(&idle, "pqswan_plugin_panics", &[]), 0.0);
    pair.up();
    pair.ping();
    let up = scrape(&pair.moon);
    for (name, labels, expected) in [
        ("pqswan_ike_sas", &["ESTABLISHED"][..], 1.0),
        ("pqswan_child_sas", &["INSTALLED"], 1.0),
        ("pqswan_half_open_ike_sas", &[], 0.0),
        ("pqswan_handshakes", &["responder", "established"], 1.0),
        ("pqswan_handshakes", &["failed"], 0.0),
        ("pqswan_key_exchanges", &["CURVE_25519", "established"], 1.0),
        ("pqswan_key_exchanges", &["KYBER_L3", "established"], 1.0),
        ("pqswan_messages", &["IKE_INTERMEDIATE", "in", "request"], 1.0),
        ("pqswan_messages", &["IKE_INTERMEDIATE", "out", "response"], 1.0),
        ("pqswan_messages", &["IKE_AUTH", "in", "request"], 1.0),
        ("pqswan_child_sa_packets", &["Tunnel1", "in"], 1.0),
        ("pqswan_child_sa_packets", &["Tunnel1", "out"], 1.0),
        ("pqswan_child_sa_traffic_bytes", &["Tunnel1", "in"], 84.0),
        ("pqswan_unlisted_child_sas", &[], 0.0),
    ] {
        assert_eq!(sum(&up, name, labels), expected, "{name} {labels:?}");
    }
    let whole =
        |it: &&super::openmetrics::Sample| it.labels.get("phase").is_some_and(|phase| phase == "whole");
    let of_whole = up["pqswan_phase_duration_seconds"].samples.iter().find(whole);
    assert!(of_whole.is_some_and(|it| it.value > 0.0), "the sum");
    ask(&pair.carol, "ipsec down Tunnel1");
    let down = scrape(&pair.moon);
    assert_eq!(sum(&down, "pqswan_ike_sas", &[]), 0.0);
    assert_eq!(sum(&down, "pqswan_child_sas", &[]), 0.0);
    assert!(down["pqswan_child_sa_packets"].samples.is_empty());
    assert_eq!(
        sum(&down, "pqswan_messages", &["INFORMATIONAL", "in", "request"]),
        1.0
    );
}

#[test]
fn metrics_are_off_unless_they_are_loaded() {
    let Some(pair) = hosts() else { return };
    start(&pair.moon);
    let refused = || TcpStream::connect("127.0.0.1:9814").is_err();
    assert!(pair.moon.namespace.run(refused).expect("the namespace"));
}
