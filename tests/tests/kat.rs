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
#[path = "../vectors/hqc.rs"]
mod hqc;
#[path = "../vectors/kem.rs"]
mod kem;
mod loaded;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../vectors/syscall.rs"]
mod syscall;
mod kat {
    mod answers;
    mod groups;
    mod kems;
    mod ml_kem;
    mod others;
}

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use daemon::plugins::DEFAULT_LOAD;
use drbg::Drbg;
use hqc::HqcGenerator;
use iana::keyword::Transform;
use iana::{KeyExchangeMethod, TransformType};
use plugin_api::{Feature, FeatureName, Implementation, KeyExchange};

/// The generators behind files of known answers.
enum Generator {
    Nist(Drbg),
    Hqc(HqcGenerator),
    /// Octets that are drawn as they are.
    Octets(Vec<u8>),
}

thread_local! {
    /// What plugins get as randomness on this thread; the operating system's if none.
    static GENERATOR: RefCell<Option<Generator>> = const { RefCell::new(None) };
}

fn draw(out: &mut [u8], more_to_come: bool) {
    GENERATOR.with_borrow_mut(|generator| match generator {
        Some(Generator::Nist(drbg)) if more_to_come => drbg.begin(out),
        Some(Generator::Nist(drbg)) => drbg.fill(out),
        Some(Generator::Hqc(generator)) => generator.fill(out),
        Some(Generator::Octets(left)) => {
            let rest = left.split_off(out.len());
            out.copy_from_slice(left);
            *left = rest;
        }
        None => File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(out))
            .expect("randomness"),
    });
}

fn draw_syscall(out: &mut [u8]) {
    draw(out, false);
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
    // The most that it may give at once, which nobody asks for who does not want more.
    draw(out, len == 256);
    0
}

/// The same for the crate `getrandom`, which looks for the function by name.
///
/// # Safety
///
/// As the original.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(out: *mut u8, len: usize, _flags: u32) -> isize {
    // The crate asks for nothing to see whether there is such a function; the generator must not notice.
    if len > 0 {
        // SAFETY: the caller hands over a buffer of `len` octets, and of nothing else.
        draw(unsafe { std::slice::from_raw_parts_mut(out, len) }, false);
    }
    len.cast_signed()
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
        "des",
        "blowfish",
        "md5",
        "xcbc",
        "cmac",
        "ctr",
        "ccm",
        "chapoly",
        "camellia",
        "aws-lc",
        "curve25519",
        "curve448",
        "brainpool",
        "ecp-low",
        "ml",
        "gmp",
        "frodo",
        "oqs",
        "ntru",
        "saber",
        "kyber-round2",
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
    assert!(several.len() >= 4, "X25519 and ML-KEM have two plugins at least");
    for same in several {
        for (one, other) in same.iter().zip(same.iter().skip(1)) {
            plugin_api::testing::agree(*one, *other);
            plugin_api::testing::agree(*other, *one);
        }
    }
}

/// The transform that a feature implements.
fn transform(name: &FeatureName) -> Option<Transform> {
    Some(match name {
        FeatureName::Cipher(algorithm, _) | FeatureName::Aead(algorithm, _) => {
            Transform::encryption(*algorithm, None)
        }
        FeatureName::Integrity(algorithm) => Transform::new(TransformType::INTEG, algorithm.0),
        FeatureName::Prf(algorithm) => Transform::new(TransformType::PRF, algorithm.0),
        FeatureName::KeyExchange(method) => Transform::new(TransformType::KE, method.0),
        _ => return None,
    })
}

#[test]
fn the_plugins_that_are_named_for_an_algorithm_are_those_that_bring_it() {
    let algorithms = algorithms();
    let brings = |plugin: &str, wanted| {
        let mut features = algorithms.get(plugin).into_iter().flatten();
        features.any(|feature| transform(&feature.name) == Some(wanted))
    };
    for wanted in crypto::providers::known() {
        for plugin in crypto::providers::plugins_of(wanted) {
            let round2 = iana::Profile::DraftRound2.implementation(KeyExchangeMethod(wanted.id));
            let of_round2 = Transform::new(wanted.kind, round2.0);
            let brings = brings(plugin, wanted) || plugin == "kyber-round2" && brings(plugin, of_round2);
            // It is built by itself, and not in the default list.
            assert!(plugin == "sike" || brings, "{plugin}: {wanted}");
        }
    }
    for (plugin, features) in &algorithms {
        for brought in features.iter().filter_map(|feature| transform(&feature.name)) {
            let named = crypto::providers::plugins_of(brought);
            let named = named.contains(&plugin.as_str());
            assert!(named, "{plugin} is not named for {brought}");
        }
    }
}
