//! What configuration strings mean.

use iana::{KeyExchangeMethod, Protocol, TransformType};

use super::algorithms::registry;
use crate::{DefaultStyle, Proposal};

fn parse(text: &str, protocol: Protocol) -> Result<String, String> {
    let registry = registry();
    match Proposal::parse(text, protocol, &registry) {
        Ok(proposal) => Ok(proposal.to_log(&registry)),
        Err(error) => Err(error.to_string()),
    }
}

fn assert_parses(protocol: Protocol, table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(parse(text, protocol).as_deref(), Ok(*expected), "{text}");
    }
}

fn assert_refused(protocol: Protocol, table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(parse(text, protocol), Err((*expected).to_owned()), "{text}");
    }
}

#[test]
fn the_walk_throughs_strings_are_its_proposals() {
    assert_parses(
        Protocol::IKE,
        &[
            (
                "aes256gcm16-sha512-x25519-ke1_kyber3",
                "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3",
            ),
            (
                "aes256gcm16-sha512-x25519-ke1_kyber3-ke2_ntrup3-ke3_saber3",
                "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3/KE2_NTRU_HPS_L3/KE3_SABER_L3",
            ),
            (
                "aes256gcm16-sha512-modp3072-ke1_frodoa3-ke2_sike3",
                "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/MODP_3072/KE1_FRODO_AES_L3/KE2_SIKE_L3",
            ),
        ],
    );
    assert_parses(
        Protocol::ESP,
        &[(
            "aes256gcm16-sha512-x25519-ke1_kyber3",
            "ESP:AES_GCM_16_256/CURVE_25519/NO_EXT_SEQ/KE1_KYBER_L3",
        )],
    );
}

#[test]
fn every_group_and_kem_is_a_keyword_in_every_place() {
    for (keyword, name) in [
        ("modp768", "MODP_768"),
        ("modp1024", "MODP_1024"),
        ("modp1536", "MODP_1536"),
        ("modp2048", "MODP_2048"),
        ("modp3072", "MODP_3072"),
        ("modp4096", "MODP_4096"),
        ("modp6144", "MODP_6144"),
        ("modp8192", "MODP_8192"),
        ("modp1024s160", "MODP_1024_160"),
        ("modp2048s224", "MODP_2048_224"),
        ("modp2048s256", "MODP_2048_256"),
        ("ecp256bp", "ECP_256_BP"),
        ("ecp384bp", "ECP_384_BP"),
        ("x448", "CURVE_448"),
        ("curve448", "CURVE_448"),
        ("mlkem512", "ML_KEM_512"),
        ("mlkem768", "ML_KEM_768"),
        ("mlkem1024", "ML_KEM_1024"),
        ("kyber1", "KYBER_L1"),
        ("kyber3", "KYBER_L3"),
        ("kyber5", "KYBER_L5"),
        ("ntrup1", "NTRU_HPS_L1"),
        ("ntrup3", "NTRU_HPS_L3"),
        ("ntrup5", "NTRU_HPS_L5"),
        ("ntrur3", "NTRU_HRSS_L3"),
        ("saber1", "SABER_L1"),
        ("saber3", "SABER_L3"),
        ("saber5", "SABER_L5"),
        ("bike1", "BIKE_L1"),
        ("bike3", "BIKE_L3"),
        ("bike5", "BIKE_L5"),
        ("frodoa1", "FRODO_AES_L1"),
        ("frodoa3", "FRODO_AES_L3"),
        ("frodoa5", "FRODO_AES_L5"),
        ("frodos1", "FRODO_SHAKE_L1"),
        ("frodos3", "FRODO_SHAKE_L3"),
        ("frodos5", "FRODO_SHAKE_L5"),
        ("hqc1", "HQC_L1"),
        ("hqc3", "HQC_L3"),
        ("hqc5", "HQC_L5"),
        ("sike1", "SIKE_L1"),
        ("sike2", "SIKE_L2"),
        ("sike3", "SIKE_L3"),
        ("sike5", "SIKE_L5"),
        ("sntrup761", "SNTRUP_761"),
    ] {
        let ike = format!("aes256gcm16-sha512-{keyword}");
        let logged = format!("IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/{name}");
        assert_parses(Protocol::IKE, &[(&ike, &logged)]);
        for n in 1..=7 {
            let ike = format!("aes256gcm16-sha512-x25519-ke{n}_{keyword}");
            let logged = format!("IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE{n}_{name}");
            assert_parses(Protocol::IKE, &[(&ike, &logged)]);
            let esp = format!("aes256gcm16-x25519-ke{n}_{keyword}");
            let logged = format!("ESP:AES_GCM_16_256/CURVE_25519/NO_EXT_SEQ/KE{n}_{name}");
            assert_parses(Protocol::ESP, &[(&esp, &logged)]);
        }
    }
}

#[test]
fn what_is_implied_is_added_and_what_is_meaningless_dropped() {
    assert_parses(
        Protocol::IKE,
        &[
            (
                "aes256-sha256-x25519",
                "IKE:AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/CURVE_25519",
            ),
            (
                "x25519-sha256-aes256",
                "IKE:AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/CURVE_25519",
            ),
            (
                "aes128-sha1-sha512-ecp256",
                "IKE:AES_CBC_128/HMAC_SHA1_96/HMAC_SHA2_512_256/PRF_HMAC_SHA1/PRF_HMAC_SHA2_512/ECP_256",
            ),
            (
                "aes128-sha256_96-prfsha256-x25519",
                "IKE:AES_CBC_128/HMAC_SHA2_256_96/PRF_HMAC_SHA2_256/CURVE_25519",
            ),
            (
                "aes128-sha1-prfsha256-x25519",
                "IKE:AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA2_256/CURVE_25519",
            ),
            (
                "aes256gcm16-prfsha512-modpnone-x25519-noesn",
                "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519",
            ),
            (
                "aes256-aes256-sha256-x25519",
                "IKE:AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/CURVE_25519",
            ),
            (
                " aes256gcm16 - prfsha512 - acme1 - KE7_none ",
                "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/ACME_L1/KE7_MODP_NONE",
            ),
        ],
    );
    assert_parses(
        Protocol::ESP,
        &[
            ("aes256-sha256", "ESP:AES_CBC_256/HMAC_SHA2_256_128/NO_EXT_SEQ"),
            ("aes256gcm16-esn", "ESP:AES_GCM_16_256/EXT_SEQ"),
            (
                "aes256gcm16-esn-noesn-x25519-none",
                "ESP:AES_GCM_16_256/CURVE_25519/MODP_NONE/EXT_SEQ/NO_EXT_SEQ",
            ),
            ("aes256", "ESP:AES_CBC_256/NO_EXT_SEQ"),
            ("aes128-sha1-prfsha1", "ESP:AES_CBC_128/HMAC_SHA1_96/NO_EXT_SEQ"),
        ],
    );
    assert_parses(
        Protocol::AH,
        &[
            ("sha256-x25519", "AH:HMAC_SHA2_256_128/CURVE_25519/NO_EXT_SEQ"),
            ("aes256gmac-esn", "AH:AES_256_GMAC/EXT_SEQ"),
            ("aes256-sha512-prfsha512", "AH:HMAC_SHA2_512_256/NO_EXT_SEQ"),
        ],
    );
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    let mixed = "classic and combined-mode (AEAD) encryption algorithms can't be contained in the same";
    assert_refused(
        Protocol::IKE,
        &[
            ("aes256-sha256-x25519-kyber9", "algorithm 'kyber9' not recognized"),
            ("aes256-SHA256-x25519", "algorithm 'SHA256' not recognized"),
            ("", "algorithm '' not recognized"),
            (
                "aes256gcm16-x25519",
                "a PRF algorithm is mandatory in IKE proposals",
            ),
            (
                "aes256-sha256_96-x25519",
                "a PRF algorithm is mandatory in IKE proposals",
            ),
            ("aes256-sha256", "a DH group is mandatory in IKE proposals"),
            (
                "aes256-sha256-modpnone",
                "a DH group is mandatory in IKE proposals",
            ),
            (
                "aes256-sha256-ke1_kyber3",
                "a DH group is mandatory in IKE proposals",
            ),
            (
                "sha256-x25519",
                "an encryption algorithm is mandatory in IKE proposals",
            ),
            (
                "aes256-aes256gcm16-sha256-x25519",
                &format!("{mixed} IKE proposal"),
            ),
            (
                "aes256-prfsha256-x25519",
                "an integrity algorithm is mandatory in IKE proposals with classic (non-AEAD) encryption algorithms",
            ),
        ],
    );
    assert_refused(
        Protocol::ESP,
        &[
            ("sha256", "an encryption algorithm is mandatory in ESP proposals"),
            ("aes256-aes256gcm16-sha256", &format!("{mixed} ESP proposal")),
        ],
    );
    assert_refused(
        Protocol::AH,
        &[("aes256", "an integrity algorithm is mandatory in AH proposals")],
    );
}

#[test]
fn a_list_is_numbered_and_what_is_invalid_in_it_skipped_with_a_reason() {
    let registry = registry();
    let entries = [
        "aes256gcm16-sha512-x25519,aes256-kyber9".to_owned(),
        "aes256-sha256-x25519".to_owned(),
    ];
    let (proposals, messages) =
        Proposal::expand(&entries, false, Protocol::IKE, &registry, DefaultStyle::Rfc);
    assert_eq!(proposals.iter().map(|it| it.number).collect::<Vec<_>>(), [1, 2]);
    assert!(proposals[1].offers(TransformType::ENCR, 12));
    assert_eq!(
        messages,
        [
            "algorithm 'kyber9' not recognized",
            "skipped invalid proposal string: aes256-kyber9"
        ]
    );
}

#[test]
fn more_proposals_than_there_are_numbers_are_cut_off() {
    let registry = registry();
    let entries = vec!["aes256gcm16".to_owned(); 300];
    let (proposals, _) = Proposal::expand(&entries, true, Protocol::ESP, &registry, DefaultStyle::Rfc);
    assert_eq!(proposals.len(), 255);
    assert_eq!(proposals.last().map(|it| it.number), Some(255));
}

#[test]
fn the_defaults_stand_where_the_list_says_or_where_there_is_none() {
    let registry = registry();
    let expand = |entries: &[&str], append| {
        let entries: Vec<_> = entries.iter().map(|it| (*it).to_owned()).collect();
        Proposal::expand(&entries, append, Protocol::ESP, &registry, DefaultStyle::Draft).0
    };
    let defaults = Proposal::defaults(Protocol::ESP, &registry, DefaultStyle::Draft);
    assert_eq!(expand(&[], false), defaults);
    assert_eq!(expand(&["default"], false), defaults);
    assert_eq!(expand(&["aes256gcm16"], false).len(), 1);
    assert_eq!(
        expand(&["kyber9"], false).len(),
        0,
        "strict and invalid is nothing, not the defaults"
    );
    let appended = expand(&["aes256gcm16"], true);
    assert_eq!(appended.iter().map(|it| it.number).collect::<Vec<_>>(), [1, 2, 3]);
    let between = expand(&["aes256gcm16", "default", "aes128gcm16"], false);
    assert_eq!(between[1].transforms, defaults[0].transforms);
    assert_eq!(between[3].number, 4);
}

#[test]
fn a_proposal_answers_questions_about_its_key_exchanges() {
    let registry = registry();
    let text = "aes256gcm16-prfsha512-ecp256-x25519-ke3_none-ke3_saber3-ke2_ntrup3-ke1_kyber3";
    let mut proposal = Proposal::parse(text, Protocol::IKE, &registry).expect("valid");
    assert_eq!(proposal.key_exchange(), Some(KeyExchangeMethod::ECP_256));
    assert_eq!(
        proposal.additional_key_exchanges(),
        [
            (1, KeyExchangeMethod::KYBER_L3),
            (2, KeyExchangeMethod::NTRU_HPS_L3)
        ],
        "ascending, and the third resolves to NONE"
    );
    assert!(proposal.has_additional());
    assert!(proposal.offers(TransformType::KE, 31) && !proposal.offers(TransformType::KE, 20));

    proposal.promote_key_exchange(KeyExchangeMethod::CURVE_25519);
    assert_eq!(proposal.key_exchange(), Some(KeyExchangeMethod::CURVE_25519));
    let before = proposal.clone();
    proposal.promote_key_exchange(KeyExchangeMethod::MODP_3072);
    assert_eq!(proposal, before, "what is not offered cannot be promoted");
    assert!(
        proposal
            .to_string()
            .starts_with("IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/ECP_256/KE1_")
    );

    let bare = proposal.without_key_exchanges();
    assert_eq!(bare.to_string(), "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512");
    assert_eq!(bare.key_exchange(), None);
    assert!(!bare.has_additional());
}
