//! ML-KEM (FIPS 203), in AWS-LC the assembler and C of mlkem-native.
//!
//! AWS-LC draws the randomness, keeps secret keys and zeroizes them when they are freed. It checks keys itself, but of
//! a failure it says nothing, so what the peer can be blamed for is looked for here then.

use aws_lc_rs::kem::{AlgorithmId, Ciphertext, DecapsulationKey, EncapsulationKey};
use plugin_api::{ErrorKind, KeyExchange, PendingKeyExchange, PluginError, Secret};

/// ML-KEM's modulus q.
const MODULUS: u16 = 3329;
/// Octets of the seed behind a public key's coefficients.
const SEED_LEN: usize = 32;

type Algorithm = aws_lc_rs::kem::Algorithm<AlgorithmId>;

/// ML-KEM with one of the parameter sets.
#[derive(Clone, Copy)]
pub struct MlKem {
    algorithm: &'static Algorithm,
    public_key_len: usize,
    ciphertext_len: usize,
}

impl MlKem {
    /// A parameter set and its lengths in octets, which AWS-LC does not tell.
    pub const fn new(algorithm: &'static Algorithm, public_key_len: usize, ciphertext_len: usize) -> Self {
        Self {
            algorithm,
            public_key_len,
            ciphertext_len,
        }
    }

    /// Goes on from a decapsulation key that is already there. Known answers are checked with it.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a key of the wrong length.
    pub fn with_decapsulation_key(&self, key: &[u8]) -> Result<Box<dyn PendingKeyExchange>, PluginError> {
        let key = DecapsulationKey::new(self.algorithm, key).map_err(|error| {
            PluginError::new(
                ErrorKind::InvalidArgument,
                format!("{:?}: no decapsulation key: {error}", self.algorithm),
            )
        })?;
        Ok(Box::new(Pending { kem: *self, key }))
    }

    /// Whether a public key passes the check of FIPS 203, 7.2, its length apart: decoding and encoding again would change
    /// nothing.
    fn is_reduced(&self, public_key: &[u8]) -> bool {
        let coefficients = &public_key[..self.public_key_len - SEED_LEN];
        // Twelve bits each, the low ones first.
        let largest = coefficients
            .as_chunks()
            .0
            .iter()
            .fold(0, |largest: u16, &[low, middle, high]| {
                let (low, middle, high) = (u16::from(low), u16::from(middle), u16::from(high));
                largest
                    .max(low | (middle & 0xf) << 8)
                    .max(middle >> 4 | high << 4)
            });
        largest < MODULUS
    }

    /// Why nothing came of a public key.
    fn refused(&self, public_key: &[u8], what: &str) -> PluginError {
        if self.is_reduced(public_key) {
            return self.failed(what);
        }
        PluginError::new(
            ErrorKind::InvalidPublicValue,
            format!(
                "{:?}: the peer's public key has a coefficient that is not below the modulus {MODULUS} (FIPS 203, 7.2)",
                self.algorithm
            ),
        )
    }

    fn failed(&self, what: &str) -> PluginError {
        PluginError::new(
            ErrorKind::System,
            format!("{:?}: AWS-LC could not {what}", self.algorithm),
        )
    }
}

impl KeyExchange for MlKem {
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        let failed = |_| self.failed("make a key pair");
        let key = DecapsulationKey::generate(self.algorithm).map_err(failed)?;
        let public = key
            .encapsulation_key()
            .and_then(|public| Ok(public.key_bytes()?.as_ref().to_vec()));
        Ok((public.map_err(failed)?, Box::new(Pending { kem: *self, key })))
    }

    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        if peer.len() != self.public_key_len {
            return Err(PluginError::wrong_length(
                "public key",
                peer.len(),
                self.public_key_len,
            ));
        }
        let refused = |what| self.refused(peer, what);
        let key = EncapsulationKey::new(self.algorithm, peer);
        let key = key.map_err(|_| refused("take the peer's public key"))?;
        let (ciphertext, shared) = key.encapsulate().map_err(|_| refused("encapsulate"))?;
        Ok((ciphertext.as_ref().to_vec(), Secret::copy_of(shared.as_ref())))
    }
}

struct Pending {
    kem: MlKem,
    key: DecapsulationKey,
}

impl PendingKeyExchange for Pending {
    fn finish(self: Box<Self>, peer: &[u8]) -> Result<Secret, PluginError> {
        if peer.len() != self.kem.ciphertext_len {
            return Err(PluginError::wrong_length(
                "ciphertext",
                peer.len(),
                self.kem.ciphertext_len,
            ));
        }
        let shared = self.key.decapsulate(Ciphertext::from(peer));
        let shared = shared.map_err(|_| self.kem.failed("decapsulate: the decapsulation key is damaged"))?;
        Ok(Secret::copy_of(shared.as_ref()))
    }
}
