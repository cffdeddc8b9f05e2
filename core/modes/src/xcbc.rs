//! XCBC-MAC (RFC 3566), and as pseudo-random function with keys of any length (RFC 4434).

use std::marker::PhantomData;

use ::cipher::{Array, Block};
use plugin_api::{ErrorKind, Integrity, IntegrityKey, PluginError, Prf, PrfKey};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::{BlockCipher16, check_len, wrong_length};

/// Octets of a key, a block and an untruncated code.
const LEN: usize = 16;
/// Octets of the code that are sent.
const TAG_LEN: usize = 12;

/// XCBC-MAC of the cipher `B`, which has keys of 16 octets, as integrity algorithm.
pub struct Xcbc<B>(PhantomData<fn() -> B>);

/// The same as pseudo-random function.
pub struct XcbcPrf<B>(PhantomData<fn() -> B>);

impl<B> Xcbc<B> {
    /// The algorithm.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<B> XcbcPrf<B> {
    /// The function.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<B: BlockCipher16> Integrity for Xcbc<B> {
    fn key_len(&self) -> usize {
        LEN
    }

    fn tag_len(&self) -> usize {
        TAG_LEN
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn IntegrityKey>, PluginError> {
        Ok(Box::new(Key::<B>::new(key)?))
    }
}

impl<B: BlockCipher16> Prf for XcbcPrf<B> {
    fn key_len(&self) -> usize {
        LEN
    }

    fn output_len(&self) -> usize {
        LEN
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
        let mut fixed = Zeroizing::new([0; LEN]);
        match fixed.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => *fixed = *Key::<B>::new(&[0; LEN])?.code(&[key]),
        }
        Ok(Box::new(Key::<B>::new(&*fixed)?))
    }
}

struct Key<B> {
    cipher: B,
    /// What is added to a last block that is whole, and to one that was padded.
    last: Zeroizing<[[u8; LEN]; 2]>,
}

impl<B: BlockCipher16> Key<B> {
    fn new(key: &[u8]) -> Result<Self, PluginError> {
        let wrong = |_| wrong_length("key", key.len(), LEN);
        let master = B::new_from_slice(key).map_err(wrong)?;
        let derived = |octet| {
            let mut block = Array::from([octet; LEN]);
            master.encrypt_block(&mut block);
            Zeroizing::new(<[u8; LEN]>::from(block))
        };
        let (first, second, third) = (derived(1), derived(2), derived(3));
        Ok(Self {
            cipher: B::new_from_slice(&*first).map_err(wrong)?,
            last: Zeroizing::new([*second, *third]),
        })
    }

    /// The whole code of the concatenation of `parts`.
    fn code(&self, parts: &[&[u8]]) -> Zeroizing<[u8; LEN]> {
        let mut state = Block::<B>::default();
        // How much of the last block is there: it is encrypted only once it is known whether another one follows.
        let mut filled = 0;
        for octet in parts.iter().copied().flatten() {
            if filled == LEN {
                self.cipher.encrypt_block(&mut state);
                filled = 0;
            }
            state[filled] ^= octet;
            filled += 1;
        }
        if filled < LEN {
            state[filled] ^= 0x80;
        }
        for (octet, key) in state.iter_mut().zip(self.last[usize::from(filled < LEN)]) {
            *octet ^= key;
        }
        self.cipher.encrypt_block(&mut state);
        let code = Zeroizing::new(<[u8; LEN]>::from(state));
        state.zeroize();
        code
    }
}

impl<B: BlockCipher16> PrfKey for Key<B> {
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        check_len("room for the output", out.len(), LEN)?;
        out.copy_from_slice(&*self.code(parts));
        Ok(())
    }
}

impl<B: BlockCipher16> IntegrityKey for Key<B> {
    fn sign(&self, parts: &[&[u8]], tag: &mut [u8]) -> Result<(), PluginError> {
        check_len("room for the tag", tag.len(), TAG_LEN)?;
        tag.copy_from_slice(&self.code(parts)[..TAG_LEN]);
        Ok(())
    }

    fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Result<(), PluginError> {
        // Slices of other lengths are not equal.
        if bool::from(self.code(parts)[..TAG_LEN].ct_eq(tag)) {
            return Ok(());
        }
        Err(PluginError::new(
            ErrorKind::AuthenticationFailed,
            "integrity check failed",
        ))
    }
}
