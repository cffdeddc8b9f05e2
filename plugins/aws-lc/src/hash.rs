//! SHA-1 and SHA-2 (FIPS 180-4).

use aws_lc_rs::digest::{Algorithm, Context};
use plugin_api::{ErrorKind, Hasher, PluginError};

/// A hash function of AWS-LC.
#[derive(Clone, Copy)]
pub struct AwsLcHasher(&'static Algorithm);

impl AwsLcHasher {
    /// The function.
    pub const fn new(algorithm: &'static Algorithm) -> Self {
        Self(algorithm)
    }
}

impl Hasher for AwsLcHasher {
    fn output_len(&self) -> usize {
        self.0.output_len()
    }

    fn hash(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        if out.len() != self.0.output_len() {
            return Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "the digest has {} octets, the room for it {}",
                    self.0.output_len(),
                    out.len()
                ),
            ));
        }
        let mut hash = Context::new(self.0);
        parts.iter().for_each(|part| hash.update(part));
        out.copy_from_slice(hash.finish().as_ref());
        Ok(())
    }
}
