//! Pseudo-random functions.

use crate::PluginError;

/// A pseudo-random function of variable or fixed key length.
pub trait Prf: Send + Sync + 'static {
    /// Preferred key length in octets: that of SK_d, SK_pi and SK_pr.
    fn key_len(&self) -> usize;

    /// Length of the output in octets.
    fn output_len(&self) -> usize;

    /// Prepares a key, so that prf+ runs on one key schedule.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a key the function cannot take.
    fn create(&self, key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError>;
}

/// A key ready for use.
pub trait PrfKey: Send + Sync + 'static {
    /// The function over the concatenation of `parts`, into `out` of the output's length.
    ///
    /// # Errors
    ///
    /// If `out` has another length.
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError>;
}
