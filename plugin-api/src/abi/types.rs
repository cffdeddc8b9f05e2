//! Values that cross the boundary.

use std::sync::atomic::{AtomicU64, Ordering};

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RResult, RSlice, RString, RVec};
use zeroize::Zeroize;

use crate::{ErrorKind, PluginError, Secret, guard};

/// What every function of the boundary returns.
pub type Outcome<T> = RResult<T, Failure>;

/// A [`PluginError`]; the kind is a number, because kinds may be added.
#[repr(C)]
#[derive(StableAbi)]
pub struct Failure {
    kind: u32,
    message: RString,
}

const KINDS: [ErrorKind; 8] = [
    ErrorKind::InvalidPublicValue,
    ErrorKind::AuthenticationFailed,
    ErrorKind::InvalidArgument,
    ErrorKind::NotSupported,
    ErrorKind::NotFound,
    ErrorKind::AlreadyExists,
    ErrorKind::System,
    ErrorKind::Panicked,
];

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        let kind = KINDS.iter().position(|&kind| kind == error.kind);
        let kind = kind.and_then(|kind| u32::try_from(kind).ok()).unwrap_or(u32::MAX);
        Self {
            kind,
            message: error.message.into(),
        }
    }
}

/// How many calls of the other side have come back as panics since this side was loaded.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

static PANICS: AtomicU64 = AtomicU64::new(0);

impl From<Failure> for PluginError {
    fn from(failure: Failure) -> Self {
        let kind = usize::try_from(failure.kind)
            .ok()
            .and_then(|kind| KINDS.get(kind))
            .copied();
        if kind == Some(ErrorKind::Panicked) {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
        Self::new(kind.unwrap_or(ErrorKind::System), failure.message.into_string())
    }
}

/// Runs a function of the boundary; no panic leaves it.
pub(super) fn outcome<T>(function: impl FnOnce() -> Result<T, PluginError>) -> Outcome<T> {
    match guard::catch(function) {
        Ok(value) => RResult::ROk(value),
        Err(error) => RResult::RErr(error.into()),
    }
}

/// What came back from the other side.
pub(super) fn result<T>(outcome: Outcome<T>) -> Result<T, PluginError> {
    match outcome {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(failure) => Err(failure.into()),
    }
}

/// Secret octets in flight, zeroized by whichever side drops them.
#[repr(transparent)]
#[derive(StableAbi)]
pub struct SecretOctets(RVec<u8>);

impl From<Secret> for SecretOctets {
    fn from(secret: Secret) -> Self {
        Self(secret.into_octets().into())
    }
}

impl From<SecretOctets> for Secret {
    fn from(octets: SecretOctets) -> Self {
        // A copy into memory of this side: the original goes back to the other one's allocator, zeroized.
        Self::copy_of(&octets.0)
    }
}

impl Drop for SecretOctets {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

/// Octets in several pieces.
pub type Parts<'a> = RSlice<'a, RSlice<'a, u8>>;

/// So many pieces are passed without allocating; callers have three or four.
const INLINE_PARTS: usize = 8;

/// Hands pieces out to a call.
pub(super) fn send_parts<R>(parts: &[&[u8]], call: impl FnOnce(Parts<'_>) -> R) -> R {
    let mut inline = [RSlice::from_slice(&[]); INLINE_PARTS];
    if let Some(inline) = inline.get_mut(..parts.len()) {
        inline
            .iter_mut()
            .zip(parts)
            .for_each(|(to, from)| *to = RSlice::from_slice(from));
        return call(RSlice::from_slice(inline));
    }
    let parts: Vec<_> = parts.iter().map(|part| RSlice::from_slice(part)).collect();
    call(RSlice::from_slice(&parts))
}

/// Takes pieces in.
pub(super) fn receive_parts<R>(parts: Parts<'_>, call: impl FnOnce(&[&[u8]]) -> R) -> R {
    let mut inline: [&[u8]; INLINE_PARTS] = [&[]; INLINE_PARTS];
    if let Some(inline) = inline.get_mut(..parts.len()) {
        inline
            .iter_mut()
            .zip(parts.as_slice())
            .for_each(|(to, from)| *to = from.as_slice());
        return call(inline);
    }
    let parts: Vec<_> = parts.as_slice().iter().map(RSlice::as_slice).collect();
    call(&parts)
}

/// A length in octets.
pub(super) fn len(length: u64) -> Result<usize, PluginError> {
    usize::try_from(length)
        .map_err(|_| PluginError::new(ErrorKind::InvalidArgument, format!("a length of {length} octets")))
}

/// An option, converted.
pub(super) fn option<A, B>(value: Option<A>, convert: impl FnOnce(A) -> B) -> ROption<B> {
    value.map(convert).into()
}
