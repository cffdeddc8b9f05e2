//! Alerts and moves, which only those are told who want to know.

use ike::{Alert, Event};
use pqswan_tests::world::{World, share};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

fn watched() -> World {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 5);
    for host in &mut world.hosts {
        host.endpoint.set_watched(true);
    }
    world
}

fn alerts(world: &World, host: usize) -> Vec<Alert> {
    let events = world.hosts[host].events.iter();
    let alert = |event: &Event| {
        if let Event::Alert(alert, _) = event {
            Some(*alert)
        } else {
            None
        }
    };
    events.filter_map(alert).collect()
}

/// From which port to which port an end saw its IKE_SA go.
fn moves(world: &World, host: usize) -> Vec<(u16, u16)> {
    let events = world.hosts[host].events.iter();
    let ports = |event: &Event| match event {
        Event::IkeMoved(before, local, _) => Some((before.local.port(), local.port())),
        _ => None,
    };
    events.filter_map(ports).collect()
}

#[test]
fn a_wrong_psk_alerts_both_ends() {
    let mut world = watched();
    *world.hosts[1].endpoint.secrets_mut() = config::secret::SecretStore::default();
    share(&mut world.hosts[1].endpoint, "not the same");
    world.initiate(1);
    world.run_for(MINUTE);
    assert_eq!(alerts(&world, 0), [Alert::PeerAuthFailed]);
    assert_eq!(alerts(&world, 1), [Alert::LocalAuthFailed]);
}

#[test]
fn a_peer_that_does_not_answer_alerts_with_every_retransmission() {
    let mut world = watched();
    world.tamper = Some(Box::new(|_| false));
    world.initiate(1);
    world.run_for(5 * MINUTE);
    let seen = alerts(&world, 1);
    let tries = seen
        .iter()
        .filter(|alert| **alert == Alert::RetransmitSend)
        .count();
    assert_eq!(tries, 5);
    assert_eq!(
        seen[5..],
        [Alert::RetransmitSendTimeout, Alert::PeerInitUnreachable]
    );
}

#[test]
fn both_ends_tell_when_they_float_to_another_port() {
    let mut world = watched();
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    assert_eq!(
        [moves(&world, 0), moves(&world, 1)],
        [[(500, 4500)], [(500, 4500)]]
    );
    assert!(alerts(&world, 0).is_empty() && alerts(&world, 1).is_empty());
}

#[test]
fn whoever_does_not_watch_is_told_nothing() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 5);
    world.tamper = Some(Box::new(|_| false));
    world.initiate(1);
    world.run_for(5 * MINUTE);
    assert!(world.hosts[1].events.is_empty());
}
