//! ML-KEM as FIPS 203 has it on the outside: octets of fixed lengths.
//!
//! A secret key is kept as the seed of 64 octets, d and z, that FIPS 203 allows to store instead of it (section 3.3).
//! The key made from it is right by construction, so of the checks before decapsulating (7.3) only the ciphertext's
//! length is left. It costs one more key generation; who needs speed has the plugin `aws-lc`.

use std::marker::PhantomData;

use iana::KeyExchangeMethod;
use ml_kem::array::sizes::{U32, U64};
use ml_kem::kem::{Ciphertext, Decapsulate, Key, SharedKey};
use ml_kem::{B32, FromSeed, KeyExport, MlKem512, MlKem768, MlKem1024, Seed, TryKeyInit};
use plugin_api::{ErrorKind, Kem, PluginError, Secret};
use zeroize::Zeroizing;

/// Octets of d and z together.
const SEED_LEN: usize = 64;
/// Octets of what an encapsulation is made from.
const MESSAGE_LEN: usize = 32;

/// A parameter set of FIPS 203, section 8.
pub trait ParameterSet:
    FromSeed<SeedSize = U64, SharedKeySize = U32, DecapsulationKey: Decapsulate> + 'static
{
    /// Its number in IKEv2.
    const METHOD: KeyExchangeMethod;

    /// ML-KEM.Encaps_internal. The crate's other function draws randomness from a source that must not fail, and the
    /// operating system's may.
    fn encapsulate(key: &Self::EncapsulationKey, message: &B32) -> (Ciphertext<Self>, SharedKey<Self>);
}

macro_rules! parameter_sets {
    ($($name:ident = $method:ident,)+) => {$(
        impl ParameterSet for $name {
            const METHOD: KeyExchangeMethod = KeyExchangeMethod::$method;

            fn encapsulate(
                key: &Self::EncapsulationKey,
                message: &B32,
            ) -> (Ciphertext<Self>, SharedKey<Self>) {
                key.encapsulate_deterministic(message)
            }
        }
    )+};
}

parameter_sets! {
    MlKem512 = ML_KEM_512,
    MlKem768 = ML_KEM_768,
    MlKem1024 = ML_KEM_1024,
}

/// ML-KEM with one of the parameter sets.
pub struct MlKem<P>(PhantomData<P>);

impl<P: ParameterSet> MlKem<P> {
    /// Nothing is kept but the lengths, which the type knows.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// What `keygen` makes from a seed. Known answers are checked with it.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a seed that has not 64 octets.
    pub fn public_key(&self, seed: &Secret) -> Result<Vec<u8>, PluginError> {
        Ok(keys::<P>(seed)?.1.to_bytes().to_vec())
    }

    /// What `encapsulate` makes from a message of 32 octets. Known answers are checked with it.
    ///
    /// # Errors
    ///
    /// [`InvalidPublicValue`](ErrorKind::InvalidPublicValue) for a public key that FIPS 203, 7.2, refuses, and
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a message of another length.
    pub fn encapsulate_message(
        &self,
        public_key: &[u8],
        message: &Secret,
    ) -> Result<(Vec<u8>, Secret), PluginError> {
        let encoded = <&Key<P::EncapsulationKey>>::try_from(public_key)
            .map_err(|_| PluginError::wrong_length("public key", public_key.len(), self.public_key_len()))?;
        let key = P::EncapsulationKey::new(encoded).map_err(|_| {
            PluginError::new(
                ErrorKind::InvalidPublicValue,
                format!(
                    "the peer's {} public key has a coefficient that is not below the modulus 3329 (FIPS 203, 7.2)",
                    P::METHOD
                ),
            )
        })?;
        let message = <&B32>::try_from(message.expose())
            .map_err(|_| wrong_argument("a message", MESSAGE_LEN, message))?;
        let (ciphertext, shared) = P::encapsulate(&key, message);
        Ok((ciphertext.to_vec(), secret(shared)))
    }
}

impl<P: ParameterSet> Default for MlKem<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: ParameterSet> Kem for MlKem<P> {
    fn public_key_len(&self) -> usize {
        size_of::<Key<P::EncapsulationKey>>()
    }

    fn ciphertext_len(&self) -> usize {
        size_of::<Ciphertext<P>>()
    }

    fn keygen(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let seed = random(SEED_LEN)?;
        Ok((self.public_key(&seed)?, seed))
    }

    fn encapsulate(&self, public_key: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        self.encapsulate_message(public_key, &random(MESSAGE_LEN)?)
    }

    fn decapsulate(&self, secret_key: &Secret, ciphertext: &[u8]) -> Result<Secret, PluginError> {
        let ciphertext = <&Ciphertext<P>>::try_from(ciphertext)
            .map_err(|_| PluginError::wrong_length("ciphertext", ciphertext.len(), self.ciphertext_len()))?;
        Ok(secret(keys::<P>(secret_key)?.0.decapsulate(ciphertext)))
    }
}

/// The key pair of a seed; the secret half zeroizes itself.
fn keys<P: ParameterSet>(seed: &Secret) -> Result<(P::DecapsulationKey, P::EncapsulationKey), PluginError> {
    let seed =
        <&Seed>::try_from(seed.expose()).map_err(|_| wrong_argument("a secret key", SEED_LEN, seed))?;
    Ok(P::from_seed(seed))
}

fn secret(shared: ml_kem::SharedKey) -> Secret {
    Secret::copy_of(Zeroizing::new(shared).as_slice())
}

fn random(len: usize) -> Result<Secret, PluginError> {
    let mut octets = Secret::zeroed(len);
    getrandom::fill(octets.expose_mut()).map_err(|error| {
        PluginError::new(
            ErrorKind::System,
            format!("the operating system gave no random octets for ML-KEM: {error}"),
        )
    })?;
    Ok(octets)
}

fn wrong_argument(what: &str, expected: usize, got: &Secret) -> PluginError {
    PluginError::new(
        ErrorKind::InvalidArgument,
        format!("{what} of ML-KEM has {expected} octets, not {}", got.len()),
    )
}
