//! Any KEM of liboqs as a [`Kem`].

use ::oqs::kem::Algorithm;
use plugin_api::{ErrorKind, Kem, PluginError, Secret};

use crate::hqc;

/// A KEM of liboqs.
///
/// Secret keys and shared secrets are moved, not copied, into a [`Secret`], which zeroizes them.
pub struct OqsKem {
    kem: ::oqs::kem::Kem,
    hqc: Option<hqc::Decapsulation>,
}

impl OqsKem {
    /// The KEM.
    ///
    /// # Errors
    ///
    /// [`NotSupported`](ErrorKind::NotSupported) if liboqs was built without it.
    pub fn new(algorithm: Algorithm) -> Result<Self, PluginError> {
        ::oqs::init();
        let kem = ::oqs::kem::Kem::new(algorithm).map_err(|_| {
            PluginError::new(
                ErrorKind::NotSupported,
                format!("liboqs was built without {algorithm}; enable its feature of the oqs crate"),
            )
        })?;
        let hqc = hqc::Decapsulation::of(algorithm);
        Ok(Self { kem, hqc })
    }

    fn failed(&self, operation: &str, error: &::oqs::Error) -> PluginError {
        PluginError::new(
            ErrorKind::System,
            format!("liboqs, {} {operation}: {error}", self.kem.algorithm()),
        )
    }
}

impl Kem for OqsKem {
    fn public_key_len(&self) -> usize {
        self.kem.length_public_key()
    }

    fn ciphertext_len(&self) -> usize {
        self.kem.length_ciphertext()
    }

    fn keygen(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let (public, secret) = self
            .kem
            .keypair()
            .map_err(|error| self.failed("key generation", &error))?;
        Ok((public.into_vec(), Secret::new(secret.into_vec())))
    }

    fn encapsulate(&self, public_key: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        let public = self.kem.public_key_from_bytes(public_key).ok_or_else(|| {
            PluginError::wrong_length("public key", public_key.len(), self.kem.length_public_key())
        })?;
        let (ciphertext, shared) = self
            .kem
            .encapsulate(public)
            .map_err(|error| self.failed("encapsulation", &error))?;
        Ok((ciphertext.into_vec(), Secret::new(shared.into_vec())))
    }

    fn decapsulate(&self, secret_key: &Secret, ciphertext: &[u8]) -> Result<Secret, PluginError> {
        let secret = self
            .kem
            .secret_key_from_bytes(secret_key.expose())
            .ok_or_else(|| {
                PluginError::new(
                    ErrorKind::InvalidArgument,
                    format!(
                        "a secret key has {} octets, not {}",
                        self.kem.length_secret_key(),
                        secret_key.len()
                    ),
                )
            })?;
        let ciphertext = self.kem.ciphertext_from_bytes(ciphertext).ok_or_else(|| {
            PluginError::wrong_length("ciphertext", ciphertext.len(), self.kem.length_ciphertext())
        })?;
        if let Some(hqc) = &self.hqc {
            return Ok(hqc.run(secret.as_ref(), ciphertext.as_ref()));
        }
        let shared = self
            .kem
            .decapsulate(secret, ciphertext)
            .map_err(|error| self.failed("decapsulation", &error))?;
        Ok(Secret::new(shared.into_vec()))
    }
}
