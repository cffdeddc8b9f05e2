//! HMAC (RFC 2104) as pseudo-random function and integrity algorithm.
//!
//! A key is hashed into the inner and outer state once; every computation starts from a copy of both, which the library
//! zeroizes. It does not zeroize the `Tag` that it hands out on the stack; the output of a pseudo-random function leaves
//! a copy there until the stack is used again. The `hmac` plugin leaves none.

use aws_lc_rs::constant_time;
use aws_lc_rs::hmac::{Algorithm, Context, Key, Tag};
use plugin_api::{ErrorKind, Integrity, IntegrityKey, PluginError, Prf, PrfKey};

/// HMAC as pseudo-random function (RFC 2104, RFC 4868).
#[derive(Clone, Copy)]
pub struct HmacPrf(Algorithm);

impl HmacPrf {
    /// The function.
    pub const fn new(algorithm: Algorithm) -> Self {
        Self(algorithm)
    }
}

impl Prf for HmacPrf {
    fn key_len(&self) -> usize {
        self.0.tag_len()
    }

    fn output_len(&self) -> usize {
        self.0.tag_len()
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
        Ok(Box::new(Keyed(Key::new(self.0, key))))
    }
}

/// HMAC as integrity algorithm, its tag truncated (RFC 2404, RFC 4868).
#[derive(Clone, Copy)]
pub struct HmacIntegrity {
    algorithm: Algorithm,
    key_len: usize,
    tag_len: usize,
}

impl HmacIntegrity {
    /// The algorithm with the lengths of its key and of its tag.
    pub const fn new(algorithm: Algorithm, key_len: usize, tag_len: usize) -> Self {
        Self {
            algorithm,
            key_len,
            tag_len,
        }
    }
}

impl Integrity for HmacIntegrity {
    fn key_len(&self) -> usize {
        self.key_len
    }

    fn tag_len(&self) -> usize {
        self.tag_len
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn IntegrityKey>, PluginError> {
        check_len("key", key.len(), self.key_len)?;
        Ok(Box::new(Truncated {
            keyed: Keyed(Key::new(self.algorithm, key)),
            tag_len: self.tag_len,
        }))
    }
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

struct Keyed(Key);

impl Keyed {
    fn over(&self, parts: &[&[u8]]) -> Tag {
        let mut state = Context::with_key(&self.0);
        parts.iter().for_each(|part| state.update(part));
        state.sign()
    }
}

impl PrfKey for Keyed {
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        check_len("output", out.len(), self.0.algorithm().tag_len())?;
        out.copy_from_slice(self.over(parts).as_ref());
        Ok(())
    }
}

struct Truncated {
    keyed: Keyed,
    tag_len: usize,
}

impl IntegrityKey for Truncated {
    fn sign(&self, parts: &[&[u8]], tag: &mut [u8]) -> Result<(), PluginError> {
        check_len("tag", tag.len(), self.tag_len)?;
        tag.copy_from_slice(&self.keyed.over(parts).as_ref()[..self.tag_len]);
        Ok(())
    }

    fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Result<(), PluginError> {
        constant_time::verify_slices_are_equal(&self.keyed.over(parts).as_ref()[..self.tag_len], tag)
            .map_err(|_| PluginError::new(ErrorKind::AuthenticationFailed, "integrity check failed"))
    }
}
