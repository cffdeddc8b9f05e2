//! GCM as ESP and IKE use it (RFC 4106, RFC 5282): the salt has four octets.
//!
//! Key schedule and hash key are zeroized on drop.

use std::marker::PhantomData;

use ::aead::inout::InOutBuf;
use ::aead::{AeadInOut, KeyInit};
use ::cipher::consts::U12;
use aes_gcm::TagSize;
use plugin_api::{Aead, AeadKey, ErrorKind, PluginError};

use crate::nonce::{IV_LEN, nonce};
use crate::{BlockCipher16, check_len, wrong_length};

const SALT_LEN: usize = 4;

/// GCM with the cipher `B` and a tag of `T` octets.
pub struct Gcm<B, T>(PhantomData<fn() -> (B, T)>);

impl<B, T> Gcm<B, T> {
    /// The AEAD.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<B: BlockCipher16, T: TagSize + Send + Sync + 'static> Aead for Gcm<B, T> {
    fn key_len(&self) -> usize {
        B::key_size() + SALT_LEN
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError> {
        let wrong = || wrong_length("key with its salt", key.len(), self.key_len());
        let (key, &salt) = key.split_last_chunk::<SALT_LEN>().ok_or_else(wrong)?;
        let aead = aes_gcm::AesGcm::<B, U12, T>::new_from_slice(key).map_err(|_| wrong())?;
        Ok(Box::new(Key { aead, salt }))
    }
}

struct Key<B, T: TagSize> {
    aead: aes_gcm::AesGcm<B, U12, T>,
    salt: [u8; SALT_LEN],
}

impl<B: BlockCipher16, T: TagSize + Send + Sync + 'static> AeadKey for Key<B, T> {
    fn iv_len(&self) -> usize {
        IV_LEN
    }

    fn tag_len(&self) -> usize {
        T::to_usize()
    }

    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &mut [u8]) -> Result<(), PluginError> {
        check_len("room for the tag", tag.len(), T::to_usize())?;
        let nonce = nonce(&self.salt, iv)?;
        let made = self
            .aead
            .encrypt_inout_detached(&nonce, aad, InOutBuf::from(data))
            .map_err(|_| {
                PluginError::new(ErrorKind::InvalidArgument, "too many octets for one nonce of GCM")
            })?;
        tag.copy_from_slice(&made);
        Ok(())
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), PluginError> {
        let nonce = nonce(&self.salt, iv)?;
        let failed = || PluginError::new(ErrorKind::AuthenticationFailed, "GCM: the tag does not fit");
        let tag = tag.try_into().map_err(|_| failed())?;
        // Verifies before it decrypts: a wrong tag leaves the ciphertext as it was.
        self.aead
            .decrypt_inout_detached(&nonce, aad, InOutBuf::from(data), tag)
            .map_err(|_| failed())
    }
}
