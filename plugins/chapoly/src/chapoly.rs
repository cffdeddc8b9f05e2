//! ChaCha20-Poly1305 as ESP and IKE use it (RFC 7634): the nonce is a salt of four octets from keying material and an explicit
//! IV of eight.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Nonce};
use plugin_api::{Aead, AeadKey, ErrorKind, PluginError};

const KEY_LEN: usize = 32;
const SALT_LEN: usize = 4;
const IV_LEN: usize = 8;
const TAG_LEN: usize = 16;

/// ChaCha20-Poly1305; the crate zeroizes its keys.
pub struct ChaPoly;

impl Aead for ChaPoly {
    fn key_len(&self) -> usize {
        KEY_LEN + SALT_LEN
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError> {
        let wrong = || wrong_length("key with its salt", key.len(), KEY_LEN + SALT_LEN);
        let (key, &salt) = key.split_last_chunk::<SALT_LEN>().ok_or_else(wrong)?;
        let aead = ChaCha20Poly1305::new_from_slice(key).map_err(|_| wrong())?;
        Ok(Box::new(Key { aead, salt }))
    }
}

struct Key {
    aead: ChaCha20Poly1305,
    salt: [u8; SALT_LEN],
}

impl Key {
    fn nonce(&self, iv: &[u8]) -> Result<Nonce, PluginError> {
        if iv.len() != IV_LEN {
            return Err(wrong_length("IV", iv.len(), IV_LEN));
        }
        let mut nonce = Nonce::default();
        nonce[..SALT_LEN].copy_from_slice(&self.salt);
        nonce[SALT_LEN..].copy_from_slice(iv);
        Ok(nonce)
    }
}

impl AeadKey for Key {
    fn iv_len(&self) -> usize {
        IV_LEN
    }

    fn tag_len(&self) -> usize {
        TAG_LEN
    }

    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &mut [u8]) -> Result<(), PluginError> {
        if tag.len() != TAG_LEN {
            return Err(wrong_length("room for the tag", tag.len(), TAG_LEN));
        }
        let made = self
            .aead
            .encrypt_inout_detached(&self.nonce(iv)?, aad, InOutBuf::from(data))
            .map_err(|_| PluginError::new(ErrorKind::InvalidArgument, "too many octets for one nonce"))?;
        tag.copy_from_slice(&made);
        Ok(())
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), PluginError> {
        let nonce = self.nonce(iv)?;
        let failed = || {
            PluginError::new(
                ErrorKind::AuthenticationFailed,
                "ChaCha20-Poly1305: the tag does not fit",
            )
        };
        let tag = tag.try_into().map_err(|_| failed())?;
        // Verifies before it decrypts: a wrong tag leaves the ciphertext as it was.
        self.aead
            .decrypt_inout_detached(&nonce, aad, InOutBuf::from(data), tag)
            .map_err(|_| failed())
    }
}

fn wrong_length(what: &str, got: usize, expected: usize) -> PluginError {
    PluginError::new(
        ErrorKind::InvalidArgument,
        format!("the {what} has {got} octets instead of {expected}"),
    )
}
