//! Panics stop at the boundary.

use std::fmt::Debug;

use daemon::plugins::DEFAULT_LOAD;
use plugin_api::{ErrorKind, Feature, FeatureName, Implementation, PluginError};

use crate::loaded::{built, features, load};

#[test]
fn when_it_is_asked_for_its_features() {
    let (plugins, daemon) = load(&format!("{DEFAULT_LOAD} panics-at-load"), &[built()]);
    let names: Vec<_> = plugins
        .expect("the others load")
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, DEFAULT_LOAD.split_whitespace().collect::<Vec<_>>());
    let [line] = &daemon.said()[..] else {
        panic!("one line, not {:?}", daemon.said());
    };
    assert!(
        line.starts_with("plugin 'panics-at-load': failed to load - "),
        "{line}"
    );
    assert!(
        line.contains("panics-at-load/src/lib.rs:") && line.ends_with(": no features today"),
        "{line}"
    );
}

#[test]
fn in_every_function() {
    let (plugins, daemon) = load(&format!("{DEFAULT_LOAD} panics"), &[built()]);
    let features = features(plugins.expect("the others load"), "panics");
    // Those whose lengths cannot be had are refused, with a line each.
    let refused: Vec<_> = daemon.said();
    assert_eq!(refused.len(), 5, "{refused:?}");
    for line in &refused {
        assert!(line.starts_with("plugin 'panics': feature "), "{line}");
        assert!(
            line.contains("panics/src/lib.rs:") && line.contains(" length"),
            "{line}"
        );
    }
    assert_eq!(features.len(), 15);
    let before = plugin_api::abi::panics();
    features.into_iter().for_each(call_everything);
    let counted = plugin_api::abi::panics() - before;
    assert!(counted >= 15, "{counted} for the metrics");
}

fn panicked<T>(result: Result<T, PluginError>) {
    let error = result.err().expect("a panic");
    assert_eq!(error.kind, ErrorKind::Panicked, "{error}");
    assert!(error.message.starts_with("panicked at "), "{error}");
    assert!(error.message.contains("panics/src/lib.rs:"), "{error}");
}

fn ok<T, E: Debug>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error:?}"))
}

fn call_everything(feature: Feature) {
    let mut octets = [0; 32];
    match feature.implementation {
        Implementation::KeyExchange { method, keyword, .. } if keyword == "later" => {
            let (_, pending) = ok(method.initiate());
            panicked(pending.finish(&[1]));
            panicked(method.respond(&[1]));
            // Never finished: its destructor panics.
            drop(method.initiate());
        }
        Implementation::KeyExchange { method, .. } => {
            panicked(method.initiate());
            panicked(method.respond(&[1]));
        }
        Implementation::Aead(aead) => {
            panicked(aead.create(&[1; 16]));
            let key = ok(aead.create(&[0; 16]));
            panicked(key.seal(&[0; 8], &[], &mut octets, &mut [0; 16]));
            panicked(key.open(&[0; 8], &[], &mut octets, &[0; 16]));
        }
        Implementation::Cipher(cipher) => panicked(cipher.create(&[0; 16])),
        Implementation::Prf(prf) => panicked(ok(prf.create(&[0; 20])).compute(&[b"x"], &mut octets[..20])),
        Implementation::Integrity(integrity) => {
            let key = ok(integrity.create(&[0; 20]));
            panicked(key.sign(&[b"x"], &mut octets[..12]));
            panicked(key.verify(&[b"x"], &octets[..12]));
        }
        Implementation::Hasher(hasher) => panicked(hasher.hash(&[b"x"], &mut octets[..20])),
        Implementation::Random(random) => panicked(random.fill(&mut octets)),
        Implementation::NonceGenerator(generator) => panicked(generator.nonce(&mut octets)),
        Implementation::KernelIpsec(make) => panicked(make(host())),
        Implementation::KernelAlgorithms(algorithms) => {
            assert!(!algorithms.encrypts(iana::EncryptionAlgorithm::AES_CBC, 16));
            assert!(!algorithms.authenticates(iana::Protocol::ESP, iana::IntegrityAlgorithm::HMAC_SHA1_96));
        }
        Implementation::KernelDemands(demands) => {
            let refusal = demands.refusal(plugin_api::kernel::KernelDemand::Mark);
            assert!(refusal.is_some_and(|reason| reason.contains("does not answer")));
        }
        Implementation::KernelNet(make) => panicked(make(host())),
        Implementation::Control(make) => panicked(ok(make(host())).start(host())),
        Implementation::Listener(make) => {
            let listener = ok(make(host()));
            listener.event("ike-updown", &[]);
            assert!(listener.wants().is_empty(), "nothing is what one gets from it");
        }
    }
}

fn host() -> std::sync::Arc<dyn plugin_api::Host> {
    std::sync::Arc::new(crate::loaded::Daemon::default())
}

#[test]
fn a_feature_without_what_it_depends_on_is_left_out() {
    let (plugins, daemon) = load(&format!("{DEFAULT_LOAD} unmet"), &[built()]);
    let features = features(plugins.expect("the others load"), "unmet");
    let names: Vec<_> = features.iter().map(|feature| &feature.name).collect();
    assert_eq!(names, [&FeatureName::Hasher(iana::HashAlgorithm(60_001))]);
    assert_eq!(daemon.said(), Vec::<String>::new(), "level 2 has it");

    let (plugins, daemon) = load(&format!("{DEFAULT_LOAD} unmet!"), &[built()]);
    assert_eq!(
        plugins.err().expect("it is wanted"),
        "failed to load 1 critical plugin feature"
    );
    let [line] = &daemon.said()[..] else {
        panic!("one line, not {:?}", daemon.said());
    };
    assert!(
        line.starts_with("feature HASHER:") && line.contains("in plugin 'unmet' has unmet dependency: KE:"),
        "{line}"
    );
}
