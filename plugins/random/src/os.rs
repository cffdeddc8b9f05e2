//! The generator of the operating system, getrandom(2) on Linux.

use plugin_api::{ErrorKind, PluginError, Random};

/// The operating system's generator, good for every quality: it is seeded before it first answers, and reseeds itself.
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), PluginError> {
        getrandom::fill(out).map_err(|error| {
            PluginError::new(
                ErrorKind::System,
                format!(
                    "the operating system gave no {} random octets: {error}",
                    out.len()
                ),
            )
        })
    }
}
