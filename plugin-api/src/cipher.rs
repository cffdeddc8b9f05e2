//! Ciphers without authentication of their own, to go with an integrity algorithm.

use crate::PluginError;

/// A block cipher in CBC mode, with a fixed key length.
pub trait Cipher: Send + Sync + 'static {
    /// Length of the key in octets.
    fn key_len(&self) -> usize;

    /// Prepares a key.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a key of another length.
    fn create(&self, key: &[u8]) -> Result<Box<dyn CipherKey>, PluginError>;
}

/// A key ready for use.
pub trait CipherKey: Send + Sync + 'static {
    /// Length of the IV in octets.
    fn iv_len(&self) -> usize;

    /// What lengths must be a multiple of, in octets.
    fn block_len(&self) -> usize;

    /// Encrypts whole blocks in place.
    ///
    /// # Errors
    ///
    /// If the data is not whole blocks or the IV has the wrong length.
    fn encrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), PluginError>;

    /// Decrypts whole blocks in place.
    ///
    /// # Errors
    ///
    /// If the data is not whole blocks or the IV has the wrong length.
    fn decrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), PluginError>;
}
