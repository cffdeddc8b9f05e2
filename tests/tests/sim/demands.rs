//! What a connection demands of its peer holds, whatever else the two ends have configured.

use std::sync::Arc;

use config::authentication::Constraint;
use config::connection::{
    AuthClass, AuthConfig, ChildConfig, Host as End, NamedCertificate, PeerConfig, ProposalList,
};
use config::identity::Identity;
use config::secret::{SecretKind, SharedSecret};
use iana::{ExchangeType, KeyExchangeMethod, NotifyType, Profile, Protocol};
use ike::IkeSaState;
use pqswan_tests::puppet::Puppet;
use pqswan_tests::world::{CAROL, MOON, PSK, World, carol, moon, share};

use wire::payload::Payload;

use super::handshake::{MINUTE, calm, seed_settings};

const CLASSIC: &str = "aes256gcm16-sha512-x25519!";
const STRICT: &str = "aes256gcm16-sha512-x25519-ke1_kyber3!";
const OPEN: &str = "aes256gcm16-sha512-x25519";
const PQ: &str = "aes256gcm16-sha512-x25519-ke1_kyber3";
const EVIL: &str = "192.168.0.66";

fn id(text: &str) -> Option<Identity> {
    Some(Identity::parse(text))
}

fn list(entries: &[&str]) -> ProposalList {
    ProposalList {
        entries: entries.iter().map(|entry| (*entry).to_owned()).collect(),
        append_defaults: false,
    }
}

/// A connection of moon's for any peer of this name.
fn gateway(name: &str, peer: &str, proposals: &[&str]) -> PeerConfig {
    let mut config = PeerConfig {
        name: name.to_owned(),
        remote_addrs: vec![End::Any],
        proposals: list(proposals),
        ..moon(CLASSIC)
    };
    config.remote_auth[0].id = id(peer);
    let child = ChildConfig {
        name: name.to_owned(),
        ..ChildConfig::clone(&config.children[0])
    };
    config.children = vec![Arc::new(child)];
    config
}

/// carol, under another name, with these proposals for the IKE_SA.
fn client(name: &str, proposals: &[&str]) -> PeerConfig {
    let mut config = PeerConfig {
        proposals: list(proposals),
        ..carol(CLASSIC)
    };
    config.local_auth[0].id = id(name);
    config
}

/// moon with these connections and a client with this one, all with the secret of the seed for the names given.
fn meeting(gateways: Vec<PeerConfig>, client: PeerConfig, names: &[&str]) -> World {
    let registry = pqswan_tests::crypto::registry();
    let mut world = World::new(&[MOON, CAROL], &seed_settings(), &registry, calm(), 1);
    for config in gateways {
        world.hosts[0].endpoint.add_connection(config);
    }
    world.hosts[1].endpoint.add_connection(client);
    for host in [0, 1] {
        for name in names {
            secret(&mut world, host, &["moon.strongswan.org", name], PSK);
        }
    }
    world.initiate(1);
    world.run_for(MINUTE);
    world
}

fn secret(world: &mut World, host: usize, owners: &[&str], secret: &str) {
    world.hosts[host].endpoint.secrets_mut().insert(
        SecretKind::Ike,
        owners.iter().map(|owner| Identity::parse(owner)).collect(),
        SharedSecret::new(secret.as_bytes().to_vec()),
    );
}

/// The connections by which moon has established IKE_SAs.
fn established(world: &World) -> Vec<String> {
    let up = |sa: &ike::IkeSaInfo| sa.state == IkeSaState::Established;
    let sas = world.sas(0).into_iter().filter(up);
    sas.map(|sa| sa.name.to_string()).collect()
}

fn assert_refused(world: &World, host: usize, words: &str, what: &str) {
    assert_eq!(established(world), Vec::<String>::new(), "{what}");
    assert!(world.sas(1).is_empty(), "{what}");
    assert!(world.logged(host, words), "{what}: {:#?}", world.hosts[host].log);
    world.assert_no_trace();
}

fn demanding(class: AuthClass, constraints: Vec<Constraint>) -> Vec<AuthConfig> {
    vec![AuthConfig {
        class,
        constraints,
        ..AuthConfig::default()
    }]
}

/// What may be demanded beyond a pre-shared key, and the words that a peer is refused with which proves just that.
fn demands() -> Vec<(&'static str, Vec<AuthConfig>, &'static str)> {
    let psk = || demanding(AuthClass::Psk, Vec::new()).remove(0);
    let certificate = || NamedCertificate {
        subject: Identity::parse("C=CH, CN=ca"),
        der: Arc::from(&b"der"[..]),
    };
    let of_psk = |constraint| demanding(AuthClass::Psk, vec![constraint]);
    vec![
        (
            "pubkey",
            demanding(AuthClass::Pubkey, Vec::new()),
            "constraint requires public key authentication, but pre-shared key was used",
        ),
        (
            "eap",
            demanding(AuthClass::Eap, Vec::new()),
            "constraint requires EAP authentication, but pre-shared key was used",
        ),
        (
            "eap-mschapv2",
            demanding(AuthClass::Eap, vec![Constraint::EapMethod("EAP_MSCHAPV2".into())]),
            "constraint requires EAP_MSCHAPV2",
        ),
        (
            "xauth",
            demanding(AuthClass::Xauth, Vec::new()),
            "constraint requires XAuth authentication",
        ),
        (
            "never",
            demanding(AuthClass::Never, Vec::new()),
            "constraint requires never authentication",
        ),
        (
            "psk and eap",
            [vec![psk()], demanding(AuthClass::Eap, Vec::new())].concat(),
            "insufficient authentication rounds",
        ),
        (
            "psk and pubkey",
            [vec![psk()], demanding(AuthClass::Pubkey, Vec::new())].concat(),
            "insufficient authentication rounds",
        ),
        (
            "psk twice",
            vec![psk(), psk()],
            "insufficient authentication rounds",
        ),
        (
            "groups",
            of_psk(Constraint::Groups(vec!["admins".into()])),
            "group membership to 'admins' required",
        ),
        (
            "ca_id",
            of_psk(Constraint::Authority("C=CH, CN=ca".into())),
            "peer not authenticated by CA 'C=CH, CN=ca'",
        ),
        (
            "cacerts",
            vec![AuthConfig {
                cacerts: vec![certificate()],
                ..psk()
            }],
            "peer not authenticated by CA 'C=CH, CN=ca'",
        ),
        (
            "certs",
            vec![AuthConfig {
                certs: vec![certificate()],
                ..psk()
            }],
            "peer not authenticated with peer cert 'C=CH, CN=ca'",
        ),
        (
            "rightcert",
            of_psk(Constraint::Certificate("carol.pem".into())),
            "peer not authenticated with peer cert 'carol.pem'",
        ),
        (
            "cert_policy",
            of_psk(Constraint::CertPolicies(vec!["1.2.3".into()])),
            "constraint requires cert policy 1.2.3",
        ),
        (
            "revocation",
            of_psk(Constraint::Revocation("GOOD")),
            "requires at least GOOD",
        ),
        (
            "signatures",
            of_psk(Constraint::Signatures("rsa-2048-sha256".into())),
            "a signature by 'rsa-2048-sha256' required",
        ),
        (
            "eap_id",
            of_psk(Constraint::EapIdentity(Identity::parse("carol"))),
            "EAP identity 'carol'",
        ),
    ]
}

#[test]
fn a_responder_lets_no_peer_in_that_proves_less_than_is_demanded() {
    for (what, rounds, words) in demands() {
        let mut config = gateway("net", "carol.strongswan.org", &[OPEN]);
        config.remote_auth = rounds;
        let client = client("carol.strongswan.org", &[OPEN]);
        let world = meeting(vec![config], client, &["carol.strongswan.org"]);
        assert_refused(&world, 0, words, what);
        assert!(
            world.logged(0, "selected peer config 'net' unacceptable: "),
            "{what}"
        );
    }
}

#[test]
fn an_initiator_accepts_no_gateway_that_proves_less_than_is_demanded() {
    for (what, rounds, words) in demands() {
        let mut config = client("carol.strongswan.org", &[OPEN]);
        config.remote_auth = rounds;
        let gateway = gateway("net", "carol.strongswan.org", &[OPEN]);
        let world = meeting(vec![gateway], config, &["carol.strongswan.org"]);
        assert_refused(&world, 1, words, what);
    }
}

#[test]
fn a_peer_that_may_authenticate_as_it_likes_is_let_in() {
    for class in [AuthClass::Any, AuthClass::Psk] {
        let mut config = gateway("net", "carol.strongswan.org", &[OPEN]);
        config.remote_auth = demanding(class, Vec::new());
        let client = client("carol.strongswan.org", &[OPEN]);
        let world = meeting(vec![config], client, &["carol.strongswan.org"]);
        assert_eq!(established(&world), ["net"], "{class}");
    }
}

#[test]
fn the_secret_of_a_site_opens_no_connection_that_demands_a_certificate() {
    let site = gateway("site", "site@test", &[OPEN]);
    let mut admins = gateway("admins", "*@admins.test", &[OPEN]);
    admins.remote_auth[0].class = AuthClass::Pubkey;
    let client = client("root@admins.test", &[OPEN]);
    // A secret without owners is for every pair.
    let mut world = meeting(vec![site, admins], client, &[]);
    for host in [0, 1] {
        secret(&mut world, host, &[], PSK);
    }
    world.initiate(1);
    world.run_for(MINUTE);
    let words = "constraint requires public key authentication, but pre-shared key was used";
    assert_refused(&world, 0, words, "admins");
    assert!(world.logged(
        0,
        "selected peer config 'admins' unacceptable: constraint checking failed"
    ));
}

#[test]
fn another_connection_is_used_where_one_demands_more() {
    let mut admins = gateway("admins", "carol.strongswan.org", &[OPEN]);
    admins.remote_auth[0].constraints = vec![Constraint::Groups(vec!["admins".into()])];
    let staff = gateway("staff", "*.strongswan.org", &[OPEN]);
    let client = client("carol.strongswan.org", &[OPEN]);
    let world = meeting(vec![admins, staff], client, &["carol.strongswan.org"]);
    assert_eq!(established(&world), ["staff"]);
    assert!(world.logged(0, "switching to peer config 'staff'"));
}

#[test]
fn an_end_that_cannot_do_all_its_rounds_does_none() {
    for responds in [true, false] {
        let mut config = gateway("net", "carol.strongswan.org", &[OPEN]);
        let mut client = client("carol.strongswan.org", &[OPEN]);
        let own = if responds { &mut config } else { &mut client };
        own.local_auth.extend(demanding(AuthClass::Eap, Vec::new()));
        let world = meeting(vec![config], client, &["carol.strongswan.org"]);
        let host = usize::from(!responds);
        let words = "has 2 rounds of authentication for this end, only one is supported";
        assert_refused(&world, host, words, "a round of its own");
    }
}

#[test]
fn a_strict_post_quantum_connection_is_not_entered_by_a_classical_handshake() {
    let open = gateway("open", "dave.strongswan.org", &[OPEN]);
    let strong = gateway("strong", "carol.strongswan.org", &[PQ]);
    let client = client("carol.strongswan.org", &[OPEN]);
    let world = meeting(vec![open, strong], client, &["carol.strongswan.org"]);
    let words = "ignore candidate 'strong' without matching IKE proposal";
    assert_refused(&world, 0, words, "strong");
    assert!(world.logged(0, "no matching peer config found"));
}

#[test]
fn a_post_quantum_key_exchange_is_selected_if_a_connection_that_may_be_meant_has_one() {
    for order in [[0, 1], [1, 0]] {
        let all = [
            gateway("open", "dave.strongswan.org", &[OPEN]),
            gateway("strong", "carol.strongswan.org", &[PQ]),
        ];
        let gateways = order.map(|place: usize| all[place].clone()).to_vec();
        let client = client("carol.strongswan.org", &[PQ, OPEN]);
        let world = meeting(gateways, client, &["carol.strongswan.org"]);
        assert_eq!(established(&world), ["strong"]);
        let proposal = world.sas(0)[0].proposal.clone().expect("a proposal");
        assert!(proposal.has_additional(), "{proposal}");
        world.assert_consistent();
    }
}

#[test]
fn every_transform_type_of_the_selected_proposal_is_compared() {
    // What open selects, and what strong would have to accept.
    for (selected, strong, accepted) in [
        (OPEN, OPEN, true),
        (OPEN, "aes256gcm16-sha512-x25519-ke1_kyber3-ke1_none", true),
        (OPEN, "aes256gcm16-sha512-x25519-ke2_kyber3", false),
        (PQ, OPEN, false),
        (PQ, "aes256gcm16-sha512-x25519-ke1_kyber3-ke2_ntrup3", false),
        (PQ, "aes256gcm16-sha512-x25519-ke1_kyber1", false),
        (PQ, "aes256gcm16-sha512-x25519-ke1_kyber1-ke1_kyber3", true),
        (OPEN, "aes256gcm16-sha256-x25519", false),
        (OPEN, "aes128gcm16-sha512-x25519", false),
        (OPEN, "aes128gcm16-aes256gcm16-sha256-sha512-x25519", true),
    ] {
        let mut open = gateway("open", "dave.strongswan.org", &[selected]);
        // It suits the addresses better, so that it selects.
        open.remote_addrs = vec![End::Address(CAROL.parse().expect("an address"))];
        let strong = gateway("strong", "carol.strongswan.org", &[strong]);
        let what = format!("{selected} for {:?}", strong.proposals.entries);
        let client = client("carol.strongswan.org", &[selected]);
        let world = meeting(vec![open, strong], client, &["carol.strongswan.org"]);
        let expected: &[&str] = if accepted { &["strong"] } else { &[] };
        assert_eq!(established(&world), expected, "{what}: {:#?}", world.hosts[0].log);
    }
}

#[test]
fn a_connection_that_pins_another_profile_is_not_entered() {
    let mut open = gateway("open", "dave.strongswan.org", &[OPEN]);
    open.remote_addrs = vec![End::Address(CAROL.parse().expect("an address"))];
    let mut strong = gateway("strong", "carol.strongswan.org", &[OPEN]);
    strong.profile = Some(match Profile::default() {
        Profile::Rfc => Profile::Draft,
        Profile::Draft | Profile::DraftRound2 => Profile::Rfc,
    });
    let client = client("carol.strongswan.org", &[OPEN]);
    let world = meeting(vec![open, strong], client, &["carol.strongswan.org"]);
    assert_refused(&world, 0, "no matching peer config found", "another profile");
}

/// moon with carol's secret and dave's, and one who has carol's and says to be dave.
fn impostor(secrets: &[(&[&str], &str)], knows: &str) -> World {
    let registry = pqswan_tests::crypto::registry();
    let mut world = World::new(&[MOON, EVIL], &seed_settings(), &registry, calm(), 1);
    for name in ["carol.strongswan.org", "dave.strongswan.org"] {
        let config = gateway(name, name, &[OPEN]);
        world.hosts[0].endpoint.add_connection(config);
    }
    for (owners, octets) in secrets {
        secret(&mut world, 0, owners, octets);
    }
    let mut dave = client("dave.strongswan.org", &[OPEN]);
    dave.local_addrs = vec![End::Address(EVIL.parse().expect("an address"))];
    world.hosts[1].endpoint.add_connection(dave);
    secret(&mut world, 1, &[], knows);
    world.initiate(1);
    world.run_for(MINUTE);
    world
}

#[test]
fn a_peer_does_not_authenticate_as_another_with_its_own_key() {
    const MOON_ID: &str = "moon.strongswan.org";
    const CAROL_ID: &str = "carol.strongswan.org";
    const DAVE_ID: &str = "dave.strongswan.org";
    let cases: [&[(&[&str], &str)]; 7] = [
        &[(&[MOON_ID, CAROL_ID], "A"), (&[MOON_ID, DAVE_ID], "B")],
        &[(&[MOON_ID, DAVE_ID], "B"), (&[MOON_ID, CAROL_ID], "A")],
        &[(&[CAROL_ID], "A"), (&[DAVE_ID], "B")],
        &[(&[MOON_ID], "A"), (&[DAVE_ID], "B")],
        &[(&[], "A"), (&[MOON_ID, DAVE_ID], "B")],
        &[(&["%any"], "A"), (&[DAVE_ID], "B")],
        &[(&["*.strongswan.org"], "A"), (&[DAVE_ID], "B")],
    ];
    for secrets in cases {
        let world = impostor(secrets, "A");
        assert_eq!(established(&world), Vec::<String>::new(), "{secrets:?}");
        assert!(world.logged(0, "but MAC mismatched"), "{secrets:?}");
        let world = impostor(secrets, "B");
        assert_eq!(established(&world), [DAVE_ID], "{secrets:?}");
    }
}

#[test]
fn a_secret_that_names_only_this_end_is_used_if_none_names_the_peer_and_the_log_says_so() {
    let world = impostor(&[(&["moon.strongswan.org", "dave@strongswan.org"], "A")], "A");
    assert_eq!(established(&world), ["dave.strongswan.org"]);
    let words = "no shared key names 'dave.strongswan.org', using one that names 'moon.strongswan.org' and not this peer";
    assert!(world.logged(0, words), "{:#?}", world.hosts[0].log);
}

#[test]
fn a_responder_answers_with_the_secret_that_verified() {
    // The initiator has the old one alone, which moon has before the new one.
    let pair: &[&str] = &["moon.strongswan.org", "dave.strongswan.org"];
    let world = impostor(&[(pair, "old"), (pair, "new")], "old");
    assert_eq!(established(&world), ["dave.strongswan.org"]);
    assert_eq!(world.sas(1).len(), 1, "the initiator takes the answer");
}

#[test]
fn an_initiator_uses_the_secret_that_was_loaded_last() {
    let mut world = World::moon_and_carol(CLASSIC, &seed_settings(), calm(), 1);
    share(&mut world.hosts[1].endpoint, "new");
    world.initiate(1);
    world.run_for(MINUTE);
    assert!(established(&world).is_empty(), "moon has the old one alone");
    share(&mut world.hosts[0].endpoint, "new");
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
}

#[test]
fn costly_groups_are_accepted_only_where_they_are_configured() {
    // `modp8192` comes with the defaults of a connection that is not strict.
    for (configured, defaults, accepted) in [
        (OPEN, true, false),
        (OPEN, false, false),
        ("aes256gcm16-sha512-modp8192", true, true),
    ] {
        let mut config = gateway("net", "carol.strongswan.org", &[configured]);
        config.proposals.append_defaults = defaults;
        let client = client("carol.strongswan.org", &["aes256gcm16-sha512-modp8192"]);
        let registry_has = pqswan_tests::crypto::registry()
            .key_exchange(KeyExchangeMethod::MODP_8192)
            .is_some();
        assert!(registry_has, "the group exists here");
        let world = meeting(vec![config], client, &["carol.strongswan.org"]);
        let expected: &[&str] = if accepted { &["net"] } else { &[] };
        assert_eq!(established(&world), expected, "{configured} {defaults}");
    }
}

#[test]
fn an_ike_sa_is_rekeyed_by_the_peer_with_the_costly_group_that_this_end_has_offered() {
    let mut client = client("carol.strongswan.org", &["default"]);
    client.mobike = false;
    let gateway = gateway("net", "carol.strongswan.org", &["aes256gcm16-sha512-modp8192"]);
    let mut world = meeting(vec![gateway], client, &["carol.strongswan.org"]);
    for rekeyed in 0..2 {
        let before = world.sas(0)[0].unique_id;
        world.rekey_ike(0);
        world.run_for(MINUTE);
        let (ours, theirs) = (world.sas(0), world.sas(1));
        assert_ne!(ours[0].unique_id, before, "{rekeyed}: {:#?}", world.hosts[1].log);
        assert_eq!((ours.len(), theirs.len()), (1, 1));
    }
    world.assert_consistent();
}

#[test]
fn an_identity_that_no_script_could_be_told_is_refused_by_both_ends() {
    let long = || Some(Identity::new(iana::IdType::FQDN, vec![0x7f; 8_000]));
    for responds in [true, false] {
        let mut gateway = gateway("net", "carol.strongswan.org", &[OPEN]);
        let mut client = client("carol.strongswan.org", &[OPEN]);
        gateway.remote_auth[0].id = None;
        client.remote_auth[0].id = None;
        let stranger = if responds { &mut client } else { &mut gateway };
        stranger.local_auth[0].id = long();
        let registry = pqswan_tests::crypto::registry();
        let mut world = World::new(&[MOON, CAROL], &seed_settings(), &registry, calm(), 1);
        world.hosts[0].endpoint.add_connection(gateway);
        world.hosts[1].endpoint.add_connection(client);
        for host in [0, 1] {
            secret(&mut world, host, &[], PSK);
        }
        world.initiate(1);
        world.run_for(MINUTE);
        let words = "the peer's identity has 8000 octets, more than 4096";
        assert_refused(&world, usize::from(!responds), words, "a long identity");
    }
}

#[test]
fn strict_connections_come_up_with_all_their_key_exchanges() {
    let mut world = World::moon_and_carol(STRICT, &seed_settings(), calm(), 1);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    assert!(
        world.sas(0)[0]
            .proposal
            .as_ref()
            .is_some_and(|it| it.has_additional())
    );
}

#[test]
fn a_child_sa_is_not_made_without_the_key_exchanges_that_it_demands() {
    let esp = "aes256gcm16-x25519-ke1_kyber3";
    for (offered, accepted) in [("aes256gcm16", false), ("aes256gcm16-x25519", false), (esp, true)] {
        let mut puppet = Puppet::established(&format!("{esp}!"));
        let mut payloads = vec![
            puppet.proposals(offered, Protocol::ESP, &0xc0ff_ee01_u32.to_be_bytes()),
            Puppet::nonce(),
        ];
        if offered.contains("x25519") {
            payloads.push(puppet.public(KeyExchangeMethod::CURVE_25519));
        }
        payloads.extend(Puppet::selectors());
        let answer = puppet.ask(ExchangeType::CREATE_CHILD_SA, payloads);
        let refused = answer.iter().any(|payload| {
            matches!(payload, Payload::Notify(notify) if notify.kind == NotifyType::NO_PROPOSAL_CHOSEN)
        });
        assert_eq!(refused, !accepted, "{offered}: {answer:?}");
        assert_eq!(puppet.world.sas(0)[0].children.len(), 1, "{offered}");
    }
}

#[test]
fn an_ike_sa_is_not_rekeyed_by_a_proposal_that_its_connection_does_not_have() {
    for (offered, accepted) in [
        ("aes256gcm16-sha512-x25519-ke1_kyber3", false),
        ("aes256gcm16-sha256-x25519", false),
        ("aes256gcm16-sha512-x25519", true),
    ] {
        let mut puppet = Puppet::established("aes256gcm16");
        let payloads = vec![
            puppet.proposals(offered, Protocol::IKE, &[7; 8]),
            Puppet::nonce(),
            puppet.public(KeyExchangeMethod::CURVE_25519),
        ];
        let answer = puppet.ask(ExchangeType::CREATE_CHILD_SA, payloads);
        let refused = answer.iter().any(|payload| {
            matches!(payload, Payload::Notify(notify) if notify.kind == NotifyType::NO_PROPOSAL_CHOSEN)
        });
        assert_eq!(refused, !accepted, "{offered}: {answer:?}");
    }
}
