//! Post-quantum preshared keys (RFC 8784): who has one, who wants one, and what becomes of it.

use config::connection::PeerConfig;
use config::identity::Identity;
use config::secret::{SecretKind, SharedSecret};
use pqswan_tests::world::{World, carol, moon};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

const PROPOSAL: &str = "aes256gcm16-sha512-x25519!";

/// How an end is configured.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Uses {
    Nothing,
    Optional,
    Required,
}

use Uses::{Nothing, Optional, Required};

fn configured(peer: PeerConfig, uses: Uses) -> PeerConfig {
    PeerConfig {
        ppk_id: (uses != Nothing).then(|| Identity::parse("ppk-1")),
        ppk_required: uses == Required,
        ..peer
    }
}

fn give(world: &mut World, host: usize, id: &str, key: &[u8]) {
    world.hosts[host].endpoint.secrets_mut().insert(
        SecretKind::Ppk,
        vec![Identity::parse(id)],
        SharedSecret::new(key.to_vec()),
    );
}

/// moon and carol, each with the key unless it uses none.
fn world(proposal: &str, [at_moon, at_carol]: [Uses; 2]) -> World {
    let mut world = World::moon_and_carol(proposal, &seed_settings(), calm(), 1);
    let (moon, carol) = (moon(proposal), carol(proposal));
    world.hosts[0].endpoint.add_connection(configured(moon, at_moon));
    world.hosts[1]
        .endpoint
        .add_connection(configured(carol, at_carol));
    for (host, uses) in [at_moon, at_carol].into_iter().enumerate() {
        if uses != Nothing {
            give(&mut world, host, "ppk-1", b"something that nobody else knows");
        }
    }
    world
}

/// carol initiates; whether a key went into the keys of both, or none is established and both say why.
#[track_caller]
fn establish(mut world: World, texts: &[(usize, &str)]) -> Option<(bool, World)> {
    world.initiate(1);
    let up = world.run_until(MINUTE, World::is_established);
    for (host, text) in texts {
        assert!(world.logged(*host, text), "{text}: {:#?}", world.hosts[*host].log);
    }
    if !up {
        world.run_for(3 * MINUTE);
        world.assert_no_trace();
        return None;
    }
    world.assert_consistent();
    let used = [0, 1].map(|host| world.sas(host)[0].ppk);
    assert_eq!(used[0], used[1], "both know");
    Some((used[0], world))
}

#[test]
fn it_is_used_by_those_who_both_have_it_and_missed_by_those_who_need_it() {
    let unsupported = "PPK required but peer does not support PPK";
    let using = "using PPK for PPK_ID 'ppk-1'";
    /// What both ends have, whether it is used if they agree at all, and what each of them then says.
    type Case<'a> = ([Uses; 2], Option<bool>, &'a [(usize, &'a str)]);
    let cases: [Case<'_>; 9] = [
        ([Nothing, Nothing], Some(false), &[]),
        ([Nothing, Optional], Some(false), &[]),
        ([Nothing, Required], None, &[(1, unsupported)]),
        ([Optional, Nothing], Some(false), &[]),
        ([Optional, Optional], Some(true), &[(0, using), (1, using)]),
        ([Optional, Required], Some(true), &[(0, using), (1, using)]),
        (
            [Required, Nothing],
            None,
            &[
                (0, unsupported),
                (1, "received AUTHENTICATION_FAILED notify error"),
            ],
        ),
        ([Required, Optional], Some(true), &[(0, using), (1, using)]),
        ([Required, Required], Some(true), &[(0, using), (1, using)]),
    ];
    for (uses, expected, texts) in cases {
        let used = establish(world(PROPOSAL, uses), texts).map(|(used, _)| used);
        assert_eq!(used, expected, "moon and carol: {uses:?}");
    }
}

#[test]
fn the_notifies_are_those_of_the_rfc() {
    let (_, world) = establish(world(PROPOSAL, [Optional, Optional]), &[]).expect("established");
    let line = |host: usize, start: &str| {
        let mut lines = world.hosts[host].log.iter();
        lines.find(|line| line.contains(start)).expect(start).clone()
    };
    assert!(line(1, "generating IKE_SA_INIT request").contains("N(REDIR_SUP) N(USE_PPK)"));
    assert!(line(0, "generating IKE_SA_INIT response").contains("N(USE_PPK)"));
    let request = line(1, "generating IKE_AUTH request");
    assert!(request.contains("N(NO_PPK) N(PPK_ID)"), "{request}");
    assert!(line(0, "generating IKE_AUTH response").contains("N(PPK_ID)"));
    let required = establish(self::world(PROPOSAL, [Optional, Required]), &[]);
    let (_, world) = required.expect("established");
    assert!(!world.logged(1, "N(NO_PPK)"), "nothing else will do");
}

#[test]
fn one_that_only_the_initiator_has_is_done_without_unless_it_is_required() {
    for (at_carol, expected) in [(Optional, Some(false)), (Required, None)] {
        let mut world = world(PROPOSAL, [Nothing, at_carol]);
        give(&mut world, 0, "another", b"moon has others");
        let texts: &[(usize, &str)] = match at_carol {
            Required => &[
                (
                    0,
                    "peer requires the PPK for 'ppk-1', load it as secrets.ppk<suffix>",
                ),
                (1, "received AUTHENTICATION_FAILED notify error"),
            ],
            _ => &[
                (0, "no PPK for 'ppk-1' found, ignored because PPK is not required"),
                (1, "peer didn't use PPK for PPK_ID 'ppk-1'"),
            ],
        };
        assert_eq!(establish(world, texts).map(|(used, _)| used), expected);
    }
}

#[test]
fn one_that_only_the_responder_requires_is_named() {
    let mut world = world(PROPOSAL, [Nothing, Optional]);
    give(&mut world, 0, "another", b"moon has others");
    let moon = PeerConfig {
        ppk_required: true,
        ..moon(PROPOSAL)
    };
    world.hosts[0].endpoint.add_connection(moon);
    let texts = [(0, "PPK required but no PPK found for 'ppk-1'")];
    assert!(establish(world, &texts).is_none());
}

#[test]
fn an_identity_that_is_not_the_configured_one_is_refused() {
    let mut world = world(PROPOSAL, [Optional, Optional]);
    let moon = PeerConfig {
        ppk_id: Some(Identity::parse("*.example.com")),
        ..moon(PROPOSAL)
    };
    world.hosts[0].endpoint.add_connection(moon);
    let texts = [(0, "received PPK_ID 'ppk-1', but require '*.example.com'")];
    assert!(establish(world, &texts).is_none());
}

#[test]
fn different_keys_are_as_different_secrets() {
    for required in [Optional, Required] {
        let mut world = world(PROPOSAL, [Nothing, required]);
        give(&mut world, 0, "ppk-1", b"something else");
        let texts = [
            (0, "but MAC mismatched"),
            (1, "received AUTHENTICATION_FAILED notify error"),
        ];
        assert!(establish(world, &texts).is_none(), "{required:?}");
    }
}

#[test]
fn the_initiators_own_mistakes_are_found_before_it_authenticates() {
    let mut missing = world(PROPOSAL, [Optional, Nothing]);
    let required = configured(carol(PROPOSAL), Required);
    missing.hosts[1].endpoint.add_connection(required.clone());
    let texts = [(1, "PPK required but no PPK found for 'ppk-1'")];
    assert!(establish(missing, &texts).is_none());

    let mut unnamed = world(PROPOSAL, [Optional, Optional]);
    unnamed.hosts[1].endpoint.add_connection(PeerConfig {
        ppk_id: None,
        ..required
    });
    let texts = [(1, "PPK required but no PPK_ID configured")];
    assert!(establish(unnamed, &texts).is_none());
}

#[test]
fn it_goes_into_the_keys_of_the_child_sa_after_other_key_exchanges_and_is_inherited() {
    let keys = |uses: [Uses; 2]| {
        let (used, mut world) = establish(world(TUNNEL1, uses), &[]).expect("established");
        let spi = world.sas(1)[0].children[0].spi_in;
        let key = world.hosts[1].kernel.sas[&spi].1.clone();
        world.rekey_ike(1);
        let rekeyed = |world: &World| world.logged(0, "IKE_SA Tunnel1[2] rekeyed between");
        assert!(world.run_until(MINUTE, rekeyed));
        let heirs = [0, 1].map(|host| world.live_sa(host).map(|sa| sa.ppk));
        assert_eq!(heirs, [Some(used); 2]);
        (used, key)
    };
    let (with, without) = (keys([Optional, Required]), keys([Nothing, Nothing]));
    assert_eq!((with.0, without.0), (true, false));
    assert_ne!(with.1, without.1, "the same randomness gives other keys");
}
