//! Key exchange as three one-shot operations.
//!
//! Each runs once, on a thread of the daemon's pool, and owns what it needs; so none can be called twice or in the
//! wrong order. Authors of a KEM implement [`Kem`](crate::Kem), of a group [`DiffieHellman`](crate::DiffieHellman),
//! and get this for free.

use crate::{PluginError, Secret};

/// A key exchange method.
pub trait KeyExchange: Send + Sync + 'static {
    /// Starts as initiator: the public value to send, and what is needed to finish.
    ///
    /// # Errors
    ///
    /// If randomness or the library fails.
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError>;

    /// Answers as responder: the public value or ciphertext to send, and the shared secret.
    ///
    /// # Errors
    ///
    /// [`InvalidPublicValue`](crate::ErrorKind::InvalidPublicValue) if the peer's value is unacceptable.
    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError>;
}

/// An initiator's key exchange that waits for the answer.
pub trait PendingKeyExchange: Send + 'static {
    /// The shared secret, from the peer's public value or ciphertext.
    ///
    /// # Errors
    ///
    /// [`InvalidPublicValue`](crate::ErrorKind::InvalidPublicValue) if the peer's value is unacceptable.
    fn finish(self: Box<Self>, peer: &[u8]) -> Result<Secret, PluginError>;
}
