//! ECP groups in IKEv2 (RFC 5903): points without the octet that says that they are uncompressed, and x as secret.

use std::marker::PhantomData;

use iana::KeyExchangeMethod;
use p192::NistP192;
use p224::NistP224;
use p224::elliptic_curve::ecdh::diffie_hellman;
use p224::elliptic_curve::generic_array::typenum::Unsigned;
use p224::elliptic_curve::sec1::{FromEncodedPoint, ModulusSize, ToEncodedPoint};
use p224::elliptic_curve::{CurveArithmetic, FieldBytesSize, PublicKey, SecretKey};
use plugin_api::{DiffieHellman, ErrorKind, PluginError, Secret};

/// What SEC 1 puts before an uncompressed point, and IKEv2 leaves out.
const UNCOMPRESSED: u8 = 4;

/// A curve with its number in IKEv2.
pub trait Curve:
    CurveArithmetic<AffinePoint: FromEncodedPoint<Self> + ToEncodedPoint<Self>, FieldBytesSize: ModulusSize>
    + 'static
{
    /// The number.
    const METHOD: KeyExchangeMethod;
}

impl Curve for NistP192 {
    const METHOD: KeyExchangeMethod = KeyExchangeMethod::ECP_192;
}

impl Curve for NistP224 {
    const METHOD: KeyExchangeMethod = KeyExchangeMethod::ECP_224;
}

/// Diffie-Hellman on a curve.
pub struct Ecdh<C>(PhantomData<fn() -> C>);

impl<C: Curve> Ecdh<C> {
    /// Nothing is kept but the curve, which the type knows.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// Octets of a coordinate, and of a private key.
    fn len() -> usize {
        FieldBytesSize::<C>::USIZE
    }

    fn private_key(private: &Secret) -> Result<SecretKey<C>, PluginError> {
        let key = (private.len() == Self::len()).then(|| SecretKey::from_slice(private.expose()).ok());
        key.flatten().ok_or_else(|| {
            PluginError::new(
                ErrorKind::InvalidArgument,
                format!("the private key of {} has the wrong length or range", C::METHOD),
            )
        })
    }
}

impl<C: Curve> Default for Ecdh<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Curve> DiffieHellman for Ecdh<C> {
    fn public_value_len(&self) -> usize {
        2 * Self::len()
    }

    fn generate(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let mut private = Secret::zeroed(Self::len());
        // The orders are close to what the octets can say, so one attempt is nearly always enough.
        loop {
            getrandom::fill(private.expose_mut()).map_err(|error| {
                PluginError::new(
                    ErrorKind::System,
                    format!("the operating system gave no random octets for a private key: {error}"),
                )
            })?;
            if let Ok(key) = Self::private_key(&private) {
                let point = key.public_key().to_encoded_point(false);
                return Ok((point.as_bytes()[1..].to_vec(), private));
            }
        }
    }

    fn agree(&self, private: &Secret, peer: &[u8]) -> Result<Secret, PluginError> {
        if peer.len() != self.public_value_len() {
            return Err(PluginError::wrong_length(
                "public value",
                peer.len(),
                self.public_value_len(),
            ));
        }
        // Points off the curve are refused (RFC 6989, 2.3); the group's order is prime, so all others are good.
        let encoded = [&[UNCOMPRESSED], peer].concat();
        let peer = PublicKey::<C>::from_sec1_bytes(&encoded).map_err(|_| {
            PluginError::new(
                ErrorKind::InvalidPublicValue,
                format!("the peer's public value is not a point of {}", C::METHOD),
            )
        })?;
        let private = Self::private_key(private)?;
        let shared = diffie_hellman(private.to_nonzero_scalar(), peer.as_affine());
        Ok(Secret::copy_of(shared.raw_secret_bytes()))
    }
}
