#![allow(clippy::disallowed_methods, reason = "any instant will do as the beginning")]

use std::time::Duration;

use super::*;

#[test]
fn the_keys_are_in_the_order_of_vici() {
    let keys: Vec<_> = Counters::default().iter().map(|(key, _)| key).collect();
    assert_eq!(
        keys.join(" "),
        "ike-rekey-init ike-rekey-resp child-rekey invalid invalid-spi ike-init-in-req ike-init-in-resp \
         ike-init-out-req ike-init-out-resp ike-auth-in-req ike-auth-in-resp ike-auth-out-req ike-auth-out-resp \
         create-child-in-req create-child-in-resp create-child-out-req create-child-out-resp info-in-req info-in-resp \
         info-out-req info-out-resp"
    );
}

#[test]
fn messages_count_for_their_connection_and_for_all() {
    let (mut tally, name, now) = (Tally::default(), Arc::from("moon"), Instant::now());
    let (auth, info) = (ExchangeType::IKE_AUTH, ExchangeType::INFORMATIONAL);
    tally.message(Some(&name), (auth, false, Direction::Out), None, now);
    tally.message(Some(&name), (auth, true, Direction::In), None, now);
    tally.message(None, (info, false, Direction::In), None, now);
    tally.message(None, (info, true, Direction::Out), None, now);
    tally.message(
        None,
        (ExchangeType::IKE_INTERMEDIATE, true, Direction::Out),
        None,
        now,
    );
    let counted = |counters: &Counters| {
        let counted = counters.iter().filter(|(_, value)| *value > 0);
        counted.map(|(key, _)| key).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        counted(&tally.connections[&name]),
        "ike-auth-in-resp ike-auth-out-req"
    );
    let all = "ike-auth-in-resp ike-auth-out-req info-in-req info-out-resp";
    assert_eq!(counted(&tally.global), all);
}

#[test]
fn the_table_of_connections_is_bounded() {
    let mut tally = Tally::default();
    for number in 0..=MAX_CONNECTIONS {
        tally.count(Some(&Arc::from(format!("conn-{number}"))), Counter::Invalid);
    }
    assert_eq!(tally.connections.len(), MAX_CONNECTIONS);
    assert_eq!(tally.global.get(Counter::Invalid), MAX_CONNECTIONS as u64 + 1);
}

#[test]
fn an_exchange_is_timed_from_its_last_request_to_its_response() {
    let (mut tally, began) = (Tally::default(), Instant::now());
    let mut handshake = Handshake::new(true, began);
    let at = |milliseconds| began + Duration::from_millis(milliseconds);
    let mut message = |response, when| {
        let direction = if response { Direction::In } else { Direction::Out };
        let what = (ExchangeType::IKE_SA_INIT, response, direction);
        tally.message(None, what, Some(&mut handshake), when);
    };
    message(false, at(0));
    message(false, at(100));
    message(true, at(104));
    message(true, at(900));
    tally.establishing.end(&handshake, None, at(300_000), true);
    let init = tally.establishing.durations(Phase::Init);
    assert_eq!(init.sum, Duration::from_millis(4));
    assert_eq!(
        (init.buckets[2], init.buckets.iter().sum::<u64>()),
        (1, 1),
        "4 ms are up to 5"
    );
    let whole = tally.establishing.durations(Phase::Whole);
    assert_eq!(whole.buckets[BOUNDS.len()], 1, "longer than the last bound");
    assert_eq!(
        tally.establishing.as_initiator,
        Ended {
            established: 1,
            failed: 0
        }
    );
}
