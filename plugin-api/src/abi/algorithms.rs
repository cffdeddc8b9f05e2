//! `kernel-algorithms/1`, beside `kernel-ipsec`, which was frozen before there was this.

use std::sync::Arc;

use iana::{EncryptionAlgorithm, IntegrityAlgorithm, Protocol};

use super::object::interface;
use super::offer::Checked;
use crate::KernelAlgorithms;

interface! {
    /// See [`KernelAlgorithms`].
    KernelAlgorithms1("kernel-algorithms/1") holds Arc<dyn KernelAlgorithms> {
        fn encrypts(this, algorithm: u16, key_len: u16) -> bool { Ok(this.encrypts(EncryptionAlgorithm(algorithm), key_len)) }
        fn authenticates(this, protocol: u8, algorithm: u16) -> bool { Ok(this.authenticates(Protocol(protocol), IntegrityAlgorithm(algorithm))) }
    }
}

/// The daemon's side. Of a back end that panics nothing is offered that needs it.
pub(super) struct Remote(pub(super) Checked<KernelAlgorithms1>);

impl KernelAlgorithms for Remote {
    fn encrypts(&self, algorithm: EncryptionAlgorithm, key_len: u16) -> bool {
        self.0.encrypts(algorithm.0, key_len).unwrap_or(false)
    }

    fn authenticates(&self, protocol: Protocol, algorithm: IntegrityAlgorithm) -> bool {
        self.0.authenticates(protocol.0, algorithm.0).unwrap_or(false)
    }
}
