//! The choice among proposals: by the responder, and its check by the initiator.

use iana::keyword::Transform;
use iana::{
    EncryptionAlgorithm, ExtendedSequenceNumbers, KeyExchangeMethod, Profile, Protocol, TransformType,
};
use smallvec::{SmallVec, smallvec};

use crate::proposal::{Proposal, log_rank, wire_rank};
use crate::registry::Registry;

/// Transforms of one type; a peer may list more.
type Alternatives = SmallVec<[Transform; 6]>;

/// How to choose.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    /// Whether our order of preference counts, not the peer's.
    pub prefer_configured: bool,
    /// Whether private-use numbers may be chosen, because the peer is known to mean the same by them.
    pub accept_private: bool,
    /// Whether additional key exchanges may be chosen; without the peer's support a proposal is usable only where each
    /// of them may be NONE (RFC 9370, 2.2.1).
    pub allow_additional: bool,
    /// Whether key exchanges are not looked at: for the CHILD_SA that IKE_AUTH creates.
    pub skip_key_exchanges: bool,
    /// Whether no key exchange method may be chosen twice (RFC 9370, 2.2.2). What is chosen by the drafts of strongSwan 6.0dr3
    /// may have one twice all the same, as there.
    pub require_distinct: bool,
    /// What is implemented.
    pub registry: &'a Registry,
}

/// No proposal of the peer's matches one of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("no matching proposal found")]
pub struct NoMatch {
    /// Whether an algorithm from the private-use range would have matched, but the peer's implementation is unknown.
    pub private_skipped: bool,
    /// What both sides list, but no plugin implements.
    pub unimplemented: Vec<Transform>,
}

/// Why the responder's choice is not one of what we offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// A proposal number or protocol we did not send.
    #[error("peer chose {protocol} proposal {number}, which we did not send")]
    UnknownProposal {
        /// The protocol of the answer.
        protocol: Protocol,
        /// The number of the answer.
        number: u8,
    },
    /// Two transforms of one type.
    #[error("peer chose more than one {0} transform")]
    Ambiguous(TransformType),
    /// A transform that is not in the proposal of that number.
    #[error("peer chose {0}, which our proposal does not offer")]
    NotOffered(String),
    /// No transform of a type that is not optional.
    #[error("peer chose no {0} transform, which our proposal requires")]
    Missing(TransformType),
    /// A private-use number from a peer that may mean something else by it.
    #[error("peer chose {0} from private space, but peer implementation is unknown; see accept_private_algs")]
    Private(String),
    /// An additional key exchange, without having announced to support the exchange for it.
    #[error("peer chose {0} without announcing support for IKE_INTERMEDIATE")]
    Unsupported(String),
    /// One method for two key exchanges.
    #[error("peer chose {0} for more than one key exchange")]
    Repeated(String),
    /// Offered for the sake of the peer's expectations, but there is no plugin for it.
    #[error(
        "peer chose {0}, which we offered but no loaded plugin implements; load one or end the proposal with '!'"
    )]
    Unimplemented(String),
    /// A weak algorithm of the defaults.
    #[error("peer chose {0}, whose weak algorithms are accepted only by connections that name them")]
    Weak(String),
}

/// The first of the supplied proposals that fits one of the configured ones, or the other way round.
///
/// The result has one transform a type, NONE left out, and number, protocol and SPI of the supplied proposal.
///
/// # Errors
///
/// [`NoMatch`], with the reasons that are not plain from the two lists.
pub fn select(
    configured: &[Proposal],
    supplied: &[Proposal],
    how: &Selection<'_>,
) -> Result<Proposal, NoMatch> {
    let mut reasons = NoMatch::default();
    let (outer, inner) = if how.prefer_configured {
        (configured, supplied)
    } else {
        (supplied, configured)
    };
    for preferred in outer {
        for other in inner {
            let (ours, theirs) = if how.prefer_configured {
                (preferred, other)
            } else {
                (other, preferred)
            };
            if let Some(proposal) = (Match {
                ours,
                theirs,
                how,
                reasons: &mut reasons,
            })
            .find()
            {
                return Ok(proposal);
            }
        }
    }
    Err(reasons)
}

/// The initiator's check that `answer` is a choice from what it sent.
///
/// # Errors
///
/// [`Unacceptable`], which says what the peer did.
pub fn acceptable(ours: &[Proposal], answer: &Proposal, how: &Selection<'_>) -> Result<(), Unacceptable> {
    let unknown = Unacceptable::UnknownProposal {
        protocol: answer.protocol,
        number: answer.number,
    };
    let offer = ours
        .iter()
        .find(|offer| offer.number == answer.number && offer.protocol == answer.protocol)
        .ok_or(unknown)?;
    check_choice(offer, answer, how)
}

/// Whether a selected proposal, one transform a type, is a choice from one of these: each of its transforms is listed, and each
/// type that is listed and not optional is there.
pub fn is_choice(configured: &[Proposal], selected: &Proposal, how: &Selection<'_>) -> bool {
    configured
        .iter()
        .filter(|own| own.protocol == selected.protocol)
        .any(|own| check_choice(own, selected, how).is_ok())
}

fn check_choice(offer: &Proposal, answer: &Proposal, how: &Selection<'_>) -> Result<(), Unacceptable> {
    let considered = |kind: TransformType| !(how.skip_key_exchanges && kind.is_key_exchange());
    let distinct = how.require_distinct && profile_of(&answer.transforms) == Profile::Rfc;
    let mut methods = Vec::new();
    for (place, transform) in answer.transforms.iter().enumerate() {
        let kind = transform.kind;
        if answer.transforms[..place]
            .iter()
            .any(|earlier| earlier.kind == kind)
        {
            return Err(Unacceptable::Ambiguous(kind));
        }
        let name = || how.registry.transform_name(transform);
        let implied = is_implied(offer, *transform);
        if !considered(kind) || !(implied || offer.transforms.iter().any(|it| same(it, transform))) {
            return Err(Unacceptable::NotOffered(name()));
        }
        if transform.is_private() && !how.accept_private {
            return Err(Unacceptable::Private(name()));
        }
        if !how.registry.implements(offer.protocol, *transform) {
            return Err(Unacceptable::Unimplemented(name()));
        }
        if kind.is_key_exchange() && transform.id != KeyExchangeMethod::NONE.0 {
            if kind != TransformType::KE && !how.allow_additional {
                return Err(Unacceptable::Unsupported(name()));
            }
            if distinct && methods.contains(&transform.id) {
                let method = KeyExchangeMethod(transform.id);
                return Err(Unacceptable::Repeated(how.registry.method_name(method)));
            }
            methods.push(transform.id);
        }
    }
    if !methods.is_empty() && answer.key_exchange().is_none() {
        // Additional key exchanges add to one (RFC 9370, 2.2.4).
        return Err(Unacceptable::Missing(TransformType::KE));
    }
    let aead = is_aead(answer.transform(TransformType::ENCR));
    for kind in kinds(offer, answer).into_iter().filter(|kind| considered(*kind)) {
        let optional = aead && kind == TransformType::INTEG
            || is_implied(offer, Transform::new(kind, 0))
            || is_optional(offer.protocol, kind) && offer.offers(kind, KeyExchangeMethod::NONE.0)
            || kind == TransformType::ESN && offer.offers(kind, ExtendedSequenceNumbers::NO_EXT_SEQ.0);
        if answer.transform(kind).is_none() && !optional {
            return Err(Unacceptable::Missing(kind));
        }
    }
    Ok(())
}

/// Proposals in one log line.
pub fn list(proposals: &[Proposal], registry: &Registry) -> String {
    proposals
        .iter()
        .map(|proposal| proposal.to_log(registry))
        .collect::<Vec<_>>()
        .join(", ")
}

/// One proposal of ours against one of the peer's.
struct Match<'m, 'a> {
    ours: &'m Proposal,
    theirs: &'m Proposal,
    how: &'m Selection<'a>,
    reasons: &'m mut NoMatch,
}

impl Match<'_, '_> {
    fn find(&mut self) -> Option<Proposal> {
        if self.ours.protocol != self.theirs.protocol {
            return None;
        }
        let mut transforms = Vec::new();
        let mut key_exchanges = Vec::new();
        for kind in kinds(self.ours, self.theirs) {
            if kind.is_key_exchange() {
                if !self.how.skip_key_exchanges {
                    key_exchanges.push((kind, self.candidates(kind)));
                }
                continue;
            }
            if kind == TransformType::INTEG && is_aead(transforms.first().copied()) {
                continue;
            }
            let chosen = self.candidates(kind).into_iter().next()?;
            if kind == TransformType::ESN {
                // Left out by a peer that forgot it (6.0dr3), it must not appear in the answer either.
                transforms.extend(self.theirs.offers(kind, chosen.id).then_some(chosen));
            } else if chosen.id != 0 {
                transforms.push(chosen);
            }
        }
        let lists: Vec<Vec<u16>> = key_exchanges
            .iter()
            .map(|(_, list)| list.iter().map(|it| it.id).collect())
            .collect();
        let kinds: Vec<TransformType> = key_exchanges.iter().map(|(kind, _)| *kind).collect();
        let methods = if self.how.require_distinct {
            distinct(&lists).or_else(|| firsts(&lists).filter(|methods| are_drafts(&kinds, methods)))?
        } else {
            firsts(&lists)?
        };
        let chosen = key_exchanges
            .iter()
            .zip(methods)
            .filter(|(_, id)| *id != KeyExchangeMethod::NONE.0);
        let before = transforms.len();
        transforms.extend(chosen.map(|((kind, _), id)| Transform::new(*kind, id)));
        let additional_alone = transforms
            .get(before)
            .is_some_and(|first| first.kind != TransformType::KE);
        if additional_alone {
            // Additional key exchanges add to one; without SK(0) there are no keys to derive (RFC 9370, 2.2.4).
            return None;
        }
        transforms.sort_by_key(|transform| wire_rank(transform.kind));
        let Proposal {
            number,
            protocol,
            spi,
            ..
        } = self.theirs.clone();
        Some(Proposal {
            number,
            protocol,
            spi,
            transforms,
        })
    }

    /// The transforms of a type that both sides list and that may be chosen, in the preferred side's order.
    fn candidates(&mut self, kind: TransformType) -> Alternatives {
        let (preferred, other) = if self.how.prefer_configured {
            (self.ours, self.theirs)
        } else {
            (self.theirs, self.ours)
        };
        let (preferred, other) = (alternatives(preferred, kind), alternatives(other, kind));
        let mut candidates = Alternatives::new();
        for transform in preferred {
            if !other.iter().any(|it| same(it, &transform)) {
                continue;
            }
            let none = kind.is_key_exchange() && transform.id == KeyExchangeMethod::NONE.0;
            if kind.additional_ke_number().is_some() && !none && !self.how.allow_additional {
                continue;
            }
            if none && !is_optional(self.ours.protocol, kind) {
                // An IKE_SA has a key exchange, whatever either side lists.
                continue;
            }
            if transform.is_private() && !self.how.accept_private {
                self.reasons.private_skipped = true;
            } else if self.how.registry.implements(self.ours.protocol, transform) {
                candidates.push(transform);
            } else if !self.reasons.unimplemented.contains(&transform) {
                self.reasons.unimplemented.push(transform);
            }
        }
        candidates
    }
}

/// What a proposal lists of a type, or what it means by listing nothing: NONE where the type is optional, which the
/// other side must then list.
fn alternatives(proposal: &Proposal, kind: TransformType) -> Alternatives {
    let listed: Alternatives = proposal
        .transforms
        .iter()
        .copied()
        .filter(|it| it.kind == kind)
        .collect();
    if !listed.is_empty() {
        return listed;
    }
    let none = Transform::new(kind, KeyExchangeMethod::NONE.0);
    if is_implied(proposal, Transform::new(kind, 0)) {
        smallvec![Transform::new(kind, ExtendedSequenceNumbers::NO_EXT_SEQ.0)]
    } else if is_optional(proposal.protocol, kind) {
        smallvec![none]
    } else {
        Alternatives::new()
    }
}

/// Types that appear in either proposal, in the order in which they are matched.
fn kinds(one: &Proposal, other: &Proposal) -> SmallVec<[TransformType; 24]> {
    let mut kinds: SmallVec<_> = one
        .transforms
        .iter()
        .chain(&other.transforms)
        .map(|transform| transform.kind)
        .collect();
    kinds.sort_by_key(|kind| (log_rank(*kind), kind.0));
    kinds.dedup();
    kinds
}

/// Whether a proposal without any ESN transform means this one (6.0dr3 leaves it out of its AEAD default).
fn is_implied(proposal: &Proposal, transform: Transform) -> bool {
    proposal.protocol != Protocol::IKE
        && transform == Transform::new(TransformType::ESN, ExtendedSequenceNumbers::NO_EXT_SEQ.0)
        && proposal.transform(TransformType::ESN).is_none()
}

/// Whether a type may be missing on one side if the other one lists NONE.
fn is_optional(protocol: Protocol, kind: TransformType) -> bool {
    kind.additional_ke_number().is_some() || kind == TransformType::KE && protocol != Protocol::IKE
}

fn is_aead(encryption: Option<Transform>) -> bool {
    encryption.is_some_and(|it| it.kind == TransformType::ENCR && EncryptionAlgorithm(it.id).is_aead())
}

/// Equality where a Key Length of 0 is none.
fn same(one: &Transform, other: &Transform) -> bool {
    let bits = |transform: &Transform| transform.key_bits.unwrap_or_default();
    one.kind == other.kind && one.id == other.id && bits(one) == bits(other)
}

fn firsts(lists: &[Vec<u16>]) -> Option<Vec<u16>> {
    lists.iter().map(|list| list.first().copied()).collect()
}

/// The profile that follows from the additional key exchanges among these.
fn profile_of(transforms: &[Transform]) -> Profile {
    let additional = transforms
        .iter()
        .filter(|it| it.kind.additional_ke_number().is_some() && it.id != KeyExchangeMethod::NONE.0);
    Profile::of_methods(additional.map(|it| KeyExchangeMethod(it.id)))
}

fn are_drafts(kinds: &[TransformType], methods: &[u16]) -> bool {
    let transforms = kinds.iter().zip(methods);
    let transforms: Vec<_> = transforms.map(|(kind, id)| Transform::new(*kind, *id)).collect();
    profile_of(&transforms) != Profile::Rfc
}

/// A method that every choice from a proposal has twice, where that is not allowed: by RFC 9370, which applies unless the
/// connection or the methods say otherwise.
pub(crate) fn inevitable_repetition(proposal: &Proposal, profile: Option<Profile>) -> Option<u16> {
    let kinds = kinds(proposal, proposal);
    let kinds: Vec<TransformType> = kinds.into_iter().filter(|kind| kind.is_key_exchange()).collect();
    let listed = |kind: &TransformType| {
        let of_type = proposal.transforms.iter().filter(|it| it.kind == *kind);
        of_type.map(|it| it.id).collect::<Vec<u16>>()
    };
    let lists: Vec<Vec<u16>> = kinds.iter().map(listed).collect();
    if distinct(&lists).is_some() {
        return None;
    }
    let first = firsts(&lists)?;
    let profile = profile.unwrap_or(if are_drafts(&kinds, &first) {
        Profile::Draft
    } else {
        Profile::Rfc
    });
    if profile != Profile::Rfc {
        return None;
    }
    let twice =
        |(place, id): &(usize, &u16)| **id != KeyExchangeMethod::NONE.0 && first[..*place].contains(id);
    first.iter().enumerate().find(twice).map(|(_, id)| *id)
}

/// One number from each list, none but NONE twice: the first list's earliest choice that leaves enough to the others,
/// then the second's, and so on. Always taking the first that is left would miss assignments.
fn distinct(lists: &[Vec<u16>]) -> Option<Vec<u16>> {
    let mut lists = lists.to_vec();
    for place in 0..lists.len() {
        let choice = lists[place].iter().copied().find(|id| {
            let mut attempt = lists.clone();
            attempt[place] = vec![*id];
            assignable(&attempt)
        })?;
        lists[place] = vec![choice];
    }
    firsts(&lists)
}

/// Whether an assignment exists: a bipartite matching by augmenting paths, so no list can make it slow.
fn assignable(lists: &[Vec<u16>]) -> bool {
    fn place(list: usize, lists: &[Vec<u16>], taken: &mut Vec<(u16, usize)>, seen: &mut Vec<u16>) -> bool {
        for id in &lists[list] {
            if *id == KeyExchangeMethod::NONE.0 {
                return true;
            }
            if seen.contains(id) {
                continue;
            }
            seen.push(*id);
            match taken.iter().position(|(taken_id, _)| taken_id == id) {
                None => taken.push((*id, list)),
                Some(at) => {
                    if !place(taken[at].1, lists, taken, seen) {
                        continue;
                    }
                    if let Some(entry) = taken.iter_mut().find(|(taken_id, _)| taken_id == id) {
                        entry.1 = list;
                    }
                }
            }
            return true;
        }
        false
    }
    let mut taken = Vec::new();
    (0..lists.len()).all(|list| place(list, lists, &mut taken, &mut Vec::new()))
}
