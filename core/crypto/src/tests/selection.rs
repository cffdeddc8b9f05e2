//! The choice among proposals, and its check.

use iana::{KeyExchangeMethod, Protocol, TransformType};

use super::algorithms::registry;
use crate::select::{acceptable, select};
use crate::{NoMatch, Proposal, Registry, Selection, Transform, Unacceptable};

fn how(registry: &Registry) -> Selection<'_> {
    Selection {
        prefer_configured: true,
        accept_private: true,
        allow_additional: true,
        skip_key_exchanges: false,
        require_distinct: true,
        registry,
    }
}

fn proposals(texts: &[&str], protocol: Protocol, registry: &Registry) -> Vec<Proposal> {
    let parse = |text: &&str| Proposal::parse(text, protocol, registry).expect("valid");
    let mut proposals: Vec<_> = texts.iter().map(parse).collect();
    for (number, proposal) in (1..).zip(&mut proposals) {
        proposal.number = number;
        proposal.spi = vec![number; 4];
    }
    proposals
}

/// What is selected, as it is logged; with settings changed by `change`.
fn chosen(
    protocol: Protocol,
    configured: &[&str],
    supplied: &[&str],
    change: impl FnOnce(&mut Selection<'_>),
) -> Option<String> {
    let registry = registry();
    let mut how = how(&registry);
    change(&mut how);
    let ours = proposals(configured, protocol, &registry);
    let theirs = proposals(supplied, protocol, &registry);
    let selected = select(&ours, &theirs, &how).ok()?;
    assert_eq!(
        acceptable(&theirs, &selected, &how),
        Ok(()),
        "the peer accepts what we select"
    );
    Some(selected.to_log(&registry))
}

fn ike(configured: &[&str], supplied: &[&str]) -> Option<String> {
    chosen(Protocol::IKE, configured, supplied, |_| ())
}

fn esp(configured: &[&str], supplied: &[&str]) -> Option<String> {
    chosen(Protocol::ESP, configured, supplied, |_| ())
}

const TUNNEL_1: &str = "aes256gcm16-sha512-x25519-ke1_kyber3";

#[test]
fn equal_proposals_match_and_keep_the_suppliers_number_and_spi() {
    let registry = registry();
    let ours = proposals(&[TUNNEL_1], Protocol::IKE, &registry);
    let theirs = proposals(&["aes128-sha256-x25519", TUNNEL_1], Protocol::IKE, &registry);
    let selected = select(&ours, &theirs, &how(&registry)).expect("a match");
    assert_eq!(selected, theirs[1]);
    assert_eq!(selected.number, 2);
    assert_eq!(
        selected.to_log(&registry),
        "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3"
    );
}

#[test]
fn a_side_that_lists_no_additional_key_exchange_matches_only_where_none_is_listed() {
    let plain = "aes256gcm16-sha512-x25519";
    let optional = "aes256gcm16-sha512-x25519-ke1_kyber3-ke1_none";
    let without = Some("IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519".to_owned());
    assert_eq!(ike(&[TUNNEL_1], &[plain]), None);
    assert_eq!(ike(&[plain], &[TUNNEL_1]), None);
    assert_eq!(ike(&[optional], &[plain]), without);
    assert_eq!(ike(&[plain], &[optional]), without);
    assert!(ike(&[optional], &[TUNNEL_1]).is_some_and(|it| it.ends_with("/KE1_KYBER_L3")));
    assert_eq!(
        ike(&["aes256gcm16-sha512-x25519-ke1_none-ke1_kyber3"], &[optional]),
        without
    );
}

#[test]
fn the_key_exchange_is_optional_for_esp_where_none_is_listed() {
    let pfs = "aes256gcm16-x25519";
    let both = "aes256gcm16-x25519-none";
    assert_eq!(esp(&[pfs], &["aes256gcm16"]), None);
    assert_eq!(
        esp(&[both], &["aes256gcm16"]).as_deref(),
        Some("ESP:AES_GCM_16_256/NO_EXT_SEQ")
    );
    assert_eq!(
        esp(&["aes256gcm16"], &[both]).as_deref(),
        Some("ESP:AES_GCM_16_256/NO_EXT_SEQ")
    );
    assert_eq!(
        esp(&[both], &[pfs]).as_deref(),
        Some("ESP:AES_GCM_16_256/CURVE_25519/NO_EXT_SEQ")
    );
    let hybrid = "aes256gcm16-none-x25519-ke1_kyber3";
    assert_eq!(
        esp(&[hybrid], &[hybrid]),
        None,
        "an additional key exchange needs one to add to"
    );
}

#[test]
fn an_ike_sa_never_goes_without_key_exchange() {
    let registry = registry();
    let mut none = proposals(&["aes256gcm16-sha512-x25519"], Protocol::IKE, &registry);
    none[0]
        .transforms
        .iter_mut()
        .filter(|it| it.kind == TransformType::KE)
        .for_each(|it| it.id = 0);
    assert!(select(&none, &none, &how(&registry)).is_err());
}

#[test]
fn ike_auth_does_not_look_at_key_exchanges() {
    let skip = |how: &mut Selection<'_>| how.skip_key_exchanges = true;
    let selected = chosen(Protocol::ESP, &[TUNNEL_1], &["aes256gcm16"], skip);
    assert_eq!(selected.as_deref(), Some("ESP:AES_GCM_16_256/NO_EXT_SEQ"));
}

#[test]
fn private_numbers_match_only_between_peers_that_mean_the_same() {
    let registry = registry();
    let how = Selection {
        accept_private: false,
        ..how(&registry)
    };
    let ours = proposals(&[TUNNEL_1], Protocol::IKE, &registry);
    let refused = select(&ours, &ours, &how).expect_err("1051 may be anything");
    assert_eq!(
        refused,
        NoMatch {
            private_skipped: true,
            unimplemented: vec![]
        }
    );
    let answer = &ours[0];
    assert_eq!(
        acceptable(&ours, answer, &how),
        Err(Unacceptable::Private("KE1_KYBER_L3".to_owned()))
    );

    let alternative = "aes256gcm16-sha512-x25519-ke1_kyber3-ke1_mlkem768";
    let ours = proposals(&[alternative], Protocol::IKE, &registry);
    let selected = select(&ours, &ours, &how).expect("the next candidate");
    assert_eq!(
        selected.additional_key_exchanges(),
        [(1, KeyExchangeMethod::ML_KEM_768)]
    );

    let integrity = proposals(&["aes128-sha256_96"], Protocol::ESP, &registry);
    assert!(
        select(&integrity, &integrity, &how)
            .expect_err("1026")
            .private_skipped,
        "of any type"
    );
    let unrelated = proposals(&["aes256gcm16-sha512-x25519"], Protocol::IKE, &registry);
    assert!(
        !select(&ours, &unrelated, &how)
            .expect_err("no match")
            .private_skipped
    );
}

#[test]
fn the_preferred_sides_order_decides() {
    let (ours, theirs) = (
        "aes256gcm16-sha512-x25519-ecp256",
        "aes256gcm16-sha512-ecp256-x25519",
    );
    let method = |prefer_configured| {
        let selected = chosen(Protocol::IKE, &[ours], &[theirs], |how| {
            how.prefer_configured = prefer_configured
        });
        selected.expect("a match").rsplit('/').next().map(str::to_owned)
    };
    assert_eq!(method(true).as_deref(), Some("CURVE_25519"));
    assert_eq!(method(false).as_deref(), Some("ECP_256"));

    let (strong, weak) = ("aes256gcm16-sha512-x25519", "aes128-sha256-x25519");
    let cipher = |prefer_configured| {
        let change = |how: &mut Selection<'_>| how.prefer_configured = prefer_configured;
        chosen(Protocol::IKE, &[strong, weak], &[weak, strong], change).expect("a match")
    };
    assert!(cipher(true).contains("AES_GCM_16_256"));
    assert!(cipher(false).contains("AES_CBC_128"));
}

#[test]
fn no_method_is_chosen_twice_where_that_is_required() {
    let twice = "aes256gcm16-sha512-x25519-ke1_x25519";
    assert_eq!(ike(&[twice], &[twice]), None);
    let allow = |how: &mut Selection<'_>| how.require_distinct = false;
    assert!(chosen(Protocol::IKE, &[twice], &[twice], allow).is_some());

    let registry = registry();
    let ours = proposals(&[twice], Protocol::IKE, &registry);
    let repeated = acceptable(&ours, &ours[0], &how(&registry));
    assert_eq!(repeated, Err(Unacceptable::Repeated("CURVE_25519".to_owned())));

    let tricky = "aes256gcm16-sha512-x25519-ke1_kyber3-ke1_ntrup3-ke2_kyber3-ke3_kyber3-ke3_saber3-ke3_none";
    assert_eq!(
        ike(&[tricky], &[tricky]).as_deref(),
        Some("IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_NTRU_HPS_L3/KE2_KYBER_L3/KE3_SABER_L3"),
        "the first choice for KE1 would leave none for KE2"
    );
    let nones = "aes256gcm16-sha512-x25519-ke1_none-ke2_none-ke3_kyber3";
    assert!(ike(&[nones], &[nones]).is_some_and(|it| it.ends_with("CURVE_25519/KE3_KYBER_L3")));
}

#[test]
fn without_the_peers_support_additional_key_exchanges_must_be_optional() {
    let deny = |how: &mut Selection<'_>| how.allow_additional = false;
    let optional = "aes256gcm16-sha512-x25519-ke1_kyber3-ke1_none";
    assert_eq!(chosen(Protocol::IKE, &[TUNNEL_1], &[TUNNEL_1], deny), None);
    assert_eq!(chosen(Protocol::IKE, &[optional], &[TUNNEL_1], deny), None);
    let selected = chosen(Protocol::IKE, &[optional], &[optional], deny);
    assert!(selected.is_some_and(|it| it.ends_with("/CURVE_25519")));

    let registry = registry();
    let ours = proposals(&[TUNNEL_1], Protocol::IKE, &registry);
    let how = Selection {
        allow_additional: false,
        ..how(&registry)
    };
    let unsupported = acceptable(&ours, &ours[0], &how);
    assert_eq!(
        unsupported,
        Err(Unacceptable::Unsupported("KE1_KYBER_L3".to_owned()))
    );
}

#[test]
fn what_no_plugin_implements_is_offered_but_never_selected() {
    let registry = registry();
    let how = how(&registry);
    let ours = proposals(&["aes256gcm16-sha512-ntru128-x25519"], Protocol::IKE, &registry);
    let selected = select(&ours, &ours, &how).expect("x25519 is left");
    assert_eq!(selected.key_exchange(), Some(KeyExchangeMethod::CURVE_25519));

    let only = proposals(&["aes256gcm16-sha512-ntru128"], Protocol::IKE, &registry);
    let ntru = Transform::new(TransformType::KE, KeyExchangeMethod::NTRU_128.0);
    let refused = select(&only, &ours, &how).expect_err("no plugin");
    assert_eq!(
        refused,
        NoMatch {
            private_skipped: false,
            unimplemented: vec![ntru]
        }
    );

    let mut answer = selected;
    answer.transforms.retain(|it| it.kind != TransformType::KE);
    answer.transforms.push(ntru);
    let error = acceptable(&ours, &answer, &how).expect_err("the peer took what we cannot do");
    assert_eq!(
        error.to_string(),
        "peer chose NTRU_128, which we offered but no loaded plugin implements; \
         load one or end the proposal with '!'"
    );
}

#[test]
fn a_missing_esn_transform_means_no_extended_sequence_numbers() {
    let registry = registry();
    let how = how(&registry);
    let with = proposals(&["aes256gcm16"], Protocol::ESP, &registry);
    let mut without = with.clone();
    without[0].transforms.retain(|it| it.kind != TransformType::ESN);
    assert_eq!(
        select(&with, &without, &how),
        Ok(without[0].clone()),
        "the answer has what the request has"
    );
    assert_eq!(select(&without, &with, &how), Ok(with[0].clone()));
    assert_eq!(acceptable(&with, &without[0], &how), Ok(()));
    assert_eq!(acceptable(&without, &with[0], &how), Ok(()));
    let extended = proposals(&["aes256gcm16-esn"], Protocol::ESP, &registry);
    assert!(select(&extended, &without, &how).is_err());
    assert_eq!(
        acceptable(&extended, &without[0], &how),
        Err(Unacceptable::Missing(TransformType::ESN))
    );
}

#[test]
fn integrity_transforms_beside_an_aead_are_not_looked_at() {
    let registry = registry();
    let ours = proposals(&["aes256gcm16-sha512-x25519"], Protocol::IKE, &registry);
    let mut theirs = ours.clone();
    theirs[0].transforms.push(Transform::new(TransformType::INTEG, 0));
    let selected = select(&ours, &theirs, &how(&registry)).expect("a match");
    assert_eq!(selected.transform(TransformType::INTEG), None);
}

#[test]
fn key_lengths_must_agree_and_zero_is_none() {
    let registry = registry();
    assert_eq!(ike(&["aes256-sha256-x25519"], &["aes128-sha256-x25519"]), None);
    let ours = proposals(&["3des-sha1"], Protocol::ESP, &registry);
    let mut theirs = ours.clone();
    theirs[0].transforms[0].key_bits = Some(0);
    assert!(select(&ours, &theirs, &how(&registry)).is_ok());
}

#[test]
fn proposals_of_another_protocol_or_with_unknown_types_do_not_match() {
    let registry = registry();
    let ours = proposals(&["aes256gcm16"], Protocol::ESP, &registry);
    let mut ah = ours.clone();
    ah[0].protocol = Protocol::AH;
    assert!(select(&ours, &ah, &how(&registry)).is_err());
    let mut unknown = ours.clone();
    unknown[0].transforms.push(Transform::new(TransformType(13), 1));
    assert!(select(&ours, &unknown, &how(&registry)).is_err());
    assert!(select(&unknown, &unknown, &how(&registry)).is_err());
    assert!(select(&ours, &[], &how(&registry)).is_err());
}

#[test]
fn an_answer_must_be_a_choice_from_the_offer() {
    let registry = registry();
    let how = how(&registry);
    let ours = proposals(&[TUNNEL_1, "aes128-sha256-x25519"], Protocol::IKE, &registry);
    let check = |change: &dyn Fn(&mut Proposal)| {
        let mut answer = ours[0].clone();
        change(&mut answer);
        acceptable(&ours, &answer, &how)
    };
    let remove = |kind| move |answer: &mut Proposal| answer.transforms.retain(|it| it.kind != kind);
    assert_eq!(check(&|_| ()), Ok(()));
    assert_eq!(
        check(&|answer| answer.number = 3),
        Err(Unacceptable::UnknownProposal {
            protocol: Protocol::IKE,
            number: 3
        })
    );
    assert_eq!(
        check(&|answer| answer.number = 2).map_err(|error| error.to_string()),
        Err("peer chose AES_GCM_16_256, which our proposal does not offer".to_owned())
    );
    assert_eq!(
        check(&|answer| answer.transforms.push(Transform::new(TransformType::KE, 31))),
        Err(Unacceptable::Ambiguous(TransformType::KE))
    );
    for kind in [
        TransformType::ENCR,
        TransformType::PRF,
        TransformType::KE,
        TransformType::ADDITIONAL_KE_1,
    ] {
        assert_eq!(
            check(&remove(kind)),
            Err(Unacceptable::Missing(kind)),
            "a downgrade by omission"
        );
    }
    assert_eq!(
        check(&|answer| answer
            .transforms
            .iter_mut()
            .for_each(|it| it.key_bits = it.key_bits.map(|_| 128))),
        Err(Unacceptable::NotOffered("AES_GCM_16_128".to_owned()))
    );
}

#[test]
fn an_answer_may_echo_none_or_leave_it_out() {
    let registry = registry();
    let ours = proposals(
        &["aes256gcm16-sha512-x25519-ke1_kyber3-ke1_none"],
        Protocol::IKE,
        &registry,
    );
    let mut answer = ours[0].clone();
    answer
        .transforms
        .retain(|it| it.kind != TransformType::ADDITIONAL_KE_1);
    assert_eq!(acceptable(&ours, &answer, &how(&registry)), Ok(()));
    answer
        .transforms
        .push(Transform::new(TransformType::ADDITIONAL_KE_1, 0));
    assert_eq!(acceptable(&ours, &answer, &how(&registry)), Ok(()));
    assert_eq!(answer.additional_key_exchanges(), []);
}
