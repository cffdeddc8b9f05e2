//! What a plugin offers, under which name, and what that needs.

use std::fmt;
use std::sync::Arc;

use iana::{EncryptionAlgorithm, HashAlgorithm, IntegrityAlgorithm, KeyExchangeMethod, PseudoRandomFunction};

use crate::kernel::{KERNEL_ALGORITHMS, KERNEL_DEMANDS};
use crate::{
    Aead, Cipher, Control, Hasher, Host, Integrity, KernelAlgorithms, KernelDemands, KernelIpsec, KernelNet,
    KeyExchange, Listener, NonceGenerator, PluginError, Prf, Random, RandomQuality,
};

/// The name of a feature, as others depend on it and as `ipsec listplugins` prints it: `KE:KYBER_L3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeatureName {
    /// A cipher without authentication, with its key length in octets.
    Cipher(EncryptionAlgorithm, u16),
    /// An AEAD, with its key length in octets, salt left out.
    Aead(EncryptionAlgorithm, u16),
    /// An integrity algorithm.
    Integrity(IntegrityAlgorithm),
    /// A hash function.
    Hasher(HashAlgorithm),
    /// A pseudo-random function.
    Prf(PseudoRandomFunction),
    /// A key exchange method.
    KeyExchange(KeyExchangeMethod),
    /// Randomness.
    Random(RandomQuality),
    /// Nonces.
    NonceGenerator,
    /// Anything else, by name: `kernel-ipsec`, `kernel-net`, `socket`, `stroke`.
    Custom(String),
}

impl fmt::Display for FeatureName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cipher(algorithm, len) => write!(f, "CRYPTER:{algorithm}-{len}"),
            Self::Aead(algorithm, len) => write!(f, "AEAD:{algorithm}-{len}"),
            Self::Integrity(algorithm) => write!(f, "SIGNER:{algorithm}"),
            Self::Hasher(algorithm) => write!(f, "HASHER:{algorithm}"),
            Self::Prf(algorithm) => write!(f, "PRF:{algorithm}"),
            Self::KeyExchange(method) => write!(f, "KE:{method}"),
            Self::Random(quality) => {
                write!(f, "RNG:RNG_{}", format!("{quality:?}").to_uppercase())
            }
            Self::NonceGenerator => f.write_str("NONCE_GEN"),
            Self::Custom(name) => write!(f, "CUSTOM:{name}"),
        }
    }
}

/// A feature that another one needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// What is needed.
    pub name: FeatureName,
    /// Whether it may be missing; it is loaded first all the same.
    pub soft: bool,
}

/// The implementation behind a feature. What touches the world is made only when the feature is chosen.
pub enum Implementation {
    /// See [`Cipher`].
    Cipher(Arc<dyn Cipher>),
    /// See [`Aead`].
    Aead(Arc<dyn Aead>),
    /// See [`Integrity`].
    Integrity(Arc<dyn Integrity>),
    /// See [`Hasher`].
    Hasher(Arc<dyn Hasher>),
    /// See [`Prf`].
    Prf(Arc<dyn Prf>),
    /// See [`KeyExchange`]; the names are those of log lines and of proposals: `KYBER_L3`, `kyber3`.
    KeyExchange {
        /// The key exchange.
        method: Arc<dyn KeyExchange>,
        /// Name in log lines.
        name: String,
        /// Keyword in proposals; empty if the method needs none.
        keyword: String,
    },
    /// See [`Random`].
    Random(Arc<dyn Random>),
    /// See [`NonceGenerator`].
    NonceGenerator(Arc<dyn NonceGenerator>),
    /// See [`KernelIpsec`].
    KernelIpsec(Constructor<dyn KernelIpsec>),
    /// See [`KernelAlgorithms`].
    KernelAlgorithms(Arc<dyn KernelAlgorithms>),
    /// See [`KernelDemands`].
    KernelDemands(Arc<dyn KernelDemands>),
    /// See [`KernelNet`].
    KernelNet(Constructor<dyn KernelNet>),
    /// See [`Control`].
    Control(Constructor<dyn Control>),
    /// See [`Listener`].
    Listener(Constructor<dyn Listener>),
}

/// Makes an implementation once its feature is chosen.
pub type Constructor<T> = Box<dyn Fn(Arc<dyn Host>) -> Result<Arc<T>, PluginError> + Send + Sync>;

/// One offer of a plugin.
pub struct Feature {
    /// Its name.
    pub name: FeatureName,
    /// What it needs.
    pub dependencies: Vec<Dependency>,
    /// What it is.
    pub implementation: Implementation,
}

impl Feature {
    /// A feature without dependencies.
    pub fn new(name: FeatureName, implementation: Implementation) -> Self {
        Self {
            name,
            dependencies: Vec::new(),
            implementation,
        }
    }

    /// A key exchange method, with its number, its name in log lines and its keyword in proposals.
    pub fn key_exchange(method: u16, name: &str, keyword: &str, exchange: impl KeyExchange) -> Self {
        Self::new(
            FeatureName::KeyExchange(KeyExchangeMethod(method)),
            Implementation::KeyExchange {
                method: Arc::new(exchange),
                name: name.to_owned(),
                keyword: keyword.to_owned(),
            },
        )
    }

    /// An AEAD with its key length in octets, salt left out.
    pub fn aead(algorithm: EncryptionAlgorithm, key_len: u16, aead: impl Aead) -> Self {
        Self::new(
            FeatureName::Aead(algorithm, key_len),
            Implementation::Aead(Arc::new(aead)),
        )
    }

    /// A cipher with its key length in octets.
    pub fn cipher(algorithm: EncryptionAlgorithm, key_len: u16, cipher: impl Cipher) -> Self {
        Self::new(
            FeatureName::Cipher(algorithm, key_len),
            Implementation::Cipher(Arc::new(cipher)),
        )
    }

    /// A pseudo-random function.
    pub fn prf(algorithm: PseudoRandomFunction, prf: impl Prf) -> Self {
        Self::new(FeatureName::Prf(algorithm), Implementation::Prf(Arc::new(prf)))
    }

    /// An integrity algorithm.
    pub fn integrity(algorithm: IntegrityAlgorithm, integrity: impl Integrity) -> Self {
        Self::new(
            FeatureName::Integrity(algorithm),
            Implementation::Integrity(Arc::new(integrity)),
        )
    }

    /// A hash function.
    pub fn hasher(algorithm: HashAlgorithm, hasher: impl Hasher) -> Self {
        Self::new(
            FeatureName::Hasher(algorithm),
            Implementation::Hasher(Arc::new(hasher)),
        )
    }

    /// Randomness.
    pub fn random(quality: RandomQuality, random: impl Random) -> Self {
        Self::new(
            FeatureName::Random(quality),
            Implementation::Random(Arc::new(random)),
        )
    }

    /// What the back end for SAs, which the plugin offers too, can compute.
    pub fn kernel_algorithms(algorithms: impl KernelAlgorithms) -> Self {
        Self::new(
            FeatureName::Custom(KERNEL_ALGORITHMS.into()),
            Implementation::KernelAlgorithms(Arc::new(algorithms)),
        )
    }

    /// What the back end for SAs, which the plugin offers too, cannot do.
    pub fn kernel_demands(demands: impl KernelDemands) -> Self {
        Self::new(
            FeatureName::Custom(KERNEL_DEMANDS.into()),
            Implementation::KernelDemands(Arc::new(demands)),
        )
    }

    /// Adds something the feature cannot do without.
    pub fn depends(mut self, name: FeatureName) -> Self {
        self.dependencies.push(Dependency { name, soft: false });
        self
    }

    /// Adds something the feature can do without, to be loaded first if it is there.
    pub fn soft_depends(mut self, name: FeatureName) -> Self {
        self.dependencies.push(Dependency { name, soft: true });
        self
    }
}
