//! The plugin's KEMs against known answers of the second round's Kyber, in both implementations of PQClean.

#![allow(unsafe_code)]

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;
#[path = "../../../tests/vectors/drbg.rs"]
mod drbg;
#[path = "../../ntru/tests/pqclean/mod.rs"]
mod pqclean;
#[path = "../../../tests/vectors/response_file.rs"]
mod response_file;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../../../tests/vectors/syscall.rs"]
mod syscall;

use charon_kyber_round2::{KEMS, ParameterSet, PqClean};
use plugin_api::{Kem, Secret};
use pqclean::implementations;
use response_file::{draw as draw_syscall, sha256};

/// Public key and ciphertext in octets; a shared secret has 32.
const LENGTHS: [(usize, usize); 3] = [(800, 736), (1184, 1088), (1568, 1568)];

const VECTORS: &str = include_str!("../../../tests/vectors/kyber-round2.txt");

/// SHA-256 of the first record of a response file of the second round (PQClean, META.yml, `nistkat-sha256`).
const PUBLISHED: [&str; 3] = [
    "bdd9b46001de4595a4f185aec8d5d04d217705e65e10711c99fa3f0ac3d61c21",
    "d6dbb9399d1ba4ee2d986de3e54a461256b91d6c2f9b90ad2410cf41e09b64d1",
    "b4b4fc1c2cbbb182252d2822ccb8cb704bcfe876122635c5dfa48ddc09b6e73f",
];

/// What liboqs 0.4.0 makes, which the peers have that this plugin is for.
const LIBOQS: &str = include_str!("../../../tests/vectors/kyber-round2.json");

#[test]
fn every_feature_gives_the_known_answers() {
    let features = charon_kyber_round2::features(&check::host());
    assert_eq!(features.len(), KEMS.len());
    check::features(&features);
}

#[test]
fn both_implementations_give_the_known_answers_of_nists_second_round() {
    for ((_, name, _, set), published) in KEMS.iter().zip(PUBLISHED) {
        for kem in implementations(set) {
            let record = response_file::response_file(&kem, 1);
            assert_eq!(sha256(&record), published, "{name}");
        }
    }
}

#[test]
fn what_liboqs_0_4_0_made_is_decapsulated() {
    let records: Vec<serde_json::Value> = serde_json::from_str(LIBOQS).expect("JSON");
    assert_eq!(records.len(), 9);
    for record in &records {
        let field = |name: &str| octets(record[name].as_str().expect("a field"));
        let level = match record["keyword"].as_str() {
            Some("kyber1") => 0,
            Some("kyber3") => 1,
            Some("kyber5") => 2,
            other => panic!("{other:?}"),
        };
        let secret_key = Secret::new(field("secret_key"));
        let ciphertext = field("ciphertext");
        let mut changed = ciphertext.clone();
        changed[5] ^= 1;
        for kem in implementations(&KEMS[level].3) {
            let shared = kem.decapsulate(&secret_key, &ciphertext).expect("a secret");
            assert_eq!(shared.expose(), field("shared_secret"));
            let rejected = kem
                .decapsulate(&secret_key, &changed)
                .expect("implicit rejection");
            let expected = field("shared_secret_if_octet_5_of_the_ciphertext_is_xored_with_1");
            assert_eq!(rejected.expose(), expected);
        }
    }
}

fn octets(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    digits.map(octet).collect()
}
