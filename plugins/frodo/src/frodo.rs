//! An algorithm of the crate `frodo-kem-rs` as a [`Kem`].

use frodo_kem_rs::{Algorithm, Error};
use plugin_api::{ErrorKind, Kem, PluginError, Secret};

/// A parameter set of FrodoKEM.
///
/// Keys and secrets of the crate zeroize themselves; what leaves it is copied into a [`Secret`], which does so too.
pub struct Frodo(Algorithm);

impl Frodo {
    /// The KEM.
    pub const fn new(algorithm: Algorithm) -> Self {
        Self(algorithm)
    }
}

impl Kem for Frodo {
    fn public_key_len(&self) -> usize {
        self.0.params().encryption_key_length
    }

    fn ciphertext_len(&self) -> usize {
        self.0.params().ciphertext_length
    }

    fn keygen(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let seed = random(self.0.params().key_seed_length)?;
        let (public, secret) = self
            .0
            .generate_keypair_from_seed(seed.expose())
            .map_err(|error| failed("key generation", error))?;
        Ok((public.value().to_vec(), Secret::copy_of(secret.value())))
    }

    fn encapsulate(&self, public_key: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        let public = self
            .0
            .encryption_key_from_bytes(public_key)
            .map_err(|_| PluginError::wrong_length("public key", public_key.len(), self.public_key_len()))?;
        let message = random(self.0.params().message_length)?;
        let (ciphertext, shared) = self
            .0
            .encapsulate(&public, message.expose(), [])
            .map_err(|error| failed("encapsulation", error))?;
        Ok((ciphertext.value().to_vec(), Secret::copy_of(shared.value())))
    }

    fn decapsulate(&self, secret_key: &Secret, ciphertext: &[u8]) -> Result<Secret, PluginError> {
        let secret = self
            .0
            .decryption_key_from_bytes(secret_key.expose())
            .map_err(|_| {
                PluginError::new(
                    ErrorKind::InvalidArgument,
                    format!(
                        "a secret key has {} octets, not {}",
                        self.0.params().decryption_key_length,
                        secret_key.len()
                    ),
                )
            })?;
        let ciphertext = self
            .0
            .ciphertext_from_bytes(ciphertext)
            .map_err(|_| PluginError::wrong_length("ciphertext", ciphertext.len(), self.ciphertext_len()))?;
        let (shared, message) = self
            .0
            .decapsulate(&secret, &ciphertext)
            .map_err(|error| failed("decapsulation", error))?;
        // The shared secret follows from the message, which the crate hands out unprotected.
        drop(Secret::new(message));
        Ok(Secret::copy_of(shared.value()))
    }
}

/// Randomness of the operating system. It is drawn before the crate is called, because a generator handed to that must not fail.
fn random(len: usize) -> Result<Secret, PluginError> {
    let mut octets = Secret::zeroed(len);
    getrandom::fill(octets.expose_mut()).map_err(|error| {
        PluginError::new(
            ErrorKind::System,
            format!("FrodoKEM: the operating system gives no randomness: {error}"),
        )
    })?;
    Ok(octets)
}

fn failed(operation: &str, error: Error) -> PluginError {
    PluginError::new(ErrorKind::System, format!("FrodoKEM, {operation}: {error}"))
}
