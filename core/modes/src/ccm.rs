//! CCM as ESP and IKE use it (RFC 4309, RFC 5282): the salt has three octets.

use std::marker::PhantomData;

use ::aead::inout::InOutBuf;
use ::aead::{AeadInOut, KeyInit};
use ::ccm::TagSize;
use ::cipher::array::ArraySize;
use ::cipher::consts::U11;
use plugin_api::{Aead, AeadKey, ErrorKind, PluginError};

use crate::nonce::{IV_LEN, nonce};
use crate::{BlockCipher16, check_len, wrong_length};

const SALT_LEN: usize = 3;

/// CCM with the cipher `B` and a tag of `T` octets.
pub struct Ccm<B, T>(PhantomData<fn() -> (B, T)>);

impl<B, T> Ccm<B, T> {
    /// The AEAD.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<B: BlockCipher16, T: ArraySize + TagSize + Send + Sync + 'static> Aead for Ccm<B, T> {
    fn key_len(&self) -> usize {
        B::key_size() + SALT_LEN
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError> {
        let wrong = || wrong_length("key with its salt", key.len(), self.key_len());
        let (key, &salt) = key.split_last_chunk::<SALT_LEN>().ok_or_else(wrong)?;
        let aead = ::ccm::Ccm::<B, T, U11>::new_from_slice(key).map_err(|_| wrong())?;
        Ok(Box::new(Key { aead, salt }))
    }
}

struct Key<B: BlockCipher16, T: ArraySize + TagSize> {
    aead: ::ccm::Ccm<B, T, U11>,
    salt: [u8; SALT_LEN],
}

impl<B: BlockCipher16, T: ArraySize + TagSize + Send + Sync + 'static> AeadKey for Key<B, T> {
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
                PluginError::new(ErrorKind::InvalidArgument, "too many octets for one nonce of CCM")
            })?;
        tag.copy_from_slice(&made);
        Ok(())
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), PluginError> {
        let nonce = nonce(&self.salt, iv)?;
        let failed = || PluginError::new(ErrorKind::AuthenticationFailed, "CCM: the tag does not fit");
        let tag = tag.try_into().map_err(|_| failed())?;
        let opened = self
            .aead
            .decrypt_inout_detached(&nonce, aad, InOutBuf::from(&mut *data), tag);
        opened.map_err(|_| {
            // CCM decrypts before it can verify, so what it left must go.
            data.fill(0);
            failed()
        })
    }
}
