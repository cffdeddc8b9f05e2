//! Algorithms as plugins would bring them, written with the plugin traits alone.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use hmac::{Hmac, Mac};
use iana::{EncryptionAlgorithm, IntegrityAlgorithm, KeyExchangeMethod, PseudoRandomFunction};
use plugin_api::{
    Aead, AeadKey, Cipher, CipherKey, ErrorKind, Feature, FeatureName, Implementation, Integrity,
    IntegrityKey, PluginError, Prf, PrfKey,
};
use sha2::{Sha256, Sha512};

use crate::{NullKeyExchange, Registry};

fn invalid(what: &str) -> PluginError {
    PluginError::new(ErrorKind::InvalidArgument, what)
}

/// HMAC with SHA-512, or with SHA-256 for a change of PRF.
pub(super) enum HmacPrf {
    Sha512,
    Sha256,
}

impl Prf for HmacPrf {
    fn key_len(&self) -> usize {
        self.output_len()
    }

    fn output_len(&self) -> usize {
        match self {
            Self::Sha512 => 64,
            Self::Sha256 => 32,
        }
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
        Ok(match self {
            Self::Sha512 => Box::new(Hmac512(Hmac::new_from_slice(key).expect("any length"))),
            Self::Sha256 => Box::new(Hmac256(Hmac::new_from_slice(key).expect("any length"))),
        })
    }
}

struct Hmac512(Hmac<Sha512>);
struct Hmac256(Hmac<Sha256>);

impl PrfKey for Hmac512 {
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        let mac = parts
            .iter()
            .fold(self.0.clone(), |mac, part| mac.chain_update(part));
        out.copy_from_slice(&mac.finalize().into_bytes());
        Ok(())
    }
}

impl PrfKey for Hmac256 {
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        let mac = parts
            .iter()
            .fold(self.0.clone(), |mac, part| mac.chain_update(part));
        out.copy_from_slice(&mac.finalize().into_bytes());
        Ok(())
    }
}

/// A PRF with a key of 16 octets: its output is the key, then what it was fed, cut to 16 octets.
///
/// Not a PRF at all, but it shows which key it was given.
pub(super) struct EchoPrf;

impl Prf for EchoPrf {
    fn key_len(&self) -> usize {
        16
    }

    fn output_len(&self) -> usize {
        16
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
        Ok(Box::new(EchoKey(key.to_vec())))
    }
}

struct EchoKey(Vec<u8>);

impl PrfKey for EchoKey {
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        let fed = [self.0.clone(), parts.concat()].concat();
        let mut octets = fed.into_iter().chain(std::iter::repeat(0));
        out.fill_with(|| octets.next().unwrap_or_default());
        Ok(())
    }
}

/// AES-GCM with a key of 32 octets and a salt of 4.
pub(super) struct Gcm256;

impl Aead for Gcm256 {
    fn key_len(&self) -> usize {
        36
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError> {
        let (key, salt) = key.split_last_chunk().ok_or_else(|| invalid("no salt"))?;
        let aead = Aes256Gcm::new_from_slice(key).map_err(|_| invalid("key length"))?;
        Ok(Box::new(GcmKey { aead, salt: *salt }))
    }
}

struct GcmKey {
    aead: Aes256Gcm,
    salt: [u8; 4],
}

impl GcmKey {
    fn nonce(&self, iv: &[u8]) -> Nonce<aes_gcm::aead::consts::U12> {
        let octets = [self.salt.as_slice(), iv].concat();
        Nonce::try_from(octets.as_slice()).expect("an IV of eight octets")
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
        let sealed = self
            .aead
            .encrypt_inout_detached(&self.nonce(iv), aad, InOutBuf::from(data));
        tag.copy_from_slice(&sealed.map_err(|_| invalid("too long"))?);
        Ok(())
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), PluginError> {
        let tag = Tag::try_from(tag).map_err(|_| invalid("tag length"))?;
        self.aead
            .decrypt_inout_detached(&self.nonce(iv), aad, InOutBuf::from(data), &tag)
            .map_err(|_| PluginError::new(ErrorKind::AuthenticationFailed, "tag does not fit"))
    }
}

/// A cipher that has lengths and changes nothing.
pub(super) struct Plain(pub(super) usize);

impl Cipher for Plain {
    fn key_len(&self) -> usize {
        self.0
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn CipherKey>, PluginError> {
        if key.len() == self.0 {
            Ok(Box::new(PlainKey))
        } else {
            Err(invalid("key length"))
        }
    }
}

struct PlainKey;

impl CipherKey for PlainKey {
    fn iv_len(&self) -> usize {
        16
    }

    fn block_len(&self) -> usize {
        16
    }

    fn encrypt(&self, _: &[u8], _: &mut [u8]) -> Result<(), PluginError> {
        Ok(())
    }

    fn decrypt(&self, _: &[u8], _: &mut [u8]) -> Result<(), PluginError> {
        Ok(())
    }
}

/// HMAC-SHA-256 cut to 16 octets.
pub(super) struct Sha256Tag;

impl Integrity for Sha256Tag {
    fn key_len(&self) -> usize {
        32
    }

    fn tag_len(&self) -> usize {
        16
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn IntegrityKey>, PluginError> {
        Ok(Box::new(TagKey(HmacPrf::Sha256.create(key)?)))
    }
}

struct TagKey(Box<dyn PrfKey>);

impl IntegrityKey for TagKey {
    fn sign(&self, parts: &[&[u8]], tag: &mut [u8]) -> Result<(), PluginError> {
        let mut full = [0; 32];
        self.0.compute(parts, &mut full)?;
        tag.copy_from_slice(&full[..16]);
        Ok(())
    }
}

/// What the tests' registry calls its own key exchange method, as a plugin of a third party would.
pub(super) const OWN_METHOD: u16 = 2000;

/// A registry with AES, SHA-2 and instant stand-ins for the key exchange methods of the walk-through and of ML-KEM.
pub(super) fn registry() -> Registry {
    use KeyExchangeMethod as Ke;
    let mut registry = Registry::new();
    let mut add = |plugin: &str, feature: Feature| {
        registry.add(plugin, feature.name, &feature.implementation);
    };
    add("gcm", Feature::aead(EncryptionAlgorithm::AES_GCM_16, 32, Gcm256));
    for len in [32, 16] {
        add(
            "aes",
            Feature::cipher(EncryptionAlgorithm::AES_CBC, len, Plain(len.into())),
        );
    }
    add(
        "hmac",
        Feature::integrity(IntegrityAlgorithm::HMAC_SHA2_256_128, Sha256Tag),
    );
    add(
        "hmac",
        Feature::prf(PseudoRandomFunction::HMAC_SHA2_512, HmacPrf::Sha512),
    );
    add(
        "hmac",
        Feature::prf(PseudoRandomFunction::HMAC_SHA2_256, HmacPrf::Sha256),
    );
    let methods = [
        Ke::MODP_3072,
        Ke::CURVE_25519,
        Ke::ECP_256,
        Ke::KYBER_L3,
        Ke::NTRU_HPS_L3,
        Ke::SABER_L3,
        Ke::FRODO_AES_L3,
        Ke::SIKE_L3,
        Ke::ML_KEM_768,
    ];
    for method in methods {
        let name = method.to_string();
        add(
            "null",
            Feature::key_exchange(method.0, &name, "", NullKeyExchange::new(1, 32, 32)),
        );
    }
    add(
        "acme",
        Feature::key_exchange(OWN_METHOD, "ACME_L1", "acme1", NullKeyExchange::new(1, 8, 9)),
    );
    registry
}

#[test]
fn features_that_are_no_algorithms_are_ignored() {
    let mut registry = Registry::new();
    let wrong = FeatureName::Custom("stroke".to_owned());
    registry.add(
        "stroke",
        wrong,
        &Implementation::Cipher(std::sync::Arc::new(Plain(16))),
    );
    assert_eq!(registry.entries().count(), 0);
}
