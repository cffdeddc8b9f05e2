//! RustCrypto's elliptic curves in IKEv2 (RFC 5903, RFC 6954): points without the octet that says that they are uncompressed, and
//! x as secret. The plugins `brainpool` and `ecp` are this for their curves.

use std::marker::PhantomData;

use elliptic_curve::array::typenum::Unsigned;
use elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use elliptic_curve::{CurveArithmetic, FieldBytesSize, PublicKey, SecretKey};
use iana::KeyExchangeMethod;
use plugin_api::{DhExchange, DiffieHellman, ErrorKind, Feature, PluginError, Secret};

/// What SEC 1 puts before an uncompressed point, and IKEv2 leaves out.
const UNCOMPRESSED: u8 = 4;

/// A curve that can be had.
pub trait Curve:
    CurveArithmetic<AffinePoint: FromSec1Point<Self> + ToSec1Point<Self>, FieldBytesSize: ModulusSize> + 'static
{
}

impl<C> Curve for C where
    C: CurveArithmetic<AffinePoint: FromSec1Point<C> + ToSec1Point<C>, FieldBytesSize: ModulusSize> + 'static
{
}

/// The feature of a curve, with its number in IKEv2 and its keyword.
pub fn feature<C: Curve>(method: KeyExchangeMethod, keyword: &str) -> Feature {
    let exchange = DhExchange::new(Ecdh::<C>::new(method));
    Feature::key_exchange(method.0, &method.to_string(), keyword, exchange)
}

/// Diffie-Hellman on a curve.
pub struct Ecdh<C> {
    method: KeyExchangeMethod,
    curve: PhantomData<fn() -> C>,
}

impl<C: Curve> Ecdh<C> {
    /// A curve with its number in IKEv2, for messages.
    pub const fn new(method: KeyExchangeMethod) -> Self {
        Self {
            method,
            curve: PhantomData,
        }
    }

    /// Octets of a coordinate, and of a private key.
    fn len() -> usize {
        FieldBytesSize::<C>::USIZE
    }

    fn private_key(&self, private: &Secret) -> Result<SecretKey<C>, PluginError> {
        let key = (private.len() == Self::len()).then(|| SecretKey::from_slice(private.expose()).ok());
        key.flatten().ok_or_else(|| {
            PluginError::new(
                ErrorKind::InvalidArgument,
                format!("the private key of {} has the wrong length or range", self.method),
            )
        })
    }
}

impl<C: Curve> DiffieHellman for Ecdh<C> {
    fn public_value_len(&self) -> usize {
        2 * Self::len()
    }

    fn generate(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let mut private = Secret::zeroed(Self::len());
        // The order is above a half of what the octets can say, so a few attempts are enough.
        loop {
            getrandom::fill(private.expose_mut()).map_err(|error| {
                PluginError::new(
                    ErrorKind::System,
                    format!("the operating system gave no random octets for a private key: {error}"),
                )
            })?;
            if let Ok(key) = self.private_key(&private) {
                let point = key.public_key().to_sec1_point(false);
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
                format!("the peer's public value is no point of {}", self.method),
            )
        })?;
        let shared = self.private_key(private)?.diffie_hellman(&peer);
        Ok(Secret::copy_of(shared.raw_secret_bytes()))
    }
}
