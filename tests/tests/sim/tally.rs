//! What both ends count of one connection's life.

use ike::{Counters, Ended, Phase, Tally};
use pqswan_tests::netem::Conditions;
use pqswan_tests::world::World;

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

fn counting(conditions: Conditions, seed: u64) -> World {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), conditions, seed);
    for host in &mut world.hosts {
        host.endpoint.start_tally();
    }
    world.initiate(1);
    assert!(world.run_until(4 * MINUTE, World::is_established));
    world
}

fn tally(world: &World, host: usize) -> &Tally {
    world.hosts[host].endpoint.tally().expect("it counts")
}

fn counted(counters: &Counters) -> String {
    let counted = counters.iter().filter(|(_, value)| *value > 0);
    let counted: Vec<_> = counted.map(|(key, value)| format!("{key}={value}")).collect();
    counted.join(" ")
}

#[test]
fn both_ends_count_the_same_messages() {
    let mut world = counting(calm(), 1);
    let child = world.live_child(1).expect("a CHILD_SA").unique_id;
    let now = world.now;
    world.hosts[1].endpoint.rekey_child(now, None, child);
    world.drain(1);
    world.run_for(MINUTE);
    assert_eq!(
        counted(&tally(&world, 1).global),
        "child-rekey=1 ike-init-in-resp=1 ike-init-out-req=1 ike-auth-in-resp=1 ike-auth-out-req=1 \
         create-child-in-resp=1 create-child-out-req=1 info-in-resp=1 info-out-req=1"
    );
    assert_eq!(
        counted(&tally(&world, 0).global),
        "child-rekey=1 ike-init-in-req=1 ike-init-out-resp=1 ike-auth-in-req=1 ike-auth-out-resp=1 \
         create-child-in-req=1 create-child-out-resp=1 info-in-req=1 info-out-resp=1"
    );
    // What resets the counters leaves these.
    let of = |host, exchange| {
        let mut messages = tally(&world, host).messages.iter();
        let flows = messages
            .find(|(name, _)| *name == exchange)
            .expect("an exchange")
            .1;
        [
            flows.requests_in,
            flows.responses_in,
            flows.requests_out,
            flows.responses_out,
        ]
    };
    for exchange in [
        "IKE_SA_INIT",
        "IKE_INTERMEDIATE",
        "IKE_AUTH",
        "CREATE_CHILD_SA",
        "INFORMATIONAL",
    ] {
        assert_eq!(of(0, exchange), [1, 0, 0, 1], "{exchange}");
        assert_eq!(of(1, exchange), [0, 1, 1, 0], "{exchange}");
    }
    for host in [0, 1] {
        let names = tally(&world, host).connections.keys();
        let names: Vec<&str> = names.map(AsRef::as_ref).collect();
        assert_eq!(names, ["Tunnel1"], "host {host}");
    }
}

#[test]
fn an_attempt_is_timed_and_counted_by_its_key_exchanges() {
    let world = counting(calm(), 2);
    for (host, initiator) in [(0, false), (1, true)] {
        let establishing = &tally(&world, host).establishing;
        let one = Ended {
            established: 1,
            failed: 0,
        };
        let (initiated, responded) = (establishing.as_initiator, establishing.as_responder);
        assert_eq!((initiated == one, responded == one), (initiator, !initiator));
        assert_eq!(establishing.by_method.len(), 2, "X25519 and Kyber");
        assert!(establishing.by_method.values().all(|ended| *ended == one));
        for phase in Phase::ALL {
            let buckets = establishing.durations(phase).buckets;
            assert_eq!(buckets.iter().sum::<u64>(), 1, "{}", phase.name());
        }
    }
}

#[test]
fn an_attempt_that_nobody_answers_fails() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 3);
    for host in &mut world.hosts {
        host.endpoint.start_tally();
    }
    world.tamper = Some(Box::new(|_| false));
    world.initiate(1);
    world.run_for(10 * MINUTE);
    let carol = tally(&world, 1);
    assert_eq!(carol.establishing.as_initiator.failed, 1);
    assert_eq!(carol.retransmitted_requests, 5);
    let alerts: Vec<_> = carol.alerts.iter().filter(|(_, times)| *times > 0).collect();
    let expected = [
        ("peer-init-unreachable", 1),
        ("retransmit-send", 5),
        ("retransmit-send-timeout", 1),
    ];
    assert_eq!(alerts, expected, "counted although nobody watches");
    assert_eq!(
        counted(&carol.global),
        "ike-init-out-req=1",
        "repetitions are no messages"
    );
    assert_eq!(counted(&tally(&world, 0).global), "");
}
