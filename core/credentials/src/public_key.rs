//! Public keys (RFC 5280, 4.1.2.7), and what keys are known by.

use std::fmt;

use config::identity::Identity;
use iana::IdType;
use pkcs1::RsaPublicKeyRef;
use pkcs8::der::asn1::ObjectIdentifier;
use pkcs8::der::{Decode, Encode};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::{Error, armor, sha1};

/// SHA-1 of something.
pub type KeyId = [u8; 20];

pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(crate) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(crate) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
pub(crate) const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");

/// Curves by their OIDs, with the size of their fields in bits (RFC 5480, 2.1.1.1; RFC 5639, 4.1).
const CURVES: [(&str, usize); 6] = [
    ("1.2.840.10045.3.1.7", 256),
    ("1.3.132.0.34", 384),
    ("1.3.132.0.35", 521),
    ("1.3.36.3.3.2.8.1.1.7", 256),
    ("1.3.36.3.3.2.8.1.1.11", 384),
    ("1.3.36.3.3.2.8.1.1.13", 512),
];

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA (RFC 8017).
    Rsa,
    /// ECDSA on a curve of the NIST or a Brainpool one.
    Ecdsa,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// Ed448 (RFC 8032).
    Ed448,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rsa => "RSA",
            Self::Ecdsa => "ECDSA",
            Self::Ed25519 => "ED25519",
            Self::Ed448 => "ED448",
        })
    }
}

/// What is known of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// What it is for.
    pub kind: KeyKind,
    /// Its size: that of the modulus, or of the curve's field.
    pub bits: usize,
    /// SHA-1 of the whole SubjectPublicKeyInfo.
    pub info_id: KeyId,
    /// SHA-1 of what is in its BIT STRING, the usual subjectKeyIdentifier (RFC 5280, 4.2.1.2).
    pub id: KeyId,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in DER.
    pub(crate) fn from_info(der: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "public key";
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|error| Error::form(WHAT, error))?;
        let key = info
            .subject_public_key
            .as_bytes()
            .ok_or_else(|| Error::form(WHAT, "it has a fraction of an octet"))?;
        let length = |length: usize| match key.len() == length {
            true => Ok(()),
            false => Err(Error::form(
                WHAT,
                format!("it has {} octets, not {length}", key.len()),
            )),
        };
        let (kind, bits) = match info.algorithm.oid {
            RSA => {
                let rsa = RsaPublicKeyRef::from_der(key).map_err(|error| Error::form(WHAT, error))?;
                let modulus = rsa.modulus.as_bytes();
                let first = modulus.first().map_or(8, |first| first.leading_zeros() as usize);
                (KeyKind::Rsa, (modulus.len() * 8).saturating_sub(first))
            }
            EC => {
                let bits = curve(&info.algorithm)?.1;
                let field = bits.div_ceil(8);
                // A point as it is, or compressed (SEC 1, 2.3.3).
                match key.first() {
                    Some(4) => length(1 + 2 * field)?,
                    Some(2 | 3) => length(1 + field)?,
                    _ => return Err(Error::form(WHAT, "it is no point of a curve")),
                }
                (KeyKind::Ecdsa, bits)
            }
            ED25519 => {
                length(32)?;
                (KeyKind::Ed25519, 256)
            }
            ED448 => {
                length(57)?;
                (KeyKind::Ed448, 456)
            }
            other => return Err(Error::Algorithm(other.to_string())),
        };
        Ok(Self {
            kind,
            bits,
            info_id: sha1(der),
            id: sha1(key),
        })
    }

    /// A key from its parts: the algorithm, and what is in the BIT STRING.
    pub(crate) fn from_parts(algorithm: AlgorithmIdentifierRef<'_>, key: &[u8]) -> Result<Self, Error> {
        let error = |error| Error::form("public key", error);
        let subject_public_key = pkcs8::der::asn1::BitStringRef::from_bytes(key).map_err(error)?;
        let info = SubjectPublicKeyInfoRef {
            algorithm,
            subject_public_key,
        };
        Self::from_info(&info.to_der().map_err(error)?)
    }

    /// Whether an identity of the kind KEY_ID names this key.
    pub fn is(&self, id: &Identity) -> bool {
        id.kind == IdType::KEY_ID && (id.data == self.id || id.data == self.info_id)
    }
}

/// The curve of a key, with the size of its field in bits.
pub(crate) fn curve(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<(ObjectIdentifier, usize), Error> {
    let oid = algorithm
        .parameters_oid()
        .map_err(|_| Error::Curve("without a name".into()))?;
    let known = CURVES
        .iter()
        .find(|(name, _)| ObjectIdentifier::new_unwrap(name) == oid);
    match known {
        Some((_, bits)) => Ok((oid, *bits)),
        None => Err(Error::Curve(oid.to_string())),
    }
}

/// A public key that is trusted as it is, without a certificate around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPublicKey {
    /// The SubjectPublicKeyInfo.
    pub der: Vec<u8>,
    /// What it is.
    pub key: PublicKey,
}

impl RawPublicKey {
    /// Reads DER or PEM, a SubjectPublicKeyInfo or an RSA key without one (PKCS#1).
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn parse(octets: &[u8]) -> Result<Self, Error> {
        let (_, der) = armor::open(octets, &["PUBLIC KEY", "RSA PUBLIC KEY"], "a public key")?;
        let mut der = der.to_vec();
        if RsaPublicKeyRef::from_der(&der).is_ok() {
            let error = |error| Error::form("public key", error);
            let info = SubjectPublicKeyInfoRef {
                algorithm: pkcs1::ALGORITHM_ID,
                subject_public_key: pkcs8::der::asn1::BitStringRef::from_bytes(&der).map_err(error)?,
            };
            der = info.to_der().map_err(error)?;
        }
        let key = PublicKey::from_info(&der)?;
        Ok(Self { der, key })
    }

    /// What it is called, having no name: the id of the key.
    pub fn subject(&self) -> Identity {
        Identity::new(IdType::KEY_ID, self.key.info_id.to_vec())
    }
}
