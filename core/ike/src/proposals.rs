//! Proposals between the codec and the algorithms.

use config::connection::{ChildConfig, PeerConfig, ProposalList, VICI};
use config::kernel::EspBeside;
use config::spelling;
use crypto::int_auth::Role;
use crypto::proposal::{DefaultStyle, ListError, Proposal, ProposalError, Purpose};
use crypto::registry::Registry;
use crypto::select::{Selection, Unacceptable};
use iana::keyword::{self, Transform};
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

/// What a payload offers for an IKE_SA, with SPIs of this length; proposals with something unknown in them are left out
/// (RFC 7296, 3.3.6).
pub(crate) fn from_wire(sa: &Sa, spi_len: usize) -> Vec<Proposal> {
    usable(sa, &[Protocol::IKE], spi_len)
}

/// The same for a CHILD_SA, of ESP and AH.
pub(crate) fn of_child_from_wire(sa: &Sa) -> Vec<Proposal> {
    usable(sa, &[Protocol::ESP, Protocol::AH], 4)
}

fn usable(sa: &Sa, protocols: &[Protocol], spi_len: usize) -> Vec<Proposal> {
    sa.proposals
        .iter()
        .filter(|proposal| {
            !proposal.unusable && protocols.contains(&proposal.protocol) && proposal.spi.len() == spi_len
        })
        .map(|proposal| Proposal {
            number: proposal.number,
            protocol: proposal.protocol,
            spi: proposal.spi.clone(),
            transforms: proposal.transforms.clone(),
        })
        .collect()
}

/// The IKE proposals that a connection offers, and what is wrong with them.
pub(crate) fn of_connection(shared: &Shared, config: &PeerConfig) -> Expanded {
    ike(shared, config, Purpose::Offer)
}

/// The IKE proposals of which a peer may choose.
pub(crate) fn verified_for(shared: &Shared, config: &PeerConfig) -> Expanded {
    ike(shared, config, Purpose::Verify)
}

/// The IKE proposals that a connection accepts of a peer.
pub(crate) fn accepted_by(shared: &Shared, config: &PeerConfig) -> Expanded {
    ike(shared, config, Purpose::Accept)
}

/// The IKE proposals as a connection has them.
pub(crate) fn listed(shared: &Shared, config: &PeerConfig) -> Expanded {
    ike(shared, config, Purpose::List)
}

/// The proposals of a CHILD_SA as a configuration has them.
pub(crate) fn listed_of_child(shared: &Shared, config: &ChildConfig) -> Expanded {
    child(shared, config, Purpose::List)
}

fn ike(shared: &Shared, config: &PeerConfig, purpose: Purpose) -> Expanded {
    let (common, registry) = (&shared.common, &shared.registry);
    let style = default_style(shared, config, purpose);
    common.expand(purpose, &config.proposals, Protocol::IKE, style, registry)
}

/// Which defaults a connection has. Where its profile does not say so, its proposals do: one that names private-use numbers is
/// for peers with strongSwan's prototype.
fn default_style(shared: &Shared, config: &PeerConfig, purpose: Purpose) -> DefaultStyle {
    match config.profile {
        Some(Profile::Rfc) => DefaultStyle::Rfc,
        Some(_) => DefaultStyle::Draft,
        None if purpose == Purpose::Accept => DefaultStyle::Either,
        None if names_private(shared, &config.proposals) => DefaultStyle::Draft,
        None => DefaultStyle::Rfc,
    }
}

fn names_private(shared: &Shared, list: &ProposalList) -> bool {
    let entries = list.entries.iter().flat_map(|entry| entry.split(','));
    let parse = |text: &str| Proposal::parse(text.trim(), Protocol::IKE, &shared.registry);
    let mut named = entries
        .filter_map(|text| parse(text).ok())
        .flat_map(|named| named.transforms);
    named.any(Transform::is_private)
}

/// The proposals of a CHILD_SA that a configuration offers, and what is wrong with them.
pub(crate) fn of_child(shared: &Shared, config: &ChildConfig) -> Expanded {
    child(shared, config, Purpose::Offer)
}

/// The proposals of a CHILD_SA that a configuration accepts of a peer.
pub(crate) fn accepted_by_child(shared: &Shared, config: &ChildConfig) -> Expanded {
    child(shared, config, Purpose::Accept)
}

/// ESP and AH proposals are one list, of which a peer chooses one.
fn child(shared: &Shared, config: &ChildConfig, purpose: Purpose) -> Expanded {
    let expand = |list, protocol| {
        let (common, registry) = (&shared.common, &shared.registry);
        common.expand(purpose, list, protocol, DefaultStyle::Draft, registry)
    };
    let esp = || expand(&config.proposals, Protocol::ESP);
    let Some(ah) = &config.kernel.ah else {
        return esp();
    };
    let own = expand(&ah.proposals, Protocol::AH);
    match ah.esp {
        EspBeside::No => own,
        EspBeside::First => joined(&esp(), &own),
        EspBeside::Last => joined(&own, &esp()),
    }
}

/// Two lists as one; the numbers go on.
fn joined(first: &Expanded, second: &Expanded) -> Expanded {
    let (mut proposals, mut messages) = (**first).clone();
    proposals.extend(second.0.iter().cloned());
    for (number, proposal) in (1..).zip(&mut proposals) {
        proposal.number = number;
    }
    messages.extend(second.1.iter().cloned());
    Expanded::new((proposals, messages))
}

/// Whether a connection offers private-use numbers that a plugin implements, for its IKE_SA or for a CHILD_SA.
pub(crate) fn uses_private(shared: &Shared, config: &PeerConfig) -> bool {
    let private = |proposals: &[Proposal]| {
        proposals.iter().any(|proposal| {
            let mut transforms = proposal.transforms.iter();
            transforms.any(|it| it.is_private() && shared.registry.implements(proposal.protocol, *it))
        })
    };
    private(&of_connection(shared, config).0)
        || config
            .children
            .iter()
            .any(|child| private(&of_child(shared, child).0))
}

/// Whether a connection itself would have selected this proposal for an IKE_SA of its own: what is selected has to be one of
/// its proposals with all of its transform types, so that one without the additional key exchanges it demands is none.
pub(crate) fn is_of_connection(
    shared: &Shared,
    config: &PeerConfig,
    role: Role,
    selected: &Proposal,
) -> bool {
    let configured = match role {
        Role::Initiator => verified_for(shared, config),
        Role::Responder => accepted_by(shared, config),
    };
    is_one_of(shared, config.profile, &configured.0, selected, false)
}

/// The same for a CHILD_SA. The one that IKE_AUTH creates has no key exchange of its own (RFC 7296, 1.2).
pub(crate) fn is_of_child(
    shared: &Shared,
    profile: Option<Profile>,
    config: &ChildConfig,
    selected: &Proposal,
    in_ike_auth: bool,
) -> bool {
    is_one_of(
        shared,
        profile,
        &of_child(shared, config).0,
        selected,
        in_ike_auth,
    )
}

fn is_one_of(
    shared: &Shared,
    profile: Option<Profile>,
    configured: &[Proposal],
    selected: &Proposal,
    in_ike_auth: bool,
) -> bool {
    // Whether the peer could be trusted to mean the same by private numbers was settled when it was selected.
    let how = selection(shared, profile, true, true, in_ike_auth);
    crypto::select::is_choice(configured, selected, &how)
}

/// Checks that a peer's choice of what this end offered for an IKE_SA is one that it may make.
///
/// # Errors
///
/// [`Unacceptable`], which says what the peer did.
pub(crate) fn check_ike_choice(
    shared: &Shared,
    config: &PeerConfig,
    offered: &[Proposal],
    choice: &Proposal,
    how: &Selection<'_>,
) -> Result<(), Unacceptable> {
    crypto::select::acceptable(offered, choice, how)?;
    if crypto::select::is_choice(&verified_for(shared, config).0, choice, how) {
        return Ok(());
    }
    Err(Unacceptable::Weak(choice.to_log(&shared.registry)))
}

/// Says of algorithms that both ends list, but this one cannot compute, what is missing.
pub(crate) fn lacking(registry: &Registry, protocol: Protocol, transforms: &[Transform]) -> Option<String> {
    let name = |transform: &Transform| {
        let name = registry.transform_name(transform);
        let by_plugin = protocol == Protocol::IKE || transform.kind.is_key_exchange();
        match crypto::providers::named(*transform).filter(|_| by_plugin) {
            Some(plugins) => format!("{name} ({plugins} is not loaded)"),
            None => name,
        }
    };
    let names: Vec<String> = transforms.iter().map(name).collect();
    let names = names.join(", ");
    (!transforms.is_empty()).then(|| format!("both ends list {names}, which this end does not implement"))
}

/// What is wrong with the configured proposals of a connection, with the nearest word that is known.
pub(crate) fn explained(error: &ListError, registry: &Registry, source: &str) -> String {
    let ListError::Invalid {
        error: ProposalError::NotRecognized(word),
        ..
    } = error
    else {
        return error.to_string();
    };
    let mut text = error.to_string();
    let bare = word.trim_end_matches('!');
    let nearest = nearest(bare, registry).filter(|nearest| !nearest.eq_ignore_ascii_case(bare));
    if let Some(nearest) = nearest {
        text = format!("{text}, did you mean '{nearest}'?");
    }
    if bare == word || bare.is_empty() {
        return text;
    }
    // Only ipsec.conf has defaults that follow a list, and so a mark that leaves them out.
    let advice = match source {
        VICI => "lists in swanctl.conf are strict without '!'",
        _ => "'!' is allowed at the end of the list only",
    };
    format!("{text}; {advice}")
}

fn nearest(word: &str, registry: &Registry) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let methods = || registry.key_exchange_keywords().map(str::to_owned);
    match keyword::split_additional(&lower) {
        Some((number, method)) => {
            let nearest = spelling::nearest(method, methods())?;
            Some(format!("ke{number}_{nearest}"))
        }
        None => spelling::nearest(&lower, methods().chain(keyword::others())),
    }
}

/// How proposals are compared with a peer's.
pub(crate) fn selection<'a>(
    shared: &'a Shared,
    profile: Option<Profile>,
    peer_is_strongswan: bool,
    allow_additional: bool,
    skip_key_exchanges: bool,
) -> Selection<'a> {
    Selection {
        prefer_configured: shared.settings.prefer_configured_proposals,
        accept_private: peer_is_strongswan || shared.settings.accept_private_algs,
        allow_additional,
        skip_key_exchanges,
        require_distinct: profile != Some(Profile::Draft),
        registry: &shared.registry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(text: &str, source: &str) -> String {
        let registry = Registry::new();
        let error = Proposal::check(&[text.to_owned()], Protocol::IKE, &registry).expect_err(text);
        let text = explained(&error, &registry, source);
        text.split_once(" not recognized in ")
            .expect("a word")
            .1
            .to_owned()
    }

    #[test]
    fn the_nearest_word_is_named_with_a_mark_behind_it_too() {
        for (text, source, expected) in [
            (
                "aes128-sha265-x25519",
                "ipsec.conf:9",
                "'aes128-sha265-x25519', did you mean 'sha256'?",
            ),
            (
                "aes128-sha256-x25519-ke1_mlkem786!",
                "ipsec.conf:9",
                "'aes128-sha256-x25519-ke1_mlkem786!', did you mean 'ke1_mlkem768'?; '!' is allowed at the end of the list only",
            ),
            (
                "aes128-sha256-x25519!",
                "ipsec.conf:9",
                "'aes128-sha256-x25519!'; '!' is allowed at the end of the list only",
            ),
            (
                "aes128-sha256-x25519!",
                VICI,
                "'aes128-sha256-x25519!'; lists in swanctl.conf are strict without '!'",
            ),
            ("aes128-sha256-x25519-!", VICI, "'aes128-sha256-x25519-!'"),
        ] {
            assert_eq!(explain(text, source), expected);
        }
    }
}
