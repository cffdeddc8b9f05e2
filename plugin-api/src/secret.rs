//! Octets that must not outlive their use.

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Secret octets: zeroized on drop, never cloned by accident, never printed, compared in constant time.
#[derive(Default, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the octets over; they must not be copied elsewhere.
    pub fn new(mut octets: Vec<u8>) -> Self {
        if octets.len() == octets.capacity() {
            return Self(octets.into());
        }
        // Shrinking could leave the original behind.
        let secret = Self::copy_of(&octets);
        octets.zeroize();
        secret
    }

    /// Copies the octets; the original stays the caller's to zeroize.
    pub fn copy_of(octets: &[u8]) -> Self {
        Self(octets.into())
    }

    /// `len` zero octets, to be filled.
    pub fn zeroed(len: usize) -> Self {
        Self(vec![0; len].into())
    }

    /// The octets.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The octets, to be filled or changed.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// The octets without their protection, exactly as much memory as they need.
    pub(crate) fn into_octets(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).into_vec()
    }

    /// Length in octets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<secret of {} octets>", self.0.len())
    }
}
