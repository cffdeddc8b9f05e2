//! CBC (SP 800-38A), as RFC 3602 and RFC 2451 use it.
//!
//! Padding is the caller's: IKE and ESP both have a layout of their own for it. The ciphers zeroize their key schedules on
//! drop.

use std::marker::PhantomData;

use ::cipher::{Array, Block, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit};
use plugin_api::{Cipher, CipherKey, ErrorKind, PluginError};

use crate::{BlockCipher, check_len, wrong_length};

/// The block cipher `B` in CBC mode.
pub struct Cbc<B> {
    key_len: usize,
    cipher: PhantomData<fn() -> B>,
}

impl<B: BlockCipher> Cbc<B> {
    /// The cipher with keys of its only length, or of its longest.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self::with_key_len(B::key_size())
    }

    /// A cipher whose keys have several lengths, with keys of `key_len` octets.
    pub const fn with_key_len(key_len: usize) -> Self {
        Self {
            key_len,
            cipher: PhantomData,
        }
    }
}

impl<B: BlockCipher> Cipher for Cbc<B> {
    fn key_len(&self) -> usize {
        self.key_len
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn CipherKey>, PluginError> {
        check_len("key", key.len(), self.key_len)?;
        let cipher = B::new_from_slice(key).map_err(|_| wrong_length("key", key.len(), self.key_len))?;
        Ok(Box::new(Key(cipher)))
    }
}

struct Key<B>(B);

impl<B: BlockCipher> CipherKey for Key<B> {
    fn iv_len(&self) -> usize {
        B::block_size()
    }

    fn block_len(&self) -> usize {
        B::block_size()
    }

    fn encrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), PluginError> {
        let (iv, blocks) = blocks::<B>(iv, data)?;
        ::cbc::Encryptor::inner_iv_init(&self.0, iv).encrypt_blocks(blocks);
        Ok(())
    }

    fn decrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), PluginError> {
        let (iv, blocks) = blocks::<B>(iv, data)?;
        ::cbc::Decryptor::inner_iv_init(&self.0, iv).decrypt_blocks(blocks);
        Ok(())
    }
}

type IvAndBlocks<'a, 'b, B> = (&'a Block<B>, &'b mut [Block<B>]);

fn blocks<'a, 'b, B: BlockCipher>(
    iv: &'a [u8],
    data: &'b mut [u8],
) -> Result<IvAndBlocks<'a, 'b, B>, PluginError> {
    let (iv_len, data_len) = (iv.len(), data.len());
    match (iv.try_into(), Array::slice_as_chunks_mut(data)) {
        (Ok(iv), (blocks, [])) => Ok((iv, blocks)),
        _ => Err(PluginError::new(
            ErrorKind::InvalidArgument,
            format!(
                "CBC wants an IV of {0} octets and whole blocks of {0}, not {iv_len} and {data_len}",
                B::block_size()
            ),
        )),
    }
}
