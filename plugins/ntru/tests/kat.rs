//! The plugin's KEMs against NIST's known answers, in both implementations of PQClean.

#![allow(unsafe_code)]

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;
#[path = "../../../tests/vectors/drbg.rs"]
mod drbg;
mod pqclean;
#[path = "../../../tests/vectors/response_file.rs"]
mod response_file;

use charon_ntru::{KEMS, ParameterSet, PqClean};
use pqclean::implementations;
use response_file::sha256;

/// Public key and ciphertext in octets; a shared secret has 32.
const LENGTHS: [(usize, usize); 4] = [(699, 699), (930, 930), (1230, 1230), (1138, 1138)];

const VECTORS: &str = include_str!("../../../tests/vectors/ntru.txt");

/// SHA-256 of the first record of a response file (PQClean, META.yml, `nistkat-sha256`; liboqs, tests/KATs/kem/kats.json,
/// "single"), and of the whole file (there, "all").
const PUBLISHED: [[&str; 2]; 4] = [
    [
        "fc314366fbe795e2db6d29abb9f5b2ff43f0f608d0bd66161f9450364f0d271b",
        "d204a151fd8d10e0f6fe484d55362d779fbcb468ac5ae2cd18409b1fd76b4641",
    ],
    [
        "33e2cad6c2a2f17991517050d7a1b745908c84b8283a4e0f07dbe6f62d166507",
        "3489450d349454bf4914f7947a33ebc6bc5e16d15d19da6820a8168e125a1084",
    ],
    [
        "1a8382ae0c801a43cf461c98d22743f5b2d8a1ffed1b1df0dd767de2c2874597",
        "143f43534b9705f6485b4a3f1cefda3283f12550e88e294c743b72a9f7d3fcba",
    ],
    [
        "501e000c3eb374ffbfb81b0f16673a6282116465936608d7d164b05635e769e8",
        "684d7e77641399b136fbb4b9261bdca6e83887453a0565e2aef3540821138ada",
    ],
];

#[test]
fn every_feature_gives_the_known_answers() {
    let features = charon_ntru::features(&check::host());
    assert_eq!(features.len(), KEMS.len());
    check::features(&features);
}

#[test]
fn both_implementations_give_the_known_answers_of_nists_third_round() {
    for ((_, name, _, set), [first, whole]) in KEMS.iter().zip(PUBLISHED) {
        for kem in implementations(set) {
            let record = response_file::response_file(&kem, 1);
            assert_eq!(sha256(&record), first, "{name}");
        }
        let file = response_file::response_file(&set.best(), 100);
        assert_eq!(sha256(&file), whole, "{name}");
    }
}
