//! What all scenarios share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::hosts::Kind;

/// How long things may take, what takes part, and where it lies.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Few cells, few repetitions.
    pub(crate) quick: bool,
    /// Where randomness of ours begins.
    pub(crate) seed: u64,
    /// The installed tree of the daemon that is measured.
    pub(crate) tree: PathBuf,
    /// Who answers where that is a parameter; the first is compared with the others.
    pub(crate) responders: Vec<Kind>,
    /// Set once somebody interrupts.
    pub(crate) interrupted: Arc<AtomicBool>,
}

impl Bench {
    /// One of two values.
    pub(crate) fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// An error once somebody has interrupted.
    ///
    /// # Errors
    ///
    /// See above.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.interrupted.load(Ordering::Relaxed) {
            Err("interrupted".into())
        } else {
            Ok(())
        }
    }
}
