//! `random/1` and `nonce/1`.

use std::sync::Arc;

use abi_stable::std_types::RSliceMut;

use super::object::interface;
use super::offer::Checked;
use crate::{NonceGenerator, PluginError, Random};

interface! {
    /// See [`Random`].
    Random1("random/1") holds Arc<dyn Random> {
        fn fill(this, out: RSliceMut<'_, u8>) -> () { this.fill(out.into_mut_slice()) }
    }
}

interface! {
    /// See [`NonceGenerator`].
    Nonce1("nonce/1") holds Arc<dyn NonceGenerator> {
        fn nonce(this, out: RSliceMut<'_, u8>) -> () { this.nonce(out.into_mut_slice()) }
    }
}

/// The daemon's side.
pub(super) struct Remote<T>(pub(super) Checked<T>);

impl Random for Remote<Random1> {
    fn fill(&self, out: &mut [u8]) -> Result<(), PluginError> {
        self.0.fill(out.into())
    }
}

impl NonceGenerator for Remote<Nonce1> {
    fn nonce(&self, out: &mut [u8]) -> Result<(), PluginError> {
        self.0.nonce(out.into())
    }
}
