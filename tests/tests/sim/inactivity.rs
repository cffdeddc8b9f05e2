//! CHILD_SAs without traffic are closed after a while.

use std::sync::Arc;
use std::time::Duration;

use config::connection::PeerConfig;
use ike::{Event, Settings};
use pqswan_tests::world::{World, carol, moon};

use super::handshake::{MINUTE, calm, seed_settings};

const PROPOSAL: &str = "aes256gcm16-sha512-x25519!";
const LIMIT: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// carol closes what is idle for a minute, and so does moon if it is told to.
fn world(settings: &Settings, at_moon: bool) -> World {
    let mut world = World::moon_and_carol(PROPOSAL, settings, calm(), 1);
    let limited = |mut peer: PeerConfig| {
        Arc::make_mut(&mut peer.children[0]).inactivity = LIMIT;
        peer
    };
    world.hosts[1].endpoint.add_connection(limited(carol(PROPOSAL)));
    if at_moon {
        world.hosts[0].endpoint.add_connection(limited(moon(PROPOSAL)));
    }
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    world
}

fn children(world: &World, host: usize) -> usize {
    world.sas(host).iter().map(|sa| sa.children.len()).sum()
}

fn downs(world: &World, host: usize) -> usize {
    let events = world.hosts[host].events.iter();
    events
        .filter(|event| matches!(event, Event::ChildDown(..)))
        .count()
}

#[test]
fn what_carries_nothing_is_closed_and_its_ike_sa_stays() {
    let mut world = world(&seed_settings(), false);
    world.run_for(LIMIT - SECOND);
    assert_eq!((children(&world, 0), children(&world, 1)), (1, 1));
    world.run_for(2 * SECOND);
    assert!(
        world.logged(1, "[JOB] deleting CHILD_SA after 60 seconds of inactivity"),
        "{:#?}",
        world.hosts[1].log
    );
    assert_eq!((children(&world, 0), children(&world, 1)), (0, 0));
    assert_eq!((world.sas(0).len(), world.sas(1).len()), (1, 1));
    assert_eq!((downs(&world, 0), downs(&world, 1)), (1, 1));
    world.terminate(1);
    world.run_for(MINUTE);
    world.assert_no_trace();
}

#[test]
fn traffic_of_either_direction_keeps_it_and_the_kernel_is_seldom_asked() {
    let mut world = world(&seed_settings(), false);
    for round in 0..20 {
        world.run_for(LIMIT / 2);
        let (from, to) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
        world.carry(from, to);
    }
    assert_eq!(children(&world, 1), 1);
    // A look tells of a use half a minute ago at the most, and each asks for two SAs.
    let queries = world.hosts[1].kernel.queries;
    assert!((2..=2 * 20).contains(&queries), "{queries} queries");
    assert_eq!(world.hosts[0].kernel.queries, 0, "moon has no limit");
    world.run_for(LIMIT - SECOND);
    assert_eq!(children(&world, 1), 1);
    world.run_for(2 * SECOND);
    assert_eq!((children(&world, 0), children(&world, 1)), (0, 0));
}

#[test]
fn a_rekeying_begins_the_time_anew() {
    let mut world = world(&seed_settings(), false);
    world.run_for(LIMIT - 10 * SECOND);
    let old = world.live_child(1).expect("a CHILD_SA");
    world.rekey_child(1, old.unique_id);
    world.run_for(LIMIT - 10 * SECOND);
    let new = world.live_child(1).expect("the new CHILD_SA");
    assert_ne!(new.unique_id, old.unique_id);
    world.run_for(20 * SECOND);
    assert_eq!((children(&world, 0), children(&world, 1)), (0, 0));
}

#[test]
fn a_rekeyed_ike_sa_goes_on_counting() {
    let mut world = world(&seed_settings(), false);
    world.run_for(LIMIT / 2);
    world.rekey_ike(1);
    world.run_for(LIMIT / 2 - SECOND);
    assert_eq!(children(&world, 1), 1);
    world.run_for(2 * SECOND);
    assert_eq!((children(&world, 0), children(&world, 1)), (0, 0));
    assert_eq!((world.sas(0).len(), world.sas(1).len()), (1, 1));
}

#[test]
fn the_ike_sa_goes_with_its_only_child_if_that_is_wanted() {
    let settings = Settings {
        inactivity_close_ike: true,
        ..seed_settings()
    };
    let mut world = world(&settings, false);
    world.run_for(LIMIT + SECOND);
    assert!(
        world.logged(1, "[JOB] deleting IKE_SA after 60 seconds of CHILD_SA inactivity"),
        "{:#?}",
        world.hosts[1].log
    );
    world.assert_no_trace();
}

#[test]
fn both_ends_may_close_it_at_once() {
    for close_ike in [false, true] {
        let settings = Settings {
            inactivity_close_ike: close_ike,
            ..seed_settings()
        };
        let mut world = world(&settings, true);
        world.run_for(LIMIT + SECOND);
        assert_eq!((children(&world, 0), children(&world, 1)), (0, 0));
        let left = usize::from(!close_ike);
        assert_eq!((world.sas(0).len(), world.sas(1).len()), (left, left));
    }
}
