//! AES-CBC (RFC 3602, SP 800-38A) by the aes and cbc crates.
//!
//! Padding is the caller's: IKE and ESP both have a layout of their own for it. The key schedule is zeroized on drop.

use std::marker::PhantomData;

use ::aes::cipher::array::Array;
use ::aes::cipher::consts::U16;
use ::aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser, InnerIvInit,
    KeyInit,
};
use plugin_api::{Cipher, CipherKey, ErrorKind, PluginError};

const BLOCK_LEN: usize = 16;

/// What is needed of AES; each of its key lengths has it.
pub trait AesBlock:
    BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U16> + KeyInit + Send + Sync + 'static
{
}

impl<A> AesBlock for A where
    A: BlockCipherEncrypt
        + BlockCipherDecrypt
        + BlockSizeUser<BlockSize = U16>
        + KeyInit
        + Send
        + Sync
        + 'static
{
}

/// AES-CBC with the key length of `A`.
pub struct AesCbc<A>(PhantomData<fn() -> A>);

impl<A> AesCbc<A> {
    /// The cipher.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<A: AesBlock> Cipher for AesCbc<A> {
    fn key_len(&self) -> usize {
        A::key_size()
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn CipherKey>, PluginError> {
        let aes = A::new_from_slice(key).map_err(|_| {
            PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "the AES key has {} octets instead of {}",
                    key.len(),
                    A::key_size()
                ),
            )
        })?;
        Ok(Box::new(Key(aes)))
    }
}

struct Key<A>(A);

type Block = Array<u8, U16>;

impl<A: AesBlock> CipherKey for Key<A> {
    fn iv_len(&self) -> usize {
        BLOCK_LEN
    }

    fn block_len(&self) -> usize {
        BLOCK_LEN
    }

    fn encrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), PluginError> {
        let (iv, blocks) = blocks(iv, data)?;
        ::cbc::Encryptor::inner_iv_init(&self.0, iv).encrypt_blocks(blocks);
        Ok(())
    }

    fn decrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), PluginError> {
        let (iv, blocks) = blocks(iv, data)?;
        ::cbc::Decryptor::inner_iv_init(&self.0, iv).decrypt_blocks(blocks);
        Ok(())
    }
}

fn blocks<'a, 'b>(iv: &'a [u8], data: &'b mut [u8]) -> Result<(&'a Block, &'b mut [Block]), PluginError> {
    let (iv_len, data_len) = (iv.len(), data.len());
    match (iv.try_into(), Block::slice_as_chunks_mut(data)) {
        (Ok(iv), (blocks, [])) => Ok((iv, blocks)),
        _ => Err(PluginError::new(
            ErrorKind::InvalidArgument,
            format!(
                "AES-CBC wants an IV of {BLOCK_LEN} octets and whole blocks of {BLOCK_LEN}, not {iv_len} and {data_len}"
            ),
        )),
    }
}
