//! What happens to a second IKE_SA between the same identities.

use std::time::Duration;

use config::connection::{Host as End, PeerConfig, UniquePolicy};
use config::identity::Identity;
use config::secret::{SecretKind, SharedSecret};
use ike::{Alert, Event};
use pqswan_tests::world::{CAROL, MOON, PSK, World, carol, moon, share};

use super::handshake::{MINUTE, calm, seed_settings};

const PROPOSAL: &str = "aes256gcm16-sha512-x25519!";
const DAVE: &str = "192.168.0.4";

/// moon has this policy for all that come; carol is there already, and dave, elsewhere, says that he is this one. His
/// own policy says whether he sends INITIAL_CONTACT.
fn second(policy: UniquePolicy, identity: &str, own: UniquePolicy, psk: &str) -> World {
    let registry = pqswan_tests::crypto::registry();
    let mut world = World::new(&[MOON, CAROL, DAVE], &seed_settings(), &registry, calm(), 1);
    let mut gateway = PeerConfig {
        remote_addrs: vec![End::Any],
        unique: policy,
        ..moon(PROPOSAL)
    };
    gateway.remote_auth[0].id = None;
    world.hosts[0].endpoint.add_connection(gateway);
    world.hosts[0].endpoint.set_watched(true);
    world.hosts[1].endpoint.add_connection(carol(PROPOSAL));
    let mut dave = PeerConfig {
        local_addrs: vec![End::Address(DAVE.parse().expect("an address"))],
        unique: own,
        ..carol(PROPOSAL)
    };
    dave.local_auth[0].id = Some(Identity::parse(identity));
    world.hosts[2].endpoint.add_connection(dave);
    for (host, psk) in [(0, PSK), (1, PSK), (2, psk)] {
        share(&mut world.hosts[host].endpoint, psk);
        let owners = ["moon.strongswan.org", "dave.strongswan.org"];
        world.hosts[host].endpoint.secrets_mut().insert(
            SecretKind::Ike,
            owners.map(Identity::parse).to_vec(),
            SharedSecret::new(psk.as_bytes().to_vec()),
        );
    }
    world.initiate(1);
    assert!(world.run_until(MINUTE, |world| world.live_child(1).is_some()));
    world.initiate(2);
    world.run_for(MINUTE);
    world
}

/// Who of carol and dave has a tunnel.
fn tunnels(world: &World) -> [bool; 2] {
    let both = [1, 2].map(|host| world.live_child(host).is_some());
    let at_moon: usize = world.sas(0).iter().map(|sa| sa.children.len()).sum();
    assert_eq!(
        at_moon,
        both.iter().filter(|up| **up).count(),
        "moon has the same: {:#?}",
        world.hosts[0].log
    );
    both
}

fn alerts(world: &World) -> Vec<Alert> {
    let alerts = world.hosts[0].events.iter().filter_map(|event| match event {
        Event::Alert(alert, _) => Some(*alert),
        _ => None,
    });
    alerts.collect()
}

const CAROL_ID: &str = "carol.strongswan.org";
/// Of the initiator: it sends no INITIAL_CONTACT.
const SILENT: UniquePolicy = UniquePolicy::Never;
const CONTACT: UniquePolicy = UniquePolicy::Replace;

#[test]
fn the_policy_says_which_of_two_stays() {
    for (policy, own, stay) in [
        (UniquePolicy::Never, SILENT, [true, true]),
        (UniquePolicy::Never, CONTACT, [true, true]),
        (UniquePolicy::No, SILENT, [true, true]),
        (UniquePolicy::No, CONTACT, [false, true]),
        (UniquePolicy::Replace, SILENT, [false, true]),
        (UniquePolicy::Replace, CONTACT, [false, true]),
        (UniquePolicy::Keep, SILENT, [true, false]),
        (UniquePolicy::Keep, CONTACT, [false, true]),
    ] {
        let world = second(policy, CAROL_ID, own, PSK);
        // An IKE_SA that INITIAL_CONTACT destroyed is gone without a word to a peer that is still there.
        let mut both = [1, 2].map(|host| world.live_child(host).is_some());
        both[0] &= world
            .sas(0)
            .iter()
            .any(|sa| sa.remote.ip() == world.hosts[1].address);
        assert_eq!(both, stay, "{policy:?}, {own:?}");
    }
}

#[test]
fn what_is_kept_is_told_to_the_peer_and_to_who_watches() {
    let world = second(UniquePolicy::Keep, CAROL_ID, SILENT, PSK);
    assert_eq!(tunnels(&world), [true, false]);
    assert!(world.logged(0, "cancelling IKE_SA setup due to uniqueness policy"));
    assert!(world.logged(2, "received AUTHENTICATION_FAILED notify error"));
    assert_eq!(alerts(&world), [Alert::UniqueKeep]);
    assert_eq!(Alert::UniqueKeep.key(), "unique-keep");
}

#[test]
fn what_is_replaced_is_told_to_the_peer_and_to_who_watches() {
    let world = second(UniquePolicy::Replace, CAROL_ID, SILENT, PSK);
    assert_eq!(tunnels(&world), [false, true]);
    let text = "deleting duplicate IKE_SA for peer 'carol.strongswan.org' due to uniqueness policy";
    assert!(world.logged(0, text));
    assert!(world.logged(1, "received DELETE for IKE_SA"));
    assert_eq!(alerts(&world), [Alert::UniqueReplace]);
}

#[test]
fn another_identity_is_nobodys_duplicate() {
    for policy in [UniquePolicy::Keep, UniquePolicy::Replace] {
        let world = second(policy, "dave.strongswan.org", CONTACT, PSK);
        assert_eq!(tunnels(&world), [true, true], "{policy:?}");
    }
}

#[test]
fn who_only_says_that_he_is_somebody_touches_nothing() {
    for policy in [UniquePolicy::No, UniquePolicy::Replace, UniquePolicy::Keep] {
        let world = second(policy, CAROL_ID, CONTACT, "guessed");
        assert_eq!(tunnels(&world), [true, false], "{policy:?}");
        assert!(world.logged(0, "but MAC mismatched"));
        assert!(!alerts(&world).contains(&Alert::UniqueReplace));
    }
}

#[test]
fn a_peer_that_authenticates_again_from_where_it_is_is_not_kept_out() {
    let settings = ike::Settings {
        make_before_break: true,
        ..seed_settings()
    };
    let mut world = World::moon_and_carol(PROPOSAL, &settings, calm(), 1);
    for (host, peer) in [(0, moon(PROPOSAL)), (1, carol(PROPOSAL))] {
        let unique = UniquePolicy::Keep;
        world.hosts[host]
            .endpoint
            .add_connection(PeerConfig { unique, ..peer });
    }
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    let (now, sa) = (world.now, world.sas(1)[0].unique_id);
    world.hosts[1].endpoint.reauthenticate(now, sa);
    world.drain(1);
    world.run_for(MINUTE);
    assert!(world.is_established(), "{:#?}", world.hosts[0].log);
    assert_eq!(world.sas(1)[0].unique_id, 2);
}

#[test]
fn an_initiator_keeps_what_came_while_it_initiated() {
    let registry = pqswan_tests::crypto::registry();
    let mut world = World::new(&[MOON, CAROL, DAVE], &seed_settings(), &registry, calm(), 1);
    // moon has two addresses, and carol is reached from the one while she reaches for the other.
    let [first, other] = [MOON, DAVE].map(|text| End::Address(text.parse().expect("an address")));
    world.hosts[0].endpoint.add_connection(moon(PROPOSAL));
    world.hosts[1].endpoint.add_connection(PeerConfig {
        remote_addrs: vec![first, other.clone()],
        unique: UniquePolicy::Keep,
        ..carol(PROPOSAL)
    });
    world.hosts[2].endpoint.add_connection(PeerConfig {
        local_addrs: vec![other],
        unique: SILENT,
        ..moon(PROPOSAL)
    });
    for host in &mut world.hosts {
        share(&mut host.endpoint, PSK);
    }
    world.initiate(2);
    world.run_for(Duration::from_millis(1));
    let command = world.initiate(1);
    world.run_for(MINUTE);
    assert!(world.logged(1, "cancelling IKE_SA setup due to uniqueness policy"));
    assert!(world.logged(0, "received AUTHENTICATION_FAILED notify error"));
    assert_eq!(world.hosts[1].done, [(command, Err(ike::CommandError::Failed))]);
    assert_eq!(world.sas(1).len(), 1);
    assert!(world.sas(0).is_empty() && world.live_child(2).is_some());
    assert_eq!(world.hosts[1].kernel.sas.len(), 2);
}
