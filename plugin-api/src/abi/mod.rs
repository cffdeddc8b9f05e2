//! What crosses the boundary between the daemon and a plugin, and the adapters on both sides of it.
//!
//! Authors of plugins need nothing of this. The rules that it follows:
//!
//! - A plugin built once loads in every later daemon of the same ABI major. So nothing reachable from the
//!   [root](root::PluginRoot) ever grows: a feature names its [interface](object::Interface), `ke/1`, and carries an
//!   erased object beside the layout of its table of functions, which is compared before use, unless both sides have the
//!   same [`Origin`]. A changed interface is a new name, `ke/2`, next to the old.
//! - Every function of every table catches panics ([`guard`](crate::guard)); the macro `interface!` sees to it.
//! - Algorithms' hot paths pass borrowed slices and allocate nothing.
//! - Secrets are zeroized by the side that drops them.

// The boundary is made of pointers; each block says why it holds. The derives of abi_stable put impls into constants,
// and want every type within a public one to be public.
#![allow(unsafe_code, non_local_definitions, unreachable_pub)]

mod algorithms;
mod control;
mod demands;
#[cfg(test)]
mod frozen;
mod host;
mod kernel;
mod kernel_types;
mod kernel_types_2;
mod kernel_types_3;
mod key_exchange;
mod migration;
mod object;
mod offer;
mod origin;
mod random;
mod root;
mod symmetric;
mod types;

pub use object::{Interface, Object};
pub use offer::{Checked, Checks, FeatureOffer, Refusal};
pub use origin::{Origin, origin_symbol};
pub use root::{API, Exported, HostHandle, PluginRoot, PluginRootRef, header, symbol};
pub use types::panics;

#[doc(hidden)]
pub use abi_stable::library::LibHeader;
