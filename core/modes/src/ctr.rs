//! Counter mode (RFC 3686, RFC 5930): a block is the salt of four octets from keying material, the IV of eight, and a counter
//! of four that begins at 1.

use std::marker::PhantomData;

use ::cipher::{Array, InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use ::ctr::CtrCore;
use ::ctr::flavors::Ctr32BE;
use plugin_api::{Cipher, CipherKey, ErrorKind, PluginError};

use crate::{BlockCipher16, check_len, wrong_length};

const SALT_LEN: usize = 4;
const IV_LEN: usize = 8;

/// The block cipher `B` in counter mode.
pub struct Ctr<B>(PhantomData<fn() -> B>);

impl<B> Ctr<B> {
    /// The cipher.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<B: BlockCipher16> Cipher for Ctr<B> {
    fn key_len(&self) -> usize {
        B::key_size() + SALT_LEN
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn CipherKey>, PluginError> {
        let wrong = || wrong_length("key with its salt", key.len(), self.key_len());
        let (key, &salt) = key.split_last_chunk().ok_or_else(wrong)?;
        let cipher = B::new_from_slice(key).map_err(|_| wrong())?;
        Ok(Box::new(Key { cipher, salt }))
    }
}

struct Key<B> {
    cipher: B,
    salt: [u8; SALT_LEN],
}

impl<B: BlockCipher16> CipherKey for Key<B> {
    fn iv_len(&self) -> usize {
        IV_LEN
    }

    /// It is a stream cipher: there are no blocks to fill.
    fn block_len(&self) -> usize {
        1
    }

    fn encrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), PluginError> {
        check_len("IV", iv.len(), IV_LEN)?;
        let mut block = [0; 16];
        block[..SALT_LEN].copy_from_slice(&self.salt);
        block[SALT_LEN..SALT_LEN + IV_LEN].copy_from_slice(iv);
        block[15] = 1;
        let core = CtrCore::<&B, Ctr32BE>::inner_iv_init(&self.cipher, &Array::from(block));
        StreamCipherCoreWrapper::from_core(core)
            .try_apply_keystream(data)
            .map_err(|_| PluginError::new(ErrorKind::InvalidArgument, "too many octets for one IV of CTR"))
    }

    fn decrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), PluginError> {
        self.encrypt(iv, data)
    }
}
