//! `ke/1`.

use std::sync::{Arc, Mutex, PoisonError};

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RVec};

use super::object::interface;
use super::offer::Checked;
use super::types::SecretOctets;
use crate::{ErrorKind, KeyExchange, PendingKeyExchange, PluginError, Secret};

/// What an initiator has.
#[repr(C)]
#[derive(StableAbi)]
pub struct Initiated {
    public: RVec<u8>,
    pending: Pending1,
}

/// What a responder has.
#[repr(C)]
#[derive(StableAbi)]
pub struct Responded {
    public: RVec<u8>,
    secret: SecretOctets,
}

interface! {
    /// See [`KeyExchange`].
    KeyExchange1("ke/1") holds Arc<dyn KeyExchange> {
        fn initiate(this) -> Initiated {
            let (public, pending) = this.initiate()?;
            Ok(Initiated { public: public.into(), pending: Pending1::new(Mutex::new(Some(pending))) })
        }
        fn respond(this, peer: RSlice<'_, u8>) -> Responded {
            let (public, secret) = this.respond(peer.as_slice())?;
            Ok(Responded { public: public.into(), secret: secret.into() })
        }
    }
}

type Held = Mutex<Option<Box<dyn PendingKeyExchange>>>;

interface! {
    /// See [`PendingKeyExchange`].
    Pending1("ke-pending/1") holds Held {
        fn finish(this, peer: RSlice<'_, u8>) -> SecretOctets {
            let pending = this.lock().unwrap_or_else(PoisonError::into_inner).take();
            let pending = pending
                .ok_or_else(|| PluginError::new(ErrorKind::InvalidArgument, "the key exchange was finished before"))?;
            Ok(pending.finish(peer.as_slice())?.into())
        }
    }
}

/// The daemon's side.
pub(super) struct Remote(pub(super) Checked<KeyExchange1>);

impl KeyExchange for Remote {
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        let Initiated { public, pending } = self.0.initiate()?;
        Ok((public.into_vec(), Box::new(RemotePending(pending))))
    }

    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        let Responded { public, secret } = self.0.respond(peer.into())?;
        Ok((public.into_vec(), secret.into()))
    }
}

struct RemotePending(Pending1);

impl PendingKeyExchange for RemotePending {
    fn finish(self: Box<Self>, peer: &[u8]) -> Result<Secret, PluginError> {
        Ok(self.0.finish(peer.into())?.into())
    }
}
