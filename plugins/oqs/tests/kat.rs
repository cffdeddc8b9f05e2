//! The plugin's KEMs against NIST's known answers and another implementation.

#![allow(unsafe_code)]

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;
#[path = "../../../tests/vectors/drbg.rs"]
mod drbg;
#[path = "../../../tests/vectors/hqc.rs"]
mod hqc;
#[path = "../../../tests/vectors/kem.rs"]
mod kem;
#[path = "../../../tests/vectors/response_file.rs"]
mod response_file;

use charon_oqs::{KEMS, OqsKem};
use check::Record;
use drbg::Drbg;
use hqc::HqcGenerator;
use plugin_api::{Kem, Secret};
use pqcrypto_kyber::{kyber512, kyber768, kyber1024};
use pqcrypto_traits::kem::{Ciphertext, PublicKey, SecretKey, SharedSecret};
use response_file::{Generator, draw, gives_published_answers, response_file, same_record, sha256};

#[test]
fn every_feature_does_what_a_key_exchange_must() {
    let features = charon_oqs::features(&check::host());
    assert_eq!(features.len(), KEMS.len(), "liboqs has all of them");
    check::features(&features);
}

extern "C" fn random(out: *mut u8, len: usize) {
    // SAFETY: liboqs hands over a buffer of `len` octets, and of nothing else.
    draw(unsafe { std::slice::from_raw_parts_mut(out, len) });
}

fn choose_randomness() {
    // SAFETY: the function has the type liboqs wants and lives as long as the program; it gives other threads, which
    // may be in liboqs now, randomness as good as before.
    unsafe { oqs::ffi::rand::OQS_randombytes_custom_algorithm(Some(random)) };
}

impl Generator for HqcGenerator {
    fn seeded(seed: &[u8; 48]) -> Self {
        Self::new(seed)
    }

    fn fill(&mut self, out: &mut [u8]) {
        self.fill(out);
    }
}

/// The hashes are those that liboqs publishes of the whole files (tests/KATs/kem/kats.json, "all").
#[test]
fn kyber_gives_all_known_answers_of_nists_third_round() {
    choose_randomness();
    let published = [
        "0435224d77cc89bf77b82aa82af254b62f25d24e18c44dcd0aa9473cde97217a",
        "b3a12005fe1ce49f5df510aea6a56bfa4bdc2d3d706afb0361d70dc88188a2a6",
        "b72b97eb9270d76f2c7a8a0b03022c81c879af9e247abff52405127d77dd3a46",
    ];
    for (&(_, name, _, algorithm), published) in KEMS.iter().zip(published) {
        let file = response_file(&OqsKem::new(algorithm).expect("a KEM"), 100);
        assert_eq!(sha256(&file), published, "{name}");

        // The first record is in the vectors, for tests that cannot choose the randomness.
        let vectors = check::records(include_str!("../../../tests/vectors/kyber.txt"));
        let vector = vectors.iter().find(|vector| vector.text("Method") == Some(name));
        same_record(vector.expect("a record"), &file);
    }
}

/// The KEMs whose vectors are hashes.
fn others() -> Vec<(Record, OqsKem)> {
    let files = [
        include_str!("../../../tests/vectors/bike.txt"),
        include_str!("../../../tests/vectors/frodo.txt"),
        include_str!("../../../tests/vectors/hqc.txt"),
        include_str!("../../../tests/vectors/sntrup.txt"),
    ];
    let vectors: Vec<_> = files.into_iter().flat_map(check::records).collect();
    assert_eq!(vectors.len(), KEMS.len() - 3, "all but Kyber");
    let kem = |vector: &Record| {
        let method = vector.text("Method").expect("a method");
        let kem = KEMS.iter().find(|(_, name, _, _)| *name == method);
        OqsKem::new(kem.expect("a KEM").3).expect("liboqs has it")
    };
    vectors
        .into_iter()
        .map(|vector| {
            let kem = kem(&vector);
            (vector, kem)
        })
        .collect()
}

#[test]
fn the_other_kems_give_all_published_answers() {
    choose_randomness();
    for (vector, kem) in others() {
        if vector.text("Method").is_some_and(|name| name.starts_with("HQC")) {
            gives_published_answers::<HqcGenerator>(&kem, &vector);
        } else {
            gives_published_answers::<Drbg>(&kem, &vector);
        }
    }
}

#[test]
fn lengths_are_those_on_the_wire_and_no_value_does_harm() {
    for (vector, kem) in others() {
        kem::kem(&kem, &vector);
    }
}

#[test]
fn the_plugin_api_finds_nothing_wrong() {
    for &(_, _, _, algorithm) in KEMS {
        plugin_api::testing::kem(OqsKem::new(algorithm).expect("a KEM"));
    }
}

macro_rules! agrees_with_pqclean {
    ($test:ident, $index:literal, $pqclean:ident) => {
        #[test]
        fn $test() {
            let kem = OqsKem::new(KEMS[$index].3).expect("a KEM");
            for _ in 0..20 {
                let (public, secret) = kem.keygen().expect("a key pair");
                let public = $pqclean::PublicKey::from_bytes(&public).expect("our public key");
                let (theirs, ciphertext) = $pqclean::encapsulate(&public);
                let ours = kem
                    .decapsulate(&secret, ciphertext.as_bytes())
                    .expect("a shared secret");
                assert_eq!(
                    ours.expose(),
                    theirs.as_bytes(),
                    "our key, their ciphertext"
                );

                let (public, secret) = $pqclean::keypair();
                let (ciphertext, ours) = kem.encapsulate(public.as_bytes()).expect("a ciphertext");
                let ciphertext = $pqclean::Ciphertext::from_bytes(&ciphertext).expect("our ciphertext");
                let theirs = $pqclean::decapsulate(&ciphertext, &secret);
                assert_eq!(
                    ours.expose(),
                    theirs.as_bytes(),
                    "their key, our ciphertext"
                );

                let secret = Secret::copy_of(secret.as_bytes());
                let ours = kem
                    .decapsulate(&secret, ciphertext.as_bytes())
                    .expect("a shared secret");
                assert_eq!(
                    ours.expose(),
                    theirs.as_bytes(),
                    "their secret key in our hands"
                );
            }
        }
    };
}

agrees_with_pqclean!(kyber512_agrees_with_pqclean, 0, kyber512);
agrees_with_pqclean!(kyber768_agrees_with_pqclean, 1, kyber768);
agrees_with_pqclean!(kyber1024_agrees_with_pqclean, 2, kyber1024);
