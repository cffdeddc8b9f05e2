//! Peers and networks that do what they should not: each ends in the notify or silence of the RFC, a line that an
//! operator understands, and no SA left behind.

use std::sync::Arc;
use std::time::Duration;

use iana::KeyExchangeMethod;
use ike::Settings;
use pqswan_tests::world::{World, carol, share};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

pub(super) const PAIR: &str = "aes256gcm16-sha512-x25519-ke1_kyber3!";

pub(super) fn fails(mut world: World, lines: &[(usize, &str)]) -> World {
    let command = world.initiate(1);
    world.run_for(5 * MINUTE);
    assert!(
        world.hosts[1]
            .done
            .iter()
            .any(|(id, result)| *id == command && result.is_err()),
        "the command fails"
    );
    for (host, line) in lines {
        assert!(world.logged(*host, line), "{line}: {:#?}", world.hosts[*host].log);
    }
    world.assert_no_trace();
    world
}

#[test]
fn a_wrong_psk_ends_in_authentication_failed() {
    let mut world = World::moon_and_carol(PAIR, &seed_settings(), calm(), 1);
    *world.hosts[1].endpoint.secrets_mut() = config::secret::SecretStore::default();
    share(&mut world.hosts[1].endpoint, "not the same");
    fails(
        world,
        &[
            (
                0,
                "tried 1 shared key for 'moon.strongswan.org' - 'carol.strongswan.org', but MAC mismatched",
            ),
            (0, "generating IKE_AUTH response 2 [ N(AUTH_FAILED) ]"),
            (1, "received AUTHENTICATION_FAILED notify error"),
        ],
    );
}

#[test]
fn no_psk_at_all_says_whose() {
    let mut world = World::moon_and_carol(PAIR, &seed_settings(), calm(), 1);
    *world.hosts[1].endpoint.secrets_mut() = config::secret::SecretStore::default();
    fails(
        world,
        &[(
            1,
            "no shared key found for 'carol.strongswan.org' - 'moon.strongswan.org'",
        )],
    );
}

#[test]
fn no_common_proposal_ends_in_no_proposal_chosen() {
    let mut world = World::moon_and_carol("aes256gcm16-sha512-x25519!", &seed_settings(), calm(), 1);
    world.hosts[1].endpoint.add_connection(carol(PAIR));
    let world = fails(
        world,
        &[
            (
                0,
                "received proposals: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3",
            ),
            (
                0,
                "configured proposals: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519",
            ),
            (0, "received proposals unacceptable"),
            (1, "received NO_PROPOSAL_CHOSEN notify error"),
        ],
    );
    assert_eq!(world.hosts[0].sent, [28 + 8]);
}

#[test]
fn private_algorithms_need_the_vendor_id() {
    let settings = Settings {
        send_vendor_id: false,
        ..seed_settings()
    };
    fails(
        World::moon_and_carol(PAIR, &settings, calm(), 1),
        &[
            (
                0,
                "an algorithm from private space would match, but peer implementation is unknown, skipped",
            ),
            (1, "received NO_PROPOSAL_CHOSEN notify error"),
        ],
    );
    let settings = Settings {
        accept_private_algs: true,
        ..settings
    };
    let mut world = World::moon_and_carol(PAIR, &settings, calm(), 1);
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "accept_private_algs does without"
    );
}

#[test]
fn private_algorithms_bring_the_vendor_id_along() {
    let settings = Settings {
        send_vendor_id: false,
        announce_private: true,
        ..seed_settings()
    };
    let established = |mut world: World| {
        world.initiate(1);
        assert!(world.run_until(MINUTE, World::is_established));
        world
    };
    let world = established(World::moon_and_carol(PAIR, &settings, calm(), 1));
    for host in [0, 1] {
        assert!(world.logged(host, "received strongSwan vendor ID"));
    }
    // Without the exclamation mark, the default proposals come after it, and are not taken.
    let world = established(World::moon_and_carol(TUNNEL1, &settings, calm(), 1));
    assert!(world.logged(1, "CURVE_25519/KE1_KYBER_L3"));
    let world = established(World::moon_and_carol(
        "aes256gcm16-sha512-x25519!",
        &settings,
        calm(),
        1,
    ));
    assert!(
        !world.logged(0, "received strongSwan vendor ID"),
        "nothing is private"
    );
    assert!(!world.logged(1, "received strongSwan vendor ID"));
}

#[test]
fn selectors_without_intersection_leave_a_childless_ike_sa() {
    let mut world = World::moon_and_carol(PAIR, &seed_settings(), calm(), 1);
    let mut config = carol(PAIR);
    let mut child = config::connection::ChildConfig::clone(&config.children[0]);
    child.remote_ts = child.local_ts.clone();
    config.children = vec![Arc::new(child)];
    world.hosts[1].endpoint.add_connection(config);
    world.initiate(1);
    world.run_for(MINUTE);
    assert!(world.logged(1, "received TS_UNACCEPTABLE notify, no CHILD_SA built"));
    assert!(world.logged(1, "failed to establish CHILD_SA, keeping IKE_SA"));
    assert!(world.logged(0, "traffic selectors 10.3.0.0/16 === 10.3.0.0/16 unacceptable"));
    assert_eq!(world.sas(0).len(), 1);
    assert!(world.hosts.iter().all(|host| host.kernel.is_empty()));
}

/// As if a ciphertext had been corrupted: both ends hold a secret, but not the same.
struct Diverging(Arc<dyn plugin_api::KeyExchange>);

impl plugin_api::KeyExchange for Diverging {
    fn initiate(
        &self,
    ) -> Result<(Vec<u8>, Box<dyn plugin_api::PendingKeyExchange>), plugin_api::PluginError> {
        self.0.initiate()
    }

    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, plugin_api::Secret), plugin_api::PluginError> {
        let (public, mut secret) = self.0.respond(peer)?;
        secret.expose_mut()[0] ^= 1;
        Ok((public, secret))
    }
}

#[test]
fn a_different_secret_shows_in_the_next_message() {
    let diverging = pqswan_tests::crypto::registry_with(|method, exchange| {
        if method == KeyExchangeMethod::KYBER_L3 {
            Arc::new(Diverging(exchange))
        } else {
            exchange
        }
    });
    fails(
        World::with_registry(PAIR, &seed_settings(), &diverging, calm(), 1),
        &[
            (0, "integrity check failed"),
            (
                0,
                "additional key exchange 1 (KYBER_L3) may have given different secrets on both ends",
            ),
            (0, "deleting half open IKE_SA with 192.168.0.3 after timeout"),
            (1, "giving up after 5 retransmits"),
        ],
    );
}

#[test]
fn garbage_truncation_and_replay_change_nothing() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    let (send, receive) = std::sync::mpsc::channel();
    world.tamper = Some(Box::new(move |datagram| {
        let _ = send.send(datagram.clone());
        true
    }));
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    let recorded: Vec<_> = receive.try_iter().collect();
    for datagram in &recorded {
        for cut in [0, 1, 27, 28, 40, datagram.octets.len() - 1] {
            let mut cut_off = datagram.clone();
            cut_off.octets.truncate(cut);
            world.deliver(cut_off);
        }
        for at in (0..datagram.octets.len()).step_by(7) {
            let mut changed = datagram.clone();
            changed.octets[at] ^= 0x55;
            world.deliver(changed);
        }
        world.deliver(datagram.clone());
    }
    let expected = recorded
        .iter()
        .filter(|datagram| datagram.local.ip() == world.hosts[1].address)
        .count() as u32;
    for datagram in &recorded {
        let mut forged = datagram.clone();
        forged.octets[20..24].copy_from_slice(&expected.to_be_bytes());
        world.deliver(forged);
    }
    world.run_for(2 * MINUTE);
    assert!(world.is_established(), "the established IKE_SA survives it all");
    world.assert_consistent();
    assert!(world.logged(0, "received invalid IKE header from 192.168.0.3 - ignored"));
    assert!(world.logged(0, "integrity check failed"));
}

#[test]
fn an_unknown_version_is_answered_with_ours() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    world.tamper = Some(Box::new(|datagram| {
        if datagram.octets[19] & 0x20 == 0 {
            datagram.octets[17] = 0x30;
        }
        true
    }));
    world.initiate(1);
    world.run_for(Duration::from_secs(1));
    assert!(world.logged(
        0,
        "received unsupported IKE version 3.0 from 192.168.0.3, sending INVALID_MAJOR_VERSION"
    ));
    assert!(world.logged(1, "received INVALID_MAJOR_VERSION notify error"));
    assert!(world.sas(0).is_empty());
}
