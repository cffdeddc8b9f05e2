//! Hash functions.

use crate::PluginError;

/// A hash function.
pub trait Hasher: Send + Sync + 'static {
    /// Length of the digest in octets.
    fn output_len(&self) -> usize;

    /// The digest of the concatenation of `parts`, into `out` of the digest's length.
    ///
    /// # Errors
    ///
    /// If `out` has another length.
    fn hash(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError>;
}
