//! Public values and ciphertexts of wrong lengths.

use std::sync::Arc;
use std::time::Duration;

use config::connection::{PeerConfig, ProposalList};
use crypto::null::NullKeyExchange;
use iana::KeyExchangeMethod;
use pqswan_tests::world::{CAROL, MOON, PSK, World, carol, moon, share};

use super::handshake::{MINUTE, calm, seed_settings};
use super::misbehaviour::{PAIR, fails};

/// moon and carol with implementations of their own of a method.
pub(super) fn with_methods(
    pair: &str,
    method: KeyExchangeMethod,
    moon: fn() -> Arc<dyn plugin_api::KeyExchange>,
    carol: fn() -> Arc<dyn plugin_api::KeyExchange>,
) -> World {
    let registry = |own: fn() -> Arc<dyn plugin_api::KeyExchange>| {
        pqswan_tests::crypto::registry_with(move |it, exchange| if it == method { own() } else { exchange })
    };
    let settings = seed_settings();
    let mut world = World::with_registry(pair, &settings, &registry(moon), calm(), 1);
    let other = World::with_registry(pair, &settings, &registry(carol), calm(), 1);
    world.hosts[1] = other.hosts.into_iter().nth(1).expect("carol");
    world
}

#[test]
fn a_ciphertext_of_wrong_length_ends_the_attempt() {
    let world = with_methods(
        PAIR,
        KeyExchangeMethod::KYBER_L3,
        || Arc::new(NullKeyExchange::new(1, 1184, 1087)),
        || Arc::new(Strict(1184, 1088)),
    );
    fails(
        world,
        &[
            (
                1,
                "additional key exchange 1 (KYBER_L3) failed: ciphertext has 1087 octets instead of 1088",
            ),
            (0, "deleting half open IKE_SA with 192.168.0.3 after timeout"),
        ],
    );
}

/// In IKE_FOLLOWUP_KE only the CHILD_SA or IKE_SA to be made is lost.
#[test]
fn lengths_that_are_wrong_in_a_rekeying_leave_what_there_is() {
    let wrong_public = (
        1183,
        1088,
        "additional key exchange 1 (KYBER_L3) failed: public key has 1183 octets instead of 1184",
    );
    let wrong_ciphertext = (
        1184,
        1087,
        "additional key exchange 1 (KYBER_L3) failed: ciphertext has 1087 octets instead of 1088",
    );
    for (host, (public, ciphertext, line)) in [(0, wrong_public), (1, wrong_ciphertext)] {
        let own =
            move |it: KeyExchangeMethod, exchange: Arc<dyn plugin_api::KeyExchange>, strict: bool| match it {
                KeyExchangeMethod::KYBER_L3 if strict => Arc::new(Strict(1184, 1088)) as _,
                KeyExchangeMethod::KYBER_L3 => Arc::new(NullKeyExchange::new(1, public, ciphertext)) as _,
                _ => exchange,
            };
        let registry =
            |strict| pqswan_tests::crypto::registry_with(move |it, exchange| own(it, exchange, strict));
        let settings = seed_settings();
        let mut world = World::new(&[MOON, CAROL], &settings, &registry(host == 0), calm(), 1);
        let other = World::new(&[MOON, CAROL], &settings, &registry(host == 1), calm(), 1);
        world.hosts[1] = other.hosts.into_iter().nth(1).expect("carol");
        for (host, config) in world.hosts.iter_mut().zip([moon(PAIR), carol(PAIR)]) {
            // Kyber only when the first CHILD_SA is there.
            let plain = "aes256gcm16-sha512-x25519";
            let entries = vec![format!("{plain},{PAIR}").trim_end_matches('!').to_owned()];
            let append_defaults = false;
            let proposals = ProposalList {
                entries,
                append_defaults,
            };
            host.endpoint.add_connection(PeerConfig { proposals, ..config });
            share(&mut host.endpoint, PSK);
        }
        world.initiate(1);
        assert!(world.run_until(MINUTE, World::is_established));
        let child = world.live_child(1).expect("a CHILD_SA").unique_id;
        let command = world.rekey_child(1, child);
        world.run_for(Duration::from_secs(1));
        assert!(world.logged(host, line), "{:#?}", world.hosts[host].log);
        let failed = |(id, result): &(_, Result<(), _>)| *id == command && result.is_err();
        assert!(world.hosts[1].done.iter().any(failed));
        assert!(world.is_established());
        world.assert_consistent();
    }
}

#[test]
fn a_public_key_of_wrong_length_is_answered_with_an_error() {
    let world = with_methods(
        PAIR,
        KeyExchangeMethod::KYBER_L3,
        || Arc::new(Strict(1184, 1088)),
        || Arc::new(NullKeyExchange::new(1, 1183, 1088)),
    );
    fails(
        world,
        &[
            (
                0,
                "additional key exchange 1 (KYBER_L3) failed: public key has 1183 octets instead of 1184",
            ),
            (0, "generating IKE_INTERMEDIATE response 1 [ N(NO_PROP) ]"),
            (1, "received NO_PROPOSAL_CHOSEN notify error"),
        ],
    );
}

#[test]
fn a_malformed_key_of_ml_kem_is_answered_as_its_document_wants() {
    let world = with_methods(
        "aes256gcm16-sha512-x25519-ke1_mlkem768!",
        KeyExchangeMethod::ML_KEM_768,
        || Arc::new(Strict(1184, 1088)),
        || Arc::new(NullKeyExchange::new(1, 1183, 1088)),
    );
    fails(
        world,
        &[
            (
                0,
                "additional key exchange 1 (ML_KEM_768) failed: public key has 1183 octets instead of 1184",
            ),
            (0, "generating IKE_INTERMEDIATE response 1 [ N(INVAL_SYN) ]"),
            (1, "received INVALID_SYNTAX notify error"),
        ],
    );
}

#[test]
fn a_public_value_of_wrong_length_in_the_first_message_leaves_no_state() {
    let world = with_methods(
        PAIR,
        KeyExchangeMethod::CURVE_25519,
        || Arc::new(Strict(32, 32)),
        || Arc::new(NullKeyExchange::new(2, 31, 32)),
    );
    fails(
        world,
        &[
            (
                0,
                "applying key exchange public key failed: public key has 31 octets instead of 32",
            ),
            (1, "received NO_PROPOSAL_CHOSEN notify error"),
        ],
    );
}

/// A KEM that only checks lengths, around the instant one.
pub(super) struct Strict(usize, usize);

struct StrictPending(Box<dyn plugin_api::PendingKeyExchange>, usize);

impl plugin_api::KeyExchange for Strict {
    fn initiate(
        &self,
    ) -> Result<(Vec<u8>, Box<dyn plugin_api::PendingKeyExchange>), plugin_api::PluginError> {
        let (public, pending) = NullKeyExchange::new(1, self.0, self.1).initiate()?;
        Ok((public, Box::new(StrictPending(pending, self.1))))
    }

    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, plugin_api::Secret), plugin_api::PluginError> {
        if peer.len() != self.0 {
            return Err(plugin_api::PluginError::wrong_length(
                "public key",
                peer.len(),
                self.0,
            ));
        }
        NullKeyExchange::new(1, self.0, self.1).respond(peer)
    }
}

impl plugin_api::PendingKeyExchange for StrictPending {
    fn finish(self: Box<Self>, peer: &[u8]) -> Result<plugin_api::Secret, plugin_api::PluginError> {
        if peer.len() != self.1 {
            return Err(plugin_api::PluginError::wrong_length(
                "ciphertext",
                peer.len(),
                self.1,
            ));
        }
        self.0.finish(peer)
    }
}
