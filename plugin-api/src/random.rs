//! Randomness.

use crate::PluginError;

/// How good randomness is, as strongSwan names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RandomQuality {
    /// Unpredictable enough for SPIs.
    Weak,
    /// For nonces and session keys.
    Strong,
    /// For long-term keys.
    True,
}

/// A source of randomness.
pub trait Random: Send + Sync + 'static {
    /// Fills `out`.
    ///
    /// # Errors
    ///
    /// If the source fails; nothing may be sent with what `out` holds then.
    fn fill(&self, out: &mut [u8]) -> Result<(), PluginError>;
}

/// A source of nonces: never the same twice.
pub trait NonceGenerator: Send + Sync + 'static {
    /// Fills `out` with a nonce of its length.
    ///
    /// # Errors
    ///
    /// If the source fails.
    fn nonce(&self, out: &mut [u8]) -> Result<(), PluginError>;
}
