//! HMAC (RFC 2104) by the hmac crate.
//!
//! A key is hashed into the inner and outer state once; every computation starts from a copy of both. The crates zeroize
//! the states and the copies on drop (their `zeroize` features).

use std::marker::PhantomData;

use ::hmac::digest::{FixedOutput, OutputSizeUser};
use ::hmac::{EagerHash, Hmac, KeyInit, Mac};
use plugin_api::{ErrorKind, Integrity, IntegrityKey, PluginError, Prf, PrfKey};

/// What is needed of a keyed HMAC; every `Hmac` over SHA-1 or SHA-2 has it.
pub trait HmacState: Mac + KeyInit + FixedOutput + Clone + Send + Sync + 'static {}

impl<M: Mac + KeyInit + FixedOutput + Clone + Send + Sync + 'static> HmacState for M {}

/// HMAC as pseudo-random function (RFC 2104, RFC 4868).
pub struct HmacPrf<D>(PhantomData<fn() -> D>);

impl<D> HmacPrf<D> {
    /// The function.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<D> Prf for HmacPrf<D>
where
    D: EagerHash + 'static,
    Hmac<D>: HmacState,
{
    fn key_len(&self) -> usize {
        <Hmac<D> as OutputSizeUser>::output_size()
    }

    fn output_len(&self) -> usize {
        <Hmac<D> as OutputSizeUser>::output_size()
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
        Ok(Box::new(Keyed(keyed::<Hmac<D>>(key)?)))
    }
}

/// HMAC as integrity algorithm, its tag truncated (RFC 2404, RFC 4868).
pub struct HmacIntegrity<D> {
    key_len: usize,
    tag_len: usize,
    hash: PhantomData<fn() -> D>,
}

impl<D> HmacIntegrity<D> {
    /// The algorithm with the lengths of its key and of its tag.
    pub const fn new(key_len: usize, tag_len: usize) -> Self {
        Self {
            key_len,
            tag_len,
            hash: PhantomData,
        }
    }
}

impl<D> Integrity for HmacIntegrity<D>
where
    D: EagerHash + 'static,
    Hmac<D>: HmacState,
{
    fn key_len(&self) -> usize {
        self.key_len
    }

    fn tag_len(&self) -> usize {
        self.tag_len
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn IntegrityKey>, PluginError> {
        check_len("key", key.len(), self.key_len)?;
        Ok(Box::new(Truncated {
            keyed: Keyed(keyed::<Hmac<D>>(key)?),
            tag_len: self.tag_len,
        }))
    }
}

fn keyed<M: HmacState>(key: &[u8]) -> Result<M, PluginError> {
    <M as KeyInit>::new_from_slice(key)
        .map_err(|error| PluginError::new(ErrorKind::InvalidArgument, format!("HMAC key: {error}")))
}

fn check_len(what: &str, got: usize, expected: usize) -> Result<(), PluginError> {
    if got == expected {
        Ok(())
    } else {
        Err(PluginError::new(
            ErrorKind::InvalidArgument,
            format!("the {what} of this HMAC has {expected} octets, not {got}"),
        ))
    }
}

struct Keyed<M>(M);

impl<M: HmacState> Keyed<M> {
    fn over(&self, parts: &[&[u8]]) -> M {
        let mut state = self.0.clone();
        parts.iter().for_each(|part| Mac::update(&mut state, part));
        state
    }
}

impl<M: HmacState> PrfKey for Keyed<M> {
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        check_len("output", out.len(), M::output_size())?;
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

impl<M: HmacState> IntegrityKey for Truncated<M> {
    fn sign(&self, parts: &[&[u8]], tag: &mut [u8]) -> Result<(), PluginError> {
        check_len("tag", tag.len(), self.tag_len)?;
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
