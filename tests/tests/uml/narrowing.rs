//! A trap that is wider than what the peer grants: each packet outside of what was granted asks again.

use super::host::{Machine, Who};
use super::net::command;
use super::pair::{ESP, EVERYONE, Pair, SETTINGS, all_esp, pair_with};
use super::setup::{CAROL, End, MOON, conf};
use super::tables::{policies, states};

/// What carol's trap is for: 10.8.0.0 to 10.15.255.255.
const WIDE: &str = "10.8.0.0/13";

/// Two networks of moon within it, which are granted one by one.
const GRANTED: [&str; 2] = ["10.9.0.0/16", "10.10.0.0/16"];

/// Addresses of moon in them, and one in what is not granted.
const INSIDE: [&str; 2] = ["10.9.0.2", "10.10.0.2"];
const OUTSIDE: &str = "10.12.0.2";

/// carol with the trap, and moon who grants less.
fn trapped(who: [Who; 2]) -> Option<Pair> {
    let pair = pair_with(who, SETTINGS)?;
    for address in INSIDE.into_iter().chain([OUTSIDE]) {
        let line = format!("addr add {address}/16 dev eth1");
        pair.moon.namespace().ip(&line).unwrap();
    }
    let network = |network| End { network, ..MOON };
    let second = format!(
        "}}\n   second {{\n    local_ts = {}\n    remote_ts = {}\n    esp_proposals = {ESP}",
        GRANTED[1], CAROL.network
    );
    pair.moon
        .load(&conf(network(GRANTED[0]), CAROL, ESP, "", &second));
    pair.carol
        .load(&conf(CAROL, network(WIDE), ESP, "", "start_action = trap"));
    Some(pair)
}

fn acquires(host: &Machine) -> usize {
    host.log().matches("creating acquire job for policy").count()
}

/// Pings until one comes back.
fn ping_until_up(pair: &Pair, to: &str) {
    command(
        pair.carol.namespace(),
        "ping",
        &format!("-c 1 -W 10 -w 20 -I 10.3.0.1 {to}"),
    );
}

#[test]
fn what_a_narrowed_trap_leaves_out_asks_for_more() {
    for who in EVERYONE {
        let Some(pair) = trapped(who) else { return };
        ping_until_up(&pair, INSIDE[0]);
        assert_eq!(pair.carol.agree().len(), 1);
        assert_eq!(acquires(&pair.carol), 1, "{}", pair.carol.log());
        // Inside of what was granted the kernel asks for nothing.
        all_esp(&pair.ping("10.3.0.1", INSIDE[0]), 4);
        assert_eq!(acquires(&pair.carol), 1, "{}", pair.carol.log());
        // Outside of it is what the other configuration grants.
        ping_until_up(&pair, INSIDE[1]);
        let [moon, carol] = pair.both().map(Machine::agree);
        assert_eq!((moon.len(), carol.len()), (2, 2), "{}", pair.carol.tables());
        assert_ne!(carol[0][0].reqid, carol[1][0].reqid, "{}", pair.carol.tables());
        for inside in INSIDE {
            all_esp(&pair.ping("10.3.0.1", inside), 4);
        }
        assert_eq!(acquires(&pair.carol), 2, "{}", pair.carol.log());
        // The trap stays below both.
        pair.carol.swanctl("--terminate --ike net");
        pair.carol
            .ask_until("end of both", || states(pair.carol.namespace()).is_empty());
        let left = policies(pair.carol.namespace());
        assert_eq!(left.len(), 3, "{}", pair.carol.tables());
        ping_until_up(&pair, INSIDE[1]);
        all_esp(&pair.ping("10.3.0.1", INSIDE[1]), 4);
    }
}

#[test]
fn what_is_never_granted_does_not_pass_and_harms_nothing() {
    for who in EVERYONE {
        let Some(pair) = trapped(who) else { return };
        ping_until_up(&pair, INSIDE[0]);
        let mut ping = std::process::Command::new("ping");
        ping.args(["-c", "3", "-i", "0.3", "-W", "1", "-I", "10.3.0.1", OUTSIDE]);
        let heard = pair.heard(|| {
            let output = pair.carol.namespace().output(&mut ping).unwrap();
            assert!(
                !output.status.success(),
                "a packet passed outside of what was granted"
            );
        });
        assert!(
            heard.iter().all(|packet| packet.contains("isakmp")),
            "in the clear: {heard:#?}"
        );
        pair.carol
            .until("another acquire", || (acquires(&pair.carol) >= 2).then_some(()));
        // What the peer makes of the second is its own affair, but the first goes on.
        all_esp(&pair.ping("10.3.0.1", INSIDE[0]), 4);
        println!("{}", pair.carol.swanctl("--list-sas"));
    }
}
