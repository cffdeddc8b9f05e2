//! Brainpool's curves in IKEv2 (RFC 6954): points without the octet that says that they are uncompressed, and x as secret.

use std::marker::PhantomData;

use bp256::BrainpoolP256r1;
use bp384::BrainpoolP384r1;
use elliptic_curve::array::typenum::Unsigned;
use elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use elliptic_curve::{CurveArithmetic, FieldBytesSize, PublicKey, SecretKey};
use iana::KeyExchangeMethod;
use plugin_api::{DiffieHellman, ErrorKind, PluginError, Secret};

/// What SEC 1 puts before an uncompressed point, and IKEv2 leaves out.
const UNCOMPRESSED: u8 = 4;

/// A curve with its number in IKEv2.
pub trait Curve:
    CurveArithmetic<AffinePoint: FromSec1Point<Self> + ToSec1Point<Self>, FieldBytesSize: ModulusSize> + 'static
{
    /// The number.
    const METHOD: KeyExchangeMethod;
}

impl Curve for BrainpoolP256r1 {
    const METHOD: KeyExchangeMethod = KeyExchangeMethod::ECP_256_BP;
}

impl Curve for BrainpoolP384r1 {
    const METHOD: KeyExchangeMethod = KeyExchangeMethod::ECP_384_BP;
}

/// Diffie-Hellman on a curve.
pub struct Brainpool<C>(PhantomData<fn() -> C>);

impl<C: Curve> Brainpool<C> {
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

impl<C: Curve> Default for Brainpool<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Curve> DiffieHellman for Brainpool<C> {
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
            if let Ok(key) = Self::private_key(&private) {
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
                format!("the peer's public value is no point of {}", C::METHOD),
            )
        })?;
        let shared = Self::private_key(private)?.diffie_hellman(&peer);
        Ok(Secret::copy_of(shared.raw_secret_bytes()))
    }
}
