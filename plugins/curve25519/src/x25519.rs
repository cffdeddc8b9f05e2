//! X25519 in IKEv2 (RFC 7748, RFC 8031).

use plugin_api::{DiffieHellman, ErrorKind, PluginError, Secret};
use x25519_dalek::{PublicKey, StaticSecret};

const LEN: usize = 32;

/// X25519. Dalek computes in constant time and zeroizes its scalars and points.
pub struct X25519;

impl DiffieHellman for X25519 {
    fn public_value_len(&self) -> usize {
        LEN
    }

    fn generate(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let mut private = Secret::zeroed(LEN);
        getrandom::fill(private.expose_mut()).map_err(|error| {
            PluginError::new(
                ErrorKind::System,
                format!("the operating system gave no random octets for a private key: {error}"),
            )
        })?;
        let public = PublicKey::from(&scalar(&private)?);
        Ok((public.as_bytes().to_vec(), private))
    }

    fn agree(&self, private: &Secret, peer: &[u8]) -> Result<Secret, PluginError> {
        let peer: [u8; LEN] = peer
            .try_into()
            .map_err(|_| PluginError::wrong_length("X25519 public value", peer.len(), LEN))?;
        let shared = scalar(private)?.diffie_hellman(&PublicKey::from(peer));
        // A point of small order makes a secret that everybody knows (RFC 7748, 6.1); the check is constant time.
        if !shared.was_contributory() {
            return Err(PluginError::new(
                ErrorKind::InvalidPublicValue,
                "the peer's X25519 public value is a point of small order",
            ));
        }
        Ok(Secret::copy_of(shared.as_bytes()))
    }
}

fn scalar(private: &Secret) -> Result<StaticSecret, PluginError> {
    <[u8; LEN]>::try_from(private.expose())
        .map(StaticSecret::from)
        .map_err(|_| {
            PluginError::new(
                ErrorKind::InvalidArgument,
                format!("an X25519 private key has {LEN} octets, not {}", private.len()),
            )
        })
}
