//! Private keys: PKCS#1 (RFC 8017), SEC 1 (RFC 5915) and PKCS#8 (RFC 5958), DER or PEM.

use std::fmt;

use curve25519_dalek::EdwardsPoint;
use elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytesSize, SecretKey};
use pkcs1::RsaPrivateKeyRef;
use pkcs8::der::asn1::{ObjectIdentifier, OctetStringRef};
use pkcs8::der::{AnyRef, Decode, Encode};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use sec1::EcPrivateKey;
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, Zeroizing};

use crate::public_key::{EC, ED448, ED25519, RSA, curve};
use crate::{Error, KeyKind, PublicKey, armor};

const LABELS: [&str; 4] = [
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
];
const WHAT: &str = "private key";

/// A private key, forgotten when it goes.
pub struct PrivateKey {
    /// Its other half.
    pub public: PublicKey,
    secret: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?}, secret)", self.public)
    }
}

impl PrivateKey {
    /// Reads a key, of one kind or of any. What PKCS#8 lacks of the public key is computed.
    ///
    /// # Errors
    ///
    /// If it is none, one of another kind, or one that a password locks.
    pub fn parse(kind: Option<KeyKind>, octets: &[u8]) -> Result<Self, Error> {
        let (label, der) = armor::open(octets, &LABELS, "a private key")?;
        if label.as_deref() == Some("ENCRYPTED PRIVATE KEY")
            || EncryptedPrivateKeyInfoRef::from_der(&der).is_ok()
        {
            return Err(Error::Locked);
        }
        let key = match label.as_deref() {
            Some("RSA PRIVATE KEY") => rsa(&der),
            Some("EC PRIVATE KEY") => sec1(&der, None),
            Some(_) => pkcs8(&der),
            None if RsaPrivateKeyRef::from_der(&der).is_ok() => rsa(&der),
            None if EcPrivateKey::from_der(&der).is_ok() => sec1(&der, None),
            None => pkcs8(&der),
        }?;
        match kind {
            Some(wanted) if wanted != key.public.kind => Err(Error::Kind {
                wanted,
                found: key.public.kind,
            }),
            _ => Ok(key),
        }
    }

    /// The key for whoever signs: an RSAPrivateKey (RFC 8017, A.1.2), the number of an ECDSA key as long as its field,
    /// or the octets that an EdDSA key is derived from (RFC 8032, 5.1.5 and 5.2.5).
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }
}

fn pkcs8(der: &[u8]) -> Result<PrivateKey, Error> {
    let info = PrivateKeyInfoRef::from_der(der).map_err(|error| Error::form(WHAT, error))?;
    let inner = info.private_key.as_bytes();
    match info.algorithm.oid {
        RSA => rsa(inner),
        EC => sec1(inner, Some(curve(&info.algorithm)?.0)),
        ED25519 => edwards::<32>(info.algorithm, inner, |seed| {
            let mut hash: [u8; 64] = Sha512::digest(seed).into();
            let mut scalar = [0; 32];
            scalar.copy_from_slice(&hash[..32]);
            let public = EdwardsPoint::mul_base_clamped(scalar).compress().to_bytes();
            hash.zeroize();
            scalar.zeroize();
            public.to_vec()
        }),
        ED448 => edwards::<57>(info.algorithm, inner, |seed| {
            let key = ed448_goldilocks::SigningKey::from(ed448_goldilocks::EdwardsScalarBytes::from(*seed));
            key.verifying_key().to_bytes().to_vec()
        }),
        other => Err(Error::Algorithm(other.to_string())),
    }
}

fn rsa(der: &[u8]) -> Result<PrivateKey, Error> {
    let error = |error| Error::form(WHAT, error);
    let key = RsaPrivateKeyRef::from_der(der).map_err(error)?;
    let public = key.public_key().to_der().map_err(error)?;
    Ok(PrivateKey {
        public: PublicKey::from_parts(pkcs1::ALGORITHM_ID, &public)?,
        secret: Zeroizing::new(der.to_vec()),
    })
}

/// A key whose curve is known, or says itself which it is.
fn sec1(der: &[u8], outer: Option<ObjectIdentifier>) -> Result<PrivateKey, Error> {
    let key = EcPrivateKey::from_der(der).map_err(|error| Error::form(WHAT, error))?;
    let inner = key.parameters.and_then(|parameters| parameters.named_curve());
    let oid = outer
        .or(inner)
        .ok_or_else(|| Error::Curve("without a name".into()))?;
    let algorithm = AlgorithmIdentifierRef {
        oid: EC,
        parameters: Some(AnyRef::from(&oid)),
    };
    let (_, bits) = curve(&algorithm)?;
    if key.private_key.len() != bits.div_ceil(8) {
        let why = format!(
            "its number has {} octets, not {}",
            key.private_key.len(),
            bits.div_ceil(8)
        );
        return Err(Error::form(WHAT, why));
    }
    let compressed = key.public_key.is_some_and(|public| matches!(public.first(), Some(2 | 3)));
    let computed = match oid.to_string().as_str() {
        "1.2.840.10045.3.1.7" => Some(point::<p256::NistP256>(key.private_key, compressed)?),
        "1.3.132.0.34" => Some(point::<p384::NistP384>(key.private_key, compressed)?),
        "1.3.132.0.35" => Some(point::<p521::NistP521>(key.private_key, compressed)?),
        _ => None,
    };
    let public = match (key.public_key, computed) {
        (Some(said), Some(computed)) if said != computed => return Err(Error::Mismatch),
        (Some(said), _) => said.to_vec(),
        (None, Some(computed)) => computed,
        (None, None) => return Err(Error::form(WHAT, "it lacks its public key")),
    };
    Ok(PrivateKey {
        public: PublicKey::from_parts(algorithm, &public)?,
        secret: Zeroizing::new(key.private_key.to_vec()),
    })
}

/// The point of a number.
fn point<C>(number: &[u8], compressed: bool) -> Result<Vec<u8>, Error>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let key = SecretKey::<C>::from_slice(number)
        .map_err(|_| Error::form(WHAT, "its number is none of the curve's"))?;
    let point = key.public_key().to_sec1_point(compressed);
    Ok(point.as_bytes().to_vec())
}

/// A key of RFC 8410, section 7: an OCTET STRING within that of PKCS#8.
fn edwards<const N: usize>(
    algorithm: AlgorithmIdentifierRef<'_>,
    inner: &[u8],
    public: impl FnOnce(&[u8; N]) -> Vec<u8>,
) -> Result<PrivateKey, Error> {
    let seed = <&OctetStringRef>::from_der(inner).map_err(|error| Error::form(WHAT, error))?;
    let seed: Zeroizing<[u8; N]> = Zeroizing::new(
        seed.as_bytes()
            .try_into()
            .map_err(|_| Error::form(WHAT, format!("it has {} octets, not {N}", seed.as_bytes().len())))?,
    );
    let algorithm = AlgorithmIdentifierRef {
        parameters: None,
        ..algorithm
    };
    Ok(PrivateKey {
        public: PublicKey::from_parts(algorithm, &public(&seed))?,
        secret: Zeroizing::new(seed.to_vec()),
    })
}
