//! Message authentication codes of RustCrypto as pseudo-random functions and integrity algorithms: HMAC (RFC 2104) and CMAC.
//!
//! A key is made into a state once; every computation starts from a copy of it. The crates zeroize the states and the copies
//! on drop (their `zeroize` features).

use std::marker::PhantomData;

use ::hmac::digest::{FixedOutput, OutputSizeUser};
use ::hmac::{Hmac, KeyInit, Mac};
use plugin_api::{ErrorKind, Integrity, IntegrityKey, PluginError, Prf, PrfKey};

use crate::check_len;

/// What is needed of a keyed code.
pub trait MacState: Mac + KeyInit + FixedOutput + Clone + Send + Sync + 'static {}

impl<M: Mac + KeyInit + FixedOutput + Clone + Send + Sync + 'static> MacState for M {}

/// HMAC as pseudo-random function (RFC 2104, RFC 4868).
pub type HmacPrf<D> = MacPrf<Hmac<D>>;

/// HMAC as integrity algorithm, its tag truncated (RFC 2403, RFC 2404, RFC 4868).
pub type HmacIntegrity<D> = MacIntegrity<Hmac<D>>;

/// A code with keys of any length as pseudo-random function.
pub struct MacPrf<M>(PhantomData<fn() -> M>);

impl<M> MacPrf<M> {
    /// The function.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<M: MacState> Prf for MacPrf<M> {
    fn key_len(&self) -> usize {
        <M as OutputSizeUser>::output_size()
    }

    fn output_len(&self) -> usize {
        <M as OutputSizeUser>::output_size()
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
        Ok(Box::new(Keyed(keyed::<M>(key)?)))
    }
}

/// A code as integrity algorithm, its tag truncated.
pub struct MacIntegrity<M> {
    key_len: usize,
    tag_len: usize,
    code: PhantomData<fn() -> M>,
}

impl<M> MacIntegrity<M> {
    /// The algorithm with the lengths of its key and of its tag.
    pub const fn new(key_len: usize, tag_len: usize) -> Self {
        Self {
            key_len,
            tag_len,
            code: PhantomData,
        }
    }
}

impl<M: MacState> Integrity for MacIntegrity<M> {
    fn key_len(&self) -> usize {
        self.key_len
    }

    fn tag_len(&self) -> usize {
        self.tag_len
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn IntegrityKey>, PluginError> {
        check_len("key", key.len(), self.key_len)?;
        Ok(Box::new(Truncated {
            keyed: Keyed(keyed::<M>(key)?),
            tag_len: self.tag_len,
        }))
    }
}

pub(crate) fn keyed<M: MacState>(key: &[u8]) -> Result<M, PluginError> {
    <M as KeyInit>::new_from_slice(key).map_err(|error| {
        PluginError::new(
            ErrorKind::InvalidArgument,
            format!("key of {} octets: {error}", key.len()),
        )
    })
}

pub(crate) struct Keyed<M>(pub(crate) M);

impl<M: MacState> Keyed<M> {
    fn over(&self, parts: &[&[u8]]) -> M {
        let mut state = self.0.clone();
        parts.iter().for_each(|part| Mac::update(&mut state, part));
        state
    }
}

impl<M: MacState> PrfKey for Keyed<M> {
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        check_len("room for the output", out.len(), M::output_size())?;
        if let Ok(out) = out.try_into() {
            self.over(parts).finalize_into(out);
        }
        Ok(())
    }
}

struct Truncated<M> {
    keyed: Keyed<M>,
    tag_len: usize,
}

impl<M: MacState> IntegrityKey for Truncated<M> {
    fn sign(&self, parts: &[&[u8]], tag: &mut [u8]) -> Result<(), PluginError> {
        check_len("room for the tag", tag.len(), self.tag_len)?;
        let whole = self.keyed.over(parts).finalize_fixed();
        for (octet, value) in tag.iter_mut().zip(whole) {
            *octet = value;
        }
        Ok(())
    }

    fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Result<(), PluginError> {
        if tag.len() != self.tag_len {
            return Err(PluginError::new(
                ErrorKind::AuthenticationFailed,
                format!(
                    "an integrity tag has {} octets, this one {}",
                    self.tag_len,
                    tag.len()
                ),
            ));
        }
        // Compares in constant time.
        self.keyed
            .over(parts)
            .verify_truncated_left(tag)
            .map_err(|_| PluginError::new(ErrorKind::AuthenticationFailed, "integrity check failed"))
    }
}
