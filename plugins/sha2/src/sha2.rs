//! SHA-2 by the sha2 crate.

use std::marker::PhantomData;

use ::sha2::Digest;
use plugin_api::{ErrorKind, Hasher, PluginError};

/// One of SHA-2's functions (FIPS 180-4).
pub struct Sha2<D>(PhantomData<fn() -> D>);

impl<D> Sha2<D> {
    /// The function.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<D: Digest + 'static> Hasher for Sha2<D> {
    fn output_len(&self) -> usize {
        <D as Digest>::output_size()
    }

    fn hash(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        let len = out.len();
        let out = out.try_into().map_err(|_| {
            PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "the digest has {} octets, the room for it {len}",
                    self.output_len()
                ),
            )
        })?;
        let mut hash = D::new();
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize_into(out);
        Ok(())
    }
}
