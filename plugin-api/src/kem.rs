//! Key encapsulation: what the author of a KEM writes.

use crate::{ErrorKind, KeyExchange, PendingKeyExchange, PluginError, Secret};
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
        check_own_len("public key", &public_key, self.0.public_key_len())?;
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
        let (ciphertext, shared) = self.0.encapsulate(peer)?;
        check_own_len("ciphertext", &ciphertext, self.0.ciphertext_len())?;
        Ok((ciphertext, shared))
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

/// A value that is about to be sent: a peer refuses it without a word, so it does not leave.
pub(crate) fn check_own_len(what: &str, octets: &[u8], expected: usize) -> Result<(), PluginError> {
    if octets.len() == expected {
        return Ok(());
    }
    let got = octets.len();
    Err(PluginError::new(
        ErrorKind::System,
        format!("made a {what} of {got} octets where it says that they have {expected}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes values of other lengths than it says.
    struct Careless;

    impl Kem for Careless {
        fn public_key_len(&self) -> usize {
            1184
        }

        fn ciphertext_len(&self) -> usize {
            1088
        }

        fn keygen(&self) -> Result<(Vec<u8>, Secret), PluginError> {
            Ok((vec![0; 1183], Secret::new(vec![0; 8])))
        }

        fn encapsulate(&self, _: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
            Ok((vec![0; 1089], Secret::new(vec![0; 8])))
        }

        fn decapsulate(&self, _: &Secret, _: &[u8]) -> Result<Secret, PluginError> {
            Ok(Secret::new(vec![0; 8]))
        }
    }

    #[test]
    fn an_own_value_of_the_wrong_length_is_not_sent() {
        let exchange = KemExchange::new(Careless);
        for (error, what) in [
            (exchange.initiate().err(), "public key of 1183 octets"),
            (exchange.respond(&[0; 1184]).err(), "ciphertext of 1089 octets"),
        ] {
            let error = error.expect("refused");
            assert_eq!(error.kind, ErrorKind::System);
            assert!(error.message.contains(what), "{error}");
        }
    }
}
