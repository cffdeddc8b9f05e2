//! The algorithms of a selected proposal, ready to use.

use std::sync::Arc;

use iana::{
    EncryptionAlgorithm, ExtendedSequenceNumbers, IntegrityAlgorithm, KeyExchangeMethod, Protocol,
    PseudoRandomFunction, TransformType,
};
use plugin_api::{Aead, AeadKey, Cipher, CipherKey, Integrity, IntegrityKey, PluginError, Prf};

use crate::proposal::Proposal;
use crate::registry::Registry;

/// The algorithms of an IKE_SA.
pub struct Suite {
    /// The encryption algorithm.
    pub encryption: EncryptionAlgorithm,
    /// Its key length, where it has several.
    pub key_bits: Option<u16>,
    /// The integrity algorithm, none beside an AEAD.
    pub integrity: Option<IntegrityAlgorithm>,
    prf_id: PseudoRandomFunction,
    prf: Arc<dyn Prf>,
    protection: Protection,
}

enum Protection {
    Aead(Arc<dyn Aead>),
    Classic {
        cipher: Arc<dyn Cipher>,
        integrity: Arc<dyn Integrity>,
    },
}

/// One direction's keys of an IKE_SA.
pub enum ProtectionKey {
    /// Encryption and integrity in one.
    Aead(Box<dyn AeadKey>),
    /// Encryption, then integrity over the result.
    Classic {
        /// The key made from SK_e.
        cipher: Box<dyn CipherKey>,
        /// The key made from SK_a.
        integrity: Box<dyn IntegrityKey>,
        /// Length of the integrity checksum in octets.
        tag_len: usize,
    },
}

/// Why a proposal makes no suite.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// The proposal has no transform of a type that is needed.
    #[error("proposal {proposal} has no {kind} transform")]
    Missing {
        /// What is missing.
        kind: TransformType,
        /// Where.
        proposal: String,
    },
    /// No plugin implements a transform.
    #[error("no loaded plugin implements {0}; add one that does to charon.load")]
    NotImplemented(String),
    /// The length of the keys is unknown.
    #[error("key length of {0} is unknown")]
    UnknownLength(String),
}

impl Suite {
    /// The algorithms of a selected IKE proposal.
    ///
    /// # Errors
    ///
    /// [`SuiteError`], which names what is missing.
    pub fn new(proposal: &Proposal, registry: &Registry) -> Result<Arc<Self>, SuiteError> {
        let transform = |kind| proposal.transform(kind).ok_or_else(|| missing(kind, proposal));
        let lacking = |transform| SuiteError::NotImplemented(registry.transform_name(&transform));

        let encr = transform(TransformType::ENCR)?;
        let encryption = EncryptionAlgorithm(encr.id);
        let prf_transform = transform(TransformType::PRF)?;
        let prf_id = PseudoRandomFunction(prf_transform.id);
        let prf = registry.prf(prf_id).ok_or_else(|| lacking(prf_transform))?;
        let (protection, integrity) = if encryption.is_aead() {
            let aead = registry
                .aead(encryption, encr.key_bits)
                .ok_or_else(|| lacking(encr))?;
            (Protection::Aead(aead), None)
        } else {
            let integ = transform(TransformType::INTEG)?;
            let id = IntegrityAlgorithm(integ.id);
            let cipher = registry
                .cipher(encryption, encr.key_bits)
                .ok_or_else(|| lacking(encr))?;
            let integrity = registry.integrity(id).ok_or_else(|| lacking(integ))?;
            (Protection::Classic { cipher, integrity }, Some(id))
        };
        Ok(Arc::new(Self {
            encryption,
            key_bits: encr.key_bits,
            integrity,
            prf_id,
            prf,
            protection,
        }))
    }

    /// The pseudo-random function.
    pub fn prf(&self) -> &dyn Prf {
        &*self.prf
    }

    /// The number of the pseudo-random function.
    pub fn prf_id(&self) -> PseudoRandomFunction {
        self.prf_id
    }

    /// Length of SK_ei and SK_er in octets, salt included.
    pub fn encryption_key_len(&self) -> usize {
        match &self.protection {
            Protection::Aead(aead) => aead.key_len(),
            Protection::Classic { cipher, .. } => cipher.key_len(),
        }
    }

    /// Length of SK_ai and SK_ar in octets: 0 for an AEAD.
    pub fn integrity_key_len(&self) -> usize {
        match &self.protection {
            Protection::Aead(_) => 0,
            Protection::Classic { integrity, .. } => integrity.key_len(),
        }
    }

    /// Prepares the keys of one direction.
    ///
    /// # Errors
    ///
    /// If a key has the wrong length.
    pub fn protect(&self, sk_e: &[u8], sk_a: &[u8]) -> Result<ProtectionKey, PluginError> {
        Ok(match &self.protection {
            Protection::Aead(aead) => ProtectionKey::Aead(aead.create(sk_e)?),
            Protection::Classic { cipher, integrity } => ProtectionKey::Classic {
                cipher: cipher.create(sk_e)?,
                integrity: integrity.create(sk_a)?,
                tag_len: integrity.tag_len(),
            },
        })
    }
}

impl std::fmt::Debug for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            encryption,
            key_bits,
            integrity,
            prf_id,
            ..
        } = self;
        write!(f, "Suite({encryption}, {key_bits:?}, {integrity:?}, {prf_id})")
    }
}

/// The algorithms of a CHILD_SA; the kernel computes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildSuite {
    /// ESP or AH.
    pub protocol: Protocol,
    /// The encryption algorithm, NULL for AH.
    pub encryption: EncryptionAlgorithm,
    /// Its key length, where it has several.
    pub key_bits: Option<u16>,
    /// The integrity algorithm, none beside an AEAD.
    pub integrity: Option<IntegrityAlgorithm>,
    /// The key exchange method of type 4, if one was selected.
    pub key_exchange: Option<KeyExchangeMethod>,
    /// Whether sequence numbers have 64 bits.
    pub esn: bool,
    /// Length of the encryption key in octets, salt included.
    pub encryption_key_len: usize,
    /// Length of the integrity key in octets.
    pub integrity_key_len: usize,
}

impl ChildSuite {
    /// The algorithms of a selected ESP or AH proposal.
    ///
    /// # Errors
    ///
    /// [`SuiteError`], which names what is missing.
    pub fn new(proposal: &Proposal) -> Result<Self, SuiteError> {
        let encr = proposal.transform(TransformType::ENCR);
        if proposal.protocol == Protocol::ESP && encr.is_none() {
            return Err(missing(TransformType::ENCR, proposal));
        }
        let encryption = encr.map_or(EncryptionAlgorithm::NULL, |encr| EncryptionAlgorithm(encr.id));
        let key_bits = encr.and_then(|encr| encr.key_bits).filter(|bits| *bits != 0);
        let integ = proposal
            .transform(TransformType::INTEG)
            .filter(|integ| integ.id != 0);
        if proposal.protocol == Protocol::AH && integ.is_none() {
            return Err(missing(TransformType::INTEG, proposal));
        }
        let unknown = |name: String| move || SuiteError::UnknownLength(name);
        let key_len = encryption
            .key_len(key_bits)
            .ok_or_else(unknown(encryption.to_string()))?;
        let integrity = integ
            .map(|integ| IntegrityAlgorithm(integ.id))
            .filter(|_| !encryption.is_aead());
        let integrity_key_len = match integrity {
            Some(id) => id.key_and_tag_len().ok_or_else(unknown(id.to_string()))?.0,
            None => 0,
        };
        Ok(Self {
            protocol: proposal.protocol,
            encryption,
            key_bits,
            integrity,
            key_exchange: proposal.key_exchange(),
            esn: proposal.offers(TransformType::ESN, ExtendedSequenceNumbers::EXT_SEQ.0),
            encryption_key_len: key_len + encryption.salt_len(),
            integrity_key_len,
        })
    }
}

fn missing(kind: TransformType, proposal: &Proposal) -> SuiteError {
    SuiteError::Missing {
        kind,
        proposal: proposal.to_string(),
    }
}
