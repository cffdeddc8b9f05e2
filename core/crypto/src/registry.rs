//! Which plugin implements which algorithm.

use std::sync::Arc;

use iana::keyword::{self, Transform};
use iana::{
    EncryptionAlgorithm, HashAlgorithm, IntegrityAlgorithm, KeyExchangeMethod, Profile, Protocol,
    PseudoRandomFunction, TransformType,
};
use plugin_api::{
    Aead, Cipher, FeatureName, Hasher, Implementation, Integrity, KernelAlgorithms, KeyExchange,
    NonceGenerator, Prf, Random, RandomQuality,
};

use crate::blamed::BlamedKeyExchange;

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
    kernel: Option<Arc<dyn KernelAlgorithms>>,
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
                let blamed = BlamedKeyExchange::new(plugin, name, Arc::clone(method));
                let blamed: Arc<dyn KeyExchange> = Arc::new(blamed);
                self.key_exchanges.add(number, plugin, &blamed);
                self.names.push(MethodNames {
                    method: number,
                    name: name.clone(),
                    keyword: keyword.clone(),
                });
            }
            _ => {}
        }
    }

    /// What the back end for SAs can compute; without it, it is taken to know every algorithm whose key has a known length.
    pub fn set_kernel(&mut self, kernel: Arc<dyn KernelAlgorithms>) {
        self.kernel = Some(kernel);
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

    /// Whether a transform can be put to use: for IKE by the plugins; for ESP and AH, whose ciphers are the back end's, if the
    /// back end can, and the plugins have the key exchange.
    pub fn implements(&self, protocol: Protocol, transform: Transform) -> bool {
        let Transform { kind, id, key_bits } = transform;
        match kind {
            TransformType::ENCR | TransformType::INTEG if protocol != Protocol::IKE => {
                self.kernel_implements(protocol, transform)
            }
            TransformType::ESN => true,
            TransformType::ENCR => {
                key_len(EncryptionAlgorithm(id), key_bits).is_some() && self.has(transform)
            }
            kind if kind.is_key_exchange() && id == KeyExchangeMethod::NONE.0 => true,
            _ => self.has(transform),
        }
    }

    fn has(&self, transform: Transform) -> bool {
        self.plugin_of(transform).is_some()
    }

    /// The plugin that is used for a transform of IKE.
    pub fn plugin_of(&self, transform: Transform) -> Option<&str> {
        let Transform { kind, id, key_bits } = transform;
        match kind {
            TransformType::ENCR => {
                let algorithm = EncryptionAlgorithm(id);
                let key = (algorithm, key_len(algorithm, key_bits)?);
                if algorithm.is_aead() {
                    self.aeads.plugin(&key)
                } else {
                    self.ciphers.plugin(&key)
                }
            }
            TransformType::INTEG => self.integrity.plugin(&IntegrityAlgorithm(id)),
            TransformType::PRF => self.prfs.plugin(&PseudoRandomFunction(id)),
            kind if kind.is_key_exchange() => {
                // Which of both rounds of Kyber is meant is a matter of the connection.
                let method = KeyExchangeMethod(id);
                let other_round = Profile::DraftRound2.implementation(method);
                let plugin = |method| self.key_exchanges.plugin(&method);
                plugin(method).or_else(|| plugin(other_round))
            }
            _ => None,
        }
    }

    fn kernel_implements(&self, protocol: Protocol, transform: Transform) -> bool {
        let Transform { kind, id, key_bits } = transform;
        if kind == TransformType::ENCR {
            let algorithm = EncryptionAlgorithm(id);
            return key_len(algorithm, key_bits).is_some_and(|len| {
                let kernel = self.kernel.as_ref();
                kernel.is_none_or(|kernel| kernel.encrypts(algorithm, len))
            });
        }
        let algorithm = IntegrityAlgorithm(id);
        let kernel = self.kernel.as_ref();
        algorithm.key_and_tag_len().is_some()
            && kernel.is_none_or(|kernel| kernel.authenticates(protocol, algorithm))
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

    /// The keyword of everything that plugins implement for IKE, of several the usual one, with the plugin that is used for it.
    pub fn keywords(&self) -> Vec<(Class, String, String)> {
        let key_exchanges = self.key_exchange_keywords().map(str::to_owned);
        let mut found: Vec<(Class, String, String)> = Vec::new();
        for keyword in keyword::others().chain(key_exchanges) {
            let Some(transform) = self.parse_keyword(&keyword) else {
                continue;
            };
            let class = match transform.kind {
                TransformType::ENCR if EncryptionAlgorithm(transform.id).is_aead() => Class::Aead,
                TransformType::ENCR => Class::Encryption,
                TransformType::INTEG => Class::Integrity,
                TransformType::PRF => Class::Prf,
                _ => Class::KeyExchange,
            };
            let usual = self.keyword_of(transform).is_some_and(|usual| usual == keyword);
            if usual
                && found.iter().all(|(_, known, _)| *known != keyword)
                && let Some(plugin) = self.plugin_of(transform)
            {
                found.push((class, keyword, plugin.to_owned()));
            }
        }
        found
    }

    /// The keyword of a transform, the first where it has several.
    pub fn keyword_of(&self, transform: Transform) -> Option<String> {
        let method = KeyExchangeMethod(transform.id);
        if !transform.kind.is_key_exchange() {
            return keyword::others().find(|keyword| keyword::parse(keyword) == Some(transform));
        }
        let brought = self.names.iter().find(|known| known.method == method);
        let brought = brought.map(|known| known.keyword.as_str());
        let keyword = keyword::of_key_exchange(method).or(brought.filter(|keyword| !keyword.is_empty()))?;
        Some(match transform.kind.additional_ke_number() {
            Some(number) => format!("ke{number}_{keyword}"),
            None => keyword.to_owned(),
        })
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

    fn plugin(&self, key: &K) -> Option<&str> {
        let found = self.0.iter().find(|it| it.key == *key);
        found.map(|it| it.plugin.as_str())
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
