//! The keys of an SA as the daemon gives them. Most SAs carry nothing most of the time, so this is all that is kept of them
//! then.

use aws_lc_rs::aead::{self, LessSafeKey, UnboundKey};
use aws_lc_rs::hmac;
use iana::{EncryptionAlgorithm, IntegrityAlgorithm};
use plugin_api::{ErrorKind, PluginError};
use zeroize::Zeroizing;

use super::cbc_hmac::Cbc;
use super::{Algorithms, Error, Protection};

/// Algorithms and keys.
pub struct Keys {
    /// The key of the encryption, then that of the integrity protection.
    octets: Zeroizing<Box<[u8]>>,
    kind: Kind,
    esn: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    /// With a salt of four octets after the key.
    Aead(Aead),
    /// AES-CBC.
    Cbc(Hash),
}

#[derive(Clone, Copy)]
enum Aead {
    Aes128Gcm,
    Aes192Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

#[derive(Clone, Copy)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Keys {
    /// Takes algorithms and keys of an SA; with `esn`, the high half of the sequence number is authenticated too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`] for other algorithms, [`ErrorKind::InvalidArgument`] for keys of other lengths.
    pub fn new(
        encryption: EncryptionAlgorithm,
        encryption_key: &[u8],
        integrity: Option<IntegrityAlgorithm>,
        integrity_key: &[u8],
        esn: bool,
    ) -> Result<Self, PluginError> {
        let (kind, octets): (_, Box<[u8]>) = match encryption {
            EncryptionAlgorithm::AES_GCM_16 | EncryptionAlgorithm::CHACHA20_POLY1305 => {
                let kind = Kind::Aead(Aead::of(encryption, encryption_key)?);
                (kind, encryption_key.into())
            }
            EncryptionAlgorithm::AES_CBC => {
                let hash = Hash::of(integrity, integrity_key)?;
                if !matches!(encryption_key.len(), 16 | 24 | 32) {
                    return Err(wrong_key(encryption, encryption_key.len()));
                }
                // Room for all of them, or what is left behind in growing would not be zeroized.
                let mut both = Vec::with_capacity(encryption_key.len() + integrity_key.len());
                both.extend_from_slice(encryption_key);
                both.extend_from_slice(integrity_key);
                (Kind::Cbc(hash), both.into_boxed_slice())
            }
            _ => {
                return Err(PluginError::new(
                    ErrorKind::NotSupported,
                    format!(
                        "ESP in user space does not know {encryption}; put aes256gcm16, chacha20poly1305 or \
                         aes256-sha256 into the esp proposal"
                    ),
                ));
            }
        };
        Ok(Self {
            octets: Zeroizing::new(octets),
            kind,
            esn,
        })
    }

    /// Whether sequence numbers have 64 bits.
    pub fn esn(&self) -> bool {
        self.esn
    }

    /// Makes of them what computes.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] if the library refuses the key.
    pub fn expand(&self) -> Result<Protection, Error> {
        let octets = &**self.octets;
        let algorithms = match self.kind {
            Kind::Aead(aead) => {
                let (key, salt) = octets.split_last_chunk().ok_or(Error::Key)?;
                let key = UnboundKey::new(aead.algorithm(), key).map_err(|_| Error::Key)?;
                Algorithms::Aead {
                    key: LessSafeKey::new(key),
                    salt: *salt,
                }
            }
            Kind::Cbc(hash) => {
                let (algorithm, key_len, tag_len) = hash.algorithm();
                let encryption_len = octets.len().checked_sub(key_len).ok_or(Error::Key)?;
                let (encryption_key, integrity_key) = octets.split_at(encryption_len);
                Algorithms::CbcHmac {
                    cipher: Cbc::new(encryption_key).ok_or(Error::Key)?,
                    hmac: Box::new(hmac::Key::new(algorithm, integrity_key)),
                    tag_len,
                }
            }
        };
        Ok(Protection {
            algorithms,
            esn: self.esn,
        })
    }
}

impl Aead {
    fn of(algorithm: EncryptionAlgorithm, key: &[u8]) -> Result<Self, PluginError> {
        match (algorithm, key.len()) {
            (EncryptionAlgorithm::CHACHA20_POLY1305, 36) => Ok(Self::ChaCha20Poly1305),
            (EncryptionAlgorithm::AES_GCM_16, 20) => Ok(Self::Aes128Gcm),
            (EncryptionAlgorithm::AES_GCM_16, 28) => Ok(Self::Aes192Gcm),
            (EncryptionAlgorithm::AES_GCM_16, 36) => Ok(Self::Aes256Gcm),
            (_, octets) => Err(wrong_key(algorithm, octets)),
        }
    }

    fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128Gcm => &aead::AES_128_GCM,
            Self::Aes192Gcm => &aead::AES_192_GCM,
            Self::Aes256Gcm => &aead::AES_256_GCM,
            Self::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }
}

impl Hash {
    fn of(integrity: Option<IntegrityAlgorithm>, key: &[u8]) -> Result<Self, PluginError> {
        let Some(integrity) = integrity else {
            return Err(PluginError::new(
                ErrorKind::NotSupported,
                "ESP without integrity protection is refused; add sha256 or better to the esp proposal",
            ));
        };
        let hash = match integrity {
            IntegrityAlgorithm::HMAC_SHA1_96 => Self::Sha1,
            IntegrityAlgorithm::HMAC_SHA2_256_128 => Self::Sha256,
            IntegrityAlgorithm::HMAC_SHA2_384_192 => Self::Sha384,
            IntegrityAlgorithm::HMAC_SHA2_512_256 => Self::Sha512,
            _ => {
                return Err(PluginError::new(
                    ErrorKind::NotSupported,
                    format!(
                        "ESP in user space does not know {integrity}; put sha1, sha256, sha384 or sha512 into the esp \
                         proposal"
                    ),
                ));
            }
        };
        let (_, key_len, _) = hash.algorithm();
        if key.len() == key_len {
            Ok(hash)
        } else {
            Err(wrong_key(integrity, key.len()))
        }
    }

    /// The HMAC, and octets of its key and of what is sent of its result.
    fn algorithm(self) -> (hmac::Algorithm, usize, usize) {
        match self {
            Self::Sha1 => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 20, 12),
            Self::Sha256 => (hmac::HMAC_SHA256, 32, 16),
            Self::Sha384 => (hmac::HMAC_SHA384, 48, 24),
            Self::Sha512 => (hmac::HMAC_SHA512, 64, 32),
        }
    }
}

fn wrong_key(algorithm: impl std::fmt::Display, octets: usize) -> PluginError {
    PluginError::new(
        ErrorKind::InvalidArgument,
        format!("a key of {octets} octets does not fit {algorithm}"),
    )
}
