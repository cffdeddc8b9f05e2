//! The API for writing pqswan plugins: the traits to implement, and the macro that exports them.
//!
//! A plugin is a `.so` that hands out [`Feature`]s: a name, what it depends on, and an implementation of one of the
//! traits below. Everything that crosses the boundary is made from these by `abi`; authors never see it.
//!
//! Start with [`Kem`]: three functions and two lengths make a key exchange method.

pub mod abi;
pub mod aead;
pub mod cipher;
pub mod control;
pub mod dh;
pub mod error;
mod export;
pub mod feature;
pub mod guard;
pub mod hasher;
pub mod integrity;
pub mod kem;
pub mod kernel;
pub mod key_exchange;
pub mod log;
mod mark;
pub mod prf;
pub mod random;
pub mod routes;
pub mod secret;
pub mod testing;

pub use aead::{Aead, AeadKey};
pub use cipher::{Cipher, CipherKey};
pub use control::{Control, Host, Listener, Reply, Running};
pub use dh::{DhExchange, DiffieHellman};
pub use error::{ErrorKind, PluginError};
pub use feature::{Dependency, Feature, FeatureName, Implementation};
pub use hasher::Hasher;
pub use integrity::{Integrity, IntegrityKey};
pub use kem::{Kem, KemExchange};
pub use kernel::{KernelAlgorithms, KernelDemands, KernelIpsec, KernelNet};
pub use key_exchange::{KeyExchange, PendingKeyExchange};
pub use mark::mark;
pub use prf::{Prf, PrfKey};
pub use random::{NonceGenerator, Random, RandomQuality};
pub use secret::Secret;
