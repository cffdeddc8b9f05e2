//! A KEM made of X25519: a ciphertext is an ephemeral public value, the shared secret what both come to agree on.

use std::sync::Arc;

use plugin_api::{ErrorKind, Feature, Host, Kem, KemExchange, PluginError, Secret};
use x25519_dalek::{PublicKey, StaticSecret};

plugin_api::export_plugin! { name: "dhkem", features: features }

/// The number is of the private-use range, and the same on both sides.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![Feature::key_exchange(
        1901,
        "DHKEM_X25519",
        "dhkem",
        KemExchange::new(Dhkem),
    )]
}

/// The KEM.
pub struct Dhkem;

impl Kem for Dhkem {
    fn public_key_len(&self) -> usize {
        32
    }

    fn ciphertext_len(&self) -> usize {
        32
    }

    fn keygen(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let mut secret_key = Secret::zeroed(32);
        getrandom::fill(secret_key.expose_mut())
            .map_err(|error| PluginError::new(ErrorKind::System, format!("no random octets: {error}")))?;
        let public_key = PublicKey::from(&scalar(&secret_key)?);
        Ok((public_key.as_bytes().to_vec(), secret_key))
    }

    fn encapsulate(&self, public_key: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        let (ciphertext, ephemeral) = self.keygen()?;
        let shared = self.decapsulate(&ephemeral, public_key)?;
        Ok((ciphertext, shared))
    }

    fn decapsulate(&self, secret_key: &Secret, ciphertext: &[u8]) -> Result<Secret, PluginError> {
        let peer = <[u8; 32]>::try_from(ciphertext)
            .map_err(|_| PluginError::wrong_length("X25519 public value", ciphertext.len(), 32))?;
        let shared = scalar(secret_key)?.diffie_hellman(&PublicKey::from(peer));
        Ok(Secret::copy_of(shared.as_bytes()))
    }
}

fn scalar(secret_key: &Secret) -> Result<StaticSecret, PluginError> {
    let octets = <[u8; 32]>::try_from(secret_key.expose())
        .map_err(|_| PluginError::new(ErrorKind::InvalidArgument, "a secret key has 32 octets"))?;
    Ok(StaticSecret::from(octets))
}
