//! The plugin's KEMs against the known answers of NIST's third round.

#![allow(unsafe_code)]

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;
#[path = "../../../tests/vectors/drbg.rs"]
mod drbg;
#[path = "../../../tests/vectors/kem.rs"]
mod kem;
#[path = "../../../tests/vectors/response_file.rs"]
mod response_file;

use charon_frodo::{Frodo, KEMS};
use check::Record;
use drbg::Drbg;
use response_file::gives_published_answers;

fn kems() -> Vec<(Record, Frodo)> {
    let vectors = check::records(include_str!("../../../tests/vectors/frodo.txt"));
    assert_eq!(vectors.len(), KEMS.len());
    let kems = KEMS
        .iter()
        .map(|&(_, name, _, algorithm)| (name, Frodo::new(algorithm)));
    let pairs = vectors.into_iter().zip(kems).map(|(vector, (name, kem))| {
        assert_eq!(vector.text("Method"), Some(name));
        (vector, kem)
    });
    pairs.collect()
}

#[test]
fn every_feature_does_what_a_key_exchange_must() {
    let features = charon_frodo::features(&check::host());
    assert_eq!(features.len(), KEMS.len());
    check::features(&features);
}

#[test]
fn all_known_answers_of_nists_third_round_come_out() {
    for (vector, kem) in kems() {
        gives_published_answers::<Drbg>(&kem, &vector);
    }
}

#[test]
fn lengths_are_those_on_the_wire_and_no_value_does_harm() {
    for (vector, kem) in kems() {
        kem::kem(&kem, &vector);
    }
}

#[test]
fn the_plugin_api_finds_nothing_wrong() {
    for (_, kem) in kems() {
        plugin_api::testing::kem(kem);
    }
}
