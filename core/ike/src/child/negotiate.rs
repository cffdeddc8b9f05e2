//! What two ends may agree on for a CHILD_SA: algorithms and selectors.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use config::connection::{ChildConfig, Mode, PeerConfig, SelectorSpec};
use crypto::proposal::Proposal;
use crypto::select::{NoMatch, Selection};
use iana::TrafficSelector;

use crate::child::transport::Transport;
use crate::selectors;
use crate::shared::Shared;

/// The proposals of a configuration, with the SPI that the peer shall use. The CHILD_SA of IKE_AUTH has no key
/// exchange of its own, so its proposals name none (RFC 7296, 1.2).
pub(crate) fn proposals(
    shared: &Shared,
    config: &ChildConfig,
    spi: u32,
    in_ike_auth: bool,
) -> (Vec<Proposal>, Vec<String>) {
    let (mut proposals, messages) = Arc::unwrap_or_clone(crate::proposals::of_child(shared, config));
    for proposal in &mut proposals {
        if in_ike_auth {
            *proposal = proposal.without_key_exchanges();
        }
        proposal.spi = spi.to_be_bytes().to_vec();
    }
    (proposals, messages)
}

/// What is accepted of a peer, likewise.
fn accepted(shared: &Shared, config: &ChildConfig, in_ike_auth: bool) -> Vec<Proposal> {
    let (mut proposals, _) = Arc::unwrap_or_clone(crate::proposals::accepted_by_child(shared, config));
    if in_ike_auth {
        proposals
            .iter_mut()
            .for_each(|proposal| *proposal = proposal.without_key_exchanges());
    }
    proposals
}

/// The selectors that the peer wants of an end, and the addresses that stand for `dynamic` there.
pub(crate) type Supplied<'a> = (&'a [TrafficSelector], &'a [IpAddr]);

/// What a responder agrees to.
pub(crate) struct Choice {
    pub(crate) config: Arc<ChildConfig>,
    pub(crate) proposal: Proposal,
    pub(crate) local_ts: Vec<TrafficSelector>,
    pub(crate) remote_ts: Vec<TrafficSelector>,
    pub(crate) transport: Transport,
    /// By which the peer takes compressed packets, if both ends want to compress.
    pub(crate) cpi: Option<NonZeroU16>,
}

/// Why a responder agrees to nothing.
pub(crate) enum Refusal {
    /// No configured CHILD_SA has such selectors.
    Selectors,
    /// One has, but no such algorithms.
    Proposals {
        configured: Vec<Proposal>,
        reasons: NoMatch,
    },
}

/// The first CHILD_SA of a connection that fits selectors and algorithms. Those that cover the packet which an initiator
/// names first (RFC 7296, 2.9) come before those that cover only a part of the rest.
pub(crate) fn choose(
    shared: &Shared,
    peer: &PeerConfig,
    how: &Selection<'_>,
    supplied: &[Proposal],
    ours: Supplied<'_>,
    theirs: Supplied<'_>,
) -> Result<Choice, Refusal> {
    let mut refusal = Refusal::Selectors;
    let protecting = |child: &&Arc<ChildConfig>| !matches!(child.mode, Mode::Pass | Mode::Drop);
    let covers = |child: &Arc<ChildConfig>| {
        let covered = |own: &[SelectorSpec], (supplied, addresses): Supplied<'_>| {
            let packet = supplied.get(..1).unwrap_or_default();
            selectors::within(packet, &selectors::resolve(own, addresses))
        };
        covered(&child.local_ts, ours) && covered(&child.remote_ts, theirs)
    };
    let mut children: Vec<_> = peer.children.iter().filter(protecting).collect();
    children.sort_by_key(|child| !covers(child));
    for config in children {
        match choose_for(shared, config, how, supplied, ours, theirs) {
            Err(Refusal::Selectors) => {}
            Err(other) => refusal = other,
            chosen => return chosen,
        }
    }
    Err(refusal)
}

/// What fits selectors and algorithms of one CHILD_SA.
pub(crate) fn choose_for(
    shared: &Shared,
    config: &Arc<ChildConfig>,
    how: &Selection<'_>,
    supplied: &[Proposal],
    ours: Supplied<'_>,
    theirs: Supplied<'_>,
) -> Result<Choice, Refusal> {
    let local_ts = selectors::narrow(&selectors::resolve(&config.local_ts, ours.1), ours.0);
    let remote_ts = selectors::narrow(&selectors::resolve(&config.remote_ts, theirs.1), theirs.0);
    if local_ts.is_empty() || remote_ts.is_empty() {
        return Err(Refusal::Selectors);
    }
    let configured = accepted(shared, config, how.skip_key_exchanges);
    match crypto::select::select(&configured, supplied, how) {
        Ok(proposal) => Ok(Choice {
            config: Arc::clone(config),
            proposal,
            local_ts,
            remote_ts,
            transport: Transport::default(),
            cpi: None,
        }),
        Err(reasons) => Err(Refusal::Proposals { configured, reasons }),
    }
}
