//! Childless IKE_SAs (RFC 6023).

use config::connection::{Childless, PeerConfig};
use config::identity::Identity;
use ike::CommandError;
use pqswan_tests::world::{World, carol, moon};

use super::handshake::{MINUTE, calm, seed_settings};

const PROPOSAL: &str = "aes256gcm16-sha512-x25519!";

/// What comes of it when carol, with this policy, initiates with or without a CHILD_SA to moon, with that policy.
struct Outcome {
    world: World,
    up: bool,
    children: usize,
    /// Whether IKE_AUTH asked for a CHILD_SA.
    in_ike_auth: bool,
}

fn initiate(at_carol: Childless, at_moon: Childless, child: bool) -> Outcome {
    let mut world = World::moon_and_carol(PROPOSAL, &seed_settings(), calm(), 1);
    let with = |peer: PeerConfig, childless| PeerConfig { childless, ..peer };
    world.hosts[0]
        .endpoint
        .add_connection(with(moon(PROPOSAL), at_moon));
    let mut own = with(carol(PROPOSAL), at_carol);
    if !child {
        own.children.clear();
    }
    world.hosts[1].endpoint.add_connection(own);
    let command = world.initiate(1);
    world.run_for(MINUTE);
    let children = world.sas(1).iter().map(|sa| sa.children.len()).sum();
    let up = !world.sas(1).is_empty();
    let result = if up { Ok(()) } else { Err(CommandError::Failed) };
    assert_eq!(
        world.hosts[1].done,
        [(command, result)],
        "{:#?}",
        world.hosts[1].log
    );
    if children > 0 {
        world.assert_consistent();
    }
    let mut log = world.hosts[1].log.iter();
    let in_ike_auth = log.any(|line| line.contains("generating IKE_AUTH") && line.contains(" SA TSi TSr "));
    Outcome {
        world,
        up,
        children,
        in_ike_auth,
    }
}

use Childless::{Allow, Force, Never, Prefer};

#[test]
fn without_a_child_the_peer_has_to_accept_it() {
    for at_moon in [Allow, Prefer, Force] {
        for at_carol in [Allow, Prefer, Force, Never] {
            let outcome = initiate(at_carol, at_moon, false);
            assert!(outcome.up && outcome.children == 0, "{at_carol:?} {at_moon:?}");
        }
    }
    let outcome = initiate(Allow, Never, false);
    assert!(!outcome.up);
    assert!(
        outcome
            .world
            .logged(1, "peer does not support childless IKE_SA initiation")
    );
    assert!(!outcome.world.logged(1, "generating IKE_AUTH"));
}

#[test]
fn the_child_comes_with_ike_auth_or_after_it() {
    for (at_carol, at_moon, in_ike_auth) in [
        (Allow, Allow, true),
        (Allow, Prefer, true),
        (Never, Allow, true),
        (Allow, Never, true),
        (Prefer, Never, true),
        (Prefer, Allow, false),
        (Prefer, Force, false),
        (Force, Allow, false),
        (Force, Force, false),
    ] {
        let outcome = initiate(at_carol, at_moon, true);
        assert_eq!(
            (outcome.up, outcome.children, outcome.in_ike_auth),
            (true, 1, in_ike_auth),
            "{at_carol:?} {at_moon:?}: {:#?}",
            outcome.world.hosts[1].log
        );
    }
}

#[test]
fn who_insists_on_it_takes_nothing_else() {
    let outcome = initiate(Force, Never, true);
    assert!(!outcome.up);
    assert!(
        outcome
            .world
            .logged(1, "peer does not support childless IKE_SA initiation")
    );

    let mut outcome = initiate(Allow, Force, true);
    assert!(!outcome.up);
    let text = "peer did not initiate a childless IKE_SA, see childless of 'Tunnel1'";
    assert!(outcome.world.logged(0, text));
    assert!(outcome.world.logged(1, "received INVALID_SYNTAX notify error"));
    outcome.world.run_for(MINUTE);
    outcome.world.assert_no_trace();
}

#[test]
fn what_another_connection_announced_does_not_bind_the_selected_one() {
    let mut world = World::moon_and_carol(PROPOSAL, &seed_settings(), calm(), 1);
    let mut first = moon(PROPOSAL);
    first.name = "first".into();
    first.remote_auth[0].id = Some(Identity::parse("dave.strongswan.org"));
    let mut second = moon(PROPOSAL);
    second.name = "second".into();
    second.childless = Never;
    let endpoint = &mut world.hosts[0].endpoint;
    assert!(endpoint.remove_connection("Tunnel1"));
    endpoint.add_connection(first);
    endpoint.add_connection(second);
    let mut own = carol(PROPOSAL);
    own.children.clear();
    world.hosts[1].endpoint.add_connection(own);
    world.initiate(1);
    world.run_for(MINUTE);
    assert!(world.logged(
        0,
        "peer tried to initiate a childless IKE_SA, see childless of 'second'"
    ));
    assert!(world.logged(1, "received INVALID_SYNTAX notify error"));
    world.assert_no_trace();
}
