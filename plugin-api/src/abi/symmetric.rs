//! `aead/1`, `cipher/1`, `prf/1`, `integrity/1`, `hasher/1`. Lengths are asked for once, when an object is taken over.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RSliceMut};

use super::object::interface;
use super::offer::Checked;
use super::types::{Parts, len, receive_parts, send_parts};
use crate::{Aead, AeadKey, Cipher, CipherKey, Hasher, Integrity, IntegrityKey, PluginError, Prf, PrfKey};

/// Two lengths in octets; what they are of depends on the function.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Lengths {
    first: u64,
    second: u64,
}

impl Lengths {
    fn new(first: usize, second: usize) -> Self {
        Self {
            first: first as u64,
            second: second as u64,
        }
    }

    fn get(self) -> Result<(usize, usize), PluginError> {
        Ok((len(self.first)?, len(self.second)?))
    }
}

interface! {
    /// See [`Aead`].
    Aead1("aead/1") holds Arc<dyn Aead> {
        fn key_len(this) -> u64 { Ok(this.key_len() as u64) }
        fn create(this, key: RSlice<'_, u8>) -> AeadKey1 { this.create(key.as_slice()).map(AeadKey1::new) }
    }
}

interface! {
    /// See [`AeadKey`].
    AeadKey1("aead-key/1") holds Box<dyn AeadKey> {
        fn lengths(this) -> Lengths { Ok(Lengths::new(this.iv_len(), this.tag_len())) }
        fn seal(this, iv: RSlice<'_, u8>, aad: RSlice<'_, u8>, data: RSliceMut<'_, u8>, tag: RSliceMut<'_, u8>) -> () { this.seal(iv.as_slice(), aad.as_slice(), data.into_mut_slice(), tag.into_mut_slice()) }
        fn open(this, iv: RSlice<'_, u8>, aad: RSlice<'_, u8>, data: RSliceMut<'_, u8>, tag: RSlice<'_, u8>) -> () { this.open(iv.as_slice(), aad.as_slice(), data.into_mut_slice(), tag.as_slice()) }
    }
}

interface! {
    /// See [`Cipher`].
    Cipher1("cipher/1") holds Arc<dyn Cipher> {
        fn key_len(this) -> u64 { Ok(this.key_len() as u64) }
        fn create(this, key: RSlice<'_, u8>) -> CipherKey1 { this.create(key.as_slice()).map(CipherKey1::new) }
    }
}

interface! {
    /// See [`CipherKey`].
    CipherKey1("cipher-key/1") holds Box<dyn CipherKey> {
        fn lengths(this) -> Lengths { Ok(Lengths::new(this.iv_len(), this.block_len())) }
        fn encrypt(this, iv: RSlice<'_, u8>, data: RSliceMut<'_, u8>) -> () { this.encrypt(iv.as_slice(), data.into_mut_slice()) }
        fn decrypt(this, iv: RSlice<'_, u8>, data: RSliceMut<'_, u8>) -> () { this.decrypt(iv.as_slice(), data.into_mut_slice()) }
    }
}

interface! {
    /// See [`Prf`].
    Prf1("prf/1") holds Arc<dyn Prf> {
        fn lengths(this) -> Lengths { Ok(Lengths::new(this.key_len(), this.output_len())) }
        fn create(this, key: RSlice<'_, u8>) -> PrfKey1 { this.create(key.as_slice()).map(PrfKey1::new) }
    }
}

interface! {
    /// See [`PrfKey`].
    PrfKey1("prf-key/1") holds Box<dyn PrfKey> {
        fn compute(this, parts: Parts<'_>, out: RSliceMut<'_, u8>) -> () { receive_parts(parts, |parts| this.compute(parts, out.into_mut_slice())) }
    }
}

interface! {
    /// See [`Integrity`].
    Integrity1("integrity/1") holds Arc<dyn Integrity> {
        fn lengths(this) -> Lengths { Ok(Lengths::new(this.key_len(), this.tag_len())) }
        fn create(this, key: RSlice<'_, u8>) -> IntegrityKey1 { this.create(key.as_slice()).map(IntegrityKey1::new) }
    }
}

interface! {
    /// See [`IntegrityKey`].
    IntegrityKey1("integrity-key/1") holds Box<dyn IntegrityKey> {
        fn sign(this, parts: Parts<'_>, tag: RSliceMut<'_, u8>) -> () { receive_parts(parts, |parts| this.sign(parts, tag.into_mut_slice())) }
        fn verify(this, parts: Parts<'_>, tag: RSlice<'_, u8>) -> () { receive_parts(parts, |parts| this.verify(parts, tag.as_slice())) }
    }
}

interface! {
    /// See [`Hasher`].
    Hasher1("hasher/1") holds Arc<dyn Hasher> {
        fn output_len(this) -> u64 { Ok(this.output_len() as u64) }
        fn hash(this, parts: Parts<'_>, out: RSliceMut<'_, u8>) -> () { receive_parts(parts, |parts| this.hash(parts, out.into_mut_slice())) }
    }
}

/// The daemon's side of an object, with the lengths it gave.
pub(super) struct Remote<T> {
    table: T,
    first: usize,
    second: usize,
}

/// The daemon's side of an object without lengths of its own.
struct RemoteKey<T>(T);

pub(super) fn aead(table: Checked<Aead1>) -> Result<impl Aead, PluginError> {
    let first = len(table.key_len()?)?;
    Ok(Remote {
        table,
        first,
        second: 0,
    })
}

pub(super) fn cipher(table: Checked<Cipher1>) -> Result<impl Cipher, PluginError> {
    let first = len(table.key_len()?)?;
    Ok(Remote {
        table,
        first,
        second: 0,
    })
}

pub(super) fn hasher(table: Checked<Hasher1>) -> Result<impl Hasher, PluginError> {
    let first = len(table.output_len()?)?;
    Ok(Remote {
        table,
        first,
        second: 0,
    })
}

pub(super) fn prf(table: Checked<Prf1>) -> Result<impl Prf, PluginError> {
    let (first, second) = table.lengths()?.get()?;
    Ok(Remote { table, first, second })
}

pub(super) fn integrity(table: Checked<Integrity1>) -> Result<impl Integrity, PluginError> {
    let (first, second) = table.lengths()?.get()?;
    Ok(Remote { table, first, second })
}

impl Aead for Remote<Checked<Aead1>> {
    fn key_len(&self) -> usize {
        self.first
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError> {
        let table = self.table.create(key.into())?;
        let (first, second) = table.lengths()?.get()?;
        Ok(Box::new(Remote { table, first, second }))
    }
}

impl Cipher for Remote<Checked<Cipher1>> {
    fn key_len(&self) -> usize {
        self.first
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn CipherKey>, PluginError> {
        let table = self.table.create(key.into())?;
        let (first, second) = table.lengths()?.get()?;
        Ok(Box::new(Remote { table, first, second }))
    }
}

impl Prf for Remote<Checked<Prf1>> {
    fn key_len(&self) -> usize {
        self.first
    }

    fn output_len(&self) -> usize {
        self.second
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
        Ok(Box::new(RemoteKey(self.table.create(key.into())?)))
    }
}

impl Integrity for Remote<Checked<Integrity1>> {
    fn key_len(&self) -> usize {
        self.first
    }

    fn tag_len(&self) -> usize {
        self.second
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn IntegrityKey>, PluginError> {
        Ok(Box::new(RemoteKey(self.table.create(key.into())?)))
    }
}

impl AeadKey for Remote<AeadKey1> {
    fn iv_len(&self) -> usize {
        self.first
    }

    fn tag_len(&self) -> usize {
        self.second
    }

    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &mut [u8]) -> Result<(), PluginError> {
        self.table.seal(iv.into(), aad.into(), data.into(), tag.into())
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), PluginError> {
        self.table.open(iv.into(), aad.into(), data.into(), tag.into())
    }
}

impl CipherKey for Remote<CipherKey1> {
    fn iv_len(&self) -> usize {
        self.first
    }

    fn block_len(&self) -> usize {
        self.second
    }

    fn encrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), PluginError> {
        self.table.encrypt(iv.into(), data.into())
    }

    fn decrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), PluginError> {
        self.table.decrypt(iv.into(), data.into())
    }
}

impl PrfKey for RemoteKey<PrfKey1> {
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        send_parts(parts, |parts| self.0.compute(parts, out.into()))
    }
}

impl IntegrityKey for RemoteKey<IntegrityKey1> {
    fn sign(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        send_parts(parts, |parts| self.0.sign(parts, out.into()))
    }

    fn verify(&self, parts: &[&[u8]], out: &[u8]) -> Result<(), PluginError> {
        send_parts(parts, |parts| self.0.verify(parts, out.into()))
    }
}

impl Hasher for Remote<Checked<Hasher1>> {
    fn output_len(&self) -> usize {
        self.first
    }

    fn hash(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        send_parts(parts, |parts| self.table.hash(parts, out.into()))
    }
}
