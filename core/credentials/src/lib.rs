//! Certificates, public and private keys: what is in them, and where they are kept.
//!
//! Whatever is read here may come from a stranger's file, so it is bounded in size, and refused with a reason.

mod armor;
mod certificate;
mod crl;
mod error;
mod extensions;
mod private_key;
mod public_key;
mod store;
#[cfg(test)]
mod tests;

pub use certificate::{Certificate, Flag, Flags, Policy, Uri};
pub use crl::{Crl, Revoked};
pub use error::Error;
pub use private_key::PrivateKey;
pub use public_key::{KeyId, KeyKind, PublicKey, RawPublicKey};
pub use store::{Authority, CrlOutcome, Item, Opaque, OpaqueKind, Store};

/// The largest certificate, list or key in octets, as text or not; a value of vici cannot be longer.
pub const MAX_OCTETS: usize = u16::MAX as usize;

/// SHA-1, by which keys and certificates are known (RFC 5280, 4.2.1.2); nothing relies on it that was signed.
fn sha1(octets: &[u8]) -> [u8; 20] {
    use sha1::Digest;
    sha1::Sha1::digest(octets).into()
}
