//! Every key and every AUTH of two recorded connections, computed anew.

use std::sync::Arc;

use iana::{Profile, Protocol};
use plugin_api::Secret;

use super::algorithms::{HmacPrf, registry};
use super::trace::{Log, Trace};
use crate::keymat::{self, Rekeyed};
use crate::{ChildSuite, IntAuth, Proposal, ProtectionKey, RekeyPrf, Role, SkKeys, Suite, auth};

const IKE_SA_INIT: u8 = 34;
const IKE_AUTH: u8 = 35;
const CREATE_CHILD_SA: u8 = 36;
const ID_I: u8 = 35;
const ID_R: u8 = 36;
const NONCE: u8 = 40;

fn suite() -> Arc<Suite> {
    let registry = registry();
    let proposal = Proposal::parse("aes256gcm16-prfsha512-x25519", Protocol::IKE, &registry).expect("valid");
    Suite::new(&proposal, &registry).expect("implemented")
}

fn child_suite() -> ChildSuite {
    let proposal = Proposal::parse("aes256gcm16", Protocol::ESP, &registry()).expect("valid");
    ChildSuite::new(&proposal).expect("complete")
}

fn assert_keys(keys: &SkKeys, log: &mut Log<'_>) {
    assert_eq!(keys.sk_d, log.secret("Sk_d"));
    assert_eq!(keys.sk_ei, log.secret("Sk_ei"));
    assert_eq!(keys.sk_er, log.secret("Sk_er"));
    assert_eq!(keys.sk_pi, log.secret("Sk_pi"));
    assert_eq!(keys.sk_pr, log.secret("Sk_pr"));
    assert!(
        keys.sk_ai.is_empty() && keys.sk_ar.is_empty(),
        "an AEAD has no integrity keys"
    );
}

/// What is known after the IKE_INTERMEDIATE: keys, nonces and IntAuth.
struct Established {
    keys: SkKeys,
    ni: Vec<u8>,
    nr: Vec<u8>,
    int_auth: Option<Vec<u8>>,
}

fn establish(trace: &Trace, profile: Profile, log: &mut Log<'_>) -> Established {
    let suite = suite();
    let (spi_i, spi_r) = Trace::spis(trace.packet(IKE_SA_INIT, true, 0));

    let shared = log.secret("key exchange secret");
    let nonces = log.next("nonces");
    let (ni, nr) = nonces.split_at(32);
    assert_eq!(
        keymat::prf(suite.prf(), &nonces, &[shared.expose()]),
        Ok(log.secret("SKEYSEED"))
    );
    let first = keymat::derive_initial(&suite, &shared, ni, nr, spi_i, spi_r).expect("derived");
    assert_keys(&first, log);

    let mut int_auth = IntAuth::new(profile);
    assert_eq!(
        int_auth.finish(1),
        None,
        "nothing to authenticate before any IKE_INTERMEDIATE"
    );
    for (sender, sk_p) in [(Role::Initiator, &first.sk_pi), (Role::Responder, &first.sk_pr)] {
        let octets = log.next("IntAuth_A|P");
        assert_eq!(*sk_p, log.secret("SK_p"));
        int_auth
            .add(sender, suite.prf(), sk_p, &octets)
            .expect("computed");
        if profile == Profile::Draft {
            let value = log.next("IntAuth = prf(Sk_px, data)");
            let so_far = int_auth.finish(2).expect("a message was added");
            assert_eq!(so_far[so_far.len() - 64..], value);
        }
    }

    let shared = log.secret("key exchange secret");
    assert_eq!(log.next("nonces"), nonces, "the nonces stay those of IKE_SA_INIT");
    let skeyseed = keymat::prf(suite.prf(), first.sk_d.expose(), &[shared.expose(), ni, nr]);
    assert_eq!(skeyseed, Ok(log.secret("SKEYSEED")));
    let keys = keymat::derive_next(&suite, &first.sk_d, &shared, ni, nr, spi_i, spi_r).expect("derived");
    assert_keys(&keys, log);
    Established {
        keys,
        ni: ni.to_vec(),
        nr: nr.to_vec(),
        int_auth: int_auth.finish(2),
    }
}

fn assert_auth(trace: &Trace, profile: Profile) {
    let prf = HmacPrf::Sha512;
    let mut log = trace.log();
    let Established {
        keys,
        ni,
        nr,
        int_auth,
    } = establish(trace, profile, &mut log);
    let sides = [(false, &nr, &keys.sk_pi, ID_I), (true, &ni, &keys.sk_pr, ID_R)];
    for (response, peer_nonce, sk_p, id) in sides {
        assert_eq!(*sk_p, log.secret("SK_p"));
        let message = trace.packet(IKE_SA_INIT, response, 0);
        let rest_of_id = trace.payload(IKE_AUTH, response, 2, id);
        let octets = auth::signed_octets(message, peer_nonce, &prf, sk_p, &rest_of_id, int_auth.as_deref())
            .expect("computed");
        assert_eq!(octets, log.next("octets = message"));
        let psk = log.next("secret");
        let computed = auth::psk_auth(&prf, &psk, &[&octets[..100], &octets[100..]]).expect("computed");
        let expected = log.next("AUTH = ");
        assert!(auth::verify(&computed, &expected));
        assert_eq!(computed.expose(), expected);
        let sent = trace.payload(IKE_AUTH, response, 2, 39);
        assert!(auth::verify(&computed, &sent[4..]), "as sent");
        assert!(!auth::verify(&computed, &sent[5..]) && !auth::verify(&computed, &[]));
    }
}

fn assert_children_and_rekeying(trace: &Trace, profile: Profile) {
    let prf = HmacPrf::Sha512;
    let child = child_suite();
    let mut log = trace.log();
    let Established { keys, ni, nr, .. } = establish(trace, profile, &mut log);

    let first = keymat::derive_child(&prf, &child, &keys.sk_d, &[], &ni, &nr).expect("derived");
    assert_eq!(first.encryption_i, log.secret("encryption initiator key"));
    assert_eq!(first.encryption_r, log.secret("encryption responder key"));
    assert!(first.integrity_i.is_empty() && first.integrity_r.is_empty());

    let secrets = [
        log.secret("key exchange secret"),
        log.secret("additional key exchange secret"),
    ];
    let [ni, nr] = [false, true].map(|response| trace.payload(CREATE_CHILD_SA, response, 3, NONCE));
    let second = keymat::derive_child(&prf, &child, &keys.sk_d, &secrets, &ni, &nr).expect("derived");
    assert_eq!(second.encryption_i, log.secret("encryption initiator key"));
    assert_eq!(second.encryption_r, log.secret("encryption responder key"));

    let secrets = [
        log.secret("key exchange secret"),
        log.secret("additional key exchange secret"),
    ];
    let nonces = log.next("nonces");
    let (ni, nr) = nonces.split_at(32);
    let parts = [secrets[0].expose(), ni, nr, secrets[1].expose()];
    let skeyseed = keymat::prf(&prf, keys.sk_d.expose(), &parts);
    assert_eq!(skeyseed, Ok(log.secret("SKEYSEED")));
    let (spi_i, spi_r) = trace.last_spis();
    for rule in [RekeyPrf::Old, RekeyPrf::New] {
        let from = Rekeyed {
            old_prf: &prf,
            old_sk_d: &keys.sk_d,
            secrets: &secrets,
            ni,
            nr,
            spi_i,
            spi_r,
            rule,
        };
        let rekeyed = keymat::derive_rekeyed(&suite(), &from).expect("derived");
        assert_keys(&rekeyed, &mut log.clone());
    }
}

#[test]
fn the_draft_connection_has_the_keys_of_its_log() {
    assert_children_and_rekeying(&Trace::draft(), Profile::Draft);
}

#[test]
fn the_rfc_connection_has_the_keys_of_its_log() {
    assert_children_and_rekeying(&Trace::rfc(), Profile::Rfc);
}

#[test]
fn the_draft_connection_has_the_auth_values_of_its_log() {
    assert_auth(&Trace::draft(), Profile::Draft);
}

#[test]
fn the_rfc_connection_has_the_auth_values_of_its_log() {
    assert_auth(&Trace::rfc(), Profile::Rfc);
}

#[test]
fn int_auth_has_the_length_of_its_profile() {
    for (trace, profile, len) in [
        (Trace::draft(), Profile::Draft, 128),
        (Trace::rfc(), Profile::Rfc, 132),
    ] {
        let int_auth = establish(&trace, profile, &mut trace.log()).int_auth;
        assert_eq!(int_auth.map(|it| it.len()), Some(len));
    }
}

#[test]
fn a_suite_seals_and_opens_with_the_keys_of_the_trace() {
    let trace = Trace::rfc();
    let keys = establish(&trace, Profile::Rfc, &mut trace.log()).keys;
    let protect = |sk_e: &Secret| match suite().protect(sk_e.expose(), &[]).expect("the right length") {
        ProtectionKey::Aead(key) => key,
        ProtectionKey::Classic { .. } => panic!("AES-GCM is an AEAD"),
    };
    let packet = trace.packet(IKE_AUTH, true, 2);
    let (aad, sealed) = packet.split_at(32);
    let (iv, sealed) = sealed.split_at(8);
    let (data, tag) = sealed.split_at(sealed.len() - 16);
    let mut opened = data.to_vec();
    protect(&keys.sk_er)
        .open(iv, aad, &mut opened, tag)
        .expect("the responder's message");
    let mut again = [0; 16];
    protect(&keys.sk_er)
        .seal(iv, aad, &mut opened, &mut again)
        .expect("sealed");
    assert_eq!((opened.as_slice(), again.as_slice()), (data, tag));
    assert!(
        protect(&keys.sk_ei).open(iv, aad, &mut opened, tag).is_err(),
        "the initiator has another key"
    );
    assert!(suite().protect(&keys.sk_er.expose()[1..], &[]).is_err());
}
