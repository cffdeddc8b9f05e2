//! Known answers of the algorithms as the daemon has them: through the boundary, from the `.so`.
#![allow(
    missing_docs,
    unsafe_code,
    clippy::panic,
    reason = "everything here is test code"
)]

#[path = "../vectors/check/mod.rs"]
mod check;
#[path = "../vectors/drbg.rs"]
mod drbg;
mod loaded;

use std::cell::RefCell;
use std::collections::BTreeMap;

use daemon::plugins::DEFAULT_LOAD;
use drbg::Drbg;
use plugin_api::{
    Feature, FeatureName, Implementation, KeyExchange, PendingKeyExchange, PluginError, Secret,
};
use pqcrypto_traits::kem::{Ciphertext, PublicKey, SharedSecret};

thread_local! {
    /// What plugins get as randomness on this thread; the operating system's if none.
    static DRBG: RefCell<Option<Drbg>> = const { RefCell::new(None) };
}

/// Stands in for libc's in all libraries that this program loads.
///
/// # Safety
///
/// As the original.
#[unsafe(no_mangle)]
unsafe extern "C" fn getentropy(out: *mut u8, len: usize) -> i32 {
    // SAFETY: the caller hands over a buffer of `len` octets, and of nothing else.
    let out = unsafe { std::slice::from_raw_parts_mut(out, len) };
    DRBG.with_borrow_mut(|drbg| match drbg {
        Some(drbg) => {
            drbg.fill(out);
            0
        }
        None => getrandom::fill(out).map_or(-1, |()| 0),
    })
}

/// Algorithms by plugin; back ends and control sockets have no known answers.
fn algorithms() -> BTreeMap<String, Vec<Feature>> {
    algorithms_of(DEFAULT_LOAD)
}

/// Algorithms of the plugins in a `charon.load` line.
fn algorithms_of(list: &str) -> BTreeMap<String, Vec<Feature>> {
    let (plugins, daemon) = loaded::load(list, &[loaded::built()]);
    let plugins = plugins.unwrap_or_else(|why| panic!("{why}: {:?}", daemon.said()));
    let mut algorithms: BTreeMap<String, Vec<Feature>> = BTreeMap::new();
    for plugin in plugins {
        for offered in plugin.features {
            let Some(implementation) = offered.implementation else {
                continue;
            };
            if !matches!(offered.name, FeatureName::Custom(_)) {
                let feature = Feature::new(offered.name, implementation);
                algorithms.entry(plugin.name.clone()).or_default().push(feature);
            }
        }
    }
    algorithms
}

#[test]
fn every_algorithm_of_every_plugin_gives_the_known_answers() {
    let algorithms = algorithms();
    for plugin in [
        "random",
        "nonce",
        "sha1",
        "sha2",
        "hmac",
        "aes",
        "gcm",
        "aws-lc",
        "curve25519",
        "gmp",
        "oqs",
        "ntru",
        "saber",
    ] {
        let features = algorithms.get(plugin);
        let features = features.unwrap_or_else(|| panic!("plugin '{plugin}' is not loaded"));
        println!("{plugin}: {} algorithms", features.len());
        check::features(features);
    }
}

fn key_exchange(features: &[Feature], label: &str) -> std::sync::Arc<dyn KeyExchange> {
    let methods = features
        .iter()
        .filter_map(|feature| match &feature.implementation {
            Implementation::KeyExchange { method, name, .. } => Some((name, method)),
            _ => None,
        });
    let found = methods.into_iter().find(|(name, _)| *name == label);
    std::sync::Arc::clone(found.expect("the method").1)
}

/// The generator of NIST's files draws a seed, then key pair and ciphertext from a generator with that seed.
fn give_nists_answers(features: &[Feature], vectors: &'static str) {
    for record in check::records(vectors) {
        let exchange = key_exchange(features, record.text("Method").expect("a method"));
        let mut seed = [0; 48];
        Drbg::new(&std::array::from_fn(|i| i as u8)).fill(&mut seed);
        DRBG.set(Some(Drbg::new(&seed)));
        let (public, pending) = exchange.initiate().expect("a key pair");
        let (ciphertext, shared) = exchange.respond(&public).expect("a ciphertext");
        DRBG.set(None);
        assert!(public == record.required("Public"), "another public key");
        assert!(ciphertext == record.required("Ciphertext"), "another ciphertext");
        assert_eq!(shared.expose(), record.required("Shared"));
        assert_eq!(pending.finish(&ciphertext).expect("a secret"), shared);
    }
}

#[test]
fn kyber_gives_nists_answers_for_nists_randomness() {
    give_nists_answers(&algorithms()["oqs"], include_str!("../vectors/kyber.txt"));
}

#[test]
fn sike_is_there_for_those_who_ask_and_gives_nists_answers() {
    assert!(
        !algorithms().contains_key("sike"),
        "nobody gets it without asking"
    );
    let features = &algorithms_of(&format!("{DEFAULT_LOAD} sike"))["sike"];
    check::features(features);
    give_nists_answers(features, include_str!("../vectors/sike.txt"));
}

/// Kyber by PQClean.
macro_rules! other_kyber {
    ($name:ident, $module:ident) => {
        pub(super) struct $name;

        struct Pending(pqcrypto_kyber::$module::SecretKey);

        impl KeyExchange for $name {
            fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
                let (public, secret) = pqcrypto_kyber::$module::keypair();
                Ok((public.as_bytes().to_vec(), Box::new(Pending(secret))))
            }

            fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
                let public = PublicKey::from_bytes(peer).expect("a public key");
                let (shared, ciphertext) = pqcrypto_kyber::$module::encapsulate(&public);
                Ok((
                    ciphertext.as_bytes().to_vec(),
                    Secret::copy_of(shared.as_bytes()),
                ))
            }
        }

        impl PendingKeyExchange for Pending {
            fn finish(self: Box<Self>, peer: &[u8]) -> Result<Secret, PluginError> {
                let ciphertext = Ciphertext::from_bytes(peer).expect("a ciphertext");
                let shared = pqcrypto_kyber::$module::decapsulate(&ciphertext, &self.0);
                Ok(Secret::copy_of(shared.as_bytes()))
            }
        }
    };
}

mod level1 {
    use super::*;
    other_kyber!(Other, kyber512);
}

mod level3 {
    use super::*;
    other_kyber!(Other, kyber768);
}

mod level5 {
    use super::*;
    other_kyber!(Other, kyber1024);
}

#[test]
fn kyber_agrees_with_another_implementation_in_both_roles() {
    let algorithms = algorithms();
    let others: [(&str, &dyn KeyExchange); 3] = [
        ("KYBER_L1", &level1::Other),
        ("KYBER_L3", &level3::Other),
        ("KYBER_L5", &level5::Other),
    ];
    for (name, other) in others {
        let ours = key_exchange(&algorithms["oqs"], name);
        plugin_api::testing::agree(&*ours, other);
        plugin_api::testing::agree(other, &*ours);
    }
}

/// Two plugins that have an algorithm have the same one.
#[test]
fn plugins_with_the_same_key_exchange_agree() {
    let algorithms = algorithms();
    let mut methods: BTreeMap<&FeatureName, Vec<&dyn KeyExchange>> = BTreeMap::new();
    for feature in algorithms.values().flatten() {
        if let Implementation::KeyExchange { method, .. } = &feature.implementation {
            methods.entry(&feature.name).or_default().push(&**method);
        }
    }
    let several: Vec<_> = methods.values().filter(|same| same.len() > 1).collect();
    assert!(!several.is_empty(), "X25519 has two plugins at least");
    for same in several {
        for (one, other) in same.iter().zip(same.iter().skip(1)) {
            plugin_api::testing::agree(*one, *other);
            plugin_api::testing::agree(*other, *one);
        }
    }
}
