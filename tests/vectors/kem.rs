//! What KEMs must do beyond plugin-api's own checks.
//!
//! The includer has `check` beside this module.

#![allow(dead_code)] // no includer needs all of it

use plugin_api::{ErrorKind, Kem, Secret};

use crate::check::{Record, fails_with};

/// Octets of public key, ciphertext and shared secret.
type Lengths = (usize, usize, usize);

/// Checks a KEM of a vector file.
pub(crate) fn kem(kem: &impl Kem, vector: &Record) {
    let name = vector.text("Method").expect("a method");
    let lengths = lengths(vector);
    has_lengths(kem, lengths, name);
    rejects_implicitly(kem, name);
    takes_any_value(kem, lengths, name);
    refuses_other_lengths(kem, name);
}

/// The lengths in a vector file.
pub(crate) fn lengths(vector: &Record) -> Lengths {
    let text = vector.text("Lengths").expect("lengths");
    let mut lengths = text.split(' ').map(|len| len.parse().expect("a number"));
    let mut next = || lengths.next().expect("three lengths");
    (next(), next(), next())
}

/// Asserts that the lengths are those on the wire.
fn has_lengths(kem: &impl Kem, lengths: Lengths, name: &str) {
    let (public, _) = kem.keygen().expect("a key pair");
    let (ciphertext, shared) = kem.encapsulate(&public).expect("a ciphertext");
    assert_eq!((public.len(), ciphertext.len(), shared.len()), lengths, "{name}");
    assert_eq!(
        (kem.public_key_len(), kem.ciphertext_len()),
        (lengths.0, lengths.1),
        "{name}"
    );
}

/// Asserts that a changed ciphertext gives another secret, always the same one, and no error.
fn rejects_implicitly(kem: &impl Kem, name: &str) {
    let (public, secret) = kem.keygen().expect("a key pair");
    let (ciphertext, shared) = kem.encapsulate(&public).expect("a ciphertext");
    for at in [0, ciphertext.len() / 2, ciphertext.len() - 1] {
        let mut changed = ciphertext.clone();
        changed[at] ^= 1;
        let rejected = kem.decapsulate(&secret, &changed).expect("implicit rejection");
        assert_ne!(rejected, shared, "{name}, octet {at}");
        let again = kem.decapsulate(&secret, &changed);
        assert_eq!(again, Ok(rejected), "{name}: it is always the same one");
    }
}

/// Asserts that values of the right length and no sense give a secret.
fn takes_any_value(kem: &impl Kem, lengths: Lengths, name: &str) {
    let (_, secret) = kem.keygen().expect("a key pair");
    for octet in [0, 0x55, 0xff] {
        let (ciphertext, shared) = kem
            .encapsulate(&vec![octet; lengths.0])
            .expect("every string is a public key");
        assert_eq!((ciphertext.len(), shared.len()), (lengths.1, lengths.2), "{name}");
        let shared = kem.decapsulate(&secret, &vec![octet; lengths.1]);
        assert_eq!(shared.expect("implicit rejection").len(), lengths.2, "{name}");
    }
}

/// Asserts that values of other lengths are refused, and by whose fault.
fn refuses_other_lengths(kem: &impl Kem, name: &str) {
    let (public, secret) = kem.keygen().expect("a key pair");
    let (ciphertext, _) = kem.encapsulate(&public).expect("a ciphertext");
    let others = |len: usize| [0, len - 1, len + 1].map(|len| vec![0x55; len]);
    for public in others(public.len()) {
        let what = format!("{name}: a public key of {} octets", public.len());
        fails_with(ErrorKind::InvalidPublicValue, kem.encapsulate(&public), &what);
    }
    for ciphertext in others(ciphertext.len()) {
        let what = format!("{name}: a ciphertext of {} octets", ciphertext.len());
        let result = kem.decapsulate(&secret, &ciphertext);
        fails_with(ErrorKind::InvalidPublicValue, result, &what);
    }
    for secret in others(secret.len()) {
        let what = format!("{name}: a secret key of {} octets", secret.len());
        let result = kem.decapsulate(&Secret::new(secret), &ciphertext);
        fails_with(ErrorKind::InvalidArgument, result, &what);
    }
}
