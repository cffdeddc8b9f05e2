//! What is offered, what may be chosen of it, and what is said if that goes wrong.

use std::sync::Arc;

use config::connection::{ChildConfig, PeerConfig, ProposalList};
use crypto::proposal::Proposal;
use crypto::registry::Registry;
use des::TdesEde3;
use iana::{
    EncryptionAlgorithm, ExchangeType, IntegrityAlgorithm, KeyExchangeMethod, NotifyType, Protocol,
    PseudoRandomFunction,
};
use modes::Cbc;
use plugin_api::{
    Feature, FeatureName, Implementation, Kem, KemExchange, KernelAlgorithms, PluginError, Secret,
};
use pqswan_tests::crypto::{registry, registry_with};
use pqswan_tests::puppet::Puppet;
use pqswan_tests::world::{CAROL, MOON, PSK, World, carol, moon, share};
use wire::payload::Payload;

use super::handshake::{MINUTE, calm, seed_settings};
use super::misbehaviour::fails;

/// The algorithms of simulations and further ones.
fn with(more: impl FnOnce(&mut Registry)) -> Arc<Registry> {
    let mut registry = registry();
    more(Arc::get_mut(&mut registry).expect("nobody else has it yet"));
    registry
}

/// With a pseudo-random function of the plugin `xcbc`, which is another here.
fn with_xcbc(registry: &mut Registry) {
    let prf = registry.prf(PseudoRandomFunction::HMAC_SHA2_256).expect("a PRF");
    let name = FeatureName::Prf(PseudoRandomFunction::AES128_XCBC);
    registry.add("xcbc", name, &Implementation::Prf(prf));
}

fn with_3des(registry: &mut Registry) {
    let feature = Feature::cipher(EncryptionAlgorithm::TRIPLE_DES_CBC, 24, Cbc::<TdesEde3>::new());
    registry.add("des", feature.name, &feature.implementation);
}

/// moon and carol with algorithms and proposals of their own for IKE_SAs; those that end with `!` have no defaults behind them.
fn pair(moons: (&Arc<Registry>, &str), carols: (&Arc<Registry>, &str)) -> World {
    let settings = seed_settings();
    let mut world = World::new(&[MOON, CAROL], &settings, moons.0, calm(), 1);
    let other = World::new(&[MOON, CAROL], &settings, carols.0, calm(), 1);
    world.hosts[1] = other.hosts.into_iter().nth(1).expect("carol");
    let esp = "aes256gcm16!";
    for (host, (config, ike)) in world
        .hosts
        .iter_mut()
        .zip([(moon(esp), moons.1), (carol(esp), carols.1)])
    {
        host.endpoint.add_connection(PeerConfig {
            proposals: list(ike),
            ..config
        });
        share(&mut host.endpoint, PSK);
    }
    world
}

fn list(text: &str) -> ProposalList {
    ProposalList {
        entries: vec![text.trim_end_matches('!').to_owned()],
        append_defaults: !text.ends_with('!'),
    }
}

#[test]
fn an_ike_auth_that_skips_an_announced_key_exchange_is_refused_and_ends_the_ike_sa() {
    let ike = "aes256gcm16-sha512-x25519-ke1_kyber3";
    let mut puppet = Puppet::new("aes256gcm16", &[ike]);
    let (suite, sk, init) = puppet.init(ike, true);
    let request = puppet.auth_request(&suite, &sk, &init, "aes256gcm16");
    let answer = puppet.ask(ExchangeType::IKE_AUTH, request);
    let refused = |payload: &Payload| matches!(payload, Payload::Notify(notify) if notify.kind == NotifyType::INVALID_SYNTAX);
    assert!(matches!(&answer[..], [payload] if refused(payload)), "{answer:?}");
    let log = &puppet.world.hosts[0].log;
    let line = "IKE_AUTH request refused: peer skips additional key exchange 1 (KYBER_L3)";
    assert!(log.iter().any(|it| it.ends_with(line)), "{log:#?}");
    assert!(puppet.world.sas(0).is_empty());
}

#[test]
fn what_no_plugin_implements_is_not_offered() {
    let world = pair((&registry(), "default!"), (&registry(), "default!"));
    let config = PeerConfig {
        proposals: list(
            "aes256ctr-aes128gcm16-aes256gcm16-prfaesxcbc-prfsha512-ecp521-x25519-ke1_hqc3-ke1_kyber3,\
             aes256gcm16-prfaesxcbc-x25519!",
        ),
        ..carol("aes256gcm16")
    };
    let mixed = world.hosts[1]
        .endpoint
        .check_proposals(&config)
        .expect_err("mixed");
    assert!(
        mixed.text.contains("can't be contained in the same"),
        "{}",
        mixed.text
    );
    let config = PeerConfig {
        proposals: list(
            "aes128gcm16-aes256gcm16-prfaesxcbc-prfsha512-ecp521-x25519-ke1_hqc3-ke1_kyber3,\
             aes256gcm16-prfaesxcbc-x25519!",
        ),
        ..carol("aes256gcm16")
    };
    let endpoint = &world.hosts[1].endpoint;
    let offered: Vec<String> = endpoint
        .offered_proposals(&config)
        .iter()
        .map(Proposal::to_string)
        .collect();
    assert_eq!(
        offered,
        ["IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3"]
    );
    let notes = endpoint.check_proposals(&config).expect("usable");
    assert_eq!(
        notes,
        [
            "aes128gcm16: plugin 'gcm' or 'aws-lc' is not loaded, it is left out",
            "prfaesxcbc: plugin 'xcbc' is not loaded, it is left out",
            "ecp521: plugin 'aws-lc' is not loaded, it is left out",
            "ke1_hqc3: plugin 'oqs' is not loaded, it is left out",
            "no loaded plugin implements PRF_AES128_XCBC (plugin 'xcbc'), which 'aes256gcm16-prfaesxcbc-x25519' needs",
        ]
    );
}

#[test]
fn a_connection_all_of_whose_proposals_need_a_plugin_is_refused_with_its_name() {
    let world = pair((&registry(), "default!"), (&registry(), "default!"));
    let endpoint = &world.hosts[0].endpoint;
    for (ike, why) in [
        (
            "aes256gcm16-sha512-x25519-ke1_sike1!",
            "no loaded plugin implements KE1_SIKE_L1 (plugin 'sike')",
        ),
        (
            "aes256ccm8-sha512-x25519!",
            "no loaded plugin implements AES_CCM_8_256 (plugin 'ccm')",
        ),
        (
            "3des-sha256-x25519",
            "no loaded plugin implements 3DES_CBC (plugin 'des')",
        ),
        (
            "aes256gcm16-sha512-ecp224bp!",
            "no loaded plugin implements ECP_224_BP, which",
        ),
    ] {
        let config = PeerConfig {
            proposals: list(ike),
            ..moon("aes256gcm16")
        };
        let refused = endpoint.check_proposals(&config).expect_err(ike);
        assert!(refused.text.contains(why), "{}", refused.text);
    }
}

/// A connection for peers with strongSwan's prototype: its defaults list what those peers list.
const PROTOTYPES: &str = "aes256gcm16-sha512-x25519-ke1_kyber3,default!";

#[test]
fn a_connection_of_which_nothing_is_said_offers_and_accepts_what_plugins_have() {
    let able = with(with_xcbc);
    for named in ["aes256gcm16-prfaesxcbc-x25519!", "aes256gcm16-prfsha384-x25519!"] {
        for proposals in [(named, "default!"), ("default!", named)] {
            let mut world = pair((&able, proposals.0), (&able, proposals.1));
            world.initiate(1);
            assert!(world.run_until(MINUTE, World::is_established), "{proposals:?}");
        }
    }
    let mut world = pair((&able, "default!"), (&able, "default!"));
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    assert!(world.logged(1, "PRF_HMAC_SHA2_256"), "{:#?}", world.hosts[1].log);
    // A gateway for old peers accepts what new ones offer, and the other way round.
    let mut world = pair((&able, PROTOTYPES), (&able, "default!"));
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
}

/// The defaults of 6.0dr3 offer more than there is, to look like it.
#[test]
fn a_choice_that_no_plugin_implements_is_named_by_who_offered_it() {
    let able = with(with_xcbc);
    let world = pair(
        (&able, "aes256gcm16-prfaesxcbc-x25519!"),
        (&registry(), PROTOTYPES),
    );
    fails(
        world,
        &[(
            1,
            "IKE_SA_INIT response refused: peer chose PRF_AES128_XCBC, which we offered but no loaded plugin implements",
        )],
    );
}

#[test]
fn lists_that_are_the_same_are_explained_by_the_responder() {
    let (able, ike) = (with(with_xcbc), "aes256gcm16-prfaesxcbc-x25519!");
    let world = pair((&registry(), ike), (&able, ike));
    fails(
        world,
        &[
            (
                0,
                "both ends list PRF_AES128_XCBC (plugin 'xcbc' is not loaded), which this end does not implement",
            ),
            (1, "received NO_PROPOSAL_CHOSEN notify error"),
        ],
    );
}

#[test]
fn weak_algorithms_are_chosen_only_where_they_are_named() {
    let able = with(with_3des);
    let named = "3des-sha256-x25519!";
    // The initiator's defaults list it.
    let world = pair((&able, named), (&able, PROTOTYPES));
    fails(
        world,
        &[(
            1,
            "IKE_SA_INIT response refused: peer chose IKE:3DES_CBC/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/CURVE_25519, whose weak \
             algorithms are accepted only by connections that name them",
        )],
    );
    let world = pair((&able, "default!"), (&able, named));
    fails(world, &[(1, "received NO_PROPOSAL_CHOSEN notify error")]);
    let mut world = pair((&able, named), (&able, named));
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
}

#[test]
fn a_method_is_there_twice_in_the_drafts_and_refused_by_the_rfc() {
    let twice = "aes256gcm16-sha512-x25519-ke1_kyber3-ke2_kyber3!";
    let mut world = pair((&registry(), twice), (&registry(), twice));
    let endpoint = &world.hosts[0].endpoint;
    let check = |ike, profile| {
        let config = PeerConfig {
            proposals: list(ike),
            profile,
            ..moon("aes256gcm16")
        };
        endpoint.check_proposals(&config).map_err(|bad| bad.text)
    };
    assert_eq!(check(twice, None), Ok(vec![]));
    let rfc = "KYBER_L3 is there for more than one key exchange";
    let refused = check(twice, Some(iana::Profile::Rfc)).expect_err("the RFC");
    assert!(refused.contains(rfc), "{refused}");
    for ike in [
        "aes256gcm16-sha512-x25519-ke1_x25519!",
        "aes256gcm16-sha512-x25519-ke1_mlkem768-ke2_mlkem768!",
        // The only plugin for KE2 has the method of KE1.
        "aes256gcm16-sha512-x25519-ke1_mlkem768-ke2_mlkem768-ke2_mlkem512!",
    ] {
        assert!(check(ike, None).is_err(), "{ike}");
        assert_eq!(
            check(ike, Some(iana::Profile::Draft)).map(|_| ()),
            Ok(()),
            "{ike}"
        );
    }
    assert_eq!(
        check("aes256gcm16-sha512-x25519-ecp256-ke1_x25519!", None),
        Ok(vec![])
    );
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    assert!(world.logged(1, "/CURVE_25519/KE1_KYBER_L3/KE2_KYBER_L3"));
}

/// A KEM whose keys are an octet shorter than it says.
struct Careless;

impl Kem for Careless {
    fn public_key_len(&self) -> usize {
        1184
    }

    fn ciphertext_len(&self) -> usize {
        1088
    }

    fn keygen(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        Ok((vec![0; 1183], Secret::zeroed(32)))
    }

    fn encapsulate(&self, _: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        Ok((vec![0; 1088], Secret::zeroed(32)))
    }

    fn decapsulate(&self, _: &Secret, _: &[u8]) -> Result<Secret, PluginError> {
        Ok(Secret::zeroed(32))
    }
}

#[test]
fn an_own_public_value_of_the_wrong_length_is_named_with_its_plugin_and_not_sent() {
    let careless = registry_with(|method, exchange| match method {
        KeyExchangeMethod::KYBER_L3 => Arc::new(KemExchange::new(Careless)),
        _ => exchange,
    });
    let ike = "aes256gcm16-sha512-x25519-ke1_kyber3!";
    let world = fails(
        pair((&registry(), ike), (&careless, ike)),
        &[(
            1,
            "plugin 'sim' failed at KYBER_L3: made a public key of 1183 octets where it says that they have 1184",
        )],
    );
    assert!(!world.logged(0, "parsed IKE_INTERMEDIATE"));
}

/// A back end that has AES-GCM and nothing else.
struct GcmAlone;

impl KernelAlgorithms for GcmAlone {
    fn encrypts(&self, algorithm: EncryptionAlgorithm, key_len: u16) -> bool {
        algorithm == EncryptionAlgorithm::AES_GCM_16 && key_len == 32
    }

    fn authenticates(&self, _: Protocol, _: IntegrityAlgorithm) -> bool {
        false
    }
}

#[test]
fn what_the_back_end_cannot_do_is_neither_offered_nor_chosen() {
    let frugal = with(|registry| registry.set_kernel(Arc::new(GcmAlone)));
    let world = pair((&frugal, "default!"), (&registry(), "default!"));
    let (moon, carol) = (&world.hosts[0].endpoint, &world.hosts[1].endpoint);
    let child = |esp: &str| ChildConfig {
        proposals: list(esp),
        ..ChildConfig::clone(&self::moon("aes256gcm16").children[0])
    };
    let offered = |endpoint: &ike::Endpoint, esp: &str| {
        let offered = endpoint.offered_child_proposals(&child(esp));
        offered.iter().map(Proposal::to_string).collect::<Vec<_>>()
    };
    let esp = "aes128gcm16-aes256gcm16,aes256-sha256!";
    assert_eq!(offered(moon, esp), ["ESP:AES_GCM_16_256/NO_EXT_SEQ"]);
    assert_eq!(offered(carol, esp).len(), 2);
    assert_eq!(offered(moon, "default!"), ["ESP:AES_GCM_16_256"]);
    let check = |esp| {
        let config = PeerConfig {
            proposals: list("default!"),
            children: vec![Arc::new(child(esp))],
            ..self::moon("aes256gcm16")
        };
        moon.check_proposals(&config).map_err(|bad| bad.text)
    };
    assert_eq!(
        check(esp),
        Ok(vec![
            "aes128gcm16: the kernel back end does not implement it, it is left out".to_owned(),
            "the kernel back end does not implement AES_CBC_256, which 'aes256-sha256' needs".to_owned(),
        ])
    );
    let refused = check("aes256-sha256!").expect_err("nothing is left");
    assert!(refused.contains("does not implement AES_CBC_256"), "{refused}");
}

#[test]
fn a_responder_says_what_its_back_end_lacks() {
    let frugal = with(|registry| registry.set_kernel(Arc::new(GcmAlone)));
    let mut world = pair((&frugal, "default!"), (&registry(), "default!"));
    for (host, config) in world
        .hosts
        .iter_mut()
        .zip([moon("aes256-sha256!"), carol("aes256-sha256!")])
    {
        host.endpoint.add_connection(PeerConfig {
            proposals: list("aes256gcm16-sha512-x25519!"),
            ..config
        });
    }
    world.initiate(1);
    world.run_for(MINUTE);
    for (host, line) in [
        (0, "both ends list AES_CBC_256, which this end does not implement"),
        (1, "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built"),
    ] {
        assert!(world.logged(host, line), "{line}: {:#?}", world.hosts[host].log);
    }
    // Another attempt is a CREATE_CHILD_SA of the same IKE_SA.
    let kept = |world: &World| {
        let lines = world.hosts[1].log.iter();
        let kept = lines.filter(|line| line.contains("failed to establish CHILD_SA, keeping IKE_SA"));
        kept.count()
    };
    assert_eq!(kept(&world), 1);
    world.initiate(1);
    world.run_for(MINUTE);
    assert_eq!((kept(&world), world.sas(1).len()), (2, 1));
}
