//! MD5 (RFC 1321) by the md-5 crate.

use ::md5::{Digest, Md5};
use plugin_api::{ErrorKind, Hasher, PluginError};

const OUTPUT_LEN: usize = 16;

/// MD5.
pub struct Md5Hasher;

impl Hasher for Md5Hasher {
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
        let mut hash = Md5::new();
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize_into(out);
        Ok(())
    }
}
