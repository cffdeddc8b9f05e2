//! AES-CBC, for ESP with a separate HMAC.

use aes::cipher::{BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use aes::{Aes128, Aes192, Aes256};

/// Octets of a block and of the IV.
pub(super) const BLOCK_LEN: usize = 16;

/// AES-CBC over whole blocks; the key schedule is zeroized on drop.
pub(super) enum Cbc {
    Aes128(Box<Aes128>),
    Aes192(Box<Aes192>),
    Aes256(Box<Aes256>),
}

macro_rules! with_aes {
    ($self:expr, $aes:ident => $body:expr) => {
        match $self {
            Cbc::Aes128($aes) => $body,
            Cbc::Aes192($aes) => $body,
            Cbc::Aes256($aes) => $body,
        }
    };
}

impl Cbc {
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Aes128::new_from_slice(key)
                .ok()
                .map(|aes| Self::Aes128(Box::new(aes))),
            24 => Aes192::new_from_slice(key)
                .ok()
                .map(|aes| Self::Aes192(Box::new(aes))),
            32 => Aes256::new_from_slice(key)
                .ok()
                .map(|aes| Self::Aes256(Box::new(aes))),
            _ => None,
        }
    }

    /// An IV that nobody can foresee, of a number that is used once.
    pub(super) fn unpredictable(&self, counter: u64) -> [u8; BLOCK_LEN] {
        let mut block = aes::Block::from(u128::from(counter).to_be_bytes());
        with_aes!(self, aes => aes.encrypt_block(&mut block));
        block.into()
    }

    pub(super) fn encrypt(&self, iv: &[u8; BLOCK_LEN], text: &mut [u8]) {
        let (blocks, _) = aes::Block::slice_as_chunks_mut(text);
        with_aes!(self, aes => cbc::Encryptor::inner_iv_init(&**aes, iv.into()).encrypt_blocks(blocks));
    }

    pub(super) fn decrypt(&self, iv: &[u8; BLOCK_LEN], text: &mut [u8]) {
        let (blocks, _) = aes::Block::slice_as_chunks_mut(text);
        with_aes!(self, aes => cbc::Decryptor::inner_iv_init(&**aes, iv.into()).decrypt_blocks(blocks));
    }
}
