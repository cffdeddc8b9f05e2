//! Where the packets of an SA go or come from.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, Weak};

use crate::selectors::shared;

/// Outer addresses and ports of an SA, as this host sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// This host.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
}

/// Endpoints in few octets. Both SAs of a CHILD_SA share them.
#[derive(PartialEq, Eq)]
pub(super) enum Packed {
    V4(SocketAddrV4, SocketAddrV4),
    Other(Box<Endpoints>),
}

/// Those asked for last: what belongs to one CHILD_SA is installed, and moves, in one go.
static RECENT: Mutex<Weak<Packed>> = Mutex::new(Weak::new());

impl Packed {
    pub(super) fn new(endpoints: Endpoints) -> Arc<Self> {
        let new = match (endpoints.local, endpoints.remote) {
            (SocketAddr::V4(local), SocketAddr::V4(remote)) => Self::V4(local, remote),
            _ => Self::Other(Box::new(endpoints)),
        };
        shared(&RECENT, new)
    }

    pub(super) fn get(&self) -> Endpoints {
        match self {
            Self::V4(local, remote) => Endpoints {
                local: (*local).into(),
                remote: (*remote).into(),
            },
            Self::Other(endpoints) => **endpoints,
        }
    }
}
