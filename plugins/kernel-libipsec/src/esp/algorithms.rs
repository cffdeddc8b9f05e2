//! What computes which algorithm: AWS-LC where it can, as its assembler is the fastest, RustCrypto else.

use aes::{Aes128, Aes192, Aes256};
use aws_lc_rs::{aead, hmac};
use blowfish::Blowfish;
use camellia::{Camellia128, Camellia192, Camellia256};
use cipher::consts::{U8, U12, U16};
use des::TdesEde3;
use iana::{EncryptionAlgorithm, IntegrityAlgorithm};
use md5::Md5;
use modes::{Cbc, Ccm, CmacIntegrity, Ctr, Gcm, HmacIntegrity, Xcbc};
use plugin_api::{Aead, Cipher, ErrorKind, Integrity, IntegrityKey, PluginError};

/// An encryption algorithm with the length of its key.
pub(super) enum Encryption {
    /// An AEAD of AWS-LC, with a salt of four octets behind its key.
    Fast(&'static aead::Algorithm),
    /// Integrity alone, by the tag of an empty AES-GCM (RFC 4543).
    Gmac(&'static aead::Algorithm),
    /// Another AEAD.
    Aead(Box<dyn Aead>),
    /// To go with an integrity algorithm.
    Cipher(Box<dyn Cipher>),
    /// Integrity alone, by an algorithm of its own (RFC 2410).
    Null,
}

macro_rules! by_key_len {
    ($kind:ident, $octets:expr, $mode:ident<$short:ty, $middle:ty, $long:ty $(; $tag:ty)?>) => {
        match $octets {
            16 => Some(Encryption::$kind(Box::new($mode::<$short $(, $tag)?>::new()))),
            24 => Some(Encryption::$kind(Box::new($mode::<$middle $(, $tag)?>::new()))),
            32 => Some(Encryption::$kind(Box::new($mode::<$long $(, $tag)?>::new()))),
            _ => None,
        }
    };
}

impl Encryption {
    /// An algorithm with so many octets of key, salt included.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`] for unknown algorithms, [`ErrorKind::InvalidArgument`] for keys of other lengths.
    pub(super) fn of(algorithm: EncryptionAlgorithm, octets: usize) -> Result<Self, PluginError> {
        use EncryptionAlgorithm as Encr;
        let key_len = octets.saturating_sub(algorithm.salt_len());
        let found = match algorithm {
            Encr::AES_GCM_16 => gcm(key_len).map(Self::Fast),
            Encr::CHACHA20_POLY1305 => (key_len == 32).then_some(Self::Fast(&aead::CHACHA20_POLY1305)),
            Encr::NULL_AES_GMAC => gcm(key_len).map(Self::Gmac),
            Encr::AES_GCM_12 => by_key_len!(Aead, key_len, Gcm<Aes128, Aes192, Aes256; U12>),
            Encr::AES_GCM_8 => by_key_len!(Aead, key_len, Gcm<Aes128, Aes192, Aes256; U8>),
            Encr::AES_CCM_16 => by_key_len!(Aead, key_len, Ccm<Aes128, Aes192, Aes256; U16>),
            Encr::AES_CCM_12 => by_key_len!(Aead, key_len, Ccm<Aes128, Aes192, Aes256; U12>),
            Encr::AES_CCM_8 => by_key_len!(Aead, key_len, Ccm<Aes128, Aes192, Aes256; U8>),
            Encr::CAMELLIA_CCM_16 => {
                by_key_len!(Aead, key_len, Ccm<Camellia128, Camellia192, Camellia256; U16>)
            }
            Encr::CAMELLIA_CCM_12 => {
                by_key_len!(Aead, key_len, Ccm<Camellia128, Camellia192, Camellia256; U12>)
            }
            Encr::CAMELLIA_CCM_8 => {
                by_key_len!(Aead, key_len, Ccm<Camellia128, Camellia192, Camellia256; U8>)
            }
            Encr::AES_CBC => by_key_len!(Cipher, key_len, Cbc<Aes128, Aes192, Aes256>),
            Encr::AES_CTR => by_key_len!(Cipher, key_len, Ctr<Aes128, Aes192, Aes256>),
            Encr::CAMELLIA_CBC => by_key_len!(Cipher, key_len, Cbc<Camellia128, Camellia192, Camellia256>),
            Encr::CAMELLIA_CTR => by_key_len!(Cipher, key_len, Ctr<Camellia128, Camellia192, Camellia256>),
            Encr::TRIPLE_DES_CBC => (key_len == 24).then(|| Self::Cipher(Box::new(Cbc::<TdesEde3>::new()))),
            Encr::BLOWFISH_CBC => [16, 24, 32]
                .contains(&key_len)
                .then(|| Self::Cipher(Box::new(Cbc::<Blowfish>::with_key_len(key_len)))),
            Encr::NULL => (key_len == 0).then_some(Self::Null),
            _ => {
                return Err(PluginError::new(
                    ErrorKind::NotSupported,
                    format!(
                        "ESP in user space does not know {algorithm}; put aes256gcm16, chacha20poly1305 or \
                         aes256-sha256 into the esp proposal"
                    ),
                ));
            }
        };
        found.ok_or_else(|| wrong_key(algorithm, octets))
    }
}

fn gcm(key_len: usize) -> Option<&'static aead::Algorithm> {
    match key_len {
        16 => Some(&aead::AES_128_GCM),
        24 => Some(&aead::AES_192_GCM),
        32 => Some(&aead::AES_256_GCM),
        _ => None,
    }
}

/// The integrity algorithm that goes with a cipher.
///
/// # Errors
///
/// [`ErrorKind::NotSupported`] for none and for unknown ones.
pub(super) fn integrity(algorithm: Option<IntegrityAlgorithm>) -> Result<Box<dyn Integrity>, PluginError> {
    use IntegrityAlgorithm as Integ;
    let Some(algorithm) = algorithm else {
        return Err(PluginError::new(
            ErrorKind::NotSupported,
            "ESP without integrity protection is refused; add sha256 or better to the esp proposal",
        ));
    };
    let unknown = || {
        PluginError::new(
            ErrorKind::NotSupported,
            format!(
                "ESP in user space does not know {algorithm}; put sha1, sha256, sha384 or sha512 into the esp proposal"
            ),
        )
    };
    let (key_len, tag_len) = algorithm.key_and_tag_len().ok_or_else(unknown)?;
    let fast = |hash| -> Box<dyn Integrity> {
        Box::new(FastHmac {
            hash,
            key_len,
            tag_len,
        })
    };
    Ok(match algorithm {
        Integ::HMAC_SHA1_96 | Integ::HMAC_SHA1_128 | Integ::HMAC_SHA1_160 => {
            fast(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)
        }
        Integ::HMAC_SHA2_256_96 | Integ::HMAC_SHA2_256_128 => fast(hmac::HMAC_SHA256),
        Integ::HMAC_SHA2_384_192 => fast(hmac::HMAC_SHA384),
        Integ::HMAC_SHA2_512_256 => fast(hmac::HMAC_SHA512),
        Integ::HMAC_MD5_96 | Integ::HMAC_MD5_128 => Box::new(HmacIntegrity::<Md5>::new(key_len, tag_len)),
        Integ::AES_XCBC_96 => Box::new(Xcbc::<Aes128>::new()),
        Integ::CAMELLIA_XCBC_96 => Box::new(Xcbc::<Camellia128>::new()),
        Integ::AES_CMAC_96 => Box::new(CmacIntegrity::<Aes128>::new(key_len, tag_len)),
        _ => return Err(unknown()),
    })
}

pub(super) fn wrong_key(algorithm: impl std::fmt::Display, octets: usize) -> PluginError {
    PluginError::new(
        ErrorKind::InvalidArgument,
        format!("a key of {octets} octets does not fit {algorithm}"),
    )
}

/// HMAC by AWS-LC (RFC 2404, RFC 4868).
struct FastHmac {
    hash: hmac::Algorithm,
    key_len: usize,
    tag_len: usize,
}

impl Integrity for FastHmac {
    fn key_len(&self) -> usize {
        self.key_len
    }

    fn tag_len(&self) -> usize {
        self.tag_len
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn IntegrityKey>, PluginError> {
        Ok(Box::new(FastHmacKey(hmac::Key::new(self.hash, key))))
    }
}

struct FastHmacKey(hmac::Key);

impl IntegrityKey for FastHmacKey {
    fn sign(&self, parts: &[&[u8]], tag: &mut [u8]) -> Result<(), PluginError> {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        let whole = context.sign();
        let cut = whole.as_ref().get(..tag.len());
        let cut = cut.ok_or_else(|| PluginError::wrong_length("tag", tag.len(), whole.as_ref().len()))?;
        tag.copy_from_slice(cut);
        Ok(())
    }
}
