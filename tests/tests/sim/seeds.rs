//! Thousands of handshakes over bad networks.

use std::time::Duration;

use ike::Settings;
use pqswan_tests::netem::Conditions;
use pqswan_tests::world::World;

use super::handshake::{MINUTE, TUNNEL1, TUNNEL2, TUNNEL3, seed_settings};

/// Seeds per test; together at least 10,000. `SEED=n` runs that one alone.
fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let one: Option<u64> = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    (0..count).filter(move |seed| one.is_none_or(|one| one == *seed))
}

fn conditions(seed: u64) -> Conditions {
    Conditions {
        delay: Duration::from_millis(1 + seed % 80),
        jitter: Duration::from_millis(seed % 200),
        loss: (seed % 21) as u32,
        duplication: (seed % 11) as u32,
        mtu: 0,
    }
}

/// Establishes, tears down, and finds both hosts as they were before.
fn life(proposal: &str, settings: &Settings, seed: u64) {
    let mut world = World::moon_and_carol(proposal, settings, conditions(seed), seed);
    world.job_delay = Duration::from_millis(seed % 50);
    let command = world.initiate(1);
    world.run_until(4 * MINUTE, |world| {
        world.hosts[1].done.iter().any(|(id, _)| *id == command)
    });
    let up = world.hosts[1]
        .done
        .iter()
        .any(|(id, result)| *id == command && result.is_ok());
    if up {
        assert!(
            world.is_established(),
            "seed {seed}: carol is up, moon is not: {:#?}",
            world.hosts[0].log
        );
        world.assert_consistent();
        world.terminate((seed % 2) as usize);
    }
    // Whatever was lost, half-open IKE_SAs time out and deletes are given up.
    world.run_for(5 * MINUTE);
    let forgotten = world.sas(0).is_empty() && world.sas(1).is_empty();
    if forgotten {
        world.assert_no_trace();
    } else {
        // The peer may have missed our giving up; it then holds an IKE_SA until its lifetime ends.
        assert!(
            !up || world.logged(0, "giving up") || world.logged(1, "giving up"),
            "seed {seed}"
        );
    }
}

#[test]
fn ten_thousand_handshakes_survive_loss_reordering_and_duplication() {
    for seed in seeds(10_000) {
        let seen = std::panic::catch_unwind(|| life(TUNNEL1, &seed_settings(), seed));
        assert!(seen.is_ok(), "failed with seed {seed}; SEED={seed} runs it alone");
    }
}

#[test]
fn fragments_and_several_key_exchanges_survive_it_too() {
    for seed in seeds(1_000) {
        let proposal = if seed % 2 == 0 { TUNNEL2 } else { TUNNEL3 };
        let seen = std::panic::catch_unwind(|| life(proposal, &seed_settings(), seed));
        assert!(seen.is_ok(), "failed with seed {seed}; SEED={seed} runs it alone");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), conditions(17), 17);
        world.initiate(1);
        world.run_for(5 * MINUTE);
        (world.hosts[0].log.clone(), world.hosts[1].log.clone())
    };
    assert_eq!(run(), run());
}
