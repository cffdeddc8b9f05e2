//! Which algorithm a number or a name stands for.

use iana::{EncryptionAlgorithm, IntegrityAlgorithm, KeyExchangeMethod, Protocol, TransformType};
use plugin_api::{Feature, NonceGenerator, PluginError, Random, RandomQuality};

use super::algorithms::{HmacPrf, OWN_METHOD, Plain, registry};
use crate::{Class, Registry, Transform};

struct Constant(u8);

impl Random for Constant {
    fn fill(&self, out: &mut [u8]) -> Result<(), PluginError> {
        out.fill(self.0);
        Ok(())
    }
}

impl NonceGenerator for Constant {
    fn nonce(&self, out: &mut [u8]) -> Result<(), PluginError> {
        self.fill(out)
    }
}

#[test]
fn ciphers_are_found_by_their_key_length_in_bits() {
    let registry = registry();
    assert_eq!(
        registry
            .cipher(EncryptionAlgorithm::AES_CBC, Some(256))
            .map(|it| it.key_len()),
        Some(32)
    );
    assert_eq!(
        registry
            .cipher(EncryptionAlgorithm::AES_CBC, Some(128))
            .map(|it| it.key_len()),
        Some(16)
    );
    assert!(registry.cipher(EncryptionAlgorithm::AES_CBC, Some(192)).is_none());
    assert!(
        registry.cipher(EncryptionAlgorithm::AES_CBC, None).is_none(),
        "AES has no key length of its own"
    );
    assert!(registry.cipher(EncryptionAlgorithm::AES_CBC, Some(7)).is_none());
    assert!(
        registry
            .aead(EncryptionAlgorithm::AES_GCM_16, Some(256))
            .is_some()
    );
    assert!(
        registry
            .aead(EncryptionAlgorithm::AES_GCM_16, Some(128))
            .is_none()
    );
}

#[test]
fn of_several_plugins_the_first_is_used_and_listed() {
    let mut registry = Registry::new();
    for (plugin, len) in [("first", 5), ("second", 6)] {
        let feature = Feature::cipher(EncryptionAlgorithm::TRIPLE_DES_CBC, 24, Plain(len));
        registry.add(plugin, feature.name, &feature.implementation);
    }
    let cipher = registry.cipher(EncryptionAlgorithm::TRIPLE_DES_CBC, None);
    assert_eq!(cipher.map(|it| it.key_len()), Some(5));
    let entries: Vec<_> = registry
        .entries()
        .map(|entry| (entry.name, entry.plugin))
        .collect();
    assert_eq!(entries, [("3DES_CBC".to_owned(), "first".to_owned())]);
}

#[test]
fn algorithms_are_listed_once_by_class_in_the_order_of_registration() {
    let registry = registry();
    let of = |class| {
        let names = registry.entries().filter(|entry| entry.class == class);
        names
            .map(|entry| format!("{}[{}]", entry.name, entry.plugin))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(Class::Encryption),
        ["AES_CBC[aes]"],
        "two key lengths are one line"
    );
    assert_eq!(of(Class::Aead), ["AES_GCM_16[gcm]"]);
    assert_eq!(
        of(Class::Prf),
        ["PRF_HMAC_SHA2_512[hmac]", "PRF_HMAC_SHA2_256[hmac]"]
    );
    assert_eq!(
        of(Class::KeyExchange).first().map(String::as_str),
        Some("MODP_3072[null]")
    );
    assert_eq!(
        of(Class::KeyExchange).last().map(String::as_str),
        Some("ACME_L1[acme]")
    );
    let classes: Vec<_> = registry.entries().map(|entry| entry.class).collect();
    assert!(classes.is_sorted());
}

#[test]
fn better_randomness_stands_in_for_worse_but_not_the_reverse() {
    let mut registry = Registry::new();
    let mut add = |feature: Feature| registry.add("random", feature.name, &feature.implementation);
    add(Feature::random(RandomQuality::True, Constant(3)));
    add(Feature::random(RandomQuality::Strong, Constant(2)));
    let octet = |registry: &Registry, quality| {
        let mut octet = [0];
        registry
            .random(quality)
            .map(|random| random.fill(&mut octet))
            .transpose()
            .expect("constant");
        octet[0]
    };
    assert_eq!(octet(&registry, RandomQuality::Weak), 2);
    assert_eq!(octet(&registry, RandomQuality::Strong), 2);
    assert_eq!(octet(&registry, RandomQuality::True), 3);

    let mut weak = Registry::new();
    let feature = Feature::random(RandomQuality::Weak, Constant(1));
    weak.add("random", feature.name, &feature.implementation);
    assert!(weak.random(RandomQuality::Strong).is_none());
    assert!(weak.nonce_generator().is_none());
}

#[test]
fn plugins_add_keywords_and_names_for_their_methods() {
    let registry = registry();
    let own = Transform::new(TransformType::KE, OWN_METHOD);
    let additional = Transform {
        kind: TransformType::ADDITIONAL_KE_2,
        ..own
    };
    assert_eq!(registry.parse_keyword("acme1"), Some(own));
    assert_eq!(registry.parse_keyword("ke2_acme1"), Some(additional));
    assert_eq!(registry.parse_keyword("KE2_acme1"), Some(additional));
    assert_eq!(registry.parse_keyword("ke8_acme1"), None);
    assert_eq!(
        registry.parse_keyword(""),
        None,
        "methods without keyword have no empty one"
    );
    assert_eq!(registry.parse_keyword("ke1_"), None);
    assert_eq!(registry.parse_keyword("x25519").map(|it| it.id), Some(31));

    assert_eq!(registry.transform_name(&own), "ACME_L1");
    assert_eq!(registry.transform_name(&additional), "KE2_ACME_L1");
    assert_eq!(
        registry.transform_name(&Transform::new(TransformType::KE, 2001)),
        "(2001)"
    );
    assert_eq!(registry.method_name(KeyExchangeMethod::KYBER_L3), "KYBER_L3");
}

#[test]
fn the_kernel_implements_the_ciphers_of_esp_and_plugins_those_of_ike() {
    let registry = registry();
    let camellia = Transform::encryption(EncryptionAlgorithm::CAMELLIA_CBC, Some(128));
    let sha1 = Transform::new(TransformType::INTEG, IntegrityAlgorithm::HMAC_SHA1_96.0);
    for transform in [camellia, sha1] {
        assert!(registry.implements(Protocol::ESP, transform), "{transform}");
        assert!(!registry.implements(Protocol::IKE, transform), "{transform}");
    }
    let ntru = Transform::new(TransformType::ADDITIONAL_KE_1, KeyExchangeMethod::NTRU_128.0);
    assert!(
        !registry.implements(Protocol::ESP, ntru),
        "key exchanges are the plugins' in any case"
    );
    assert!(
        registry.implements(Protocol::ESP, Transform { id: 0, ..ntru }),
        "NONE needs no plugin"
    );
    assert!(!registry.implements(Protocol::IKE, Transform::new(TransformType(13), 1)));
    assert!(registry.prf(iana::PseudoRandomFunction::HMAC_MD5).is_none());
    assert_eq!(plugin_api::Prf::key_len(&HmacPrf::Sha512), 64);
}
