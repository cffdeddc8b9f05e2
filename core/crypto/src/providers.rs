//! Which plugins bring which algorithm: what is said of one that no loaded plugin has.

use std::collections::BTreeSet;

use iana::keyword::Transform;
use iana::{
    EncryptionAlgorithm as Encr, IntegrityAlgorithm as Integ, KeyExchangeMethod as Ke,
    PseudoRandomFunction as Prf, TransformType,
};

/// The plugins of this project that implement a transform for IKE, first the one that has the fewest others.
pub fn plugins_of(transform: Transform) -> Vec<&'static str> {
    let Transform { kind, id, .. } = transform;
    match kind {
        TransformType::ENCR => find(ENCRYPTION, &Encr(id)),
        TransformType::INTEG => find(INTEGRITY, &Integ(id)),
        TransformType::PRF => find(PRFS, &Prf(id)),
        kind if kind.is_key_exchange() => find(KEY_EXCHANGES, &Ke(id)),
        _ => Vec::new(),
    }
}

/// The plugins that would bring a transform, any of which would do: `plugin 'frodo' or 'oqs'`.
pub fn named(transform: Transform) -> Option<String> {
    let plugins: Vec<_> = plugins_of(transform)
        .into_iter()
        .map(|plugin| format!("'{plugin}'"))
        .collect();
    (!plugins.is_empty()).then(|| format!("plugin {}", plugins.join(" or ")))
}

/// Every transform of the tables once, encryption algorithms without key lengths.
pub fn known() -> impl Iterator<Item = Transform> {
    let of = |kind, ids: BTreeSet<u16>| ids.into_iter().map(move |id| Transform::new(kind, id));
    of(TransformType::ENCR, ids(ENCRYPTION, |it| it.0))
        .chain(of(TransformType::INTEG, ids(INTEGRITY, |it| it.0)))
        .chain(of(TransformType::PRF, ids(PRFS, |it| it.0)))
        .chain(of(TransformType::KE, ids(KEY_EXCHANGES, |it| it.0)))
}

type Table<T> = &'static [(&'static str, &'static [T])];

fn find<T: PartialEq>(table: Table<T>, wanted: &T) -> Vec<&'static str> {
    let found = table.iter().filter(|(_, algorithms)| algorithms.contains(wanted));
    found.map(|(plugin, _)| *plugin).collect()
}

fn ids<T>(table: Table<T>, id: fn(&T) -> u16) -> BTreeSet<u16> {
    table
        .iter()
        .flat_map(|(_, algorithms)| *algorithms)
        .map(id)
        .collect()
}

const ENCRYPTION: Table<Encr> = &[
    ("aes", &[Encr::AES_CBC]),
    ("ctr", &[Encr::AES_CTR]),
    ("gcm", &[Encr::AES_GCM_8, Encr::AES_GCM_12, Encr::AES_GCM_16]),
    ("ccm", &[Encr::AES_CCM_8, Encr::AES_CCM_12, Encr::AES_CCM_16]),
    ("chapoly", &[Encr::CHACHA20_POLY1305]),
    ("des", &[Encr::TRIPLE_DES_CBC]),
    ("blowfish", &[Encr::BLOWFISH_CBC]),
    (
        "camellia",
        &[
            Encr::CAMELLIA_CBC,
            Encr::CAMELLIA_CTR,
            Encr::CAMELLIA_CCM_8,
            Encr::CAMELLIA_CCM_12,
            Encr::CAMELLIA_CCM_16,
        ],
    ),
    ("aws-lc", &[Encr::AES_GCM_16, Encr::CHACHA20_POLY1305]),
];

const INTEGRITY: Table<Integ> = &[
    (
        "hmac",
        &[
            Integ::HMAC_SHA1_96,
            Integ::HMAC_SHA1_128,
            Integ::HMAC_SHA1_160,
            Integ::HMAC_SHA2_256_96,
            Integ::HMAC_SHA2_256_128,
            Integ::HMAC_SHA2_384_192,
            Integ::HMAC_SHA2_512_256,
        ],
    ),
    ("md5", &[Integ::HMAC_MD5_96, Integ::HMAC_MD5_128]),
    ("xcbc", &[Integ::AES_XCBC_96]),
    ("cmac", &[Integ::AES_CMAC_96]),
    ("camellia", &[Integ::CAMELLIA_XCBC_96]),
    (
        "aws-lc",
        &[
            Integ::HMAC_SHA1_96,
            Integ::HMAC_SHA1_128,
            Integ::HMAC_SHA1_160,
            Integ::HMAC_SHA2_256_96,
            Integ::HMAC_SHA2_256_128,
            Integ::HMAC_SHA2_384_192,
            Integ::HMAC_SHA2_512_256,
        ],
    ),
];

const PRFS: Table<Prf> = &[
    (
        "hmac",
        &[
            Prf::HMAC_SHA1,
            Prf::HMAC_SHA2_256,
            Prf::HMAC_SHA2_384,
            Prf::HMAC_SHA2_512,
        ],
    ),
    ("md5", &[Prf::HMAC_MD5]),
    ("xcbc", &[Prf::AES128_XCBC]),
    ("cmac", &[Prf::AES128_CMAC]),
    ("camellia", &[Prf::CAMELLIA128_XCBC]),
    (
        "aws-lc",
        &[
            Prf::HMAC_SHA1,
            Prf::HMAC_SHA2_256,
            Prf::HMAC_SHA2_384,
            Prf::HMAC_SHA2_512,
        ],
    ),
];

const KEY_EXCHANGES: Table<Ke> = &[
    ("curve25519", &[Ke::CURVE_25519]),
    ("curve448", &[Ke::CURVE_448]),
    ("brainpool", &[Ke::ECP_256_BP, Ke::ECP_384_BP]),
    ("ecp-low", &[Ke::ECP_192, Ke::ECP_224]),
    (
        "gmp",
        &[
            Ke::MODP_768,
            Ke::MODP_1024,
            Ke::MODP_1536,
            Ke::MODP_2048,
            Ke::MODP_3072,
            Ke::MODP_4096,
            Ke::MODP_6144,
            Ke::MODP_8192,
            Ke::MODP_1024_160,
            Ke::MODP_2048_224,
            Ke::MODP_2048_256,
        ],
    ),
    ("ml", &[Ke::ML_KEM_512, Ke::ML_KEM_768, Ke::ML_KEM_1024]),
    (
        "aws-lc",
        &[
            Ke::CURVE_25519,
            Ke::ECP_256,
            Ke::ECP_384,
            Ke::ECP_521,
            Ke::ML_KEM_512,
            Ke::ML_KEM_768,
            Ke::ML_KEM_1024,
        ],
    ),
    (
        "frodo",
        &[
            Ke::FRODO_AES_L1,
            Ke::FRODO_AES_L3,
            Ke::FRODO_AES_L5,
            Ke::FRODO_SHAKE_L1,
            Ke::FRODO_SHAKE_L3,
            Ke::FRODO_SHAKE_L5,
        ],
    ),
    (
        "oqs",
        &[
            Ke::KYBER_L1,
            Ke::KYBER_L3,
            Ke::KYBER_L5,
            Ke::BIKE_L1,
            Ke::BIKE_L3,
            Ke::BIKE_L5,
            Ke::FRODO_AES_L1,
            Ke::FRODO_AES_L3,
            Ke::FRODO_AES_L5,
            Ke::FRODO_SHAKE_L1,
            Ke::FRODO_SHAKE_L3,
            Ke::FRODO_SHAKE_L5,
            Ke::HQC_L1,
            Ke::HQC_L3,
            Ke::HQC_L5,
            Ke::SNTRUP_761,
        ],
    ),
    (
        "ntru",
        &[
            Ke::NTRU_HPS_L1,
            Ke::NTRU_HPS_L3,
            Ke::NTRU_HPS_L5,
            Ke::NTRU_HRSS_L3,
        ],
    ),
    // The numbers of the wire, which both rounds share, and those that the second round's Kyber has here.
    (
        "kyber-round2",
        &[
            Ke::KYBER_L1,
            Ke::KYBER_L3,
            Ke::KYBER_L5,
            Ke::KYBER_L1_ROUND2,
            Ke::KYBER_L3_ROUND2,
            Ke::KYBER_L5_ROUND2,
        ],
    ),
    ("saber", &[Ke::SABER_L1, Ke::SABER_L3, Ke::SABER_L5]),
    ("sike", &[Ke::SIKE_L1, Ke::SIKE_L2, Ke::SIKE_L3, Ke::SIKE_L5]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_that_would_do_is_named() {
        let additional = |method: Ke| Transform::new(TransformType::ADDITIONAL_KE_3, method.0);
        for (transform, plugins) in [
            (additional(Ke::SIKE_L1), Some("plugin 'sike'")),
            (additional(Ke::FRODO_AES_L3), Some("plugin 'frodo' or 'oqs'")),
            (additional(Ke::KYBER_L3), Some("plugin 'oqs' or 'kyber-round2'")),
            (additional(Ke::ML_KEM_768), Some("plugin 'ml' or 'aws-lc'")),
            (
                Transform::encryption(Encr::AES_CCM_8, Some(192)),
                Some("plugin 'ccm'"),
            ),
            (Transform::encryption(Encr::SERPENT_CBC, Some(128)), None),
        ] {
            assert_eq!(named(transform).as_deref(), plugins);
        }
    }
}
