//! Panics wherever the daemon calls it. Destructors panic too.

#![allow(clippy::panic)] // what it is for

use std::sync::Arc;

use iana::{EncryptionAlgorithm, HashAlgorithm, IntegrityAlgorithm, Protocol, PseudoRandomFunction};
use plugin_api::kernel::KernelDemand;
use plugin_api::{
    Aead, AeadKey, Cipher, CipherKey, Control, Feature, FeatureName, Hasher, Host, Implementation, Integrity,
    IntegrityKey, KernelAlgorithms, KernelDemands, KernelIpsec, KernelNet, KeyExchange, Listener,
    NonceGenerator, PendingKeyExchange, PluginError, Prf, PrfKey, Random, RandomQuality, Running, Secret,
};

plugin_api::export_plugin! { name: "panics", features: features }

/// One feature of each kind. Of algorithms the daemon asks for their lengths at once, so those of `Panics` are refused
/// then; `Later` panics when it is used.
fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let custom = |name: &str, implementation| Feature::new(FeatureName::Custom(name.into()), implementation);
    vec![
        Feature::key_exchange(60_001, "AT_ONCE", "atonce", Panics),
        Feature::key_exchange(60_002, "LATER", "later", Later),
        Feature::aead(EncryptionAlgorithm(60_001), 16, Panics),
        Feature::aead(EncryptionAlgorithm(60_002), 16, Later),
        Feature::cipher(EncryptionAlgorithm(60_003), 16, Panics),
        Feature::cipher(EncryptionAlgorithm(60_004), 16, Later),
        Feature::prf(PseudoRandomFunction(60_001), Panics),
        Feature::prf(PseudoRandomFunction(60_002), Later),
        Feature::integrity(IntegrityAlgorithm(60_001), Panics),
        Feature::integrity(IntegrityAlgorithm(60_002), Later),
        Feature::hasher(HashAlgorithm(60_001), Panics),
        Feature::hasher(HashAlgorithm(60_002), Later),
        Feature::random(RandomQuality::Strong, Panics),
        Feature::new(
            FeatureName::NonceGenerator,
            Implementation::NonceGenerator(Arc::new(Panics)),
        ),
        custom("kernel-ipsec", Implementation::KernelIpsec(Box::new(|_| ipsec()))),
        Feature::kernel_algorithms(Panics),
        Feature::kernel_demands(Panics),
        custom("kernel-net", Implementation::KernelNet(Box::new(|_| net()))),
        custom(
            "control",
            Implementation::Control(Box::new(|_| Ok(Arc::new(Panics)))),
        ),
        custom(
            "listener",
            Implementation::Listener(Box::new(|_| Ok(Arc::new(Panics)))),
        ),
    ]
}

struct Panics;

impl KernelAlgorithms for Panics {
    fn encrypts(&self, _: EncryptionAlgorithm, _: u16) -> bool {
        panic!("asked for ciphers")
    }

    fn authenticates(&self, _: Protocol, _: IntegrityAlgorithm) -> bool {
        panic!("asked for integrity algorithms")
    }
}

impl KernelDemands for Panics {
    fn refusal(&self, _: KernelDemand) -> Option<String> {
        panic!("asked for what it cannot do")
    }
}

struct Later;

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

fn ipsec() -> Result<Arc<dyn KernelIpsec>, PluginError> {
    panic!("making a back end for IPsec");
}

fn net() -> Result<Arc<dyn KernelNet>, PluginError> {
    panic!("making a back end for addresses");
}

impl KeyExchange for Panics {
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        panic!("initiating");
    }

    fn respond(&self, _peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        panic!("responding");
    }
}

impl KeyExchange for Later {
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        Ok((vec![1], Box::new(Panics)))
    }

    fn respond(&self, _peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        std::panic::panic_any(Panics)
    }
}

impl PendingKeyExchange for Panics {
    fn finish(self: Box<Self>, _peer: &[u8]) -> Result<Secret, PluginError> {
        std::mem::forget(self);
        panic!("finishing");
    }
}

impl Aead for Panics {
    fn key_len(&self) -> usize {
        panic!("key length");
    }

    fn create(&self, _key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError> {
        panic!("a key");
    }
}

impl Aead for Later {
    fn key_len(&self) -> usize {
        16
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn AeadKey>, PluginError> {
        if key[0] == 0 {
            return Ok(Box::new(Self));
        }
        panic!("a key");
    }
}

impl AeadKey for Later {
    fn iv_len(&self) -> usize {
        8
    }

    fn tag_len(&self) -> usize {
        16
    }

    fn seal(&self, _: &[u8], _: &[u8], _: &mut [u8], _: &mut [u8]) -> Result<(), PluginError> {
        panic!("sealing");
    }

    fn open(&self, _: &[u8], _: &[u8], _: &mut [u8], _: &[u8]) -> Result<(), PluginError> {
        panic!("opening");
    }
}

impl Cipher for Panics {
    fn key_len(&self) -> usize {
        panic!("key length");
    }

    fn create(&self, _key: &[u8]) -> Result<Box<dyn CipherKey>, PluginError> {
        panic!("a key");
    }
}

impl Cipher for Later {
    fn key_len(&self) -> usize {
        16
    }

    fn create(&self, _key: &[u8]) -> Result<Box<dyn CipherKey>, PluginError> {
        panic!("a key");
    }
}

impl Prf for Panics {
    fn key_len(&self) -> usize {
        panic!("key length");
    }

    fn output_len(&self) -> usize {
        panic!("output length");
    }

    fn create(&self, _key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
        panic!("a key");
    }
}

impl Prf for Later {
    fn key_len(&self) -> usize {
        20
    }

    fn output_len(&self) -> usize {
        20
    }

    fn create(&self, _key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
        Ok(Box::new(Self))
    }
}

impl PrfKey for Later {
    fn compute(&self, _parts: &[&[u8]], _out: &mut [u8]) -> Result<(), PluginError> {
        panic!("computing");
    }
}

impl Integrity for Panics {
    fn key_len(&self) -> usize {
        panic!("key length");
    }

    fn tag_len(&self) -> usize {
        panic!("tag length");
    }

    fn create(&self, _key: &[u8]) -> Result<Box<dyn IntegrityKey>, PluginError> {
        panic!("a key");
    }
}

impl Integrity for Later {
    fn key_len(&self) -> usize {
        20
    }

    fn tag_len(&self) -> usize {
        12
    }

    fn create(&self, _key: &[u8]) -> Result<Box<dyn IntegrityKey>, PluginError> {
        Ok(Box::new(Self))
    }
}

impl IntegrityKey for Later {
    fn sign(&self, _parts: &[&[u8]], _tag: &mut [u8]) -> Result<(), PluginError> {
        panic!("signing");
    }
}

impl Hasher for Panics {
    fn output_len(&self) -> usize {
        panic!("output length");
    }

    fn hash(&self, _parts: &[&[u8]], _out: &mut [u8]) -> Result<(), PluginError> {
        panic!("hashing");
    }
}

impl Hasher for Later {
    fn output_len(&self) -> usize {
        20
    }

    fn hash(&self, _parts: &[&[u8]], _out: &mut [u8]) -> Result<(), PluginError> {
        panic!("hashing");
    }
}

impl Random for Panics {
    fn fill(&self, _out: &mut [u8]) -> Result<(), PluginError> {
        panic!("random octets");
    }
}

impl NonceGenerator for Panics {
    fn nonce(&self, _out: &mut [u8]) -> Result<(), PluginError> {
        panic!("a nonce");
    }
}

impl Control for Panics {
    fn start(&self, _host: Arc<dyn Host>) -> Result<Box<dyn Running>, PluginError> {
        panic!("starting");
    }
}

impl Listener for Panics {
    fn event(&self, _name: &str, _message: &[u8]) {
        panic!("an event");
    }

    fn wants(&self) -> Vec<String> {
        panic!("wants");
    }
}
