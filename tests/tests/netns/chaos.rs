//! Daemons that are killed at any moment, and started again.
#![allow(clippy::disallowed_methods, reason = "the moment of the kill is a time")]

use std::process::Stdio;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::pair::{Pair, hosts, start};

const ROUNDS: u32 = 50;

/// What is under way when the kill comes: the host that starts it, and how.
const ACTIONS: [(usize, &str); 6] = [
    (1, "ipsec up Tunnel1"),
    (1, "ipsec down Tunnel1"),
    (0, "stroke rekey Tunnel1{}"),
    (1, "stroke rekey Tunnel1{}"),
    (0, "stroke rekey Tunnel1[]"),
    (1, "stroke rekey Tunnel1[]"),
];

/// Both hosts, which look after each other every second; carol makes good what she finds lost.
fn attentive() -> Option<Pair> {
    let pair = hosts()?;
    for (host, action) in [(&pair.moon, "clear"), (&pair.carol, "restart")] {
        let liveness = format!("keyingtries=10\n    dpddelay=1s\n    dpdaction={action}");
        host.edit("ipsec.conf", "keyingtries=1", &liveness)
            .expect("edited");
        host.set("charon {\n retransmit_timeout = 0.3\n retransmit_base = 1\n retransmit_tries = 3\n}")
            .expect("written");
    }
    pair.start();
    pair.up();
    Some(pair)
}

#[test]
fn a_daemon_killed_at_any_moment_leaves_nothing_and_comes_back() {
    let Some(pair) = attentive() else { return };
    let seed = std::env::var("PQSWAN_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| getrandom::u64().expect("a seed"));
    println!("PQSWAN_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let hosts = [&pair.moon, &pair.carol];
    let mut longest = Duration::ZERO;
    for round in 0..ROUNDS {
        let below = |random: &mut ChaCha8Rng, bound: u64| random.next_u64() % bound;
        let (actor, action) = ACTIONS[below(&mut random, 6) as usize];
        let victim = hosts[below(&mut random, 2) as usize];
        let moment = Duration::from_micros(below(&mut random, 40_000));
        let what = format!(
            "PQSWAN_SEED={seed}, round {round}: {action} on {}, {} killed after {moment:?}",
            hosts[actor].name, victim.name
        );
        if action.starts_with("ipsec up") {
            let _ = pair.carol.run("ipsec down Tunnel1").expect("ipsec");
        }
        let mut words = action.split(' ');
        let mut command = hosts[actor].command(words.next().unwrap_or_default());
        command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
        let mut acting = hosts[actor].namespace.spawn(&mut command).expect("a command");
        std::thread::sleep(moment);
        victim.kill("starter.charon").expect("a starter");
        victim.kill("charon").expect("a daemon");
        acting.wait().expect("its end");
        let left = victim.namespace.ip("route show table 220").unwrap_or_default();
        assert_eq!(left, "", "{what}: routes without their tunnel");
        start(victim);
        longest = longest.max(pair.one_pair_is_back(&what, || {
            // It may be in vain while moon's daemon starts.
            let _ = pair.carol.run("ipsec up Tunnel1").expect("ipsec");
        }));
    }
    println!("{ROUNDS} times back within {longest:?}");
}
