//! From transform IDs to keys: algorithm registry, proposals, key material, IntAuth.
//!
//! Nothing here computes a hash or a key exchange: plugins do, through the traits of `plugin-api`, and this crate knows
//! which one to ask and what to feed it. It reads no clock and no configuration.

pub mod auth;
mod blamed;
mod check;
mod defaults;
pub mod exchange;
pub mod int_auth;
pub mod keymat;
pub mod null;
mod parse;
pub mod proposal;
pub mod providers;
pub mod registry;
pub mod select;
pub mod suite;

pub use exchange::KeyExchangePlan;
pub use iana::keyword::Transform;
pub use int_auth::{IntAuth, Role};
pub use keymat::{ChildKeys, RekeyPrf, SkKeys};
pub use null::NullKeyExchange;
pub use proposal::{DefaultStyle, Proposal, ProposalError};
pub use registry::{Class, Entry, Registry};
pub use select::{NoMatch, Selection, Unacceptable};
pub use suite::{ChildSuite, ProtectionKey, Suite, SuiteError};

#[cfg(test)]
mod tests;
