//! Proposals between the codec and the algorithms.

use config::connection::{ChildConfig, PeerConfig};
use crypto::proposal::{DefaultStyle, Proposal};
use crypto::select::Selection;
use iana::{Profile, Protocol};
use wire::payload::{Payload, Sa};

use crate::common::Expanded;
use crate::shared::Shared;

/// The payload that offers these.
pub(crate) fn to_wire(proposals: &[Proposal]) -> Payload {
    let proposals = proposals
        .iter()
        .map(|proposal| wire::payload::Proposal {
            number: proposal.number,
            protocol: proposal.protocol,
            spi: proposal.spi.clone(),
            transforms: proposal.transforms.clone(),
            unusable: false,
        })
        .collect();
    Payload::Sa(Sa { proposals })
}

/// What a payload offers; proposals with something unknown in them are left out (RFC 7296, 3.3.6).
pub(crate) fn from_wire(sa: &Sa, protocol: Protocol, spi_len: usize) -> Vec<Proposal> {
    sa.proposals
        .iter()
        .filter(|proposal| {
            !proposal.unusable && proposal.protocol == protocol && proposal.spi.len() == spi_len
        })
        .map(|proposal| Proposal {
            number: proposal.number,
            protocol: proposal.protocol,
            spi: proposal.spi.clone(),
            transforms: proposal.transforms.clone(),
        })
        .collect()
}

/// The IKE proposals of a connection, and what is wrong with them.
pub(crate) fn of_connection(shared: &Shared, config: &PeerConfig) -> Expanded {
    let style = match config.profile {
        Some(Profile::Rfc) => DefaultStyle::Rfc,
        _ => DefaultStyle::Draft,
    };
    let (common, registry) = (&shared.common, &shared.registry);
    common.expand(&config.proposals, Protocol::IKE, style, registry)
}

/// The ESP proposals of a configuration, and what is wrong with them.
pub(crate) fn of_child(shared: &Shared, config: &ChildConfig) -> Expanded {
    let (common, registry) = (&shared.common, &shared.registry);
    common.expand(&config.proposals, Protocol::ESP, DefaultStyle::Draft, registry)
}

/// How proposals are compared with a peer's.
pub(crate) fn selection<'a>(
    shared: &'a Shared,
    peer_is_strongswan: bool,
    allow_additional: bool,
    skip_key_exchanges: bool,
) -> Selection<'a> {
    Selection {
        prefer_configured: shared.settings.prefer_configured_proposals,
        accept_private: peer_is_strongswan || shared.settings.accept_private_algs,
        allow_additional,
        skip_key_exchanges,
        require_distinct: true,
        registry: &shared.registry,
    }
}
