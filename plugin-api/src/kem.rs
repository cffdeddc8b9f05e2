//! Key encapsulation: what the author of a KEM writes.

use crate::{KeyExchange, PendingKeyExchange, PluginError, Secret};
use std::sync::Arc;

/// A key encapsulation mechanism. Lengths are checked before a function sees a peer's value.
pub trait Kem: Send + Sync + 'static {
    /// Length of a public key in octets.
    fn public_key_len(&self) -> usize;

    /// Length of a ciphertext in octets.
    fn ciphertext_len(&self) -> usize;

    /// A fresh key pair: public key and secret key.
    ///
    /// # Errors
    ///
    /// If randomness or the library fails.
    fn keygen(&self) -> Result<(Vec<u8>, Secret), PluginError>;

    /// A ciphertext for the public key, and the shared secret in it.
    ///
    /// # Errors
    ///
    /// If the public key is not a valid one.
    fn encapsulate(&self, public_key: &[u8]) -> Result<(Vec<u8>, Secret), PluginError>;

    /// The shared secret of a ciphertext. A corrupted one of the right length must not be told apart: the KEM's
    /// implicit rejection applies.
    ///
    /// # Errors
    ///
    /// If the library fails.
    fn decapsulate(&self, secret_key: &Secret, ciphertext: &[u8]) -> Result<Secret, PluginError>;
}

/// Makes a KEM a key exchange: the initiator sends the public key, the responder the ciphertext.
pub struct KemExchange<K>(Arc<K>);

impl<K: Kem> KemExchange<K> {
    /// Wraps a KEM.
    pub fn new(kem: K) -> Self {
        Self(Arc::new(kem))
    }
}

impl<K: Kem> KeyExchange for KemExchange<K> {
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        let (public_key, secret_key) = self.0.keygen()?;
        Ok((
            public_key,
            Box::new(PendingKem {
                kem: Arc::clone(&self.0),
                secret_key,
            }),
        ))
    }

    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        check_len("public key", peer, self.0.public_key_len())?;
        self.0.encapsulate(peer)
    }
}

struct PendingKem<K> {
    kem: Arc<K>,
    secret_key: Secret,
}

impl<K: Kem> PendingKeyExchange for PendingKem<K> {
    fn finish(self: Box<Self>, peer: &[u8]) -> Result<Secret, PluginError> {
        check_len("ciphertext", peer, self.kem.ciphertext_len())?;
        self.kem.decapsulate(&self.secret_key, peer)
    }
}

pub(crate) fn check_len(what: &str, octets: &[u8], expected: usize) -> Result<(), PluginError> {
    if octets.len() == expected {
        Ok(())
    } else {
        Err(PluginError::wrong_length(what, octets.len(), expected))
    }
}
