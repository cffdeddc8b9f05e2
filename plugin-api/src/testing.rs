//! What every key exchange method must do, for the tests of a plugin, and a daemon for them.
//!
//! ```
//! # use plugin_api::{Kem, PluginError, Secret};
//! # fn check(kem: impl Kem, vector: (&[u8], Vec<u8>, &[u8], &[u8])) {
//! # let (public_key, secret_key, ciphertext, shared) = vector;
//! plugin_api::testing::known_answer(&kem, &Secret::new(secret_key), ciphertext, shared);
//! plugin_api::testing::kem(kem);
//! # }
//! ```
//!
//! They panic with what is wrong, as assertions do.

#![allow(clippy::panic)]

mod recorder;

use std::collections::BTreeSet;

pub use recorder::Recorder;

use crate::{ErrorKind, Kem, KemExchange, KeyExchange, PluginError, Secret};

/// How often what must not repeat is tried.
const TRIES: usize = 4;

/// Checks a KEM: its lengths are what it says, a ciphertext gives the secret it was made with, a changed one another
/// secret and no error, and all that [`key_exchange`] checks.
///
/// # Panics
///
/// If it fails a check.
pub fn kem(kem: impl Kem) {
    let (public_key, secret_key) = kem.keygen().expect("a key pair");
    assert_eq!(
        public_key.len(),
        kem.public_key_len(),
        "the length of a public key"
    );
    let (ciphertext, shared) = kem.encapsulate(&public_key).expect("a ciphertext");
    assert_eq!(
        ciphertext.len(),
        kem.ciphertext_len(),
        "the length of a ciphertext"
    );
    known_answer(&kem, &secret_key, &ciphertext, shared.expose());
    for at in [0, ciphertext.len() / 2, ciphertext.len() - 1] {
        let mut changed = ciphertext.clone();
        changed[at] ^= 1;
        match kem.decapsulate(&secret_key, &changed) {
            Ok(other) => assert!(other != shared, "octet {at} of a ciphertext changes nothing"),
            Err(error) => panic!("a changed ciphertext is told apart: {error}"),
        }
    }
    key_exchange(&KemExchange::new(kem));
}

/// Checks a known answer.
///
/// # Panics
///
/// If the secret is another one.
pub fn known_answer(kem: &impl Kem, secret_key: &Secret, ciphertext: &[u8], shared: &[u8]) {
    let found = kem.decapsulate(secret_key, ciphertext).expect("a shared secret");
    assert!(found.expose() == shared, "another shared secret");
}

/// Checks a key exchange method with itself: both sides [`agree`], and public values that are shorter or longer than
/// they should be are refused.
///
/// # Panics
///
/// If it fails a check.
pub fn key_exchange(exchange: &dyn KeyExchange) {
    agree(exchange, exchange);
    let (public, _) = exchange.initiate().expect("initiating");
    let (answer, _) = exchange.respond(&public).expect("responding");
    for wrong in wrong_lengths(&public) {
        refused(exchange.respond(&wrong), "responding", &wrong);
    }
    for wrong in wrong_lengths(&answer) {
        let (_, pending) = exchange.initiate().expect("initiating");
        refused(pending.finish(&wrong), "finishing", &wrong);
    }
}

/// Checks that an initiator and a responder, which may be two implementations, have the same secret, and a new one
/// every time.
///
/// # Panics
///
/// If they have not.
pub fn agree(initiator: &dyn KeyExchange, responder: &dyn KeyExchange) {
    let mut seen = BTreeSet::new();
    for _ in 0..TRIES {
        let (public, pending) = initiator.initiate().expect("initiating");
        let (answer, responders) = responder.respond(&public).expect("responding");
        let initiators = pending.finish(&answer).expect("finishing");
        assert!(initiators == responders, "the sides have different secrets");
        assert!(seen.insert(initiators.expose().to_vec()), "a secret came twice");
    }
}

fn wrong_lengths(good: &[u8]) -> [Vec<u8>; 3] {
    [Vec::new(), good[1..].to_vec(), [good, &[0]].concat()]
}

fn refused<T>(result: Result<T, PluginError>, what: &str, value: &[u8]) {
    let len = value.len();
    match result {
        Ok(_) => panic!("{what} takes {len} octets"),
        Err(error) => assert_eq!(
            error.kind,
            ErrorKind::InvalidPublicValue,
            "{what} with {len} octets: {error}"
        ),
    }
}
