//! AES-GCM (RFC 4106, RFC 5282) and ChaCha20-Poly1305 (RFC 7634): the nonce is a salt of four octets from keying
//! material and an explicit IV of eight.

use aws_lc_rs::aead::{Aad, Algorithm, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use plugin_api::{Aead, AeadKey, ErrorKind, PluginError};

const SALT_LEN: usize = 4;
const IV_LEN: usize = NONCE_LEN - SALT_LEN;

/// An AEAD of AWS-LC, which zeroizes its key schedules.
#[derive(Clone, Copy)]
pub struct AwsLcAead(&'static Algorithm);

impl AwsLcAead {
    /// The AEAD.
    pub const fn new(algorithm: &'static Algorithm) -> Self {
        Self(algorithm)
    }
}

impl Aead for AwsLcAead {
    fn key_len(&self) -> usize {
        self.0.key_len() + SALT_LEN
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError> {
        let wrong_length = || {
            PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{:?} takes {} octets of key and salt, not {}",
                    self.0,
                    self.key_len(),
                    key.len()
                ),
            )
        };
        let (key, &salt) = key.split_last_chunk::<SALT_LEN>().ok_or_else(wrong_length)?;
        let key = UnboundKey::new(self.0, key).map_err(|_| wrong_length())?;
        Ok(Box::new(Key {
            aead: LessSafeKey::new(key),
            salt,
        }))
    }
}

struct Key {
    aead: LessSafeKey,
    salt: [u8; SALT_LEN],
}

impl Key {
    fn nonce(&self, iv: &[u8]) -> Result<Nonce, PluginError> {
        if iv.len() != IV_LEN {
            return Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!("the IV has {IV_LEN} octets, not {}", iv.len()),
            ));
        }
        let mut nonce = [0; NONCE_LEN];
        nonce[..SALT_LEN].copy_from_slice(&self.salt);
        nonce[SALT_LEN..].copy_from_slice(iv);
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

impl AeadKey for Key {
    fn iv_len(&self) -> usize {
        IV_LEN
    }

    fn tag_len(&self) -> usize {
        self.aead.algorithm().tag_len()
    }

    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &mut [u8]) -> Result<(), PluginError> {
        if tag.len() != self.tag_len() {
            return Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "the tag has {} octets, the room for it {}",
                    self.tag_len(),
                    tag.len()
                ),
            ));
        }
        self.aead
            .seal_in_place_scatter(self.nonce(iv)?, Aad::from(aad), data, &[], tag)
            .map_err(|_| PluginError::new(ErrorKind::InvalidArgument, "too many octets for one nonce"))
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), PluginError> {
        let nonce = self.nonce(iv)?;
        // The library takes any length of tag that it could have made, a truncated one too.
        let opened = tag.len() == self.tag_len()
            && self
                .aead
                .open_in_place_separate_tag(nonce, Aad::from(aad), tag, data)
                .is_ok();
        if opened {
            Ok(())
        } else {
            // Decryption runs along with verification, so what it left must go.
            data.fill(0);
            Err(PluginError::new(
                ErrorKind::AuthenticationFailed,
                format!("{:?}: the tag does not fit", self.aead.algorithm()),
            ))
        }
    }
}
