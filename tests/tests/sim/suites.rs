//! Every suite of the plugins protects an IKE_SA: from IKE_SA_INIT on, in fragments, and when it is replaced.

use std::sync::Arc;
use std::time::Duration;

use aes::{Aes128, Aes192, Aes256};
use blowfish::Blowfish;
use camellia::{Camellia128, Camellia256};
use cipher::consts::{U8, U12, U16};
use config::connection::{PeerConfig, ProposalList};
use crypto::registry::Registry;
use des::TdesEde3;
use iana::{EncryptionAlgorithm as Encr, IntegrityAlgorithm as Integ, PseudoRandomFunction as Prf};
use md5::Md5;
use modes::{Cbc, Ccm, CmacIntegrity, CmacPrf, Ctr, HmacIntegrity, HmacPrf, Xcbc, XcbcPrf};
use plugin_api::Feature;
use pqswan_tests::world::{World, carol, moon, share};

use super::handshake::{MINUTE, calm, seed_settings};

fn registry() -> Arc<Registry> {
    let mut registry = pqswan_tests::crypto::registry();
    let add = Arc::get_mut(&mut registry).expect("nobody else has it yet");
    for feature in [
        Feature::cipher(Encr::AES_CBC, 32, Cbc::<Aes256>::new()),
        Feature::cipher(Encr::AES_CTR, 16, Ctr::<Aes128>::new()),
        Feature::cipher(Encr::AES_CTR, 32, Ctr::<Aes256>::new()),
        Feature::cipher(Encr::TRIPLE_DES_CBC, 24, Cbc::<TdesEde3>::new()),
        Feature::cipher(Encr::BLOWFISH_CBC, 24, Cbc::<Blowfish>::with_key_len(24)),
        Feature::cipher(Encr::CAMELLIA_CBC, 32, Cbc::<Camellia256>::new()),
        Feature::cipher(Encr::CAMELLIA_CTR, 16, Ctr::<Camellia128>::new()),
        Feature::aead(Encr::AES_CCM_8, 16, Ccm::<Aes128, U8>::new()),
        Feature::aead(Encr::AES_CCM_12, 24, Ccm::<Aes192, U12>::new()),
        Feature::aead(Encr::AES_CCM_16, 32, Ccm::<Aes256, U16>::new()),
        Feature::aead(Encr::CAMELLIA_CCM_16, 32, Ccm::<Camellia256, U16>::new()),
        Feature::prf(Prf::AES128_XCBC, XcbcPrf::<Aes128>::new()),
        Feature::prf(Prf::AES128_CMAC, CmacPrf::<Aes128>::new()),
        Feature::prf(Prf::CAMELLIA128_XCBC, XcbcPrf::<Camellia128>::new()),
        Feature::prf(Prf::HMAC_MD5, HmacPrf::<Md5>::new()),
        Feature::integrity(Integ::AES_XCBC_96, Xcbc::<Aes128>::new()),
        Feature::integrity(Integ::CAMELLIA_XCBC_96, Xcbc::<Camellia128>::new()),
        Feature::integrity(Integ::AES_CMAC_96, CmacIntegrity::<Aes128>::new(16, 12)),
        Feature::integrity(Integ::HMAC_MD5_96, HmacIntegrity::<Md5>::new(16, 12)),
    ] {
        add.add("all", feature.name, &feature.implementation);
    }
    registry
}

#[test]
fn every_suite_establishes_fragments_and_is_replaced() {
    for suite in [
        "aes256-aesxcbc",
        "aes128ctr-sha256",
        "aes256ctr-aescmac",
        "3des-md5",
        "blowfish192-sha256",
        "camellia256-sha512",
        "camellia128ctr-camelliaxcbc",
        "aes128ccm8-prfaesxcbc",
        "aes192ccm12-prfaescmac",
        "aes256ccm16-prfsha512",
        "camellia256ccm16-prfcamelliaxcbc",
        "aes256gcm16-prfmd5",
    ] {
        let settings = ike::Settings {
            fragment_size: 576,
            ..seed_settings()
        };
        let esp = "aes256gcm16!";
        let mut world = World::with_registry(esp, &settings, &registry(), calm(), 1);
        for (host, config) in world.hosts.iter_mut().zip([moon(esp), carol(esp)]) {
            host.endpoint.add_connection(PeerConfig {
                proposals: ProposalList {
                    entries: vec![format!("{suite}-x25519-ke1_kyber3")],
                    append_defaults: false,
                },
                ..config
            });
            share(&mut host.endpoint, pqswan_tests::world::PSK);
        }
        world.initiate(1);
        let up = world.run_until(MINUTE, World::is_established);
        assert!(up, "{suite}: {:#?}", world.hosts[1].log);
        assert!(world.logged(1, "splitting IKE message"), "{suite}");
        world.rekey_ike(1);
        world.run_for(Duration::from_secs(5));
        assert!(
            world.logged(1, "rekeyed between"),
            "{suite}: {:#?}",
            world.hosts[1].log
        );
        let child = world.live_child(1).expect("a CHILD_SA").unique_id;
        let command = world.rekey_child(1, child);
        world.run_for(Duration::from_secs(5));
        let done = |(id, result): &(_, Result<(), _>)| *id == command && result.is_ok();
        assert!(
            world.hosts[1].done.iter().any(done),
            "{suite}: {:#?}",
            world.hosts[1].log
        );
        world.assert_consistent();
    }
}
