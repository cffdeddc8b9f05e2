//! Rules of key derivation that no trace shows.

use iana::{EncryptionAlgorithm, Profile, Protocol, PseudoRandomFunction};
use plugin_api::{ErrorKind, Feature, Secret};

use super::algorithms::{EchoPrf, Gcm256, HmacPrf, registry};
use crate::keymat::{self, Rekeyed};
use crate::{ChildSuite, IntAuth, Proposal, ProtectionKey, RekeyPrf, Role, Suite, SuiteError};

fn secret(octet: u8) -> Secret {
    Secret::new(vec![octet; 32])
}

fn suite(text: &str) -> std::sync::Arc<Suite> {
    let registry = registry();
    let proposal = Proposal::parse(text, Protocol::IKE, &registry).expect("valid");
    Suite::new(&proposal, &registry).expect("implemented")
}

#[test]
fn prf_plus_is_a_prefix_of_its_longer_self_and_ends_after_255_blocks() {
    let prf = HmacPrf::Sha256;
    let long = keymat::prf_plus(&prf, b"key", &[b"se", b"ed"], 255 * 32).expect("the most there is");
    for len in [0, 1, 31, 32, 33, 64, 100] {
        let short = keymat::prf_plus(&prf, b"key", &[b"seed"], len).expect("short enough");
        assert_eq!(short.expose(), &long.expose()[..len]);
    }
    let first = keymat::prf(&prf, b"key", &[b"seed", &[1]]).expect("computed");
    let second = keymat::prf(&prf, b"key", &[first.expose(), b"seed", &[2]]).expect("computed");
    assert_eq!(&long.expose()[32..64], second.expose());
    let error = keymat::prf_plus(&prf, b"key", &[b"seed"], 255 * 32 + 1).expect_err("too much");
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
}

#[test]
fn a_prf_with_a_fixed_key_length_gets_half_of_it_from_each_nonce_in_the_first_skeyseed_only() {
    let mut registry = registry();
    for feature in [
        Feature::prf(PseudoRandomFunction::AES128_XCBC, EchoPrf),
        Feature::aead(EncryptionAlgorithm::AES_GCM_16, 32, Gcm256),
    ] {
        registry.add("test", feature.name, &feature.implementation);
    }
    let proposal = Proposal::parse("aes256gcm16-prfaesxcbc-x25519", Protocol::IKE, &registry).expect("valid");
    let suite = Suite::new(&proposal, &registry).expect("implemented");
    let (ni, nr) = ([1; 32], [2; 32]);
    let keys = keymat::derive_initial(&suite, &secret(9), &ni, &nr, 3, 4).expect("derived");
    let expected = [[1; 8], [2; 8]].concat();
    assert_eq!(
        keys.sk_d.expose(),
        expected,
        "the echo's output starts with SKEYSEED, which starts with the key"
    );

    let next = keymat::derive_next(&suite, &secret(7), &secret(9), &ni, &nr, 3, 4).expect("derived");
    assert_eq!(next.sk_d.expose(), [7; 16], "later the key is SK_d");

    let short = keymat::derive_initial(&suite, &secret(9), &[1; 4], &nr, 3, 4);
    assert!(short.is_ok(), "a peer's short nonce is no reason to panic");
}

#[test]
fn classic_suites_have_integrity_keys_of_their_own() {
    let suite = suite("aes128-sha256-prfsha512-x25519");
    assert_eq!((suite.encryption_key_len(), suite.integrity_key_len()), (16, 32));
    assert_eq!(suite.prf_id(), PseudoRandomFunction::HMAC_SHA2_512);
    let keys = keymat::derive_initial(&suite, &secret(9), &[1; 32], &[2; 32], 3, 4).expect("derived");
    let lens = [
        &keys.sk_d,
        &keys.sk_ai,
        &keys.sk_ar,
        &keys.sk_ei,
        &keys.sk_er,
        &keys.sk_pi,
        &keys.sk_pr,
    ]
    .map(Secret::len);
    assert_eq!(lens, [64, 32, 32, 16, 16, 64, 64]);
    match suite
        .protect(keys.sk_ei.expose(), keys.sk_ai.expose())
        .expect("the right lengths")
    {
        ProtectionKey::Classic {
            integrity, tag_len, ..
        } => {
            let mut tag = vec![0; tag_len];
            integrity.sign(&[b"message"], &mut tag).expect("the right length");
            assert!(integrity.verify(&[b"mess", b"age"], &tag).is_ok());
        }
        ProtectionKey::Aead(_) => panic!("AES-CBC is no AEAD"),
    }
}

#[test]
fn a_change_of_prf_in_a_rekeying_follows_the_rule_chosen() {
    let (old_sk_d, secrets) = (secret(5), [secret(6)]);
    let new = suite("aes256gcm16-prfsha256-x25519");
    let derive = |rule| {
        let from = Rekeyed {
            old_prf: &HmacPrf::Sha512,
            old_sk_d: &old_sk_d,
            secrets: &secrets,
            ni: &[1; 32],
            nr: &[2; 32],
            spi_i: 3,
            spi_r: 4,
            rule,
        };
        keymat::derive_rekeyed(&new, &from).expect("derived")
    };
    let parts: [&[u8]; 3] = [&[6; 32], &[1; 32], &[2; 32]];
    let skeyseed = keymat::prf(&HmacPrf::Sha512, &[5; 32], &parts).expect("computed");
    let seed: [&[u8]; 4] = [&[1; 32], &[2; 32], &3u64.to_be_bytes(), &4u64.to_be_bytes()];
    let expected = |prf: HmacPrf| keymat::prf_plus(&prf, skeyseed.expose(), &seed, 32).expect("computed");
    assert_eq!(derive(RekeyPrf::Old).sk_d, expected(HmacPrf::Sha512));
    assert_eq!(derive(RekeyPrf::New).sk_d, expected(HmacPrf::Sha256));
    assert_eq!(
        derive(RekeyPrf::Old).sk_pr.len(),
        32,
        "lengths are the new PRF's in both"
    );
}

#[test]
fn an_ike_sa_is_not_rekeyed_without_key_exchange() {
    let suite = suite("aes256gcm16-prfsha512-x25519");
    let from = Rekeyed {
        old_prf: suite.prf(),
        old_sk_d: &secret(5),
        secrets: &[],
        ni: &[1; 32],
        nr: &[2; 32],
        spi_i: 3,
        spi_r: 4,
        rule: RekeyPrf::New,
    };
    assert!(keymat::derive_rekeyed(&suite, &from).is_err());
}

#[test]
fn child_keys_are_cut_encryption_then_integrity_then_the_other_direction() {
    let proposal = Proposal::parse("aes256-sha256-esn", Protocol::ESP, &registry()).expect("valid");
    let child = ChildSuite::new(&proposal).expect("complete");
    assert_eq!(
        (child.encryption_key_len, child.integrity_key_len, child.esn),
        (32, 32, true)
    );
    let secrets = [secret(1), secret(2), secret(3)];
    let keys =
        keymat::derive_child(&HmacPrf::Sha512, &child, &secret(4), &secrets, b"ni", b"nr").expect("derived");
    let seed: [&[u8]; 5] = [&[1; 32], b"ni", b"nr", &[2; 32], &[3; 32]];
    let keymat = keymat::prf_plus(&HmacPrf::Sha512, &[4; 32], &seed, 128).expect("computed");
    let cut = [
        keys.encryption_i,
        keys.integrity_i,
        keys.encryption_r,
        keys.integrity_r,
    ];
    assert_eq!(cut.map(|key| key.expose().to_vec()).concat(), keymat.expose());
}

#[test]
fn child_suites_know_the_lengths_of_salts_and_of_ah() {
    let registry = registry();
    let child = |text, protocol| {
        let proposal = Proposal::parse(text, protocol, &registry).expect("valid");
        ChildSuite::new(&proposal).map(|child| (child.encryption_key_len, child.integrity_key_len))
    };
    assert_eq!(child("aes256gcm16", Protocol::ESP), Ok((36, 0)));
    assert_eq!(child("aes128ccm16", Protocol::ESP), Ok((19, 0)));
    assert_eq!(child("chacha20poly1305", Protocol::ESP), Ok((36, 0)));
    assert_eq!(child("3des-sha1", Protocol::ESP), Ok((24, 20)));
    assert_eq!(child("sha512", Protocol::AH), Ok((0, 64)));
    assert_eq!(
        child("aes128gmac", Protocol::AH),
        Err(SuiteError::UnknownLength("AES_128_GMAC".to_owned()))
    );
}

#[test]
fn a_suite_names_what_is_missing() {
    let registry = registry();
    let error = |text| {
        let proposal = Proposal::parse(text, Protocol::IKE, &registry).expect("valid");
        Suite::new(&proposal, &registry)
            .expect_err("not implemented")
            .to_string()
    };
    assert_eq!(
        error("3des-sha256-x25519"),
        "no loaded plugin implements 3DES_CBC; add one that does to charon.load"
    );
    assert_eq!(
        error("aes256gcm16-prfmd5-x25519"),
        "no loaded plugin implements PRF_HMAC_MD5; add one that does to charon.load"
    );
    let proposal = Proposal::parse("aes256", Protocol::ESP, &registry).expect("valid");
    let missing = Suite::new(&proposal, &registry).expect_err("no PRF").to_string();
    assert_eq!(
        missing,
        "proposal ESP:AES_CBC_256/NO_EXT_SEQ has no PSEUDO_RANDOM_FUNCTION transform"
    );
}

#[test]
fn int_auth_of_several_exchanges_lists_or_chains_them() {
    let prf = HmacPrf::Sha256;
    let compute = |key: u8, parts: &[&[u8]]| {
        keymat::prf(&prf, &[key; 32], parts)
            .expect("computed")
            .expose()
            .to_vec()
    };
    let messages: [(Role, u8, &[u8]); 4] = [
        (Role::Initiator, 1, b"i1"),
        (Role::Responder, 2, b"r1"),
        (Role::Initiator, 3, b"i2"),
        (Role::Responder, 4, b"r2"),
    ];
    let finish = |profile| {
        let mut int_auth = IntAuth::new(profile);
        for (sender, key, octets) in messages {
            int_auth
                .add(sender, &prf, &secret(key), octets)
                .expect("computed");
        }
        int_auth.finish(3)
    };
    let flat: Vec<_> = messages
        .iter()
        .map(|(_, key, octets)| compute(*key, &[octets]))
        .collect();
    assert_eq!(finish(Profile::Draft), Some(flat.concat()));

    let i2 = compute(3, &[&compute(1, &[b"i1"]), b"i2"]);
    let r2 = compute(4, &[&compute(2, &[b"r1"]), b"r2"]);
    assert_eq!(finish(Profile::Rfc), Some([i2, r2, vec![0, 0, 0, 3]].concat()));
    assert_eq!(
        IntAuth::new(Profile::Rfc).finish(1),
        None,
        "no message ID alone either"
    );
}
