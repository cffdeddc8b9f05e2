//! Diffie-Hellman modulo a prime.
//!
//! crypto-bigint raises to powers in a time that depends on the lengths alone, which are public, and looks up powers
//! without the cache telling which. Private exponents and shared secrets are zeroized. num-bigint can do neither, with
//! blinding or without: its powers take as long as the exponent's digits say, and its numbers stay behind in freed memory.
//! So it is what the tests compare with.

use std::sync::OnceLock;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use plugin_api::{DiffieHellman, ErrorKind, PluginError, Secret};
use zeroize::Zeroizing;

use crate::group::Group;

/// A group, ready to exchange keys in.
pub struct Modp {
    group: &'static Group,
    params: OnceLock<BoxedMontyParams>,
}

impl Modp {
    /// Wraps a group; its prime is computed when it is first needed.
    pub const fn new(group: &'static Group) -> Self {
        Self {
            group,
            params: OnceLock::new(),
        }
    }

    fn params(&self) -> Result<&BoxedMontyParams, PluginError> {
        if let Some(params) = self.params.get() {
            return Ok(params);
        }
        let odd = Odd::new(self.group.prime()).into_option().ok_or_else(|| {
            PluginError::new(
                ErrorKind::System,
                format!("the modulus of {} is even", self.group.name),
            )
        })?;
        Ok(self.params.get_or_init(|| BoxedMontyParams::new_vartime(odd)))
    }

    /// `base` to the power of `exponent`, with leading zeros up to the length of the prime (RFC 7296, 2.14 and 3.4).
    fn power(&self, base: BoxedUint, exponent: &Secret) -> Result<Secret, PluginError> {
        let exponent_bits = exponent.len() as u32 * 8;
        let exponent = Zeroizing::new(number(exponent.expose(), exponent_bits)?);
        let power = Zeroizing::new(
            BoxedMontyForm::new(base, self.params()?).pow_bounded_exp(&exponent, exponent_bits),
        );
        Ok(Secret::new(
            Zeroizing::new(power.retrieve()).to_be_bytes().into_vec(),
        ))
    }

    /// The tests of RFC 6989, 2.1 and 2.2, on a public value.
    fn check(&self, peer: &BoxedUint) -> Result<(), PluginError> {
        let refused = |why: &str| {
            Err(PluginError::new(
                ErrorKind::InvalidPublicValue,
                format!("the peer's public value is not {why} of {}", self.group.name),
            ))
        };
        let params = self.params()?;
        let last = params.modulus().as_ref().wrapping_sub(BoxedUint::one());
        // For a safe prime that leaves no value of small order.
        if *peer <= BoxedUint::one() || *peer >= last {
            return refused("between 1 and the prime, less one,");
        }
        // Elsewhere a value outside of the subgroup would tell the peer our exponent modulo its order.
        if let Some(order) = self.group.order() {
            let power = BoxedMontyForm::new(peer.clone(), params).pow(&order);
            if power.retrieve() != BoxedUint::one() {
                return refused("in the subgroup");
            }
        }
        Ok(())
    }
}

impl DiffieHellman for Modp {
    fn public_value_len(&self) -> usize {
        self.group.bits as usize / 8
    }

    fn generate(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let mut private = Secret::zeroed(self.group.exponent_len);
        getrandom::fill(private.expose_mut()).map_err(|error| {
            PluginError::new(
                ErrorKind::System,
                format!("the operating system gave no random octets for a private key: {error}"),
            )
        })?;
        let public = self.power(self.group.generator(), &private)?;
        Ok((public.expose().to_vec(), private))
    }

    fn agree(&self, private: &Secret, peer: &[u8]) -> Result<Secret, PluginError> {
        if private.len() != self.group.exponent_len {
            return Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "a private exponent of {} has {} octets",
                    self.group.name, self.group.exponent_len
                ),
            ));
        }
        if peer.len() != self.public_value_len() {
            return Err(PluginError::wrong_length(
                "public value",
                peer.len(),
                self.public_value_len(),
            ));
        }
        let peer = number(peer, self.group.bits)?;
        self.check(&peer)?;
        self.power(peer, private)
    }
}

fn number(octets: &[u8], bits: u32) -> Result<BoxedUint, PluginError> {
    BoxedUint::from_be_slice(octets, bits).map_err(|error| {
        PluginError::new(
            ErrorKind::InvalidArgument,
            format!(
                "{} octets do not make a number of {bits} bits: {error}",
                octets.len()
            ),
        )
    })
}
