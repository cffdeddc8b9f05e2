//! The order of additional key exchanges, and the one without security.

use iana::{KeyExchangeMethod as Ke, Protocol};
use plugin_api::{ErrorKind, KeyExchange, Secret};

use super::algorithms::registry;
use crate::{KeyExchangePlan, NullKeyExchange, Proposal};

fn plan(text: &str) -> KeyExchangePlan {
    KeyExchangePlan::new(&Proposal::parse(text, Protocol::IKE, &registry()).expect("valid"))
}

#[test]
fn additional_key_exchanges_run_by_ascending_type() {
    let mut plan = plan("aes256gcm16-prfsha512-x25519-ke7_saber3-ke2_none-ke5_ntrup3-ke1_kyber3");
    plan.begin(Secret::new(vec![0]));
    for (left, step) in [
        (3, (1, Ke::KYBER_L3)),
        (2, (5, Ke::NTRU_HPS_L3)),
        (1, (7, Ke::SABER_L3)),
    ] {
        assert_eq!((plan.remaining(), plan.next()), (left, Some(step)));
        plan.complete(Secret::new(vec![step.0]));
    }
    assert!(plan.is_complete());
    assert_eq!(plan.next(), None);
    let secrets: Vec<_> = plan.secrets().iter().map(|secret| secret.expose()[0]).collect();
    assert_eq!(secrets, [0, 1, 5, 7], "SK(0) first");
}

#[test]
fn a_plan_of_nothing_is_complete_and_stays_so() {
    let mut plan = plan("aes256gcm16-prfsha512-x25519-ke1_none");
    assert!(plan.is_complete());
    plan.advance();
    assert_eq!(plan.remaining(), 0);
    assert!(plan.secrets().is_empty());
}

#[test]
fn the_null_key_exchange_agrees_has_its_lengths_and_repeats_itself() {
    let run = || {
        let method = NullKeyExchange::new(7, 15632, 15744).with_secret_len(24);
        let (offer, pending) = method.initiate().expect("instant");
        let (answer, responder) = method.respond(&offer).expect("instant");
        assert_eq!((offer.len(), answer.len(), responder.len()), (15632, 15744, 24));
        assert_eq!(pending.finish(&answer), Ok(Secret::copy_of(responder.expose())));
        assert_ne!(
            method.initiate().expect("instant").0,
            offer,
            "another exchange, another value"
        );
        (offer, answer, responder)
    };
    assert_eq!(run(), run());
}

#[test]
fn the_null_key_exchange_notices_a_changed_value_and_a_wrong_length() {
    let method = NullKeyExchange::new(7, 32, 48);
    let (offer, pending) = method.initiate().expect("instant");
    let (mut answer, responder) = method.respond(&offer).expect("instant");
    answer[40] ^= 1;
    assert_ne!(pending.finish(&answer).expect("the right length"), responder);
    let error = method.respond(&offer[1..]).expect_err("too short");
    assert_eq!(error.kind, ErrorKind::InvalidPublicValue);
    let (_, pending) = method.initiate().expect("instant");
    assert_eq!(
        pending.finish(&[]).map_err(|error| error.kind),
        Err(ErrorKind::InvalidPublicValue)
    );
}
