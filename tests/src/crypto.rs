//! Algorithms for simulations, straight from the crates that plugins use too, and a registry of them.

use std::sync::Arc;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use crypto::null::NullKeyExchange;
use crypto::registry::Registry;
use hmac::{Hmac, Mac};
use iana::{
    EncryptionAlgorithm, HashAlgorithm, IntegrityAlgorithm, KeyExchangeMethod as Ke, PseudoRandomFunction,
};
use plugin_api::{
    Aead, AeadKey, ErrorKind, Feature, Hasher, Integrity, IntegrityKey, KeyExchange, PluginError, Prf, PrfKey,
};
use sha2::Digest;

struct Gcm;

struct GcmKey(Aes256Gcm, [u8; 4]);

impl Aead for Gcm {
    fn key_len(&self) -> usize {
        36
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError> {
        let (key, salt) = key.split_at(32);
        Ok(Box::new(GcmKey(
            Aes256Gcm::new_from_slice(key).unwrap(),
            salt.try_into().unwrap(),
        )))
    }
}

impl GcmKey {
    fn nonce(&self, iv: &[u8]) -> [u8; 12] {
        [&self.1[..], iv].concat().try_into().unwrap()
    }
}

impl AeadKey for GcmKey {
    fn iv_len(&self) -> usize {
        8
    }

    fn tag_len(&self) -> usize {
        16
    }

    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &mut [u8]) -> Result<(), PluginError> {
        let nonce = Nonce::from(self.nonce(iv));
        tag.copy_from_slice(&self.0.encrypt_inout_detached(&nonce, aad, data.into()).unwrap());
        Ok(())
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), PluginError> {
        let nonce = Nonce::from(self.nonce(iv));
        let tag: [u8; 16] = tag.try_into().unwrap();
        self.0
            .decrypt_inout_detached(&nonce, aad, data.into(), &Tag::from(tag))
            .map_err(|_| PluginError::new(ErrorKind::AuthenticationFailed, "tag does not fit"))
    }
}

macro_rules! hmacs {
    ($($name:ident $digest:ty, $len:literal;)+) => {
        $(
            struct $name;

            impl Prf for $name {
                fn key_len(&self) -> usize {
                    $len
                }

                fn output_len(&self) -> usize {
                    $len
                }

                fn create(&self, key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
                    Ok(Box::new(Keyed(Hmac::<$digest>::new_from_slice(key).unwrap())))
                }
            }

            impl PrfKey for Keyed<Hmac<$digest>> {
                fn compute(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
                    let mut mac = self.0.clone();
                    parts.iter().for_each(|part| mac.update(part));
                    let len = out.len();
                    out.copy_from_slice(&mac.finalize().into_bytes()[..len]);
                    Ok(())
                }
            }

            impl IntegrityKey for Keyed<Hmac<$digest>> {
                fn sign(&self, parts: &[&[u8]], tag: &mut [u8]) -> Result<(), PluginError> {
                    self.compute(parts, tag)
                }
            }

            impl Integrity for $name {
                fn key_len(&self) -> usize {
                    $len
                }

                fn tag_len(&self) -> usize {
                    $len / 2
                }

                fn create(&self, key: &[u8]) -> Result<Box<dyn IntegrityKey>, PluginError> {
                    Ok(Box::new(Keyed(Hmac::<$digest>::new_from_slice(key).unwrap())))
                }
            }

            impl Hasher for $name {
                fn output_len(&self) -> usize {
                    $len
                }

                fn hash(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
                    let mut digest = <$digest>::new();
                    parts.iter().for_each(|part| digest.update(part));
                    out.copy_from_slice(&digest.finalize());
                    Ok(())
                }
            }
        )+
    };
}

struct Keyed<M>(M);

hmacs! {
    Sha1 sha1::Sha1, 20;
    Sha256 sha2::Sha256, 32;
    Sha384 sha2::Sha384, 48;
    Sha512 sha2::Sha512, 64;
}

/// Methods that simulations use, with the lengths of the real ones: initiator's and responder's.
const METHODS: &[(Ke, usize, usize)] = &[
    (Ke::CURVE_25519, 32, 32),
    (Ke::ECP_256, 64, 64),
    (Ke::MODP_3072, 384, 384),
    (Ke::MODP_8192, 1024, 1024),
    (Ke::KYBER_L1, 800, 768),
    (Ke::KYBER_L3, 1184, 1088),
    (Ke::KYBER_L1_ROUND2, 800, 736),
    (Ke::KYBER_L3_ROUND2, 1184, 1088),
    (Ke::NTRU_HPS_L3, 930, 930),
    (Ke::SABER_L3, 992, 1088),
    (Ke::FRODO_AES_L3, 15632, 15744),
    (Ke::SIKE_L3, 462, 486),
    (Ke::ML_KEM_768, 1184, 1088),
    (Ke::ML_KEM_1024, 1568, 1568),
];

/// All of them; key exchanges are instant, deterministic and without security.
pub fn registry() -> Arc<Registry> {
    registry_with(|_, exchange| exchange)
}

/// The same, each key exchange wrapped by `wrap`.
pub fn registry_with(wrap: impl Fn(Ke, Arc<dyn KeyExchange>) -> Arc<dyn KeyExchange>) -> Arc<Registry> {
    build(|method, exchange| Some(wrap(method, exchange)))
}

/// The same without a key exchange, as if its plugin were not loaded.
pub fn registry_without(missing: Ke) -> Arc<Registry> {
    build(|method, exchange| (method != missing).then_some(exchange))
}

fn build(choose: impl Fn(Ke, Arc<dyn KeyExchange>) -> Option<Arc<dyn KeyExchange>>) -> Arc<Registry> {
    let mut registry = Registry::new();
    let mut features = vec![
        Feature::aead(EncryptionAlgorithm::AES_GCM_16, 32, Gcm),
        Feature::hasher(HashAlgorithm::SHA1, Sha1),
        Feature::hasher(HashAlgorithm::SHA2_256, Sha256),
        Feature::hasher(HashAlgorithm::SHA2_384, Sha384),
        Feature::hasher(HashAlgorithm::SHA2_512, Sha512),
        Feature::prf(PseudoRandomFunction::HMAC_SHA1, Sha1),
        Feature::prf(PseudoRandomFunction::HMAC_SHA2_256, Sha256),
        Feature::prf(PseudoRandomFunction::HMAC_SHA2_384, Sha384),
        Feature::prf(PseudoRandomFunction::HMAC_SHA2_512, Sha512),
        Feature::integrity(IntegrityAlgorithm::HMAC_SHA2_256_128, Sha256),
        Feature::integrity(IntegrityAlgorithm::HMAC_SHA2_512_256, Sha512),
    ];
    for (method, initiator, responder) in METHODS {
        let exchange = NullKeyExchange::new(u64::from(method.0), *initiator, *responder);
        let Some(exchange) = choose(*method, Arc::new(exchange)) else {
            continue;
        };
        features.push(Feature::new(
            plugin_api::FeatureName::KeyExchange(*method),
            plugin_api::Implementation::KeyExchange {
                method: exchange,
                name: method.to_string(),
                keyword: String::new(),
            },
        ));
    }
    for feature in features {
        registry.add("sim", feature.name, &feature.implementation);
    }
    Arc::new(registry)
}
