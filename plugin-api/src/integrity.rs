//! Integrity algorithms: truncated message authentication codes.

use crate::{ErrorKind, PluginError};
use subtle::ConstantTimeEq;

/// An integrity algorithm.
pub trait Integrity: Send + Sync + 'static {
    /// Length of the key in octets.
    fn key_len(&self) -> usize;

    /// Length of the truncated tag in octets.
    fn tag_len(&self) -> usize;

    /// Prepares a key.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a key of another length.
    fn create(&self, key: &[u8]) -> Result<Box<dyn IntegrityKey>, PluginError>;
}

/// A key ready for use.
pub trait IntegrityKey: Send + Sync + 'static {
    /// The tag of the concatenation of `parts`, into `tag` of the tag's length.
    ///
    /// # Errors
    ///
    /// If `tag` has another length.
    fn sign(&self, parts: &[&[u8]], tag: &mut [u8]) -> Result<(), PluginError>;

    /// Checks a tag in constant time.
    ///
    /// # Errors
    ///
    /// [`AuthenticationFailed`](crate::ErrorKind::AuthenticationFailed) if it does not fit.
    fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Result<(), PluginError> {
        let mut expected = [0; 64];
        let expected = expected
            .get_mut(..tag.len())
            .ok_or_else(|| PluginError::wrong_length("tag", tag.len(), 64))?;
        self.sign(parts, expected)?;
        if bool::from(expected.ct_eq(tag)) {
            Ok(())
        } else {
            Err(PluginError::new(
                ErrorKind::AuthenticationFailed,
                "integrity check failed",
            ))
        }
    }
}
