//! Nonces of the operating system's generator.

use plugin_api::{ErrorKind, NonceGenerator, PluginError};

/// Lengths a nonce may have, in octets (RFC 7296, 3.9).
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

/// Random nonces: at 16 octets and more, two equal ones are not to be met.
pub struct OsNonces;

impl NonceGenerator for OsNonces {
    fn nonce(&self, out: &mut [u8]) -> Result<(), PluginError> {
        if !LENGTHS.contains(&out.len()) {
            return Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "a nonce has {} to {} octets, asked for were {}",
                    LENGTHS.start(),
                    LENGTHS.end(),
                    out.len()
                ),
            ));
        }
        getrandom::fill(out).map_err(|error| {
            PluginError::new(
                ErrorKind::System,
                format!("the operating system gave no nonce: {error}"),
            )
        })
    }
}
