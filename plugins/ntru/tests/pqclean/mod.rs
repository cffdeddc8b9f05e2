//! What every plugin with KEMs of PQClean is tested for, in both of its implementations.
//!
//! The includer has the plugin's `KEMS`, `ParameterSet` and `PqClean`, and its own `LENGTHS` (of public key and ciphertext, as
//! on the wire) and `VECTORS`.

use plugin_api::{ErrorKind, Kem, KemExchange, Secret, testing};

use super::{KEMS, LENGTHS, ParameterSet, PqClean, VECTORS, check, response_file};

/// What this processor can run of a parameter set.
pub(crate) fn implementations(set: &ParameterSet) -> Vec<PqClean> {
    [set.avx2(), Some(set.portable())].into_iter().flatten().collect()
}

#[test]
fn the_vectors_are_the_first_records() {
    let vectors = check::records(VECTORS);
    assert_eq!(vectors.len(), KEMS.len());
    for (vector, (_, name, _, set)) in vectors.iter().zip(KEMS) {
        assert_eq!(vector.text("Method"), Some(*name));
        response_file::same_record(vector, &response_file::response_file(&set.best(), 1));
        for kem in implementations(set) {
            let secret = Secret::new(vector.required("Secret"));
            testing::known_answer(
                &kem,
                &secret,
                &vector.required("Ciphertext"),
                &vector.required("Shared"),
            );
        }
    }
}

#[test]
fn lengths_are_those_on_the_wire() {
    for ((_, name, _, set), lengths) in KEMS.iter().zip(LENGTHS) {
        for kem in implementations(set) {
            assert_eq!((kem.public_key_len(), kem.ciphertext_len()), lengths, "{name}");
            let (public, _) = kem.keygen().expect("a key pair");
            let (_, shared) = kem.encapsulate(&public).expect("a ciphertext");
            assert_eq!(shared.len(), 32, "{name}");
            testing::kem(kem);
        }
    }
}

#[test]
fn both_implementations_agree_in_both_roles() {
    for (_, _, _, set) in KEMS {
        for one in implementations(set) {
            for other in implementations(set) {
                testing::agree(&KemExchange::new(one), &KemExchange::new(other));
            }
        }
    }
}

#[test]
fn a_changed_ciphertext_gives_another_secret_and_no_error() {
    for (_, name, _, set) in KEMS {
        for kem in implementations(set) {
            let (public, secret) = kem.keygen().expect("a key pair");
            let (ciphertext, shared) = kem.encapsulate(&public).expect("a ciphertext");
            // The highest bit of the last octet is padding in most of NTRU's sets.
            for (at, bit) in [(0, 1), (ciphertext.len() - 1, 0x80)] {
                let mut changed = ciphertext.clone();
                changed[at] ^= bit;
                let rejected = kem.decapsulate(&secret, &changed).expect("implicit rejection");
                assert_ne!(rejected, shared, "{name}");
                let again = kem.decapsulate(&secret, &changed);
                assert_eq!(again, Ok(rejected), "{name}: it is always the same one");
            }
        }
    }
}

#[test]
fn values_of_no_sense_give_a_secret_and_no_crash() {
    for (_, _, _, set) in KEMS {
        for kem in implementations(set) {
            let (_, secret) = kem.keygen().expect("a key pair");
            for octet in [0, 0x55, 0xff] {
                let (ciphertext, shared) = kem
                    .encapsulate(&vec![octet; kem.public_key_len()])
                    .expect("every string is a public key");
                assert_eq!((ciphertext.len(), shared.len()), (kem.ciphertext_len(), 32));
                let shared = kem.decapsulate(&secret, &vec![octet; kem.ciphertext_len()]);
                assert_eq!(shared.expect("implicit rejection").len(), 32);
            }
        }
    }
}

#[test]
fn wrong_lengths_are_refused_before_c_code_sees_them() {
    for (_, _, _, set) in KEMS {
        for kem in implementations(set) {
            let (public, secret) = kem.keygen().expect("a key pair");
            let (ciphertext, _) = kem.encapsulate(&public).expect("a ciphertext");
            let result = kem.encapsulate(&public[1..]);
            check::fails_with(ErrorKind::InvalidPublicValue, result, "a short public key");
            let result = kem.decapsulate(&secret, &ciphertext[1..]);
            check::fails_with(ErrorKind::InvalidPublicValue, result, "a short ciphertext");
            let short = Secret::copy_of(&secret.expose()[1..]);
            let result = kem.decapsulate(&short, &ciphertext);
            check::fails_with(ErrorKind::InvalidArgument, result, "a short secret key");
        }
    }
}
