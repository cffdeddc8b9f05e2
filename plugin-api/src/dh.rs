//! Diffie-Hellman groups, finite field or elliptic curve.

use crate::kem::{check_len, check_own_len};
use crate::{KeyExchange, PendingKeyExchange, PluginError, Secret};
use std::sync::Arc;

/// A group in which both sides send a public value.
pub trait DiffieHellman: Send + Sync + 'static {
    /// Length of a public value in octets, as sent in a KE payload.
    fn public_value_len(&self) -> usize;

    /// A fresh private value and its public one, in this order: public, private.
    ///
    /// # Errors
    ///
    /// If randomness or the library fails.
    fn generate(&self) -> Result<(Vec<u8>, Secret), PluginError>;

    /// The shared secret, in the encoding IKEv2 feeds to the PRF (RFC 7296, 2.14; RFC 5903; RFC 8031).
    ///
    /// # Errors
    ///
    /// [`InvalidPublicValue`](crate::ErrorKind::InvalidPublicValue) for a peer value that RFC 6989 or RFC 7748,
    /// section 6, refuses.
    fn agree(&self, private: &Secret, peer: &[u8]) -> Result<Secret, PluginError>;
}

/// Makes a group a key exchange.
pub struct DhExchange<D>(Arc<D>);

impl<D: DiffieHellman> DhExchange<D> {
    /// Wraps a group.
    pub fn new(group: D) -> Self {
        Self(Arc::new(group))
    }
}

impl<D: DiffieHellman> KeyExchange for DhExchange<D> {
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        let (public, private) = self.0.generate()?;
        check_own_len("public value", &public, self.0.public_value_len())?;
        Ok((
            public,
            Box::new(PendingDh {
                group: Arc::clone(&self.0),
                private,
            }),
        ))
    }

    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        check_len("public value", peer, self.0.public_value_len())?;
        let (public, private) = self.0.generate()?;
        check_own_len("public value", &public, self.0.public_value_len())?;
        let shared = self.0.agree(&private, peer)?;
        Ok((public, shared))
    }
}

struct PendingDh<D> {
    group: Arc<D>,
    private: Secret,
}

impl<D: DiffieHellman> PendingKeyExchange for PendingDh<D> {
    fn finish(self: Box<Self>, peer: &[u8]) -> Result<Secret, PluginError> {
        check_len("public value", peer, self.group.public_value_len())?;
        self.group.agree(&self.private, peer)
    }
}
