//! Where the packets of an SA go or come from, and what protects them: what every packet asks for, in one look.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, Weak};

use crate::esp::Protection;
use crate::selectors::shared;

/// In the place of a port: ESP goes without UDP.
pub const NO_UDP: u16 = 0;

/// Outer addresses and ports of an SA, as this host sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// This host.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
}

impl Endpoints {
    /// Those of an SA from `src` to `dst`.
    pub fn of(inbound: bool, src: SocketAddr, dst: SocketAddr) -> Self {
        let (local, remote) = if inbound { (dst, src) } else { (src, dst) };
        Self { local, remote }
    }

    /// Whether ESP goes without UDP.
    pub fn is_raw(&self) -> bool {
        self.remote.port() == NO_UDP
    }
}

/// See the module. As long as both SAs of a CHILD_SA are idle, they share one.
pub struct Current {
    packed: Packed,
    protection: Option<Arc<Protection>>,
}

/// Endpoints in few octets.
#[derive(Clone, PartialEq, Eq)]
enum Packed {
    V4(SocketAddrV4, SocketAddrV4),
    Other(Box<Endpoints>),
}

/// Those asked for last: what belongs to one CHILD_SA is installed, and moves, in one go.
static RECENT: Mutex<Weak<Current>> = Mutex::new(Weak::new());

/// Protection has no equal, so what is not idle is nobody else's.
impl PartialEq for Current {
    fn eq(&self, other: &Self) -> bool {
        self.protection.is_none() && other.protection.is_none() && self.packed == other.packed
    }
}

impl Current {
    pub(super) fn new(endpoints: Endpoints, protection: Option<Arc<Protection>>) -> Arc<Self> {
        let packed = match (endpoints.local, endpoints.remote) {
            (SocketAddr::V4(local), SocketAddr::V4(remote)) => Packed::V4(local, remote),
            _ => Packed::Other(Box::new(endpoints)),
        };
        let is_idle = protection.is_none();
        let new = Self { packed, protection };
        if is_idle {
            shared(&RECENT, new)
        } else {
            Arc::new(new)
        }
    }

    /// Where its packets go or come from.
    pub fn endpoints(&self) -> Endpoints {
        match &self.packed {
            Packed::V4(local, remote) => Endpoints {
                local: (*local).into(),
                remote: (*remote).into(),
            },
            Packed::Other(endpoints) => **endpoints,
        }
    }

    /// What protects them, unless the SA is idle and [has to wake up](super::Sa::wake).
    pub fn protection(&self) -> Option<&Arc<Protection>> {
        self.protection.as_ref()
    }
}
