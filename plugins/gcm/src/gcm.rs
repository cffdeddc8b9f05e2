//! AES-GCM as ESP and IKE use it (RFC 4106, RFC 5282): the nonce is a salt of four octets from keying material and an
//! explicit IV of eight.
//!
//! Key schedule and hash key are zeroized on drop.

use std::marker::PhantomData;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::cipher::consts::{U12, U16};
use aes_gcm::aes::cipher::{BlockCipherEncrypt, BlockSizeUser};
use aes_gcm::{AeadInOut, KeyInit, Nonce, TagSize};
use plugin_api::{Aead, AeadKey, ErrorKind, PluginError};

const SALT_LEN: usize = 4;
const IV_LEN: usize = 8;

/// What is needed of AES; each of its key lengths has it.
pub trait AesBlock:
    BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + Send + Sync + 'static
{
}

impl<A: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + Send + Sync + 'static> AesBlock
    for A
{
}

/// AES-GCM with the key length of `A` and a tag of `T` octets.
pub struct AesGcm<A, T>(PhantomData<fn() -> (A, T)>);

impl<A, T> AesGcm<A, T> {
    /// The AEAD.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<A: AesBlock, T: TagSize + Send + Sync + 'static> Aead for AesGcm<A, T> {
    fn key_len(&self) -> usize {
        A::key_size() + SALT_LEN
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError> {
        let wrong_length = || {
            PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "AES-GCM takes {} octets of key and salt, not {}",
                    self.key_len(),
                    key.len()
                ),
            )
        };
        let (key, &salt) = key.split_last_chunk::<SALT_LEN>().ok_or_else(wrong_length)?;
        let aead = aes_gcm::AesGcm::<A, U12, T>::new_from_slice(key).map_err(|_| wrong_length())?;
        Ok(Box::new(Key { aead, salt }))
    }
}

struct Key<A, T: TagSize> {
    aead: aes_gcm::AesGcm<A, U12, T>,
    salt: [u8; SALT_LEN],
}

impl<A: AesBlock, T: TagSize> Key<A, T> {
    fn nonce(&self, iv: &[u8]) -> Result<Nonce<U12>, PluginError> {
        if iv.len() != IV_LEN {
            return Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!("the IV of AES-GCM has {IV_LEN} octets, not {}", iv.len()),
            ));
        }
        let mut nonce = Nonce::<U12>::default();
        nonce[..SALT_LEN].copy_from_slice(&self.salt);
        nonce[SALT_LEN..].copy_from_slice(iv);
        Ok(nonce)
    }
}

impl<A: AesBlock, T: TagSize + Send + Sync + 'static> AeadKey for Key<A, T> {
    fn iv_len(&self) -> usize {
        IV_LEN
    }

    fn tag_len(&self) -> usize {
        T::to_usize()
    }

    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &mut [u8]) -> Result<(), PluginError> {
        if tag.len() != T::to_usize() {
            return Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "the tag has {} octets, the room for it {}",
                    T::to_usize(),
                    tag.len()
                ),
            ));
        }
        let whole = self
            .aead
            .encrypt_inout_detached(&self.nonce(iv)?, aad, InOutBuf::from(data))
            .map_err(|_| {
                PluginError::new(
                    ErrorKind::InvalidArgument,
                    "too many octets for one AES-GCM nonce",
                )
            })?;
        tag.copy_from_slice(&whole);
        Ok(())
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), PluginError> {
        let nonce = self.nonce(iv)?;
        let failed = || PluginError::new(ErrorKind::AuthenticationFailed, "AES-GCM: the tag does not fit");
        let tag = tag.try_into().map_err(|_| failed())?;
        // Verifies before it decrypts: a wrong tag leaves the ciphertext as it was.
        self.aead
            .decrypt_inout_detached(&nonce, aad, InOutBuf::from(data), tag)
            .map_err(|_| failed())
    }
}
