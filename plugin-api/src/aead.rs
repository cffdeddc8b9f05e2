//! Authenticated encryption, as IKE and ESP use it: a salt from keying material, an explicit IV of eight octets.

use crate::PluginError;

/// An AEAD with a fixed key length.
pub trait Aead: Send + Sync + 'static {
    /// Length of the keying material in octets: key and salt.
    fn key_len(&self) -> usize;

    /// Prepares a key: `key` is key and salt, as they come out of prf+.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for keying material of another length.
    fn create(&self, key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError>;
}

/// A key ready for use.
pub trait AeadKey: Send + Sync + 'static {
    /// Length of the explicit IV in octets.
    fn iv_len(&self) -> usize;

    /// Length of the tag in octets.
    fn tag_len(&self) -> usize;

    /// Encrypts in place and writes the tag. The IV must never repeat under one key.
    ///
    /// # Errors
    ///
    /// For an IV or tag of the wrong length.
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &mut [u8]) -> Result<(), PluginError>;

    /// Verifies the tag and decrypts in place; on failure `data` holds nothing of the plaintext.
    ///
    /// # Errors
    ///
    /// [`AuthenticationFailed`](crate::ErrorKind::AuthenticationFailed) if the tag does not fit.
    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), PluginError>;
}
