//! The keywords of `ike=` and `esp=`: `aes256gcm16`, `sha512`, `x25519`, `kyber3`.
//!
//! A keyword stands for one transform; in `ke1_kyber3` the part behind the underscore is a keyword of a key exchange
//! method. Plugins may bring further key exchange keywords, which the registry in `core/crypto` adds to these.

use crate::transform::{
    EncryptionAlgorithm as Encr, ExtendedSequenceNumbers as Esn, IntegrityAlgorithm as Integ,
    KeyExchangeMethod as Ke, PseudoRandomFunction as Prf, TransformType,
};

/// A transform as a proposal lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transform {
    /// What the transform is for.
    pub kind: TransformType,
    /// Its number within the registry of its type.
    pub id: u16,
    /// The Key Length attribute in bits, where the algorithm has one.
    pub key_bits: Option<u16>,
}

impl Transform {
    /// A transform without Key Length attribute.
    pub const fn new(kind: TransformType, id: u16) -> Self {
        Self {
            kind,
            id,
            key_bits: None,
        }
    }

    /// An encryption algorithm, with its key length in bits where it is variable.
    pub const fn encryption(algorithm: Encr, key_bits: Option<u16>) -> Self {
        Self {
            kind: TransformType::ENCR,
            id: algorithm.0,
            key_bits,
        }
    }

    /// Whether the number is of the private-use range, to be accepted only from a peer known to mean the same.
    pub const fn is_private(self) -> bool {
        self.id >= crate::transform::PRIVATE_USE
    }
}

impl std::fmt::Display for Transform {
    /// As in `selected proposal:`: `AES_GCM_16_256`, `PRF_HMAC_SHA2_512`, `KE1_KYBER_L3`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            TransformType::ENCR => write!(f, "{}", Encr(self.id))?,
            TransformType::PRF => write!(f, "{}", Prf(self.id))?,
            TransformType::INTEG => write!(f, "{}", Integ(self.id))?,
            TransformType::ESN => write!(f, "{}", Esn(self.id))?,
            TransformType::KE => write!(f, "{}", Ke(self.id))?,
            kind => match kind.additional_ke_number() {
                Some(number) => write!(f, "KE{number}_{}", Ke(self.id))?,
                None => write!(f, "{kind}_{}", self.id)?,
            },
        }
        match self.key_bits {
            Some(bits) => write!(f, "_{bits}"),
            None => Ok(()),
        }
    }
}

/// The transform a keyword stands for; `ke1_…` included, plugins' own keywords not.
pub fn parse(keyword: &str) -> Option<Transform> {
    if let Some((number, method)) = split_additional(keyword) {
        let kind = TransformType::additional_ke(number)?;
        return Some(Transform {
            kind,
            ..key_exchange(method)?
        });
    }
    key_exchange(keyword).or_else(|| symmetric(keyword))
}

/// Splits `ke1_kyber3` into 1 and `kyber3`.
pub fn split_additional(keyword: &str) -> Option<(u8, &str)> {
    let (prefix, method) = keyword.split_once('_')?;
    let number = match prefix.as_bytes() {
        [b'k' | b'K', b'e' | b'E', digit @ b'1'..=b'7'] => digit - b'0',
        _ => return None,
    };
    Some((number, method))
}

/// The key exchange method of a keyword, as a transform of type 4.
pub fn key_exchange(keyword: &str) -> Option<Transform> {
    let method = KEY_EXCHANGES.iter().find(|(name, _)| *name == keyword)?.1;
    Some(Transform::new(TransformType::KE, method.0))
}

/// The keyword of a key exchange method, the first where it has several.
pub fn of_key_exchange(method: Ke) -> Option<&'static str> {
    KEY_EXCHANGES
        .iter()
        .find(|(_, id)| *id == method)
        .map(|(name, _)| *name)
}

/// The keywords of key exchange methods.
pub fn key_exchanges() -> impl Iterator<Item = &'static str> {
    KEY_EXCHANGES.iter().map(|(name, _)| *name)
}

/// The keywords of everything else, of several for one transform the usual one first.
pub fn others() -> impl Iterator<Item = String> {
    let tables = ENCRYPTION.iter().map(|(name, ..)| *name);
    let tables = tables.chain(INTEGRITY.iter().map(|(name, _)| *name));
    let tables = tables.chain(PRFS.iter().map(|(name, _)| *name));
    let tables = tables.chain(["esn", "noesn"]).map(str::to_owned);
    let families = ["aes", "camellia"].into_iter().flat_map(|family| {
        let sizes = ["128", "192", "256"].into_iter();
        sizes.flat_map(move |bits| MODES.iter().map(move |mode| format!("{family}{bits}{mode}")))
    });
    families.filter(|keyword| sized(keyword).is_some()).chain(tables)
}

/// What may follow the key size of a family.
const MODES: &[&str] = &[
    "", "ctr", "ccm8", "ccm12", "ccm16", "ccm64", "ccm96", "ccm128", "gcm8", "gcm12", "gcm16", "gcm64",
    "gcm96", "gcm128", "gmac",
];

fn symmetric(keyword: &str) -> Option<Transform> {
    if let Some((_, id)) = INTEGRITY.iter().find(|(name, _)| *name == keyword) {
        return Some(Transform::new(TransformType::INTEG, id.0));
    }
    if let Some((_, id)) = PRFS.iter().find(|(name, _)| *name == keyword) {
        return Some(Transform::new(TransformType::PRF, id.0));
    }
    match keyword {
        "noesn" => return Some(Transform::new(TransformType::ESN, Esn::NO_EXT_SEQ.0)),
        "esn" => return Some(Transform::new(TransformType::ESN, Esn::EXT_SEQ.0)),
        _ => {}
    }
    let (_, id, bits) = ENCRYPTION
        .iter()
        .find(|(name, _, _)| *name == keyword)
        .copied()
        .or_else(|| sized(keyword))?;
    Some(Transform::encryption(id, (bits != 0).then_some(bits)))
}

/// Families that come in three key sizes: `aes256gcm16`, `camellia128ctr`.
fn sized(keyword: &str) -> Option<(&'static str, Encr, u16)> {
    let (aes, rest) = match keyword.strip_prefix("aes") {
        Some(rest) => (true, rest),
        None => (false, keyword.strip_prefix("camellia")?),
    };
    let bits = match rest.get(..3)? {
        "128" => 128,
        "192" => 192,
        "256" => 256,
        _ => return None,
    };
    let id = match (aes, &rest[3..]) {
        (true, "") => Encr::AES_CBC,
        (true, "ctr") => Encr::AES_CTR,
        (true, "ccm8" | "ccm64") => Encr::AES_CCM_8,
        (true, "ccm12" | "ccm96") => Encr::AES_CCM_12,
        (true, "ccm16" | "ccm128" | "ccm") => Encr::AES_CCM_16,
        (true, "gcm8" | "gcm64") => Encr::AES_GCM_8,
        (true, "gcm12" | "gcm96") => Encr::AES_GCM_12,
        (true, "gcm16" | "gcm128" | "gcm") => Encr::AES_GCM_16,
        (true, "gmac") => Encr::NULL_AES_GMAC,
        (false, "") => Encr::CAMELLIA_CBC,
        (false, "ctr") => Encr::CAMELLIA_CTR,
        (false, "ccm8" | "ccm64") => Encr::CAMELLIA_CCM_8,
        (false, "ccm12" | "ccm96") => Encr::CAMELLIA_CCM_12,
        (false, "ccm16" | "ccm128") => Encr::CAMELLIA_CCM_16,
        _ => return None,
    };
    Some(("", id, bits))
}

const ENCRYPTION: &[(&str, Encr, u16)] = &[
    ("null", Encr::NULL, 0),
    ("des", Encr::DES_CBC, 0),
    ("3des", Encr::TRIPLE_DES_CBC, 0),
    ("aes", Encr::AES_CBC, 128),
    ("chacha20poly1305", Encr::CHACHA20_POLY1305, 0),
    ("chacha20poly1305compat", Encr::CHACHA20_POLY1305, 256),
    ("blowfish", Encr::BLOWFISH_CBC, 128),
    ("blowfish128", Encr::BLOWFISH_CBC, 128),
    ("blowfish192", Encr::BLOWFISH_CBC, 192),
    ("blowfish256", Encr::BLOWFISH_CBC, 256),
    ("camellia", Encr::CAMELLIA_CBC, 128),
    ("cast128", Encr::CAST_CBC, 128),
    ("serpent", Encr::SERPENT_CBC, 128),
    ("serpent128", Encr::SERPENT_CBC, 128),
    ("serpent192", Encr::SERPENT_CBC, 192),
    ("serpent256", Encr::SERPENT_CBC, 256),
    ("twofish", Encr::TWOFISH_CBC, 128),
    ("twofish128", Encr::TWOFISH_CBC, 128),
    ("twofish192", Encr::TWOFISH_CBC, 192),
    ("twofish256", Encr::TWOFISH_CBC, 256),
];

const INTEGRITY: &[(&str, Integ)] = &[
    ("sha1", Integ::HMAC_SHA1_96),
    ("sha", Integ::HMAC_SHA1_96),
    ("sha1_160", Integ::HMAC_SHA1_160),
    ("sha256", Integ::HMAC_SHA2_256_128),
    ("sha2_256", Integ::HMAC_SHA2_256_128),
    ("sha256_96", Integ::HMAC_SHA2_256_96),
    ("sha2_256_96", Integ::HMAC_SHA2_256_96),
    ("sha384", Integ::HMAC_SHA2_384_192),
    ("sha2_384", Integ::HMAC_SHA2_384_192),
    ("sha512", Integ::HMAC_SHA2_512_256),
    ("sha2_512", Integ::HMAC_SHA2_512_256),
    ("md5", Integ::HMAC_MD5_96),
    ("md5_128", Integ::HMAC_MD5_128),
    ("aesxcbc", Integ::AES_XCBC_96),
    ("camelliaxcbc", Integ::CAMELLIA_XCBC_96),
    ("aescmac", Integ::AES_CMAC_96),
];

const PRFS: &[(&str, Prf)] = &[
    ("prfsha1", Prf::HMAC_SHA1),
    ("prfsha256", Prf::HMAC_SHA2_256),
    ("prfsha384", Prf::HMAC_SHA2_384),
    ("prfsha512", Prf::HMAC_SHA2_512),
    ("prfmd5", Prf::HMAC_MD5),
    ("prfaesxcbc", Prf::AES128_XCBC),
    ("prfcamelliaxcbc", Prf::CAMELLIA128_XCBC),
    ("prfaescmac", Prf::AES128_CMAC),
];

const KEY_EXCHANGES: &[(&str, Ke)] = &[
    ("none", Ke::NONE),
    ("modpnone", Ke::NONE),
    ("modpnull", Ke::MODP_NULL),
    ("modp768", Ke::MODP_768),
    ("modp1024", Ke::MODP_1024),
    ("modp1536", Ke::MODP_1536),
    ("modp2048", Ke::MODP_2048),
    ("modp3072", Ke::MODP_3072),
    ("modp4096", Ke::MODP_4096),
    ("modp6144", Ke::MODP_6144),
    ("modp8192", Ke::MODP_8192),
    ("ecp256", Ke::ECP_256),
    ("ecp384", Ke::ECP_384),
    ("ecp521", Ke::ECP_521),
    ("modp1024s160", Ke::MODP_1024_160),
    ("modp2048s224", Ke::MODP_2048_224),
    ("modp2048s256", Ke::MODP_2048_256),
    ("ecp192", Ke::ECP_192),
    ("ecp224", Ke::ECP_224),
    ("ecp224bp", Ke::ECP_224_BP),
    ("ecp256bp", Ke::ECP_256_BP),
    ("ecp384bp", Ke::ECP_384_BP),
    ("ecp512bp", Ke::ECP_512_BP),
    ("x25519", Ke::CURVE_25519),
    ("curve25519", Ke::CURVE_25519),
    ("x448", Ke::CURVE_448),
    ("curve448", Ke::CURVE_448),
    ("mlkem512", Ke::ML_KEM_512),
    ("mlkem768", Ke::ML_KEM_768),
    ("mlkem1024", Ke::ML_KEM_1024),
    ("ntru112", Ke::NTRU_112),
    ("ntru128", Ke::NTRU_128),
    ("ntru192", Ke::NTRU_192),
    ("ntru256", Ke::NTRU_256),
    ("newhope128", Ke::NEWHOPE_128),
    ("kyber1", Ke::KYBER_L1),
    ("kyber3", Ke::KYBER_L3),
    ("kyber5", Ke::KYBER_L5),
    ("ntrup1", Ke::NTRU_HPS_L1),
    ("ntrup3", Ke::NTRU_HPS_L3),
    ("ntrup5", Ke::NTRU_HPS_L5),
    ("ntrur3", Ke::NTRU_HRSS_L3),
    ("saber1", Ke::SABER_L1),
    ("saber3", Ke::SABER_L3),
    ("saber5", Ke::SABER_L5),
    ("bike1", Ke::BIKE_L1),
    ("bike3", Ke::BIKE_L3),
    ("bike5", Ke::BIKE_L5),
    ("frodoa1", Ke::FRODO_AES_L1),
    ("frodoa3", Ke::FRODO_AES_L3),
    ("frodoa5", Ke::FRODO_AES_L5),
    ("frodos1", Ke::FRODO_SHAKE_L1),
    ("frodos3", Ke::FRODO_SHAKE_L3),
    ("frodos5", Ke::FRODO_SHAKE_L5),
    ("hqc1", Ke::HQC_L1),
    ("hqc3", Ke::HQC_L3),
    ("hqc5", Ke::HQC_L5),
    ("sike1", Ke::SIKE_L1),
    ("sike2", Ke::SIKE_L2),
    ("sike3", Ke::SIKE_L3),
    ("sike5", Ke::SIKE_L5),
    ("sntrup761", Ke::SNTRUP_761),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_keywords_are_their_transforms() {
        assert_eq!(
            parse("aes256gcm16"),
            Some(Transform::encryption(Encr::AES_GCM_16, Some(256)))
        );
        assert_eq!(parse("sha512"), Some(Transform::new(TransformType::INTEG, 14)));
        assert_eq!(parse("x25519"), Some(Transform::new(TransformType::KE, 31)));
        assert_eq!(
            parse("ke1_kyber3"),
            Some(Transform::new(TransformType::ADDITIONAL_KE_1, 1051))
        );
        assert_eq!(
            parse("KE7_frodoa3"),
            Some(Transform::new(TransformType::ADDITIONAL_KE_7, 1064))
        );
        assert_eq!(
            parse("chacha20poly1305"),
            Some(Transform::encryption(Encr::CHACHA20_POLY1305, None))
        );
    }

    #[test]
    fn every_keyword_that_is_listed_is_one() {
        for keyword in others().chain(key_exchanges().map(str::to_owned)) {
            assert!(parse(&keyword).is_some(), "{keyword}");
        }
        assert!(others().any(|keyword| keyword == "aes256gcm16"));
    }

    #[test]
    fn what_is_no_keyword_is_none() {
        for wrong in [
            "",
            "aes",
            "AES256",
            "aes512",
            "ke8_kyber3",
            "ke0_kyber3",
            "ke1_",
            "kyber",
            "aes25é",
        ] {
            let expected = (wrong == "aes").then(|| Transform::encryption(Encr::AES_CBC, Some(128)));
            assert_eq!(parse(wrong), expected, "{wrong}");
        }
    }

    #[test]
    fn transforms_print_as_in_log_lines() {
        let text: Vec<_> = [
            "aes256gcm16",
            "sha512",
            "prfsha512",
            "x25519",
            "noesn",
            "ke1_kyber3",
        ]
        .iter()
        .map(|keyword| parse(keyword).expect("known").to_string())
        .collect();
        assert_eq!(
            text.join("/"),
            "AES_GCM_16_256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/CURVE_25519/NO_EXT_SEQ/KE1_KYBER_L3"
        );
    }
}
