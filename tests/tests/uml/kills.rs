//! Daemons that are killed, and started again.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::host::Who;
use super::net::command;
use super::pair::{ESP, all_esp, pair};
use super::setup::{CAROL, MOON, conf};

#[test]
fn a_killed_daemon_leaves_nothing_to_the_next() {
    let Some(pair) = pair([Who::Us; 2]) else { return };
    pair.load(ESP, "", "");
    pair.carol.swanctl("--initiate --child net");
    pair.expect_one();
    pair.carol.restart();
    pair.carol.expect_nothing();
    pair.carol.load(&conf(CAROL, MOON, ESP, "", ""));
    pair.carol.swanctl("--initiate --child net");
    // INITIAL_CONTACT ends what moon still had.
    pair.expect_one();
    all_esp(&pair.ping("10.3.0.1", "10.1.0.2"), 4);
}

const KILLS: u64 = 50;

/// What somebody may be at when the daemon dies.
const AT: [&str; 4] = [
    "--initiate --child net",
    "--rekey --child net",
    "--rekey --ike net",
    "--terminate --ike net",
];

#[test]
fn a_daemon_killed_at_any_moment_leaves_one_tunnel_or_none() {
    let Some(pair) = pair([Who::Us; 2]) else { return };
    pair.load(ESP, "", "");
    let seed = std::env::var("PQSWAN_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| getrandom::u64().unwrap());
    println!("PQSWAN_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let carol = pair.carol.namespace();
    for kill in 0..KILLS {
        let at = AT[random.next_u32() as usize % AT.len()];
        if at != AT[0] {
            pair.carol.swanctl(AT[0]);
        }
        let wait = Duration::from_millis(u64::from(random.next_u32() % 300));
        println!("kill {kill}: {wait:?} into {at}");
        std::thread::scope(|scope| {
            // The command fails, with the daemon, or has succeeded before.
            scope.spawn(|| pair.carol.try_swanctl(at));
            // Not for something to happen: this is the moment.
            std::thread::sleep(wait);
            pair.carol.restart();
        });
        pair.carol.expect_nothing();
        // There is no such table after the last of its routes.
        let routes = carol.ip("route show table 220").unwrap_or_default();
        assert_eq!(routes, "", "{}", pair.carol.log());
        pair.carol.load(&conf(CAROL, MOON, ESP, "", ""));
        pair.carol.swanctl(AT[0]);
        pair.expect_one();
        command(carol, "ping", "-c 1 -W 5 -I 10.3.0.1 10.1.0.2");
        for host in pair.both() {
            let packets = host.agree()[0].each_ref().map(|state| state.packets);
            assert_eq!(packets, [1, 1], "{}", host.tables());
        }
        pair.carol.swanctl("--terminate --ike net");
    }
}
