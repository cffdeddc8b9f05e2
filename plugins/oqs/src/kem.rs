//! Any KEM of liboqs as a [`Kem`].

use ::oqs::kem::Algorithm;
use plugin_api::{ErrorKind, Kem, PluginError, Secret};

/// A KEM of liboqs.
///
/// Secret keys and shared secrets are moved, not copied, into a [`Secret`], which zeroizes them.
pub struct OqsKem(::oqs::kem::Kem);

impl OqsKem {
    /// The KEM.
    ///
    /// # Errors
    ///
    /// [`NotSupported`](ErrorKind::NotSupported) if liboqs was built without it.
    pub fn new(algorithm: Algorithm) -> Result<Self, PluginError> {
        ::oqs::init();
        ::oqs::kem::Kem::new(algorithm).map(Self).map_err(|_| {
            PluginError::new(
                ErrorKind::NotSupported,
                format!("liboqs was built without {algorithm}; enable its feature of the oqs crate"),
            )
        })
    }

    fn failed(&self, operation: &str, error: &::oqs::Error) -> PluginError {
        PluginError::new(
            ErrorKind::System,
            format!("liboqs, {} {operation}: {error}", self.0.algorithm()),
        )
    }
}

impl Kem for OqsKem {
    fn public_key_len(&self) -> usize {
        self.0.length_public_key()
    }

    fn ciphertext_len(&self) -> usize {
        self.0.length_ciphertext()
    }

    fn keygen(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let (public, secret) = self
            .0
            .keypair()
            .map_err(|error| self.failed("key generation", &error))?;
        Ok((public.into_vec(), Secret::new(secret.into_vec())))
    }

    fn encapsulate(&self, public_key: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        let public = self.0.public_key_from_bytes(public_key).ok_or_else(|| {
            PluginError::wrong_length("public key", public_key.len(), self.0.length_public_key())
        })?;
        let (ciphertext, shared) = self
            .0
            .encapsulate(public)
            .map_err(|error| self.failed("encapsulation", &error))?;
        Ok((ciphertext.into_vec(), Secret::new(shared.into_vec())))
    }

    fn decapsulate(&self, secret_key: &Secret, ciphertext: &[u8]) -> Result<Secret, PluginError> {
        let secret = self.0.secret_key_from_bytes(secret_key.expose()).ok_or_else(|| {
            PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "a secret key has {} octets, not {}",
                    self.0.length_secret_key(),
                    secret_key.len()
                ),
            )
        })?;
        let ciphertext = self.0.ciphertext_from_bytes(ciphertext).ok_or_else(|| {
            PluginError::wrong_length("ciphertext", ciphertext.len(), self.0.length_ciphertext())
        })?;
        let shared = self
            .0
            .decapsulate(secret, ciphertext)
            .map_err(|error| self.failed("decapsulation", &error))?;
        Ok(Secret::new(shared.into_vec()))
    }
}
