//! SHA-1 by the sha1 crate.

use ::sha1::Digest;
use plugin_api::{ErrorKind, Hasher, PluginError};

const OUTPUT_LEN: usize = 20;

/// SHA-1 (FIPS 180-4).
pub struct Sha1;

impl Hasher for Sha1 {
    fn output_len(&self) -> usize {
        OUTPUT_LEN
    }

    fn hash(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        let len = out.len();
        let out = out.try_into().map_err(|_| {
            PluginError::new(
                ErrorKind::InvalidArgument,
                format!("the digest has {OUTPUT_LEN} octets, the room for it {len}"),
            )
        })?;
        let mut hash = ::sha1::Sha1::new();
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize_into(out);
        Ok(())
    }
}
