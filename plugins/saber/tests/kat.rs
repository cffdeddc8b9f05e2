//! The plugin's KEMs against NIST's known answers, in both implementations of PQClean.

#![allow(unsafe_code)]

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;
#[path = "../../../tests/vectors/drbg.rs"]
mod drbg;
#[path = "../../ntru/tests/pqclean/mod.rs"]
mod pqclean;
#[path = "../../../tests/vectors/response_file.rs"]
mod response_file;

use charon_saber::{KEMS, ParameterSet, PqClean};
use pqclean::implementations;
use response_file::sha256;

/// Public key and ciphertext in octets; a shared secret has 32.
const LENGTHS: [(usize, usize); 3] = [(672, 736), (992, 1088), (1312, 1472)];

const VECTORS: &str = include_str!("../../../tests/vectors/saber.txt");

/// SHA-256 of the first record of a response file (PQClean, META.yml, `nistkat-sha256`; liboqs, tests/KATs/kem/*.kat.sha256).
const PUBLISHED: [&str; 3] = [
    "dc2233ae221cfabbb1db5ab1a76c93967d37de9f87a8092561f95ab28eff6061",
    "c9e2c16f41f162c607a1d5704107159e5e12713b9bb8c356b1d68b216e79096e",
    "937d9b2e139112e13d4093a6afe715deff476e4d578208b9e8e1809de43835cd",
];

#[test]
fn every_feature_gives_the_known_answers() {
    let features = charon_saber::features(&check::host());
    assert_eq!(features.len(), KEMS.len());
    check::features(&features);
}

#[test]
fn both_implementations_give_the_known_answers_of_nists_third_round() {
    for ((_, name, _, set), published) in KEMS.iter().zip(PUBLISHED) {
        for kem in implementations(set) {
            let record = response_file::response_file(&kem, 1);
            assert_eq!(sha256(&record), published, "{name}");
        }
    }
}
