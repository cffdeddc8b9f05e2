//! Algorithms that cost next to nothing, so that a hundred thousand IKE_SAs are made soon and the rate of handshakes is that
//! of the daemon's own work. There is no security in them.

use std::sync::Arc;

use crypto::null::NullKeyExchange;
use crypto::registry::Registry;
use iana::{EncryptionAlgorithm, HashAlgorithm, KeyExchangeMethod, PseudoRandomFunction};
use plugin_api::{
    Aead, AeadKey, ErrorKind, Feature, FeatureName, Hasher, Implementation, PluginError, Prf, PrfKey,
};

/// The algorithms of `aes256gcm16-sha512-x25519` by name and length.
pub(crate) fn registry() -> Arc<Registry> {
    let mut registry = Registry::new();
    let x25519 = KeyExchangeMethod::CURVE_25519;
    let features = [
        Feature::aead(EncryptionAlgorithm::AES_GCM_16, 32, Toy),
        Feature::prf(PseudoRandomFunction::HMAC_SHA2_512, Toy),
        Feature::hasher(HashAlgorithm::SHA1, Toy),
        Feature::new(
            FeatureName::KeyExchange(x25519),
            Implementation::KeyExchange {
                method: Arc::new(NullKeyExchange::new(7, 32, 32)),
                name: x25519.to_string(),
                keyword: String::new(),
            },
        ),
    ];
    for feature in features {
        registry.add("toy", feature.name, &feature.implementation);
    }
    Arc::new(registry)
}

struct Toy;

struct Keyed(u64);

/// FNV-1a, eight octets at a time.
fn mix(mut state: u64, octets: &[u8]) -> u64 {
    for chunk in octets.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = (state ^ u64::from_le_bytes(word))
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(29);
    }
    state
}

fn expand(state: u64, out: &mut [u8]) {
    for (number, chunk) in (0_u64..).zip(out.chunks_mut(8)) {
        let word = mix(state, &number.to_le_bytes()).to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
}

impl Prf for Toy {
    fn key_len(&self) -> usize {
        64
    }
    fn output_len(&self) -> usize {
        64
    }
    fn create(&self, key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
        Ok(Box::new(Keyed(mix(1, key))))
    }
}

impl PrfKey for Keyed {
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        // Where one part ends and the next begins makes no difference.
        let whole = parts.concat();
        expand(mix(self.0, &whole), out);
        Ok(())
    }
}

impl Hasher for Toy {
    fn output_len(&self) -> usize {
        20
    }
    fn hash(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        expand(mix(2, &parts.concat()), out);
        Ok(())
    }
}

impl Aead for Toy {
    fn key_len(&self) -> usize {
        36
    }
    fn create(&self, key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError> {
        Ok(Box::new(Keyed(mix(3, key))))
    }
}

impl AeadKey for Keyed {
    fn iv_len(&self) -> usize {
        8
    }
    fn tag_len(&self) -> usize {
        16
    }
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &mut [u8]) -> Result<(), PluginError> {
        expand(mix(mix(mix(self.0, iv), aad), data), tag);
        Ok(())
    }
    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), PluginError> {
        let mut expected = [0; 16];
        self.seal(iv, aad, data, &mut expected)?;
        let wrong = || PluginError::new(ErrorKind::AuthenticationFailed, "tag does not fit");
        (expected == tag).then_some(()).ok_or_else(wrong)
    }
}
