//! Known-answer and misuse checks of algorithms behind plugin-api's traits.
//!
//! Plugins run them on their features, the tests of the whole on what the daemon's loader made of the `.so`, both with
//! `#[path = ".../tests/vectors/check/mod.rs"] mod check;`. What a private key must be given for is in the plugins' own
//! tests: the boundary takes none.

// No includer needs all of it, and none exports it.
#![allow(dead_code, unreachable_pub, unused_imports, clippy::panic)]

mod aead;
mod cipher;
mod hasher;
mod host;
mod key_exchange;
mod mac;
pub mod ml_kem;
mod random;
mod records;

use plugin_api::{ErrorKind, Feature, FeatureName, Implementation, PluginError};

pub use aead::aead;
pub use cipher::cipher;
pub use hasher::hasher;
pub use host::host;
pub use key_exchange::key_exchange;
pub use mac::{integrity, prf};
pub use random::{nonce, random};
pub use records::{Record, records};

/// Checks every feature; at least one vector or check of behaviour must fit each.
pub fn features(features: &[Feature]) {
    assert!(!features.is_empty());
    for feature in features {
        let checks = match (&feature.name, &feature.implementation) {
            (FeatureName::Aead(algorithm, len), Implementation::Aead(it)) => aead(*algorithm, *len, &**it),
            (FeatureName::Cipher(algorithm, len), Implementation::Cipher(it)) => {
                cipher(*algorithm, *len, &**it)
            }
            (FeatureName::Integrity(algorithm), Implementation::Integrity(it)) => {
                integrity(*algorithm, &**it)
            }
            (FeatureName::Prf(algorithm), Implementation::Prf(it)) => prf(*algorithm, &**it),
            (FeatureName::Hasher(algorithm), Implementation::Hasher(it)) => hasher(*algorithm, &**it),
            (
                FeatureName::KeyExchange(method),
                Implementation::KeyExchange {
                    method: it,
                    name,
                    keyword,
                },
            ) => {
                assert_eq!(
                    method.name(),
                    Some(name.as_str()),
                    "the name in log lines is the registry's"
                );
                if !keyword.is_empty() {
                    let parsed = iana::keyword::key_exchange(keyword).map(|transform| transform.id);
                    assert_eq!(parsed, Some(method.0), "the keyword {keyword} means the method");
                }
                key_exchange(*method, &**it)
            }
            (FeatureName::Random(_), Implementation::Random(it)) => random(&**it),
            (FeatureName::NonceGenerator, Implementation::NonceGenerator(it)) => nonce(&**it),
            (name, _) => panic!("{name} does not name its implementation"),
        };
        assert!(checks > 0, "no vector for {}", feature.name);
    }
}

/// Asserts that an operation failed, and by whose fault.
pub fn fails_with<T>(kind: ErrorKind, result: Result<T, PluginError>, what: &str) {
    match result {
        Ok(_) => panic!("{what} was accepted"),
        Err(error) => assert_eq!(error.kind, kind, "{what}: {error}"),
    }
}
