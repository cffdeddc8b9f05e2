//! SIKE of NIST's third round as a [`Kem`].

use plugin_api::{ErrorKind, Kem, PluginError, Secret};

use crate::ffi::{self, Functions};

/// The parameter sets of the submission, named for the bits of their primes; keys and ciphertexts are uncompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterSet {
    /// Public keys of 330 octets, ciphertexts of 346, secrets of 16.
    P434,
    /// Public keys of 378 octets, ciphertexts of 402, secrets of 24.
    P503,
    /// Public keys of 462 octets, ciphertexts of 486, secrets of 24.
    P610,
    /// Public keys of 564 octets, ciphertexts of 596, secrets of 32.
    P751,
}

/// SIKE with one parameter set.
pub struct SikeKem {
    set: ParameterSet,
    liboqs: &'static Functions,
}

impl SikeKem {
    /// The KEM.
    pub fn new(set: ParameterSet) -> Self {
        ffi::init();
        let liboqs = match set {
            ParameterSet::P434 => &ffi::P434,
            ParameterSet::P503 => &ffi::P503,
            ParameterSet::P610 => &ffi::P610,
            ParameterSet::P751 => &ffi::P751,
        };
        Self { set, liboqs }
    }

    fn check(&self, worked: bool, operation: &str) -> Result<(), PluginError> {
        if worked {
            return Ok(());
        }
        Err(PluginError::new(
            ErrorKind::System,
            format!("liboqs, SIKE {:?} {operation} failed", self.set),
        ))
    }
}

impl Kem for SikeKem {
    fn public_key_len(&self) -> usize {
        self.liboqs.public_key_len
    }

    fn ciphertext_len(&self) -> usize {
        self.liboqs.ciphertext_len
    }

    fn keygen(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let mut public = vec![0; self.liboqs.public_key_len];
        let mut secret = Secret::zeroed(self.liboqs.secret_key_len);
        let worked = self.liboqs.keypair(&mut public, secret.expose_mut());
        self.check(worked, "key generation")?;
        Ok((public, secret))
    }

    fn encapsulate(&self, public_key: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        let expected = self.liboqs.public_key_len;
        if public_key.len() != expected {
            return Err(PluginError::wrong_length(
                "public key",
                public_key.len(),
                expected,
            ));
        }
        let mut ciphertext = vec![0; self.liboqs.ciphertext_len];
        let mut shared = Secret::zeroed(self.liboqs.shared_secret_len);
        let worked = self
            .liboqs
            .encaps(&mut ciphertext, shared.expose_mut(), public_key);
        self.check(worked, "encapsulation")?;
        Ok((ciphertext, shared))
    }

    fn decapsulate(&self, secret_key: &Secret, ciphertext: &[u8]) -> Result<Secret, PluginError> {
        let expected = self.liboqs.secret_key_len;
        if secret_key.len() != expected {
            return Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!("a secret key has {expected} octets, not {}", secret_key.len()),
            ));
        }
        let expected = self.liboqs.ciphertext_len;
        if ciphertext.len() != expected {
            return Err(PluginError::wrong_length(
                "ciphertext",
                ciphertext.len(),
                expected,
            ));
        }
        let mut shared = Secret::zeroed(self.liboqs.shared_secret_len);
        let worked = self
            .liboqs
            .decaps(shared.expose_mut(), ciphertext, secret_key.expose());
        self.check(worked, "decapsulation")?;
        Ok(shared)
    }
}
