//! Features on their way from a plugin to the daemon.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi_stable::std_types::{RString, RVec};
use iana::{EncryptionAlgorithm, HashAlgorithm, IntegrityAlgorithm, KeyExchangeMethod, PseudoRandomFunction};

use super::algorithms::{self, KernelAlgorithms1};
use super::control::{self, ControlMaker1, ListenerMaker1};
use super::demands::{self, KernelDemands1};
use super::kernel::{self, KernelIpsecMaker1, KernelIpsecMaker2, KernelIpsecMaker3, KernelNetMaker1};
use super::key_exchange::{self, KeyExchange1};
use super::object::{Interface, Layout, Object};
use super::random::{self, Nonce1, Random1};
use super::symmetric::{self, Aead1, Cipher1, Hasher1, Integrity1, Prf1};
use crate::{Dependency, Feature, FeatureName, Host, Implementation, PluginError, RandomQuality};

/// A feature: an object, the name and the layout of its interface, and what the daemon wants to know beforehand.
#[repr(C)]
#[derive(StableAbi)]
pub struct FeatureOffer {
    name: Name,
    dependencies: RVec<Needed>,
    interface: RString,
    layout: Layout,
    object: Object,
    /// What else there is to say, by name: `name` and `keyword` of a key exchange method. More may come.
    attributes: RVec<Attribute>,
}

/// A [`FeatureName`]. The kind is text, because kinds may be added.
#[repr(C)]
#[derive(StableAbi)]
struct Name {
    kind: RString,
    number: u16,
    key_len: u16,
    /// Of `CUSTOM` the name, of others what to call it in log lines.
    text: RString,
}

#[repr(C)]
#[derive(StableAbi)]
struct Needed {
    name: Name,
    soft: bool,
}

#[repr(C)]
#[derive(StableAbi)]
struct Attribute {
    key: RString,
    value: RString,
}

/// Why the daemon does not take an offer.
#[derive(Debug)]
pub struct Refusal {
    /// What the feature is called.
    pub feature: String,
    /// Why, in a line.
    pub reason: String,
    /// All that is known, in any number of lines.
    pub details: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.feature, self.reason)
    }
}

/// An object of the other side whose layout was found compatible.
pub struct Checked<T>(Object, PhantomData<T>);

impl<T> Checked<T> {
    /// # Safety
    ///
    /// The object must be a `T` by the comparison of layouts.
    pub(super) unsafe fn new(object: Object) -> Self {
        Self(object, PhantomData)
    }
}

impl<T> Deref for Checked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` asks for it.
        unsafe { self.0.get() }
    }
}

impl FeatureOffer {
    /// The plugin's side.
    pub(super) fn new(feature: Feature, host: &Arc<dyn Host>) -> Self {
        let mut attributes = RVec::new();
        let mut offered = Name::from(&feature.name);
        let (interface, layout, object) = match feature.implementation {
            Implementation::Cipher(cipher) => offer(Cipher1::new(cipher)),
            Implementation::Aead(aead) => offer(Aead1::new(aead)),
            Implementation::Integrity(integrity) => offer(Integrity1::new(integrity)),
            Implementation::Hasher(hasher) => offer(Hasher1::new(hasher)),
            Implementation::Prf(prf) => offer(Prf1::new(prf)),
            Implementation::KeyExchange {
                method,
                name,
                keyword,
            } => {
                // The registry knows no numbers of private use.
                offered.text = format!("KE:{name}").into();
                attributes.push(Attribute {
                    key: "name".into(),
                    value: name.into(),
                });
                attributes.push(Attribute {
                    key: "keyword".into(),
                    value: keyword.into(),
                });
                offer(KeyExchange1::new(method))
            }
            Implementation::Random(random) => offer(Random1::new(random)),
            Implementation::NonceGenerator(generator) => offer(Nonce1::new(generator)),
            Implementation::KernelIpsec(make) => offer(KernelIpsecMaker3::new((make, Arc::clone(host)))),
            Implementation::KernelAlgorithms(algorithms) => offer(KernelAlgorithms1::new(algorithms)),
            Implementation::KernelDemands(demands) => offer(KernelDemands1::new(demands)),
            Implementation::KernelNet(make) => offer(KernelNetMaker1::new((make, Arc::clone(host)))),
            Implementation::Control(make) => offer(ControlMaker1::new((make, Arc::clone(host)))),
            Implementation::Listener(make) => offer(ListenerMaker1::new((make, Arc::clone(host)))),
        };
        let dependencies = feature.dependencies.iter();
        Self {
            name: offered,
            dependencies: dependencies
                .map(|d| Needed {
                    name: (&d.name).into(),
                    soft: d.soft,
                })
                .collect(),
            interface,
            layout,
            object,
            attributes,
        }
    }

    /// The daemon's side: the feature, if its interface is one of this daemon's.
    ///
    /// # Errors
    ///
    /// If the interface is unknown, of another layout, or fails to say its lengths.
    pub fn accept(self, checks: &mut Checks) -> Result<Feature, Refusal> {
        let described = self.name.text.as_str().to_owned();
        let refuse = |reason: &str| Refusal {
            feature: described.clone(),
            reason: reason.to_owned(),
            details: String::new(),
        };
        let name = FeatureName::try_from(&self.name)
            .map_err(|kind| refuse(&format!("features of kind {kind} are unknown to this daemon")))?;
        let attribute = |key: &str| {
            let found = self.attributes.iter().find(|attribute| attribute.key == key);
            found
                .map(|attribute| attribute.value.to_string())
                .unwrap_or_default()
        };
        let (label, keyword) = (attribute("name"), attribute("keyword"));
        let found = Found {
            object: self.object,
            layout: self.layout,
            checks,
        };
        let implementation = match self.interface.as_str() {
            KeyExchange1::NAME => found.check().map(|table| Implementation::KeyExchange {
                method: Arc::new(key_exchange::Remote(table)),
                name: label,
                keyword,
            }),
            Aead1::NAME => found
                .make(symmetric::aead)
                .map(|a| Implementation::Aead(Arc::new(a))),
            Cipher1::NAME => found
                .make(symmetric::cipher)
                .map(|c| Implementation::Cipher(Arc::new(c))),
            Prf1::NAME => found
                .make(symmetric::prf)
                .map(|p| Implementation::Prf(Arc::new(p))),
            Integrity1::NAME => found
                .make(symmetric::integrity)
                .map(|i| Implementation::Integrity(Arc::new(i))),
            Hasher1::NAME => found
                .make(symmetric::hasher)
                .map(|h| Implementation::Hasher(Arc::new(h))),
            Random1::NAME => found
                .check::<Random1>()
                .map(|t| Implementation::Random(Arc::new(random::Remote(t)))),
            Nonce1::NAME => found
                .check::<Nonce1>()
                .map(|t| Implementation::NonceGenerator(Arc::new(random::Remote(t)))),
            KernelIpsecMaker3::NAME => found
                .check()
                .map(|t| Implementation::KernelIpsec(kernel::ipsec(t))),
            KernelIpsecMaker2::NAME => found
                .check()
                .map(|t| Implementation::KernelIpsec(kernel::ipsec_2(t))),
            KernelIpsecMaker1::NAME => found
                .check()
                .map(|t| Implementation::KernelIpsec(kernel::ipsec_1(t))),
            KernelAlgorithms1::NAME => found
                .check()
                .map(|t| Implementation::KernelAlgorithms(Arc::new(algorithms::Remote(t)))),
            KernelDemands1::NAME => found
                .check()
                .map(|t| Implementation::KernelDemands(Arc::new(demands::Remote(t)))),
            KernelNetMaker1::NAME => found.check().map(|t| Implementation::KernelNet(kernel::net(t))),
            ControlMaker1::NAME => found
                .check()
                .map(|t| Implementation::Control(control::control(t))),
            ListenerMaker1::NAME => found
                .check()
                .map(|t| Implementation::Listener(control::listener(t))),
            unknown => Err((
                format!("interface '{unknown}' is unknown to this daemon"),
                String::new(),
            )),
        };
        let implementation = implementation.map_err(|(reason, details)| Refusal {
            feature: described.clone(),
            reason,
            details,
        })?;
        if !fits(&name, &implementation) {
            return Err(refuse(&format!(
                "interface '{}' is not one for {name}",
                self.interface
            )));
        }
        let dependencies = self.dependencies.iter().map(|needed| Dependency {
            // A kind that this daemon does not know is something it does not have.
            name: FeatureName::try_from(&needed.name)
                .unwrap_or_else(|_| FeatureName::Custom(needed.name.text.to_string())),
            soft: needed.soft,
        });
        Ok(Feature {
            name,
            dependencies: dependencies.collect(),
            implementation,
        })
    }
}

fn offer<T: Interface>(table: T) -> (RString, Layout, Object) {
    (T::NAME.into(), Layout::of::<T>(), Object::new(table))
}

/// What is known of the layouts of one plugin.
pub struct Checks {
    same_origin: bool,
    /// Those that were compared already; many features share one.
    compared: Vec<(usize, &'static str)>,
}

impl Checks {
    /// Before any comparison. There is none if the plugin has the same [origin](super::Origin) as the daemon.
    pub fn new(same_origin: bool) -> Self {
        Self {
            same_origin,
            compared: Vec::new(),
        }
    }
}

struct Found<'a> {
    object: Object,
    layout: Layout,
    checks: &'a mut Checks,
}

type Reason = (String, String);

impl Found<'_> {
    fn check<T: Interface>(self) -> Result<Checked<T>, Reason> {
        let key = (std::ptr::from_ref(self.layout.0) as usize, T::NAME);
        if !self.checks.same_origin && !self.checks.compared.contains(&key) {
            compare::<T>(self.layout).map_err(|details| {
                let name = T::NAME;
                let reason =
                    format!("interface '{name}' has another layout than this daemon's; rebuild the plugin");
                (reason, details)
            })?;
            self.checks.compared.push(key);
        }
        // SAFETY: the layout was compared, or comes from the same sources.
        Ok(unsafe { Checked::new(self.object) })
    }

    fn make<T: Interface, I>(self, make: fn(Checked<T>) -> Result<I, PluginError>) -> Result<I, Reason> {
        make(self.check()?).map_err(|error| (error.to_string(), String::new()))
    }
}

/// Compares a layout with that of `T`; the error has about a thousand lines.
pub(super) fn compare<T: Interface>(layout: Layout) -> Result<(), String> {
    let result: Result<(), _> = check_layout_compatibility(T::LAYOUT, layout.0);
    result.map_err(|errors| errors.to_string())
}

fn fits(name: &FeatureName, implementation: &Implementation) -> bool {
    use Implementation as I;
    match name {
        FeatureName::Cipher(..) => matches!(implementation, I::Cipher(_)),
        FeatureName::Aead(..) => matches!(implementation, I::Aead(_)),
        FeatureName::Integrity(_) => matches!(implementation, I::Integrity(_)),
        FeatureName::Hasher(_) => matches!(implementation, I::Hasher(_)),
        FeatureName::Prf(_) => matches!(implementation, I::Prf(_)),
        FeatureName::KeyExchange(_) => matches!(implementation, I::KeyExchange { .. }),
        FeatureName::Random(_) => matches!(implementation, I::Random(_)),
        FeatureName::NonceGenerator => matches!(implementation, I::NonceGenerator(_)),
        FeatureName::Custom(_) => {
            matches!(
                implementation,
                I::KernelIpsec(_)
                    | I::KernelAlgorithms(_)
                    | I::KernelDemands(_)
                    | I::KernelNet(_)
                    | I::Control(_)
                    | I::Listener(_)
            )
        }
    }
}

const QUALITIES: [RandomQuality; 3] = [RandomQuality::Weak, RandomQuality::Strong, RandomQuality::True];

impl From<&FeatureName> for Name {
    fn from(name: &FeatureName) -> Self {
        let (kind, number, key_len) = match name {
            FeatureName::Cipher(algorithm, len) => ("CRYPTER", algorithm.0, *len),
            FeatureName::Aead(algorithm, len) => ("AEAD", algorithm.0, *len),
            FeatureName::Integrity(algorithm) => ("SIGNER", algorithm.0, 0),
            FeatureName::Hasher(algorithm) => ("HASHER", algorithm.0, 0),
            FeatureName::Prf(algorithm) => ("PRF", algorithm.0, 0),
            FeatureName::KeyExchange(method) => ("KE", method.0, 0),
            FeatureName::Random(RandomQuality::Weak) => ("RNG", 0, 0),
            FeatureName::Random(RandomQuality::Strong) => ("RNG", 1, 0),
            FeatureName::Random(RandomQuality::True) => ("RNG", 2, 0),
            FeatureName::NonceGenerator => ("NONCE_GEN", 0, 0),
            FeatureName::Custom(_) => ("CUSTOM", 0, 0),
        };
        let text = match name {
            FeatureName::Custom(text) => text.clone(),
            other => other.to_string(),
        };
        Self {
            kind: kind.into(),
            number,
            key_len,
            text: text.into(),
        }
    }
}

impl TryFrom<&Name> for FeatureName {
    type Error = String;

    fn try_from(name: &Name) -> Result<Self, String> {
        let Name {
            kind,
            number,
            key_len,
            text,
        } = name;
        Ok(match kind.as_str() {
            "CRYPTER" => Self::Cipher(EncryptionAlgorithm(*number), *key_len),
            "AEAD" => Self::Aead(EncryptionAlgorithm(*number), *key_len),
            "SIGNER" => Self::Integrity(IntegrityAlgorithm(*number)),
            "HASHER" => Self::Hasher(HashAlgorithm(*number)),
            "PRF" => Self::Prf(PseudoRandomFunction(*number)),
            "KE" => Self::KeyExchange(KeyExchangeMethod(*number)),
            "RNG" => Self::Random(
                QUALITIES
                    .get(usize::from(*number))
                    .copied()
                    .ok_or_else(|| format!("RNG {number}"))?,
            ),
            "NONCE_GEN" => Self::NonceGenerator,
            "CUSTOM" => Self::Custom(text.to_string()),
            unknown => return Err(unknown.to_owned()),
        })
    }
}
