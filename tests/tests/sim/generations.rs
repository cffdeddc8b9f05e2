//! Kyber of NIST's second and third rounds, which have the same numbers on the wire.

use std::sync::Arc;

use config::connection::{ChildConfig, Host as End, PeerConfig};
use config::identity::Identity;
use iana::{KeyExchangeMethod, Profile};
use ike::Settings;
use plugin_api::{KeyExchange, PendingKeyExchange, PluginError, Secret};
use pqswan_tests::world::{CAROL, MOON, PSK, World, carol, moon, share};

use super::handshake::{MINUTE, calm, seed_settings};

const KYBER: &str = "aes256gcm16-sha512-x25519-ke1_kyber3!";

const SECOND: Profile = Profile::DraftRound2;
const THIRD: Profile = Profile::Draft;

/// Settings in which connections that do not say mean this Kyber.
fn settings(draft: Profile) -> Settings {
    Settings {
        draft,
        ..seed_settings()
    }
}

fn pinned(config: PeerConfig, profile: Option<Profile>) -> PeerConfig {
    PeerConfig { profile, ..config }
}

/// A key exchange with the lengths of another and secrets of its own.
struct Other(Arc<dyn KeyExchange>);

struct OtherPending(Box<dyn PendingKeyExchange>);

fn other(mut secret: Secret) -> Secret {
    secret.expose_mut()[0] ^= 1;
    secret
}

impl KeyExchange for Other {
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        let (public, pending) = self.0.initiate()?;
        Ok((public, Box::new(OtherPending(pending))))
    }

    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        let (public, secret) = self.0.respond(peer)?;
        Ok((public, other(secret)))
    }
}

impl PendingKeyExchange for OtherPending {
    fn finish(self: Box<Self>, peer: &[u8]) -> Result<Secret, PluginError> {
        self.0.finish(peer).map(other)
    }
}

/// moon and carol, each with settings and connections of its own, of whom carol has begun.
fn meeting(settings: [&Settings; 2], gateways: Vec<PeerConfig>, client: PeerConfig) -> World {
    let registry = pqswan_tests::crypto::registry_with(|method, exchange| {
        if method == KeyExchangeMethod::KYBER_L3_ROUND2 {
            Arc::new(Other(exchange))
        } else {
            exchange
        }
    });
    let new = |settings| World::new(&[MOON, CAROL], settings, &registry, calm(), 1);
    let mut world = new(settings[0]);
    world.hosts[1] = new(settings[1]).hosts.into_iter().nth(1).expect("carol");
    for gateway in gateways {
        world.hosts[0].endpoint.add_connection(gateway);
    }
    world.hosts[1].endpoint.add_connection(client);
    for host in &mut world.hosts {
        share(&mut host.endpoint, PSK);
    }
    world.initiate(1);
    world
}

#[test]
fn ends_that_mean_the_same_kyber_come_up_and_rekey() {
    let default = settings(THIRD);
    for profile in [SECOND, THIRD] {
        let by_settings = settings(profile);
        for (settings, pin) in [(&by_settings, None), (&default, Some(profile))] {
            let gateway = pinned(moon(KYBER), pin);
            // The other end says it the other way.
            let other = if pin.is_some() { &by_settings } else { &default };
            let client = pinned(carol(KYBER), Some(profile).xor(pin));
            let mut world = meeting([settings, other], vec![gateway], client);
            assert!(world.run_until(MINUTE, World::is_established), "{profile:?}");
            assert!(!world.logged(1, "NIST"), "nothing has gone wrong");
            let child = world.live_child(1).expect("a CHILD_SA").unique_id;
            world.rekey_child(1, child);
            world.rekey_ike(1);
            world.run_for(MINUTE);
            let failed: Vec<_> = world.hosts[1]
                .done
                .iter()
                .filter(|(_, done)| done.is_err())
                .collect();
            assert!(failed.is_empty(), "{profile:?}: {failed:?}");
            assert!(world.is_established(), "{profile:?}");
            world.assert_consistent();
        }
    }
}

#[test]
fn an_initiator_says_which_kyber_it_means_when_ike_auth_has_to_be_repeated() {
    let mut world = meeting(
        [&settings(THIRD), &settings(SECOND)],
        vec![moon(KYBER)],
        carol(KYBER),
    );
    let different = "additional key exchange 1 (KYBER_L3) may have given different secrets on both ends";
    let here = "KYBER_L3 is Kyber of NIST's second round here; if the peer has the third round's, set \
                kyber_generation = round3";
    assert!(world.run_until(MINUTE, |world| {
        world.logged(1, "retransmit 1 of request with message ID 2")
    }));
    assert!(world.logged(1, different), "{:#?}", world.hosts[1].log);
    assert!(world.logged(1, here), "{:#?}", world.hosts[1].log);
    world.run_for(5 * MINUTE);
    let said = world.hosts[1].log.iter().filter(|line| line.contains(different));
    assert_eq!(said.count(), 1, "once is enough");
    assert!(world.logged(
        0,
        "KYBER_L3 is Kyber of NIST's third round here; if the peer has the second round's, set \
         kyber_generation = round2"
    ));
    assert!(world.sas(0).is_empty() && world.sas(1).is_empty());
    world.assert_no_trace();
}

#[test]
fn an_initiator_whose_ike_auth_is_lost_without_such_a_kem_says_nothing_of_it() {
    let classic = "aes256gcm16-sha512-x25519!";
    let mut world = meeting(
        [&settings(THIRD), &settings(THIRD)],
        vec![moon(classic)],
        carol(classic),
    );
    world.tamper = Some(Box::new(|datagram| datagram.octets[18] != 35));
    world.run_for(MINUTE);
    assert!(world.logged(1, "retransmit 1 of request with message ID 1"));
    assert!(!world.logged(1, "different secrets"), "{:#?}", world.hosts[1].log);
}

#[test]
fn a_connection_is_not_entered_with_another_kyber_than_its_own() {
    let carols = |profile| pinned(moon(KYBER), profile);
    // Its addresses suit better, so that it makes the key exchange.
    let other = |profile| {
        let mut other = pinned(moon(KYBER), profile);
        other.name = "other".to_owned();
        let child = ChildConfig {
            name: "other".to_owned(),
            ..ChildConfig::clone(&other.children[0])
        };
        other.children = vec![Arc::new(child)];
        other.remote_addrs = vec![End::Address(CAROL.parse().expect("an address"))];
        other.remote_auth[0].id = Some(Identity::parse("dave.strongswan.org"));
        other
    };
    for (draft, own, others) in [
        (THIRD, None, Some(SECOND)),
        (THIRD, Some(THIRD), Some(SECOND)),
        (SECOND, None, Some(THIRD)),
        (THIRD, Some(SECOND), None),
    ] {
        let mut own = carols(own);
        own.remote_addrs = vec![End::Any];
        let used = others.unwrap_or(draft);
        let gateways = vec![other(others), own.clone()];
        let mut world = meeting([&settings(draft), &settings(used)], gateways, carol(KYBER));
        world.run_for(MINUTE);
        let what = format!("{draft:?} {:?} {others:?}", own.profile);
        assert!(
            world.logged(0, "no matching peer config found"),
            "{what}: {:#?}",
            world.hosts[0].log
        );
        assert!(!world.is_established(), "{what}");
    }
}

#[test]
fn a_plugin_of_one_round_is_enough_for_connections_that_mean_it() {
    let only = |missing, draft| {
        let registry = pqswan_tests::crypto::registry_without(missing);
        World::with_registry(KYBER, &settings(draft), &registry, calm(), 1)
    };
    let third = KeyExchangeMethod::KYBER_L3;
    let mut world = only(third, SECOND);
    let endpoint = &world.hosts[0].endpoint;
    assert_eq!(endpoint.check_proposals(&moon(KYBER)), Ok(Vec::new()));
    world.initiate(1);
    world.run_for(MINUTE);
    assert!(world.is_established(), "{:#?}", world.hosts[0].log);

    let world = only(third, THIRD);
    let refused = world.hosts[0].endpoint.check_proposals(&moon(KYBER));
    assert_eq!(
        refused.expect_err("no plugin").text,
        "kyber_generation = round3 needs KYBER_L3 of NIST's third round, which the plugin 'oqs' brings"
    );
}

#[test]
fn a_connection_whose_kyber_no_plugin_has_is_refused() {
    let without = pqswan_tests::crypto::registry_without(KeyExchangeMethod::KYBER_L3_ROUND2);
    let world = World::with_registry(KYBER, &settings(THIRD), &without, calm(), 1);
    let endpoint = &world.hosts[0].endpoint;
    assert_eq!(endpoint.check_proposals(&moon(KYBER)), Ok(Vec::new()));
    let refused = endpoint.check_proposals(&pinned(moon(KYBER), Some(SECOND)));
    assert_eq!(
        refused.expect_err("no plugin").text,
        "kyber_generation = round2 needs KYBER_L3 of NIST's second round, which the plugin 'kyber-round2' brings"
    );
}
