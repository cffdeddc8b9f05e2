//! Successors of CHILD_SAs: sizes, log lines, collisions, and what remains.

use std::time::Duration;

use ike::{ChildState, Event};
use pqswan_tests::netem::Conditions;
use pqswan_tests::world::World;

use super::handshake::{MINUTE, TUNNEL1, TUNNEL2, TUNNEL3, calm, seed_settings};

pub(super) const SINGLE: &str = "aes256gcm16-sha512-x25519!";
const SECOND: Duration = Duration::from_secs(1);

/// How many worlds to try; more than by default for a long search.
pub(super) fn worlds() -> u64 {
    let set = std::env::var("WORLDS")
        .ok()
        .and_then(|worlds| worlds.parse().ok());
    set.unwrap_or(200)
}

pub(super) fn established(proposal: &str, conditions: Conditions, seed: u64) -> World {
    let mut world = World::moon_and_carol(proposal, &seed_settings(), conditions, seed);
    world.initiate(1);
    assert!(
        world.run_until(4 * MINUTE, World::is_established),
        "seed {seed}: {:#?}",
        world.hosts[1].log
    );
    for host in &mut world.hosts {
        host.sent.clear();
        host.log.clear();
        host.events.clear();
    }
    world
}

fn live(world: &World, host: usize) -> u32 {
    world.live_child(host).expect("a CHILD_SA").unique_id
}

/// Both ends have one CHILD_SA, the same, and the kernels what they believe.
pub(super) fn assert_one_pair(world: &mut World, why: &str) {
    // Longer than the end that deletes an IKE_SA repeats what the other cannot answer any more.
    world.run_for(5 * MINUTE);
    for host in [0, 1] {
        let sas = world.sas(host);
        let all: Vec<_> = sas.iter().map(|sa| (sa.unique_id, sa.state)).collect();
        let said = || world.hosts[host].log.join("\n");
        assert_eq!(sas.len(), 1, "{why}: host {host}: {all:?}\n{}", said());
        let sa = &sas[0];
        assert_eq!(sa.state, ike::IkeSaState::Established, "{why}: host {host}");
        let children = &sa.children;
        let seen: Vec<_> = children
            .iter()
            .map(|child| format!("{} {:08x} {:08x}", child.state, child.spi_in, child.spi_out))
            .collect();
        assert_eq!(seen.len(), 1, "{why}: host {host}: {seen:?}\n{}", said());
        assert_eq!(children[0].state, ChildState::Installed, "{why}: host {host}");
        assert!(children[0].sends, "{why}: host {host} sends");
    }
    println!("{why}");
    world.assert_consistent();
    for host in [0, 1] {
        assert!(
            world.hosts[host].kernel.reserved.is_empty(),
            "{why}: host {host} reserves SPIs"
        );
    }
}

fn rekeyed(proposal: &str, host: usize) -> World {
    let mut world = established(proposal, calm(), 1);
    let old = [live(&world, 0), live(&world, 1)];
    let child = live(&world, host);
    let command = world.rekey_child(host, child);
    assert!(world.run_until(MINUTE, |world| {
        world.hosts[host].done.contains(&(command, Ok(())))
    }));
    assert_one_pair(&mut world, proposal);
    assert_ne!([live(&world, 0), live(&world, 1)], old);
    let ups = |event: &Event| matches!(event, Event::ChildUp(..) | Event::ChildDown(..));
    assert!(
        world.hosts.iter().all(|host| !host.events.iter().any(ups)),
        "nothing went down or up"
    );
    world
}

#[test]
fn tunnel1_is_rekeyed_with_the_sizes_and_lines_of_the_seed() {
    let world = rekeyed(TUNNEL1, 1);
    assert_eq!(world.hosts[1].sent, [389, 1258, 69]);
    assert_eq!(world.hosts[0].sent, [242, 1153, 69]);
    let expected = [
        "establishing CHILD_SA Tunnel1{2} reqid 1",
        "generating CREATE_CHILD_SA request 3 [ N(REKEY_SA) SA No KE TSi TSr ]",
        "parsed CREATE_CHILD_SA response 3 [ SA No KE TSi TSr N(ADD_KE) ]",
        "selected proposal: ESP:AES_GCM_16_256/CURVE_25519/NO_EXT_SEQ/KE1_KYBER_L3",
        "generating IKE_FOLLOWUP_KE request 4 [ KE N(ADD_KE) ]",
        "parsed IKE_FOLLOWUP_KE response 4 [ KE ]",
        "inbound CHILD_SA Tunnel1{2} established with SPIs ",
        "outbound CHILD_SA Tunnel1{2} established with SPIs ",
        "closing CHILD_SA Tunnel1{1} with SPIs ",
        "sending DELETE for ESP CHILD_SA with SPI ",
        "generating INFORMATIONAL request 5 [ D ]",
        "parsed INFORMATIONAL response 5 [ D ]",
        "received DELETE for ESP CHILD_SA with SPI ",
        "CHILD_SA closed",
    ];
    let mut log = world.hosts[1].log.iter();
    for line in expected {
        assert!(
            log.any(|logged| logged.contains(line)),
            "{line}: {:#?}",
            world.hosts[1].log
        );
    }
}

#[test]
fn every_tunnel_of_the_seed_is_rekeyed_from_both_ends() {
    for proposal in [TUNNEL1, TUNNEL2, TUNNEL3, SINGLE] {
        for host in [0, 1] {
            rekeyed(proposal, host);
        }
    }
}

#[test]
fn tunnel3s_frodo_travels_in_fragments_here_too() {
    let world = rekeyed(TUNNEL3, 1);
    assert!(
        world.hosts[1].sent.starts_with(&[605]),
        "{:?}",
        world.hosts[1].sent
    );
    assert!(world.logged(1, "splitting IKE message (15706 bytes) into 12 fragments"));
    assert_eq!(world.hosts[0].sent[0], 602);
}

#[test]
fn late_packets_of_the_old_one_are_taken_for_five_seconds() {
    let mut world = established(TUNNEL1, calm(), 1);
    let spi = world.live_child(1).expect("a CHILD_SA").spi_in;
    let child = live(&world, 1);
    world.rekey_child(1, child);
    world.run_for(SECOND);
    let old = world.sas(1)[0]
        .children
        .iter()
        .find(|child| child.spi_in == spi)
        .cloned();
    assert_eq!(old.expect("it lingers").state, ChildState::Deleted);
    assert!(world.hosts[1].kernel.sas.contains_key(&spi));
    world.assert_consistent();
    world.run_for(5 * SECOND);
    assert!(!world.hosts[1].kernel.sas.contains_key(&spi));
    assert_eq!(world.sas(1)[0].children.len(), 1);
}

/// At every moment from the request on a packet that an end sends finds an SA of its peer.
#[test]
fn no_packet_is_sent_that_the_peer_cannot_take() {
    let conditions = Conditions {
        delay: Duration::from_millis(40),
        ..calm()
    };
    for (proposal, host) in [(SINGLE, 0), (SINGLE, 1), (TUNNEL1, 0), (TUNNEL1, 1)] {
        let mut world = established(proposal, conditions, 1);
        let child = live(&world, host);
        world.rekey_child(host, child);
        for _ in 0..10_000 {
            world.run_for(Duration::from_millis(1));
            for (sender, receiver) in [(0, 1), (1, 0)] {
                // The newest policy decides by which SA a packet goes.
                let policies = &world.hosts[sender].kernel.policies;
                let outbound = policies
                    .iter()
                    .rfind(|policy| policy.direction == plugin_api::kernel::Direction::Out)
                    .expect("a policy");
                let sas = &world.hosts[sender].kernel.sas;
                assert!(sas.contains_key(&outbound.spi), "{proposal}: the sender's SA");
                let inbound = world.hosts[receiver].kernel.sas.get(&outbound.spi);
                assert!(
                    inbound.is_some_and(|(inbound, _)| *inbound),
                    "{proposal}: the receiver's SA"
                );
            }
        }
        assert_one_pair(&mut world, proposal);
    }
}

#[test]
fn when_both_ends_rekey_at_once_one_pair_remains() {
    for proposal in [SINGLE, TUNNEL1, TUNNEL2] {
        for seed in 0..50 {
            let mut world = established(proposal, calm(), seed);
            for host in [0, 1] {
                let child = live(&world, host);
                world.rekey_child(host, child);
                // From at once to after each other.
                world.run_for(Duration::from_millis(seed % 25));
            }
            assert_one_pair(&mut world, &format!("{proposal}, seed {seed}"));
        }
    }
}

#[test]
fn a_failed_attempt_is_repeated_and_the_old_one_goes_on_meanwhile() {
    let mut world = established(TUNNEL1, calm(), 1);
    world.hosts[0].kernel.fail_add = Some(0);
    let child = live(&world, 1);
    let command = world.rekey_child(1, child);
    world.run_for(SECOND);
    assert!(
        world.hosts[1]
            .done
            .iter()
            .any(|(id, result)| *id == command && result.is_err())
    );
    assert!(world.logged(1, "CHILD_SA rekeying failed, trying again in "));
    assert_eq!(live(&world, 1), child);
    world.hosts[0].kernel.fail_add = None;
    assert_one_pair(&mut world, "after the failure");
    assert_ne!(live(&world, 1), child);
}

#[test]
fn a_delete_in_the_middle_of_a_rekeying_is_obeyed() {
    for delay in 0..40 {
        let mut world = established(TUNNEL1, calm(), 1);
        let child = live(&world, 1);
        world.rekey_child(1, child);
        world.run_for(Duration::from_millis(delay));
        world.terminate(0);
        world.run_for(5 * MINUTE);
        world.assert_no_trace();
    }
}

/// Rekeyings from both ends at random times over a bad network: 20 in each world.
#[test]
fn thousands_of_rekeyings_survive_loss_reordering_and_collisions() {
    let one: Option<u64> = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in (0..worlds()).filter(|seed| one.is_none_or(|one| one == *seed)) {
        let conditions = Conditions {
            delay: Duration::from_millis(1 + seed % 50),
            jitter: Duration::from_millis(seed % 150),
            loss: 5,
            duplication: (seed % 6) as u32,
            mtu: 0,
        };
        let proposal = [SINGLE, TUNNEL1, TUNNEL2][seed as usize % 3];
        let mut world = established(proposal, calm(), seed);
        world.net.conditions = conditions;
        world.job_delay = Duration::from_millis(seed % 30);
        for round in 0..20_u64 {
            for host in [0, 1] {
                let both = (seed + round) % 3 == 0;
                if (both || (round % 2) as usize == host)
                    && let Some(child) = world.live_child(host)
                {
                    world.rekey_child(host, child.unique_id);
                }
            }
            world.run_for(Duration::from_millis(200 * (1 + (seed * 7 + round * 13) % 20)));
        }
        // A peer may have been given up.
        if !world
            .hosts
            .iter()
            .any(|host| host.log.iter().any(|line| line.contains("giving up")))
        {
            assert_one_pair(&mut world, &format!("seed {seed}"));
        }
        world.terminate(0);
        world.run_for(5 * MINUTE);
        if world.sas(0).is_empty() && world.sas(1).is_empty() {
            world.assert_no_trace();
        }
    }
}
