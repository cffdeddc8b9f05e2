//! Transport mode (RFC 7296, 1.3.1): both ends want it, or neither gets it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use config::connection::{Mode, PeerConfig, SelectorSpec};
use iana::TrafficSelector;
use ike::Transmit;
use plugin_api::kernel::{Direction, SaMode};
use pqswan_tests::world::{self, CAROL, MOON, World};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};
use super::nat::{PUBLIC, behind_nat};

fn between_hosts(mut config: PeerConfig, mode: Mode) -> PeerConfig {
    let mut child = (*config.children[0]).clone();
    child.mode = mode;
    (child.local_ts, child.remote_ts) = (vec![SelectorSpec::DYNAMIC], vec![SelectorSpec::DYNAMIC]);
    config.children = vec![Arc::new(child)];
    config
}

/// moon and carol with these modes, established.
fn established(modes: [Mode; 2], nat: bool) -> World {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    let [mut moon, carol] = [world::moon(TUNNEL1), world::carol(TUNNEL1)];
    if nat {
        moon.remote_addrs = vec![config::connection::Host::Any];
        world.tamper = Some(Box::new(|datagram: &mut Transmit| {
            behind_nat(datagram, CAROL, PUBLIC, 1000)
        }));
    }
    for (host, config) in [moon, carol].into_iter().enumerate() {
        let config = between_hosts(config, modes[host]);
        world.hosts[host].endpoint.add_connection(config);
    }
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    world
}

/// Fails unless both ends and their kernels have this mode.
fn assert_mode(world: &World, mode: Mode) {
    for host in 0..2 {
        assert_eq!(world.live_child(host).expect("a CHILD_SA").mode, mode);
        let policies = &world.hosts[host].kernel.policies;
        let expected = if mode == Mode::Transport {
            SaMode::Transport
        } else {
            SaMode::Tunnel
        };
        assert!(policies.iter().all(|policy| policy.mode == expected));
        let forwards = policies
            .iter()
            .any(|policy| policy.direction == Direction::Forward);
        assert_eq!(
            forwards,
            mode == Mode::Tunnel,
            "only tunnels have packets of others"
        );
    }
}

#[test]
fn both_ends_want_it_and_keep_it_when_they_rekey() {
    let mut world = established([Mode::Transport; 2], false);
    assert_mode(&world, Mode::Transport);
    assert!(world.logged(
        0,
        "parsed IKE_AUTH request 2 [ IDi N(INIT_CONTACT) IDr AUTH N(USE_TRANSP) SA TSi TSr"
    ));
    world.assert_consistent();
    for host in [0, 1] {
        let child = world.live_child(host).unwrap();
        world.rekey_child(host, child.unique_id);
        world.run_for(MINUTE);
        assert_ne!(world.live_child(host).unwrap().spi_in, child.spi_in);
        assert_mode(&world, Mode::Transport);
        world.assert_consistent();
    }
}

#[test]
fn who_is_not_asked_for_it_does_not_impose_it() {
    let mut world = established([Mode::Transport, Mode::Tunnel], false);
    assert_mode(&world, Mode::Tunnel);
    assert!(!world.logged(1, "USE_TRANSP"));
    let child = world.live_child(1).unwrap();
    world.rekey_child(1, child.unique_id);
    world.run_for(MINUTE);
    assert_mode(&world, Mode::Tunnel);
    world.assert_consistent();
}

#[test]
fn who_is_refused_it_has_a_tunnel() {
    let mut world = established([Mode::Tunnel, Mode::Transport], false);
    assert_mode(&world, Mode::Tunnel);
    assert!(world.logged(1, "peer does not want transport mode, using tunnel mode"));
    let child = world.live_child(1).unwrap();
    world.rekey_child(1, child.unique_id);
    world.run_for(MINUTE);
    assert_mode(&world, Mode::Tunnel);
    world.assert_consistent();
}

#[test]
fn behind_a_nat_each_end_has_the_addresses_that_it_sees() {
    let mut world = established([Mode::Transport; 2], true);
    let host = |address: &str| vec![TrafficSelector::host(address.parse::<IpAddr>().unwrap())];
    for round in 0..2 {
        assert_mode(&world, Mode::Transport);
        let (moon, carol) = (world.live_child(0).unwrap(), world.live_child(1).unwrap());
        assert_eq!(
            (moon.local_ts, moon.remote_ts),
            (host(MOON), host(PUBLIC)),
            "{round}"
        );
        assert_eq!(
            (carol.local_ts, carol.remote_ts),
            (host(CAROL), host(MOON)),
            "{round}"
        );
        world.rekey_child(1, carol.unique_id);
        world.run_for(Duration::from_secs(30));
    }
}
