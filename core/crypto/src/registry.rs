//! Which plugin implements which algorithm.

use std::sync::Arc;

use iana::keyword::{self, Transform};
use iana::{
    EncryptionAlgorithm, HashAlgorithm, IntegrityAlgorithm, KeyExchangeMethod, Protocol,
    PseudoRandomFunction, TransformType,
};
use plugin_api::{
    Aead, Cipher, FeatureName, Hasher, Implementation, Integrity, KeyExchange, NonceGenerator, Prf, Random,
    RandomQuality,
};

/// Algorithms by number, each with the plugin it comes from; of several for one number the first added is used.
#[derive(Default)]
pub struct Registry {
    ciphers: Table<(EncryptionAlgorithm, u16), dyn Cipher>,
    aeads: Table<(EncryptionAlgorithm, u16), dyn Aead>,
    integrity: Table<IntegrityAlgorithm, dyn Integrity>,
    hashers: Table<HashAlgorithm, dyn Hasher>,
    prfs: Table<PseudoRandomFunction, dyn Prf>,
    key_exchanges: Table<KeyExchangeMethod, dyn KeyExchange>,
    randoms: Table<RandomQuality, dyn Random>,
    nonce_generators: Table<(), dyn NonceGenerator>,
    names: Vec<MethodNames>,
}

/// What a plugin calls a key exchange method.
struct MethodNames {
    method: KeyExchangeMethod,
    name: String,
    keyword: String,
}

/// What kind of algorithm an [`Entry`] is, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Ciphers without authentication.
    Encryption,
    /// Integrity algorithms.
    Integrity,
    /// Authenticated ciphers.
    Aead,
    /// Hash functions.
    Hasher,
    /// Pseudo-random functions.
    Prf,
    /// Key exchange methods.
    KeyExchange,
    /// Sources of randomness.
    Random,
    /// Sources of nonces.
    NonceGenerator,
}

/// A line of a list of algorithms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What kind of algorithm it is.
    pub class: Class,
    /// Its name, without key length.
    pub name: String,
    /// The plugin that is used for it.
    pub plugin: String,
}

impl Registry {
    /// A registry without algorithms.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what a plugin offers under `name`; what is not an algorithm is ignored.
    pub fn add(&mut self, plugin: &str, name: FeatureName, implementation: &Implementation) {
        match (name, implementation) {
            (FeatureName::Cipher(algorithm, len), Implementation::Cipher(it)) => {
                self.ciphers.add((algorithm, len), plugin, it);
            }
            (FeatureName::Aead(algorithm, len), Implementation::Aead(it)) => {
                self.aeads.add((algorithm, len), plugin, it);
            }
            (FeatureName::Integrity(algorithm), Implementation::Integrity(it)) => {
                self.integrity.add(algorithm, plugin, it);
            }
            (FeatureName::Hasher(algorithm), Implementation::Hasher(it)) => {
                self.hashers.add(algorithm, plugin, it);
            }
            (FeatureName::Prf(algorithm), Implementation::Prf(it)) => self.prfs.add(algorithm, plugin, it),
            (FeatureName::Random(quality), Implementation::Random(it)) => {
                self.randoms.add(quality, plugin, it);
            }
            (FeatureName::NonceGenerator, Implementation::NonceGenerator(it)) => {
                self.nonce_generators.add((), plugin, it);
            }
            (
                FeatureName::KeyExchange(number),
                Implementation::KeyExchange {
                    method,
                    name,
                    keyword,
                },
            ) => {
                self.key_exchanges.add(number, plugin, method);
                self.names.push(MethodNames {
                    method: number,
                    name: name.clone(),
                    keyword: keyword.clone(),
                });
            }
            _ => {}
        }
    }

    /// The AEAD of a transform.
    pub fn aead(&self, algorithm: EncryptionAlgorithm, key_bits: Option<u16>) -> Option<Arc<dyn Aead>> {
        self.aeads.first(&(algorithm, key_len(algorithm, key_bits)?))
    }

    /// The cipher of a transform.
    pub fn cipher(&self, algorithm: EncryptionAlgorithm, key_bits: Option<u16>) -> Option<Arc<dyn Cipher>> {
        self.ciphers.first(&(algorithm, key_len(algorithm, key_bits)?))
    }

    /// The integrity algorithm of a transform.
    pub fn integrity(&self, algorithm: IntegrityAlgorithm) -> Option<Arc<dyn Integrity>> {
        self.integrity.first(&algorithm)
    }

    /// The pseudo-random function of a transform.
    pub fn prf(&self, algorithm: PseudoRandomFunction) -> Option<Arc<dyn Prf>> {
        self.prfs.first(&algorithm)
    }

    /// A hash function.
    pub fn hasher(&self, algorithm: HashAlgorithm) -> Option<Arc<dyn Hasher>> {
        self.hashers.first(&algorithm)
    }

    /// A key exchange method.
    pub fn key_exchange(&self, method: KeyExchangeMethod) -> Option<Arc<dyn KeyExchange>> {
        self.key_exchanges.first(&method)
    }

    /// Randomness of the quality asked for, or failing that the next better one.
    pub fn random(&self, quality: RandomQuality) -> Option<Arc<dyn Random>> {
        let good = self.randoms.0.iter().filter(|it| it.key >= quality);
        good.min_by_key(|it| it.key)
            .map(|it| Arc::clone(&it.implementation))
    }

    /// A source of nonces.
    pub fn nonce_generator(&self) -> Option<Arc<dyn NonceGenerator>> {
        self.nonce_generators.first(&())
    }

    /// Whether a transform can be put to use: for IKE by the plugins; for ESP and AH, whose ciphers are the kernel's,
    /// if the lengths of its keys are known and the plugins have the key exchange.
    pub fn implements(&self, protocol: Protocol, transform: Transform) -> bool {
        let ike = protocol == Protocol::IKE;
        let Transform { kind, id, key_bits } = transform;
        match kind {
            TransformType::ENCR if ike => {
                let algorithm = EncryptionAlgorithm(id);
                key_len(algorithm, key_bits).is_some_and(|len| {
                    let key = (algorithm, len);
                    if algorithm.is_aead() {
                        self.aeads.has(&key)
                    } else {
                        self.ciphers.has(&key)
                    }
                })
            }
            TransformType::ENCR => key_len(EncryptionAlgorithm(id), key_bits).is_some(),
            TransformType::INTEG if ike => self.integrity.has(&IntegrityAlgorithm(id)),
            TransformType::INTEG => IntegrityAlgorithm(id).key_and_tag_len().is_some(),
            TransformType::PRF => self.prfs.has(&PseudoRandomFunction(id)),
            TransformType::ESN => true,
            kind if kind.is_key_exchange() => {
                let method = KeyExchangeMethod(id);
                method == KeyExchangeMethod::NONE || self.key_exchanges.has(&method)
            }
            _ => false,
        }
    }

    /// The transform of a keyword: the well-known ones, then those that plugins bring for their key exchange methods,
    /// these too behind `ke1_` to `ke7_`.
    pub fn parse_keyword(&self, keyword: &str) -> Option<Transform> {
        if let Some(transform) = keyword::parse(keyword) {
            return Some(transform);
        }
        let (kind, keyword) = match keyword::split_additional(keyword) {
            Some((number, rest)) => (TransformType::additional_ke(number)?, rest),
            None => (TransformType::KE, keyword),
        };
        let known = self
            .names
            .iter()
            .find(|known| !keyword.is_empty() && known.keyword == keyword)?;
        Some(Transform::new(kind, known.method.0))
    }

    /// The keywords of key exchange methods, with those that plugins bring.
    pub fn key_exchange_keywords(&self) -> impl Iterator<Item = &str> {
        let own = self.names.iter().map(|known| known.keyword.as_str());
        let known = keyword::key_exchanges().map(|keyword| -> &str { keyword });
        known.chain(own.filter(|keyword| !keyword.is_empty()))
    }

    /// The name of a transform in log lines, where plugins name the key exchange methods that nobody else knows.
    pub fn transform_name(&self, transform: &Transform) -> String {
        let method = KeyExchangeMethod(transform.id);
        let unknown = transform.kind.is_key_exchange() && method.name().is_none();
        match self.names.iter().find(|known| unknown && known.method == method) {
            Some(known) => match transform.kind.additional_ke_number() {
                Some(number) => format!("KE{number}_{}", known.name),
                None => known.name.clone(),
            },
            None => transform.to_string(),
        }
    }

    /// Every algorithm once, with the plugin that is used for it, in the order of registration within its class.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let mut entries = Vec::new();
        let mut list = |class, algorithms: Vec<(String, &str)>| {
            let mut of_class: Vec<Entry> = Vec::new();
            for (name, plugin) in algorithms {
                if of_class.iter().all(|entry| entry.name != name) {
                    of_class.push(Entry {
                        class,
                        name,
                        plugin: plugin.to_owned(),
                    });
                }
            }
            entries.append(&mut of_class);
        };
        list(
            Class::Encryption,
            self.ciphers.named(|(algorithm, _)| algorithm.to_string()),
        );
        list(Class::Integrity, self.integrity.named(ToString::to_string));
        list(
            Class::Aead,
            self.aeads.named(|(algorithm, _)| algorithm.to_string()),
        );
        list(Class::Hasher, self.hashers.named(ToString::to_string));
        list(Class::Prf, self.prfs.named(ToString::to_string));
        list(
            Class::KeyExchange,
            self.key_exchanges.named(|method| self.method_name(*method)),
        );
        list(
            Class::Random,
            self.randoms
                .named(|quality| format!("RNG_{quality:?}").to_uppercase()),
        );
        list(
            Class::NonceGenerator,
            self.nonce_generators.named(|()| "NONCE_GEN".to_owned()),
        );
        entries.into_iter()
    }

    /// The name of a key exchange method, a plugin's one included.
    pub fn method_name(&self, method: KeyExchangeMethod) -> String {
        self.transform_name(&Transform::new(TransformType::KE, method.0))
    }

    /// AEADs or ciphers without authentication, in the order of registration.
    pub(crate) fn encryption_algorithms(&self, aead: bool) -> Vec<EncryptionAlgorithm> {
        if aead {
            self.aeads.keys(|key| key.0)
        } else {
            self.ciphers.keys(|key| key.0)
        }
    }

    /// Integrity algorithms in the order of registration.
    pub(crate) fn integrity_algorithms(&self) -> Vec<IntegrityAlgorithm> {
        self.integrity.keys(|key| *key)
    }

    /// Pseudo-random functions in the order of registration.
    pub(crate) fn pseudo_random_functions(&self) -> Vec<PseudoRandomFunction> {
        self.prfs.keys(|key| *key)
    }

    /// Key exchange methods in the order of registration.
    pub(crate) fn key_exchange_methods(&self) -> Vec<KeyExchangeMethod> {
        self.key_exchanges.keys(|key| *key)
    }
}

/// The length by which plugins register an algorithm: that of the key in octets, salt left out.
fn key_len(algorithm: EncryptionAlgorithm, key_bits: Option<u16>) -> Option<u16> {
    let bits = key_bits.filter(|bits| *bits != 0);
    algorithm.key_len(bits).and_then(|len| u16::try_from(len).ok())
}

/// Implementations in the order of registration.
struct Table<K, T: ?Sized>(Vec<Registered<K, T>>);

struct Registered<K, T: ?Sized> {
    key: K,
    plugin: String,
    implementation: Arc<T>,
}

impl<K, T: ?Sized> Default for Table<K, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq, T: ?Sized> Table<K, T> {
    fn add(&mut self, key: K, plugin: &str, implementation: &Arc<T>) {
        let implementation = Arc::clone(implementation);
        self.0.push(Registered {
            key,
            plugin: plugin.to_owned(),
            implementation,
        });
    }

    fn first(&self, key: &K) -> Option<Arc<T>> {
        self.0
            .iter()
            .find(|it| it.key == *key)
            .map(|it| Arc::clone(&it.implementation))
    }

    fn has(&self, key: &K) -> bool {
        self.0.iter().any(|it| it.key == *key)
    }

    fn keys<A: PartialEq>(&self, part: impl Fn(&K) -> A) -> Vec<A> {
        let mut found = Vec::new();
        for it in &self.0 {
            let key = part(&it.key);
            if !found.contains(&key) {
                found.push(key);
            }
        }
        found
    }

    fn named(&self, name: impl Fn(&K) -> String) -> Vec<(String, &str)> {
        self.0
            .iter()
            .map(|it| (name(&it.key), it.plugin.as_str()))
            .collect()
    }
}
