//! The random generator behind NIST's KAT files: CTR_DRBG with AES-256, without derivation function (SP 800-90A,
//! 10.2.1).

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// The generator; equal seeds make equal octets.
pub(crate) struct Drbg {
    key: [u8; 32],
    counter: u128,
}

impl Drbg {
    pub(crate) fn new(seed: &[u8; 48]) -> Self {
        let mut drbg = Self {
            key: [0; 32],
            counter: 0,
        };
        drbg.update(seed);
        drbg
    }

    /// Fills `out`; every call draws whole blocks of its own.
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        self.begin(out);
        self.update(&[0; 48]);
    }

    /// Fills `out`, whole blocks, with more of the same call to come.
    pub(crate) fn begin(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(16) {
            let block = self.block();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    fn block(&mut self) -> [u8; 16] {
        self.counter = self.counter.wrapping_add(1);
        let mut block = self.counter.to_be_bytes().into();
        Aes256::new(&self.key.into()).encrypt_block(&mut block);
        block.into()
    }

    fn update(&mut self, provided: &[u8; 48]) {
        let mut fresh = *provided;
        for chunk in fresh.chunks_mut(16) {
            let block = self.block();
            chunk
                .iter_mut()
                .zip(block)
                .for_each(|(octet, mask)| *octet ^= mask);
        }
        self.key.copy_from_slice(&fresh[..32]);
        let mut counter = [0; 16];
        counter.copy_from_slice(&fresh[32..]);
        self.counter = u128::from_be_bytes(counter);
    }
}
