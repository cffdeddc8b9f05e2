//! The keys of an SA as the daemon gives them. Most SAs carry nothing most of the time, so this is all that is kept of them
//! then.

use aws_lc_rs::aead::{Algorithm, LessSafeKey, UnboundKey};
use iana::{EncryptionAlgorithm, IntegrityAlgorithm};
use plugin_api::PluginError;
use zeroize::Zeroizing;

use super::algorithms::{self, Encryption, wrong_key};
use super::{Algorithms, Error, Protection};

/// Algorithms and keys.
pub struct Keys {
    /// The key of the encryption, salt included, then that of the integrity protection.
    octets: Zeroizing<Box<[u8]>>,
    encryption: EncryptionAlgorithm,
    encryption_len: u16,
    integrity: Option<IntegrityAlgorithm>,
    esn: bool,
}

impl Keys {
    /// Takes algorithms and keys of an SA; with `esn`, the high half of the sequence number is authenticated too.
    ///
    /// # Errors
    ///
    /// [`NotSupported`](plugin_api::ErrorKind::NotSupported) for other algorithms,
    /// [`InvalidArgument`](plugin_api::ErrorKind::InvalidArgument) for keys of other lengths.
    pub fn new(
        encryption: EncryptionAlgorithm,
        encryption_key: &[u8],
        integrity: Option<IntegrityAlgorithm>,
        integrity_key: &[u8],
        esn: bool,
    ) -> Result<Self, PluginError> {
        let wrong_encryption_key = || wrong_key(encryption, encryption_key.len());
        let found = Encryption::of(encryption, encryption_key.len())?;
        let needs_integrity = matches!(found, Encryption::Cipher(_) | Encryption::Null);
        let (integrity, integrity_key) = if needs_integrity {
            let found = algorithms::integrity(integrity)?;
            if found.key_len() != integrity_key.len() {
                let name = integrity.map(|integrity| integrity.to_string());
                return Err(wrong_key(name.unwrap_or_default(), integrity_key.len()));
            }
            (integrity, integrity_key)
        } else {
            (None, &[][..])
        };
        // Room for all of them, or what is left behind in growing would not be zeroized.
        let mut octets = Vec::with_capacity(encryption_key.len() + integrity_key.len());
        octets.extend_from_slice(encryption_key);
        octets.extend_from_slice(integrity_key);
        Ok(Self {
            octets: Zeroizing::new(octets.into_boxed_slice()),
            encryption,
            encryption_len: u16::try_from(encryption_key.len()).map_err(|_| wrong_encryption_key())?,
            integrity,
            esn,
        })
    }

    /// Whether an encryption algorithm is known with a key of so many octets, salt left out.
    pub fn encrypts_with(algorithm: EncryptionAlgorithm, key_len: usize) -> bool {
        Encryption::of(algorithm, key_len + algorithm.salt_len()).is_ok()
    }

    /// Whether an integrity algorithm is known.
    pub fn authenticates_with(algorithm: IntegrityAlgorithm) -> bool {
        algorithms::integrity(Some(algorithm)).is_ok()
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
        let encryption_len = usize::from(self.encryption_len);
        let (key, integrity_key) = self.octets.split_at(encryption_len);
        let refused = |_: PluginError| Error::Key;
        let algorithms = match Encryption::of(self.encryption, encryption_len).map_err(refused)? {
            Encryption::Fast(algorithm) => {
                let (key, salt) = fast(algorithm, key)?;
                Algorithms::Fast { key, salt }
            }
            Encryption::Gmac(algorithm) => {
                let (key, salt) = fast(algorithm, key)?;
                Algorithms::Gmac { key, salt }
            }
            Encryption::Aead(aead) => Algorithms::Aead(aead.create(key).map_err(refused)?),
            Encryption::Cipher(cipher) => {
                self.classic(Some(cipher.create(key).map_err(refused)?), integrity_key)?
            }
            Encryption::Null => self.classic(None, integrity_key)?,
        };
        Ok(Protection {
            algorithms,
            esn: self.esn,
        })
    }

    fn classic(
        &self,
        cipher: Option<Box<dyn plugin_api::CipherKey>>,
        integrity_key: &[u8],
    ) -> Result<Algorithms, Error> {
        let refused = |_: PluginError| Error::Key;
        let integrity = algorithms::integrity(self.integrity).map_err(refused)?;
        Ok(Algorithms::Classic {
            tag_len: integrity.tag_len(),
            integrity: integrity.create(integrity_key).map_err(refused)?,
            cipher,
        })
    }
}

fn fast(algorithm: &'static Algorithm, key: &[u8]) -> Result<(LessSafeKey, [u8; 4]), Error> {
    let (key, salt) = key.split_last_chunk().ok_or(Error::Key)?;
    let key = UnboundKey::new(algorithm, key).map_err(|_| Error::Key)?;
    Ok((LessSafeKey::new(key), *salt))
}
