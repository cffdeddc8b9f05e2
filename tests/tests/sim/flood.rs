//! What somebody without a key can do to a responder, and the bounds.

use std::net::SocketAddr;
use std::time::Duration;

use iana::{ExchangeType, NotifyType};
use ike::{Settings, Transmit};
use pqswan_tests::puppet::Puppet;
use pqswan_tests::world::World;

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};
use super::reflection::octets_to;

/// An IKE_SA_INIT request of carol's, to be varied.
fn captured(settings: &Settings) -> Transmit {
    let mut world = World::moon_and_carol(TUNNEL1, settings, calm(), 3);
    let (send, receive) = std::sync::mpsc::channel();
    world.tamper = Some(Box::new(move |datagram| {
        let _ = send.send(datagram.clone());
        false
    }));
    world.initiate(1);
    world.run_for(Duration::from_secs(1));
    receive.try_recv().expect("a request")
}

/// moon with a connection for anybody.
fn open_world(settings: &Settings) -> World {
    let mut world = World::moon_and_carol(TUNNEL1, settings, calm(), 3);
    let anybody = config::connection::PeerConfig {
        remote_addrs: vec![config::connection::Host::Any],
        ..pqswan_tests::world::moon(TUNNEL1)
    };
    world.hosts[0].endpoint.add_connection(anybody);
    world
}

/// The request from another address, with another SPI.
fn varied(request: &Transmit, number: u32, address: [u8; 4]) -> Transmit {
    let mut varied = request.clone();
    varied.local = SocketAddr::from((address, 500));
    varied.octets[..4].copy_from_slice(&number.to_be_bytes());
    varied.octets[0] |= 1;
    varied
}

#[test]
fn from_the_threshold_on_cookies_are_demanded_and_nothing_is_kept() {
    let settings = seed_settings();
    let request = captured(&settings);
    let mut world = open_world(&settings);
    world.hosts[0].endpoint.start_tally();
    for number in 0..1_000u32 {
        world.deliver(varied(
            &request,
            number,
            [10, 9, (number >> 8) as u8, number as u8],
        ));
        world.run_for(Duration::from_millis(1));
    }
    assert_eq!(world.sas(0).len(), settings.cookie_threshold);
    let answers = &world.hosts[0].sent[settings.cookie_threshold..];
    assert!(
        answers.iter().all(|len| *len < request.octets.len()),
        "no answer is larger than its request"
    );

    world.initiate(1);
    assert!(
        world.run_until(MINUTE, |world| world
            .sas(1)
            .iter()
            .any(|sa| sa.established.is_some())),
        "an honest peer gets through"
    );
    assert_eq!(
        world.hosts[1].sent[1],
        724 + 8 + 24,
        "the second request carries the cookie"
    );
    let tally = world.hosts[0].endpoint.tally().expect("it counts");
    let demanded = 1_001 - settings.cookie_threshold as u64;
    let cookies = (tally.cookies, tally.cookies_verified, tally.cookies_refused);
    assert_eq!(cookies, (demanded, 1, 0));
    assert_eq!(tally.establishing.as_responder.established, 1);
    world.run_for(MINUTE);
    assert_eq!(world.sas(0).len(), 1, "half-open IKE_SAs time out");
    world.assert_consistent();
}

#[test]
fn one_address_gets_no_more_than_its_share() {
    let settings = seed_settings();
    let request = captured(&settings);
    let mut world = open_world(&settings);
    world.hosts[0].endpoint.start_tally();
    for number in 0..100 {
        world.deliver(varied(&request, number, [192, 168, 0, 3]));
        world.run_for(Duration::from_millis(1));
    }
    assert_eq!(world.sas(0).len(), settings.cookie_threshold_ip);
    let tally = world.hosts[0].endpoint.tally().expect("it counts");
    assert_eq!(tally.cookies, 100 - settings.cookie_threshold_ip as u64);
}

#[test]
fn a_replayed_request_makes_no_second_ike_sa() {
    let settings = seed_settings();
    let request = captured(&settings);
    let mut world = open_world(&settings);
    world.hosts[0].endpoint.start_tally();
    for _ in 0..100 {
        world.deliver(request.clone());
        world.run_for(Duration::from_millis(1));
    }
    assert_eq!(world.sas(0).len(), 1);
    let tally = world.hosts[0].endpoint.tally().expect("it counts");
    assert_eq!((tally.repeated_requests, tally.retransmitted_responses), (99, 4));
    let answers = &world.hosts[0].sent;
    assert!(
        answers.iter().all(|len| *len == answers[0]),
        "the stored answer, each time"
    );
    world.run_for(Duration::from_secs(4));
    world.deliver(request);
    let tally = world.hosts[0].endpoint.tally().expect("it counts");
    assert_eq!(tally.retransmitted_responses, 5, "a peer repeats after seconds");
}

#[test]
fn limits_of_the_daemon_drop_requests_in_silence() {
    for settings in [
        Settings {
            initiator_only: true,
            ..seed_settings()
        },
        Settings {
            init_limit_half_open: 1,
            ..seed_settings()
        },
        Settings {
            init_limit_job_load: 1,
            ..seed_settings()
        },
    ] {
        let request = captured(&seed_settings());
        let mut world = open_world(&settings);
        world.hosts[0]
            .endpoint
            .set_job_load(if settings.init_limit_job_load > 0 { 5 } else { 0 });
        world.deliver(varied(&request, 1, [10, 9, 0, 1]));
        world.deliver(varied(&request, 2, [10, 9, 0, 2]));
        assert!(
            world.sas(0).len() <= settings.init_limit_half_open,
            "{settings:?}"
        );
    }
}

#[test]
fn what_is_answered_without_keeping_anything_is_no_longer_than_its_request() {
    let settings = seed_settings();
    let request = captured(&settings);
    let mut world = open_world(&settings);
    let mut header = varied(&request, 1, [203, 0, 113, 66]);
    header.octets.truncate(28);
    header.octets[16] = 0;
    header.octets[24..].copy_from_slice(&28_u32.to_be_bytes());
    let victim = header.local;
    for version in [0x20, 0x30] {
        header.octets[17] = version;
        let sent = octets_to(&mut world, victim, |world| {
            world.deliver(header.clone());
            world.run_for(Duration::from_secs(1));
        });
        assert_eq!(sent, 0, "36 octets would answer 28");
    }
}

#[test]
fn ike_sas_that_are_given_back_at_once_count_as_begun() {
    let settings = seed_settings();
    let request = captured(&settings);
    let mut world = open_world(&settings);
    world.hosts[0].endpoint.start_tally();
    let mut begun = 0;
    for number in 0..500 {
        world.deliver(varied(&request, number, [192, 168, 0, 3]));
        world.run_for(Duration::from_millis(1));
        // An authentic but malformed message would end it; here its own daemon does.
        for sa in world.sas(0) {
            begun += 1;
            let now = world.now;
            world.hosts[0]
                .endpoint
                .destroy_ike(now, ike::CommandId(0), sa.unique_id);
            world.drain(0);
        }
    }
    let tally = world.hosts[0].endpoint.tally().expect("it counts");
    assert!(tally.cookies > 490, "{} cookies", tally.cookies);
    assert!(begun < 10, "{begun} were begun");
}

/// A client at an address that returns its cookies, and begins one IKE_SA after the other.
fn begins(world: &mut World, request: &Transmit, number: u32) -> bool {
    let mut varied = varied(request, number, [192, 168, 0, 3]);
    let (send, receive) = std::sync::mpsc::channel();
    world.tamper = Some(Box::new(move |datagram| {
        let _ = send.send(datagram.clone());
        false
    }));
    let mut begun = false;
    for _ in 0..2 {
        world.deliver(varied.clone());
        world.run_for(Duration::from_millis(1));
        let Ok(answer) = receive.try_recv() else { break };
        let Ok(wire::Packet::Plain(message)) = wire::parse_datagram(&answer.octets) else {
            break;
        };
        let cookie = message.payloads.iter().find_map(|payload| match payload {
            wire::payload::Payload::Notify(notify) if notify.kind == NotifyType::COOKIE => {
                Some(notify.clone())
            }
            _ => None,
        });
        let Some(cookie) = cookie else {
            begun = true;
            break;
        };
        let Ok(wire::Packet::Plain(mut asked)) = wire::parse_datagram(&varied.octets) else {
            break;
        };
        asked.payloads.insert(0, wire::payload::Payload::Notify(cookie));
        varied.octets = wire::write_plain(&asked.header, &asked.payloads);
    }
    world.tamper = None;
    begun
}

#[test]
fn an_address_that_returns_its_cookies_and_never_authenticates_is_not_listened_to() {
    let settings = seed_settings();
    let request = captured(&settings);
    let mut world = open_world(&settings);
    let begun = (0..100)
        .filter(|number| begins(&mut world, &request, *number))
        .count();
    let unproven = settings.cookie_threshold_ip;
    assert!(begun <= unproven + settings.block_threshold, "{begun}");
    assert!(world.logged(0, "ignoring IKE_SA setup from 192.168.0.3, peer too aggressive"));
}

#[test]
fn spoofed_requests_do_not_shut_their_owner_out() {
    let settings = seed_settings();
    let request = captured(&settings);
    let mut world = World::moon_and_carol(TUNNEL1, &settings, calm(), 3);
    for number in 0..100 {
        world.deliver(varied(&request, number, [192, 168, 0, 3]));
    }
    assert_eq!(world.sas(0).len(), settings.cookie_threshold_ip);
    assert!(settings.cookie_threshold_ip < settings.block_threshold);
    world.initiate(1);
    let up = |world: &World| world.sas(1).iter().any(|sa| sa.established.is_some());
    assert!(
        world.run_until(Duration::from_millis(200), up),
        "one round trip more, and no retransmission: {:#?}",
        world.hosts[0].log
    );
    assert!(!world.logged(0, "peer too aggressive"));
}

#[test]
fn cookies_are_taken_while_any_number_of_others_is_made() {
    let settings = seed_settings();
    let request = captured(&settings);
    let mut world = open_world(&settings);
    for number in 0..20 {
        world.deliver(varied(&request, number, [10, 9, 0, number as u8]));
    }
    world.initiate(1);
    world.run_for(Duration::from_millis(12));
    for number in 20..40_020 {
        let address = [10, 9, (number >> 8) as u8, number as u8];
        world.deliver(varied(&request, number, address));
    }
    let up = |world: &World| world.sas(1).iter().any(|sa| sa.established.is_some());
    assert!(
        world.run_until(Duration::from_secs(1), up),
        "no cookie was refused"
    );
}

/// moon with so many connections for anyone.
fn crowded(settings: &Settings, connections: u32) -> World {
    let mut world = World::moon_and_carol("aes128gcm16-sha256-x25519!", settings, calm(), 3);
    for number in 0..connections {
        let mut config = config::connection::PeerConfig {
            name: format!("net-{number}"),
            remote_addrs: vec![config::connection::Host::Any],
            ..pqswan_tests::world::moon("aes128gcm16-sha256-x25519!")
        };
        config.remote_auth[0].id = Some(config::identity::Identity::parse(&format!(
            "{number}.strongswan.org"
        )));
        world.hosts[0].endpoint.add_connection(config);
    }
    world
}

#[test]
fn what_a_refused_request_makes_the_responder_write_is_bounded() {
    let settings = Settings {
        dos_protection: false,
        ..seed_settings()
    };
    let request = captured(&settings);
    for connections in [1, 1_000] {
        let mut world = crowded(&settings, connections);
        world.deliver(varied(&request, 0, [10, 9, 0, 0]));
        let one: usize = world.hosts[0].log.iter().map(String::len).sum();
        assert!(world.logged(0, "received proposals unacceptable"));
        assert!(
            one < 3 * request.octets.len(),
            "{one} octets with {connections} connections"
        );
        for number in 1..1_000 {
            world.deliver(varied(&request, number, [10, 9, 0, 0]));
        }
        let all: usize = world.hosts[0].log.iter().map(String::len).sum();
        assert!(all / 1_000 < 20, "{all} octets for a thousand requests");
        world.run_for(Duration::from_secs(10));
        world.deliver(varied(&request, 5_000, [10, 9, 0, 0]));
        assert!(world.logged(0, "refused IKE_SA_INIT requests before this one"));
    }
}

#[test]
fn lines_about_garbage_are_few() {
    let settings = seed_settings();
    let mut world = open_world(&settings);
    let stranger = SocketAddr::from(([10, 9, 0, 1], 500));
    let moon = SocketAddr::from(([192, 168, 0, 2], 500));
    for _ in 0..10_000 {
        let now = world.now;
        world.hosts[0]
            .endpoint
            .handle_datagram(now, moon, stranger, b"hello");
        world.drain(0);
    }
    let lines = world.hosts[0].log.len();
    assert!(lines < 20, "{lines}");
}

#[test]
fn a_request_with_more_proposals_than_any_peer_has_is_refused_unread() {
    let settings = seed_settings();
    let request = captured(&settings);
    let mut world = open_world(&settings);
    let Ok(wire::Packet::Plain(mut message)) = wire::parse_datagram(&request.octets) else {
        unreachable!("an IKE_SA_INIT")
    };
    for payload in &mut message.payloads {
        if let wire::payload::Payload::Sa(sa) = payload {
            let proposal = sa.proposals[0].clone();
            sa.proposals = (1..=200)
                .map(|number| wire::payload::Proposal {
                    number,
                    ..proposal.clone()
                })
                .collect();
        }
    }
    let mut long = request.clone();
    long.octets = wire::write_plain(&message.header, &message.payloads);
    world.deliver(long);
    assert!(world.sas(0).is_empty());
    assert!(world.logged(0, "has more than 64 proposals or 255 transforms"));
}

#[test]
fn a_stranger_does_not_fill_the_log_by_its_identity() {
    let mut puppet = Puppet::new("aes256gcm16-sha512", &[]);
    for number in 0..100 {
        let mut config = config::connection::PeerConfig {
            name: format!("net-{number}"),
            remote_addrs: vec![config::connection::Host::Any],
            ..pqswan_tests::world::moon("aes256gcm16-sha512-x25519!")
        };
        config.remote_auth[0].id = None;
        puppet.world.hosts[0].endpoint.add_connection(config);
    }
    let (suite, sk, init) = puppet.init("aes256gcm16-sha512-x25519", false);
    let mut payloads = puppet.auth_request(&suite, &sk, &init, "aes256gcm16");
    for payload in &mut payloads {
        if let wire::payload::Payload::Id(_, id) = payload {
            id.data = vec![0x7f; 4_000];
        }
    }
    puppet.world.hosts[0].log.clear();
    let fragments = puppet.fragments(ExchangeType::IKE_AUTH, &payloads, 1200);
    puppet.send(&fragments);
    let written: usize = puppet.world.hosts[0].log.iter().map(String::len).sum();
    assert!(written < 20_000, "{written} octets");
    assert!(puppet.world.logged(0, "more lines about this message"));
}

#[test]
fn a_refused_ike_auth_is_verified_once_however_many_connections_there_are() {
    for ppk in [false, true] {
        let mut puppet = Puppet::new("aes256gcm16-sha512", &[]);
        let moon = &mut puppet.world.hosts[0].endpoint;
        for number in 0..1_000 {
            let mut config = config::connection::PeerConfig {
                name: format!("net-{number}"),
                remote_addrs: vec![config::connection::Host::Any],
                dpd_delay: Duration::from_secs(number),
                ..pqswan_tests::world::moon("aes256gcm16-sha512-x25519!")
            };
            config.remote_auth[0].id = None;
            moon.add_connection(config);
        }
        let owners = vec![config::identity::Identity::parse("ppk-1")];
        let key = config::secret::SharedSecret::new(b"ppk".to_vec());
        let kind = config::secret::SecretKind::Ppk;
        moon.secrets_mut().insert(kind, owners, key);
        if ppk {
            let notify = Puppet::notify(NotifyType::USE_PPK, &[]);
            puppet.extensions.push(notify);
        }
        let (suite, sk, init) = puppet.init("aes256gcm16-sha512-x25519", false);
        let mut payloads = puppet.auth_request(&suite, &sk, &init, "aes256gcm16");
        for payload in &mut payloads {
            if let wire::payload::Payload::Auth(auth) = payload {
                auth.data[0] ^= 1;
            }
        }
        if ppk {
            payloads.push(Puppet::notify(NotifyType::PPK_IDENTITY, b"\x02ppk-1"));
        }
        puppet.world.hosts[0].log.clear();
        let request = puppet.seal(ExchangeType::IKE_AUTH, &payloads);
        puppet.send(&[request]);
        let log = &puppet.world.hosts[0].log;
        let tries = log.iter().filter(|line| line.contains("but MAC mismatched"));
        assert_eq!(tries.count(), 1, "{log:#?}");
    }
}

#[test]
fn lines_about_datagrams_with_known_spis_are_few() {
    let mut puppet = Puppet::established("aes256gcm16");
    let genuine = puppet.seal(ExchangeType::INFORMATIONAL, &[]);
    let mut forged = genuine.clone();
    *forged.last_mut().expect("octets") ^= 1;
    let mut stale = genuine;
    stale[20..24].copy_from_slice(&77_u32.to_be_bytes());
    for datagram in [forged, stale] {
        puppet.world.hosts[0].log.clear();
        for _ in 0..1_000 {
            puppet.send(std::slice::from_ref(&datagram));
        }
        let lines = puppet.world.hosts[0].log.len();
        assert!(lines < 50, "{lines}: {:#?}", &puppet.world.hosts[0].log[..5]);
    }
    assert!(
        !puppet
            .ask(ExchangeType::INFORMATIONAL, Vec::new())
            .iter()
            .any(|_| true)
    );
}

#[test]
fn what_this_end_initiates_is_written_whole_however_often() {
    let settings = seed_settings();
    let mut world = World::moon_and_carol(TUNNEL1, &settings, calm(), 3);
    let endpoint = &mut world.hosts[0].endpoint;
    let connections = endpoint.connections().to_vec();
    for connection in connections {
        endpoint.remove_connection(&connection.name);
    }
    for _ in 0..30 {
        world.initiate(1);
        world.run_for(Duration::from_millis(500));
    }
    let lines = |text: &str| {
        world.hosts[1]
            .log
            .iter()
            .filter(|line| line.contains(text))
            .count()
    };
    assert_eq!(lines("initiating IKE_SA"), 30);
    assert_eq!(lines("received NO_PROPOSAL_CHOSEN notify error"), 30);
}

#[test]
fn an_exchange_that_authenticates_is_written_whole_during_a_flood() {
    let settings = seed_settings();
    let request = captured(&settings);
    let mut world = World::moon_and_carol(TUNNEL1, &settings, calm(), 3);
    for number in 0..100 {
        let mut garbage = varied(&request, number, [10, 9, 0, number as u8]);
        garbage.octets.truncate(40);
        world.deliver(garbage);
    }
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    for line in [
        "parsed IKE_SA_INIT request",
        "parsed IKE_AUTH request",
        "selected proposal: IKE",
    ] {
        assert!(world.logged(0, line), "{line}: {:#?}", world.hosts[0].log);
    }
}
