//! Published answers of KEMs, whose randomness is chosen here.

use daemon::plugins::DEFAULT_LOAD;
use plugin_api::Feature;
use sha2::{Digest, Sha256};

use crate::check::{self, Record};
use crate::drbg::Drbg;
use crate::hqc::HqcGenerator;
use crate::{GENERATOR, Generator, algorithms, algorithms_of, key_exchange};

/// The generator of such files draws a seed, then key pair and ciphertext from a generator with that seed.
fn give(features: &[Feature], records: Vec<Record>) {
    for record in records {
        let name = record.text("Method").expect("a method");
        let exchange = key_exchange(features, name);
        let (first, mut seed) = (std::array::from_fn(|i| i as u8), [0; 48]);
        GENERATOR.set(Some(if name.starts_with("HQC") {
            HqcGenerator::new(&first).fill(&mut seed);
            Generator::Hqc(HqcGenerator::new(&seed))
        } else {
            Drbg::new(&first).fill(&mut seed);
            Generator::Nist(Drbg::new(&seed))
        }));
        let (public, pending) = exchange.initiate().expect("a key pair");
        let (ciphertext, shared) = exchange.respond(&public).expect("a ciphertext");
        GENERATOR.set(None);
        is(&record, "Public", &public);
        is(&record, "Ciphertext", &ciphertext);
        assert_eq!(shared.expose(), record.required("Shared"), "{name}");
        assert_eq!(pending.finish(&ciphertext).expect("a secret"), shared, "{name}");
    }
}

/// Asserts that a field has a value, or its hash.
fn is(record: &Record, field: &str, value: &[u8]) {
    let expected = record.octets(field);
    let as_expected = match &expected {
        Some(expected) => value == expected,
        None => Sha256::digest(value)[..] == record.required(&format!("{field}-SHA256")),
    };
    assert!(as_expected, "{:?}: another {field}", record.text("Method"));
}

#[test]
fn oqs_gives_the_published_answers() {
    let algorithms = algorithms();
    for vectors in [
        include_str!("../../vectors/kyber.txt"),
        include_str!("../../vectors/bike.txt"),
        include_str!("../../vectors/frodo.txt"),
        include_str!("../../vectors/hqc.txt"),
        include_str!("../../vectors/sntrup.txt"),
    ] {
        give(&algorithms["oqs"], check::records(vectors));
    }
}

#[test]
fn frodo_gives_nists_answers() {
    let vectors = check::records(include_str!("../../vectors/frodo.txt"));
    give(&algorithms()["frodo"], vectors);
}

#[test]
fn ntru_and_saber_give_nists_answers() {
    let algorithms = algorithms();
    let ntru = check::records(include_str!("../../vectors/ntru.txt"));
    give(&algorithms["ntru"], ntru);
    let saber = check::records(include_str!("../../vectors/saber.txt"));
    give(&algorithms["saber"], saber);
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))] // where it can be had known randomness
#[test]
fn kyber_of_the_second_round_gives_nists_answers() {
    let vectors = check::records(include_str!("../../vectors/kyber-round2.txt"));
    give(&algorithms()["kyber-round2"], vectors);
}

#[test]
fn sike_is_there_for_those_who_ask_and_gives_nists_answers() {
    assert!(
        !algorithms().contains_key("sike"),
        "nobody gets it without asking"
    );
    let features = &algorithms_of(&format!("{DEFAULT_LOAD} sike"))["sike"];
    check::features(features);
    let vectors = check::records(include_str!("../../vectors/sike.txt"));
    give(features, vectors);
}
