//! The plugin's KEMs against NIST's known answers and another implementation.

#![allow(unsafe_code)]

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;
#[path = "../../../tests/vectors/drbg.rs"]
mod drbg;

use std::cell::RefCell;

use charon_oqs::{KEMS, OqsKem};
use drbg::Drbg;
use plugin_api::{Kem, Secret};
use pqcrypto_kyber::{kyber512, kyber768, kyber1024};
use pqcrypto_traits::kem::{Ciphertext, PublicKey, SecretKey, SharedSecret};
use sha2::{Digest, Sha256};

#[test]
fn every_feature_gives_the_known_answers() {
    let features = charon_oqs::features(&check::host());
    assert_eq!(features.len(), KEMS.len(), "liboqs has all of them");
    check::features(&features);
}

thread_local! {
    /// What liboqs gets as randomness on this thread; the operating system's if none.
    static DRBG: RefCell<Option<Drbg>> = const { RefCell::new(None) };
}

extern "C" fn random(out: *mut u8, len: usize) {
    // SAFETY: liboqs hands over a buffer of `len` octets, and of nothing else.
    let out = unsafe { std::slice::from_raw_parts_mut(out, len) };
    DRBG.with_borrow_mut(|drbg| match drbg {
        Some(drbg) => drbg.fill(out),
        None => getrandom::fill(out).expect("randomness"),
    });
}

/// The response file of NIST's third round for a KEM, a hundred key pairs and ciphertexts, as its generator writes it.
fn response_file(kem: &OqsKem) -> String {
    let hex = |octets: &[u8]| {
        octets
            .iter()
            .map(|octet| format!("{octet:02X}"))
            .collect::<String>()
    };
    let mut seeds = Drbg::new(&std::array::from_fn(|i| i as u8));
    let records = (0..100).map(|count| {
        let mut seed = [0; 48];
        seeds.fill(&mut seed);
        DRBG.set(Some(Drbg::new(&seed)));
        let (public, secret) = kem.keygen().expect("a key pair");
        let (ciphertext, shared) = kem.encapsulate(&public).expect("a ciphertext");
        assert_eq!(kem.decapsulate(&secret, &ciphertext).as_ref(), Ok(&shared));
        format!(
            "count = {count}\nseed = {}\npk = {}\nsk = {}\nct = {}\nss = {}\n",
            hex(&seed),
            hex(&public),
            hex(secret.expose()),
            hex(&ciphertext),
            hex(shared.expose())
        )
    });
    let file = records.collect::<Vec<_>>().join("\n");
    DRBG.set(None);
    file
}

/// The hashes are those that liboqs publishes of the whole files (tests/KATs/kem/kats.json, "all").
#[test]
fn kyber_gives_all_known_answers_of_nists_third_round() {
    // SAFETY: the function has the type liboqs wants and lives as long as the program; it gives other threads, which
    // may be in liboqs now, randomness as good as before.
    unsafe { oqs::ffi::rand::OQS_randombytes_custom_algorithm(Some(random)) };
    let published = [
        "0435224d77cc89bf77b82aa82af254b62f25d24e18c44dcd0aa9473cde97217a",
        "b3a12005fe1ce49f5df510aea6a56bfa4bdc2d3d706afb0361d70dc88188a2a6",
        "b72b97eb9270d76f2c7a8a0b03022c81c879af9e247abff52405127d77dd3a46",
    ];
    for (&(_, name, _, algorithm), published) in KEMS.iter().zip(published) {
        let file = response_file(&OqsKem::new(algorithm).expect("a KEM"));
        let hash: String = Sha256::digest(&file)
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        assert_eq!(hash, published, "{name}");

        // The first record is in the vectors, for tests that cannot choose the randomness.
        let record = file.split("\n\n").next().expect("a record");
        let vectors = check::records(include_str!("../../../tests/vectors/kyber.txt"));
        let vector = vectors
            .iter()
            .find(|vector| vector.text("Method") == Some(name))
            .expect("a record");
        for (field, of_file) in [
            ("Public", "pk"),
            ("Secret", "sk"),
            ("Ciphertext", "ct"),
            ("Shared", "ss"),
        ] {
            let value = vector.text(field).expect("a field").to_uppercase();
            assert!(
                record.contains(&format!("\n{of_file} = {value}\n"))
                    || record.ends_with(&format!("\n{of_file} = {value}")),
                "{name}, {field}"
            );
        }
    }
}

#[test]
fn a_changed_ciphertext_gives_another_secret_and_no_error() {
    for &(_, name, _, algorithm) in KEMS {
        let kem = OqsKem::new(algorithm).expect("a KEM");
        let (public, secret) = kem.keygen().expect("a key pair");
        let (mut ciphertext, shared) = kem.encapsulate(&public).expect("a ciphertext");
        ciphertext[0] ^= 1;
        let rejected = kem.decapsulate(&secret, &ciphertext).expect("implicit rejection");
        assert_ne!(rejected, shared, "{name}");
        assert_eq!(
            kem.decapsulate(&secret, &ciphertext).as_ref(),
            Ok(&rejected),
            "{name}: it is always the same one"
        );
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
