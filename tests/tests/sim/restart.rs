//! Tunnels that come up by themselves: after a dead peer, a peer that deletes, and a peer that comes late.

use std::sync::Arc;
use std::time::Duration;

use config::connection::{Action, ChildConfig, Host, PeerConfig};
use ike::{CommandId, IkeSaState, Settings};
use plugin_api::kernel::KernelEvent;
use pqswan_tests::kernel::Fate;
use pqswan_tests::world::{CAROL, World, carol, moon};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

const DPD: Duration = Duration::from_secs(30);

/// A connection with these actions.
fn with(peer: PeerConfig, dpd: Action, close: Action) -> PeerConfig {
    let mut child = ChildConfig::clone(&peer.children[0]);
    (child.dpd_action, child.close_action) = (dpd, close);
    PeerConfig {
        children: vec![Arc::new(child)],
        dpd_delay: if dpd == Action::None { Duration::ZERO } else { DPD },
        ..peer
    }
}

/// An established tunnel, which carol has initiated; carol's connection is this one.
fn established(carols: PeerConfig, moons: PeerConfig) -> World {
    established_with(&seed_settings(), carols, moons)
}

fn established_with(settings: &Settings, carols: PeerConfig, moons: PeerConfig) -> World {
    let mut world = World::moon_and_carol(TUNNEL1, settings, calm(), 5);
    world.hosts[0].endpoint.add_connection(moons);
    world.hosts[1].endpoint.add_connection(carols);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    world
}

fn reboot_moon(world: &mut World) {
    world.reboot(0, &seed_settings(), vec![moon(TUNNEL1)], 77);
}

#[test]
fn a_dead_peer_with_a_trap_is_back_with_the_next_packet() {
    let mut world = established(with(carol(TUNNEL1), Action::Trap, Action::None), moon(TUNNEL1));
    reboot_moon(&mut world);
    assert!(world.run_until(5 * MINUTE, |world| world.sas(1).is_empty()));
    world.run_for(MINUTE);
    assert!(world.sas(1).is_empty(), "nothing happens without traffic");
    let trap = world.hosts[1].endpoint.policies().next().expect("a trap");
    assert_eq!(trap.child.name, "Tunnel1");
    assert!(matches!(world.send(1, "10.3.0.1", "10.1.0.1"), Fate::Acquired(_)));
    assert!(world.run_until(MINUTE, World::is_established));
    world.assert_consistent();
}

#[test]
fn a_dead_peer_is_cleared_where_nothing_else_is_wanted() {
    let clear = PeerConfig {
        dpd_delay: DPD,
        ..carol(TUNNEL1)
    };
    let mut world = established(clear, moon(TUNNEL1));
    world.tamper = Some(Box::new(|_| false));
    assert!(world.run_until(5 * MINUTE, |world| world.sas(1).is_empty()));
    world.run_for(5 * MINUTE);
    assert!(world.sas(1).is_empty() && world.hosts[1].kernel.is_empty());
}

#[test]
fn a_peer_that_is_away_for_an_hour_is_restarted_if_tries_do_not_end() {
    let forever = PeerConfig {
        keying_tries: None,
        ..with(carol(TUNNEL1), Action::Start, Action::None)
    };
    let mut world = established(forever, moon(TUNNEL1));
    world.tamper = Some(Box::new(|_| false));
    world.run_for(60 * MINUTE);
    assert!(world.logged(1, "restarting CHILD_SA Tunnel1"));
    assert!(world.logged(1, "peer not responding, trying again (2/0)"));
    world.tamper = None;
    reboot_moon(&mut world);
    assert!(world.run_until(2 * MINUTE, World::is_established));
    world.assert_consistent();
}

#[test]
fn a_tunnel_wanted_before_the_peer_is_there_comes_up_with_it() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 5);
    let patient = PeerConfig {
        keying_tries: Some(3),
        ..carol(TUNNEL1)
    };
    world.hosts[1].endpoint.add_connection(patient);
    world.tamper = Some(Box::new(|_| false));
    let command = world.initiate(1);
    world.run_for(6 * MINUTE);
    for line in [
        "peer not responding, trying again (2/3)",
        "peer not responding, trying again (3/3)",
    ] {
        assert!(world.logged(1, line), "{line}");
    }
    world.tamper = None;
    assert!(world.run_until(MINUTE, World::is_established));
    assert!(world.hosts[1].done.contains(&(command, Ok(()))));
}

#[test]
fn both_ends_restart_a_tunnel_and_one_pair_is_left() {
    for seed in 0..30 {
        let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), seed);
        let moons = || with(moon(TUNNEL1), Action::Start, Action::None);
        let carols = || with(carol(TUNNEL1), Action::Start, Action::None);
        world.hosts[0].endpoint.add_connection(moons());
        world.hosts[1].endpoint.add_connection(carols());
        world.initiate(1);
        assert!(world.run_until(MINUTE, World::is_established));
        // Both notice at about the same time that the network is gone, and both try again when it is back.
        world.tamper = Some(Box::new(|_| false));
        world.run_for(Duration::from_secs(170 + seed));
        world.tamper = None;
        assert!(
            world.run_until(10 * MINUTE, World::is_established),
            "seed {seed}: {:#?}",
            world.hosts[1].log
        );
        world.run_for(MINUTE);
        assert!(world.is_established(), "seed {seed}");
        world.assert_consistent();
    }
}

#[test]
fn a_peer_that_was_killed_and_is_back_at_once_leaves_one_pair() {
    let both = || {
        (
            with(carol(TUNNEL1), Action::Start, Action::None),
            with(moon(TUNNEL1), Action::Start, Action::None),
        )
    };
    for seed in 0..30 {
        let (carols, moons) = both();
        let mut world = established(carols, moons);
        let (_, moons) = both();
        world.reboot(0, &seed_settings(), vec![moons], 100 + seed);
        // auto=start, some time after the other end has noticed or before.
        world.run_for(Duration::from_secs(7 * seed));
        world.initiate(0);
        assert!(world.run_until(10 * MINUTE, World::is_established), "seed {seed}");
        world.run_for(10 * MINUTE);
        assert!(world.is_established(), "seed {seed}: {:#?}", world.hosts[0].log);
        world.assert_consistent();
    }
}

#[test]
fn a_peer_that_is_killed_in_the_middle_of_its_rekeying_leaves_one_ike_sa() {
    let mut world = established(carol(TUNNEL1), moon(TUNNEL1));
    world.rekey_ike(1);
    // Moon has made the successor and waits for the DELETE of its predecessor, which carol never sends.
    assert!(world.run_until(MINUTE, |world| world.sas(0).len() == 2));
    world.reboot(1, &seed_settings(), vec![carol(TUNNEL1)], 78);
    world.initiate(1);
    assert!(world.run_until(MINUTE, |world| {
        world.live_sa(1).is_some_and(|sa| !sa.children.is_empty())
    }));
    assert_eq!(
        world.sas(0).len(),
        1,
        "INITIAL_CONTACT says that carol has nothing else"
    );
    assert!(world.is_established());
    world.assert_consistent();
}

#[test]
fn of_a_peer_that_dies_in_the_middle_of_its_rekeying_nothing_stays_once_it_is_found_dead() {
    // Soon enough that what was rekeyed still waits for its DELETE.
    let mut impatient = seed_settings();
    impatient.retransmit.timeout = 0.3;
    impatient.retransmit.tries = 3;
    let carols = PeerConfig {
        dpd_delay: Duration::from_secs(1),
        ..with(carol(TUNNEL1), Action::Start, Action::None)
    };
    let mut world = established_with(&impatient, carols, moon(TUNNEL1));
    world.rekey_ike(0);
    // Carol has made the successor and waits for the DELETE of its predecessor, which moon never sends.
    assert!(world.run_until(MINUTE, |world| world.sas(1).len() == 2));
    reboot_moon(&mut world);
    assert!(world.run_until(5 * MINUTE, |world| world.logged(1, "restarting CHILD_SA Tunnel1")));
    assert!(
        world.sas(1).iter().all(|sa| sa.state == IkeSaState::Connecting),
        "the predecessor goes with its successor"
    );
    assert!(world.run_until(MINUTE, World::is_established));
    world.assert_consistent();
}

#[test]
fn a_child_sa_that_the_peer_closes_is_made_anew_or_trapped() {
    for (action, established) in [
        (Action::Start, true),
        (Action::Trap, false),
        (Action::None, false),
    ] {
        let mut world = self::established(with(carol(TUNNEL1), Action::None, action), moon(TUNNEL1));
        let (now, child) = (world.now, world.sas(0)[0].children[0].unique_id);
        world.hosts[0].endpoint.terminate_child(now, CommandId(99), child);
        world.drain(0);
        assert!(world.run_until(MINUTE, |world| world.logged(1, "CHILD_SA closed")));
        world.run_for(MINUTE);
        assert_eq!(world.is_established(), established, "{action:?}");
        let traps = world.hosts[1].endpoint.policies().count();
        assert_eq!(traps, usize::from(action == Action::Trap), "{action:?}");
        let acquired = matches!(world.send(1, "10.3.0.1", "10.1.0.1"), Fate::Acquired(_));
        assert_eq!(acquired, action == Action::Trap);
    }
}

#[test]
fn an_ike_sa_that_the_peer_closes_is_established_anew_or_trapped() {
    for (action, established) in [
        (Action::Start, true),
        (Action::TrapAndStart, true),
        (Action::Trap, false),
        (Action::None, false),
    ] {
        let mut world = self::established(with(carol(TUNNEL1), Action::None, action), moon(TUNNEL1));
        world.terminate(0);
        assert!(world.run_until(MINUTE, |world| world.logged(1, "IKE_SA deleted")));
        world.run_for(MINUTE);
        assert_eq!(world.is_established(), established, "{action:?}");
        let traps = world.hosts[1].endpoint.policies().count();
        assert_eq!(traps, usize::from(action.traps()), "{action:?}");
    }
}

#[test]
fn the_end_that_closes_does_not_act_upon_it() {
    let mut world = established(with(carol(TUNNEL1), Action::Start, Action::Start), moon(TUNNEL1));
    world.terminate(1);
    world.run_for(5 * MINUTE);
    world.assert_no_trace();
}

#[test]
fn a_responder_restarts_only_a_peer_whose_address_it_knows() {
    for (known, line) in [
        (true, "restarting CHILD_SA Tunnel1"),
        (false, "unable to reestablish IKE_SA due to asymmetric setup"),
    ] {
        let mut moons = with(moon(TUNNEL1), Action::Start, Action::None);
        if !known {
            moons.remote_addrs = vec![Host::Any];
        }
        let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 5);
        world.reboot(0, &seed_settings(), vec![moons], 8);
        // Behind a NAT, as far as moon can see.
        let hidden = PeerConfig {
            encap: true,
            ..carol(TUNNEL1)
        };
        world.reboot(1, &seed_settings(), vec![hidden], 7);
        world.initiate(1);
        assert!(world.run_until(MINUTE, World::is_established));
        world.reboot(1, &seed_settings(), vec![carol(TUNNEL1)], 9);
        assert!(
            world.run_until(5 * MINUTE, |world| world.logged(0, line)),
            "{line}"
        );
        world.run_for(MINUTE);
        assert_eq!(world.is_established(), known, "{:#?}", world.hosts[0].log);
    }
}

#[test]
fn what_was_wanted_of_a_dead_peer_is_wanted_of_its_successor() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 5);
    world.install(1, "Tunnel1");
    world.send(1, "10.3.0.1", "10.1.0.1");
    assert!(world.run_until(MINUTE, World::is_established));
    let (now, child) = (world.now, world.sas(1)[0].children[0].unique_id);
    world.hosts[1].endpoint.terminate_child(now, CommandId(99), child);
    world.drain(1);
    assert!(world.run_until(MINUTE, |world| world.sas(1)[0].children.is_empty()));
    reboot_moon(&mut world);
    world.send(1, "10.3.0.1", "10.1.0.1");
    assert!(
        world.run_until(5 * MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    world.assert_consistent();
    assert!(matches!(world.send(1, "10.3.0.1", "10.1.0.1"), Fate::Carried(_)));
}

#[test]
fn a_hard_limit_makes_the_child_sa_anew_once() {
    let mut world = established(carol(TUNNEL1), moon(TUNNEL1));
    let child = world.sas(1)[0].children[0].clone();
    for (host, dst) in [(1, world.hosts[1].address), (0, world.hosts[0].address)] {
        let spi = if host == 1 { child.spi_in } else { child.spi_out };
        let event = KernelEvent::Expire {
            protocol: iana::Protocol::ESP,
            spi,
            dst,
            hard: true,
        };
        world.kernel_event(host, event);
    }
    world.run_for(MINUTE);
    assert!(world.is_established(), "{:#?}", world.hosts[1].log);
    assert_eq!(world.sas(1)[0].state, IkeSaState::Established);
    assert_ne!(world.sas(1)[0].children[0].spi_in, child.spi_in);
    assert!(world.logged(1, "scheduling CHILD_SA recreate after hard expire"));
    world.assert_consistent();
}

/// carol, who says from nowhere that she comes from an address of hers, and moon, who takes whoever comes.
fn without_mobike() -> World {
    let road = PeerConfig {
        local_addrs: vec![Host::Any],
        mobike: false,
        keying_tries: None,
        ..with(carol(TUNNEL1), Action::Start, Action::None)
    };
    let home = PeerConfig {
        remote_addrs: vec![Host::Any],
        mobike: false,
        ..moon(TUNNEL1)
    };
    established(road, home)
}

const ELSEWHERE: &str = "192.168.0.4";

#[test]
fn without_mobike_the_tunnel_is_restarted_from_the_new_address() {
    let mut world = without_mobike();
    let mark = world.hosts[1].log.len();
    world.readdress(1, &[ELSEWHERE]);
    let moved = |world: &World| {
        let away = world.sas(1).iter().all(|sa| sa.local.ip().to_string() != CAROL);
        world.is_established() && away
    };
    assert!(
        world.run_until(10 * MINUTE, moved),
        "{:#?}",
        &world.hosts[1].log[mark..]
    );
    assert!(world.logged(1, "restarting CHILD_SA Tunnel1"));
    assert!(
        !world.logged(1, "trying again"),
        "the first attempt leaves from there"
    );
    assert_eq!(world.sas(0)[0].remote.ip().to_string(), ELSEWHERE);
    world.assert_consistent();
}

#[test]
fn an_attempt_that_began_without_an_address_goes_on_from_the_one_that_comes() {
    let mut world = without_mobike();
    world.readdress(1, &[]);
    let trying = |world: &World| world.logged(1, "peer not responding, trying again (2/0)");
    assert!(world.run_until(20 * MINUTE, trying));
    world.readdress(1, &[ELSEWHERE]);
    assert!(
        world.run_until(10 * MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    assert_eq!(world.sas(0)[0].remote.ip().to_string(), ELSEWHERE);
    world.assert_consistent();
}
