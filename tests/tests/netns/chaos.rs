//! Daemons that are killed at any moment, and started again.
#![allow(
    clippy::disallowed_methods,
    reason = "how long it takes to be back is what is measured"
)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use xtask::host::Host;

use super::pair::{Pair, ask, hosts, start};

const ROUNDS: u32 = 50;

/// A second until the peer is asked, four tries, and as much again for the start of a daemon on a machine with other
/// things to do.
const BACK: Duration = Duration::from_secs(20);

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

/// Numbers of IKE_SAs that are up or connecting, and of CHILD_SAs.
fn count(host: &Host) -> (String, usize) {
    let status = ask(host, "ipsec status");
    let children = status
        .lines()
        .filter(|line| line.contains(" INSTALLED, "))
        .count();
    let line = status
        .lines()
        .find(|line| line.starts_with("Security Associations"))
        .unwrap_or_default();
    (line.to_owned(), children)
}

/// Waits until both have one pair and it carries a ping; carol is asked for one if she has nothing.
fn is_back(pair: &Pair, what: &str) -> Duration {
    let begin = Instant::now();
    loop {
        let (moon, carol) = (count(&pair.moon), count(&pair.carol));
        let one = ("Security Associations (1 up, 0 connecting):".to_owned(), 1);
        if moon == one && carol == one {
            let pinged = pair.carol.run("ping -c 1 -W 1 10.1.0.2").expect("ping");
            if pinged.code == Some(0) {
                return begin.elapsed();
            }
        }
        if carol.0.contains("(0 up, 0 connecting)") {
            // It may be in vain while moon's daemon starts.
            let _ = pair.carol.run("ipsec up Tunnel1").expect("ipsec");
        }
        if begin.elapsed() > BACK {
            pair.expect(
                &format!("{what}: moon {moon:?}, carol {carol:?}"),
                "one pair on both ends",
            );
        }
    }
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
        longest = longest.max(is_back(&pair, &what));
    }
    println!("{ROUNDS} times back within {longest:?}");
}
