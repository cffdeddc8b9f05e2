//! What holds for the choice among any proposals.

use iana::{Protocol, TransformType};
use proptest::prelude::*;

use super::algorithms::registry;
use crate::select::{acceptable, select};
use crate::{Proposal, Selection, Transform};

/// Transforms from a small set, so that matches are frequent; unknown types and repetitions included.
fn any_proposals(protocol: Protocol) -> impl Strategy<Value = Vec<Proposal>> {
    let of = |kind: u8, ids: &'static [u16]| {
        proptest::sample::subsequence(ids, 0..=ids.len())
            .prop_shuffle()
            .prop_map(move |ids| {
                ids.into_iter()
                    .map(|id| Transform::new(TransformType(kind), id))
                    .collect::<Vec<_>>()
            })
    };
    let encr =
        proptest::sample::subsequence(&[(20, 256), (12, 256), (12, 128)][..], 1..=3).prop_map(|list| {
            let transform = |(id, bits)| Transform {
                kind: TransformType::ENCR,
                id,
                key_bits: Some(bits),
            };
            list.into_iter().map(transform).collect::<Vec<_>>()
        });
    let symmetric = (encr, of(2, &[5, 7]), of(3, &[12, 0]), of(5, &[0, 1]), of(13, &[]));
    let exchanges = (
        of(4, &[31, 19, 1031, 0]),
        of(6, &[0, 1051, 31]),
        of(7, &[0, 1051, 36]),
        of(12, &[0, 36, 15]),
    );
    let one =
        (symmetric, exchanges).prop_map(|(a, b)| [a.0, a.1, a.2, b.0, b.1, b.2, b.3, a.3, a.4].concat());
    proptest::collection::vec(one, 1..4).prop_map(move |lists| {
        let proposal = |(number, transforms)| Proposal {
            number,
            protocol,
            spi: vec![number],
            transforms,
        };
        (1..).zip(lists).map(proposal).collect()
    })
}

fn any_pair() -> impl Strategy<Value = (Vec<Proposal>, Vec<Proposal>)> {
    prop_oneof![Just(Protocol::IKE), Just(Protocol::ESP)]
        .prop_flat_map(|protocol| (any_proposals(protocol), any_proposals(protocol)))
}

proptest! {
    #[test]
    fn a_selection_is_part_of_both_sides_and_the_same_from_either(
        (ours, theirs) in any_pair(),
        prefer_configured: bool,
        accept_private: bool,
        allow_additional: bool,
        skip_key_exchanges: bool,
        require_distinct: bool,
    ) {
        let registry = registry();
        let how = Selection {
            prefer_configured, accept_private, allow_additional, skip_key_exchanges, require_distinct,
            registry: &registry,
        };
        let mirrored = Selection { prefer_configured: !prefer_configured, ..how };
        let bare = |proposal: &Proposal| -> Vec<Transform> {
            // Whether an implied NO_EXT_SEQ is written down depends on the request alone.
            proposal.transforms.iter().copied().filter(|it| *it != Transform::new(TransformType::ESN, 0)).collect()
        };
        let selected = select(&ours, &theirs, &how);
        let from_there = select(&theirs, &ours, &mirrored);
        prop_assert_eq!(selected.as_ref().map(&bare), from_there.as_ref().map(&bare));
        let Ok(selected) = selected else { return Ok(()) };

        let part_of = |side: &[Proposal]| {
            side.iter().any(|proposal| {
                bare(&selected).iter().all(|it| proposal.transforms.contains(it))
                    && selected.protocol == proposal.protocol
            })
        };
        prop_assert!(part_of(&ours) && part_of(&theirs));
        prop_assert!(theirs.iter().any(|it| it.number == selected.number && it.spi == selected.spi));
        prop_assert!(selected.transforms.iter().all(|it| registry.implements(selected.protocol, *it)));
        prop_assert!(accept_private || !selected.transforms.iter().any(|it| it.is_private()));
        let mut kinds: Vec<_> = selected.transforms.iter().map(|it| it.kind).collect();
        kinds.sort();
        kinds.dedup();
        prop_assert_eq!(kinds.len(), selected.transforms.len(), "one transform a type");
        prop_assert_eq!(acceptable(&theirs, &selected, &how), Ok(()));
    }
}
