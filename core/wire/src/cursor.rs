//! A bounds-checked reader, which knows where in the message it is.

use crate::error::Error;

/// Reads from the front of octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    octets: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// A reader of octets that begin at `offset` of the message.
    pub(crate) fn new(octets: &'a [u8], offset: usize) -> Self {
        Self { octets, offset }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self
            .octets
            .split_at_checked(len)
            .ok_or_else(|| Error::Truncated {
                offset: self.offset,
                missing: len - self.octets.len(),
            })?;
        self.octets = rest;
        self.offset += len;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A reader of the next `len` octets.
    pub(crate) fn sub(&mut self, len: usize) -> Result<Self, Error> {
        let offset = self.offset;
        Ok(Self {
            octets: self.take(len)?,
            offset,
        })
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = std::mem::take(&mut self.octets);
        self.offset += rest.len();
        rest
    }
}
