//! What a connection may demand and this daemon cannot do. Both front ends ask here, so that neither is laxer than the
//! other.

use crate::connection::{Mode, PeerConfig};

/// Something without which the connection would protect less than its configuration says, or speak to no peer at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// `keyexchange=ikev1`, or `version = 1`.
    Ikev1,
    /// `ah=`, or `ah_proposals`, with a kernel back end that has no AH.
    Ah,
    /// `mediation=yes`, `mediated_by=` or `me_peerid=`.
    Mediation,
}

impl Demand {
    /// Why it cannot be done, and what to do about that.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Ikev1 => "IKEv1 is not supported, use IKEv2 on both ends",
            Self::Ah => {
                "AH is not supported by the kernel back end, and ESP would be negotiated in its place; load kernel-netlink on a \
                 kernel with AH, or use ESP proposals on both ends"
            }
            Self::Mediation => "mediation is not supported, and the peer would be connected to directly",
        }
    }
}

/// The first demand that cannot be met, with the key it came by. A connection that only has shunts negotiates nothing,
/// so that no demand is about it.
pub fn unmet<'a>(peer: &PeerConfig, demands: &'a [(String, Demand)]) -> Option<&'a (String, Demand)> {
    demands.first().filter(|_| negotiates(peer))
}

/// Whether a connection has anything that is negotiated with a peer.
pub fn negotiates(peer: &PeerConfig) -> bool {
    let shunt = |mode: Mode| matches!(mode, Mode::Pass | Mode::Drop);
    peer.children.is_empty() || peer.children.iter().any(|child| !shunt(child.mode))
}
