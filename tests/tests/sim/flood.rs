//! What somebody without a key can do to a responder, and the bounds (reliability.md, section 2).

use std::net::SocketAddr;
use std::time::Duration;

use ike::{Settings, Transmit};
use pqswan_tests::world::World;

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

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
    for number in 0..100 {
        world.deliver(varied(&request, number, [192, 168, 0, 3]));
        world.run_for(Duration::from_millis(1));
    }
    assert_eq!(world.sas(0).len(), settings.block_threshold);
    assert!(world.logged(0, "ignoring IKE_SA setup from 192.168.0.3, peer too aggressive"));
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
