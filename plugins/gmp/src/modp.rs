//! Diffie-Hellman modulo a safe prime (RFC 3526), generator 2.
//!
//! crypto-bigint raises to powers in a time that depends on the lengths alone, which are public, and looks up powers
//! without the cache telling which. Private exponents and shared secrets are zeroized. num-bigint can do neither, with
//! blinding or without: its powers take as long as the exponent's digits say, and its numbers stay behind in freed memory.
//! So it is what the tests compare with.

use std::sync::OnceLock;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Limb, NonZero, Odd, Resize};
use iana::KeyExchangeMethod;
use plugin_api::{DiffieHellman, ErrorKind, PluginError, Secret};
use zeroize::Zeroizing;

/// A group of RFC 2409's and RFC 3526's construction.
#[derive(Debug)]
pub struct Group {
    /// Its number.
    pub method: KeyExchangeMethod,
    /// Its name in log lines.
    pub name: &'static str,
    /// Its keyword in proposals.
    pub keyword: &'static str,
    /// Length of the prime in bits.
    pub bits: u32,
    /// What the prime's formula adds to the digits of pi, to make it a safe prime.
    pub offset: u32,
    /// Length of private exponents in octets.
    pub exponent_len: usize,
}

impl Group {
    /// The prime, 2^n - 2^(n-64) - 1 + 2^64 · (\[2^(n-130) pi\] + offset), in octets.
    pub fn prime(&self) -> Vec<u8> {
        let power_of_2 = |exponent| BoxedUint::one_with_precision(self.bits + 64).shl(exponent);
        let digits = pi(self.bits - 130)
            .wrapping_add(BoxedUint::from(self.offset))
            .resize(self.bits + 64);
        let prime = power_of_2(self.bits)
            .wrapping_sub(power_of_2(self.bits - 64))
            .wrapping_sub(BoxedUint::one())
            .wrapping_add(digits.shl(64));
        prime.to_be_bytes_trimmed_vartime().into_vec()
    }
}

/// The integral part of 2^bits · pi, by Machin's formula: pi = 16 arctan(1/5) - 4 arctan(1/239).
fn pi(bits: u32) -> BoxedUint {
    // Every division below rounds down; the errors of a few thousand terms stay far below these bits.
    let guard = 64;
    let one = BoxedUint::one_with_precision(bits + guard + 64).shl(bits + guard);
    let quotient = |dividend: &BoxedUint, divisor: u32| {
        let divisor = NonZero::new(Limb::from(divisor)).unwrap_or(NonZero::<Limb>::ONE);
        dividend.div_rem_limb(divisor).0
    };
    let arctan_of_inverse = |x: u32| {
        let zero = BoxedUint::zero_with_precision(one.bits_precision());
        let (mut added, mut subtracted) = (zero.clone(), zero);
        let mut power = quotient(&one, x);
        let mut odd = 1;
        while power.is_nonzero().to_bool() {
            let sum = if odd % 4 == 1 { &mut added } else { &mut subtracted };
            sum.wrapping_add_assign(quotient(&power, odd));
            power = quotient(&power, x * x);
            odd += 2;
        }
        added.wrapping_sub(subtracted)
    };
    arctan_of_inverse(5)
        .shl(4)
        .wrapping_sub(arctan_of_inverse(239).shl(2))
        .shr(guard)
}

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
        let prime = number(&self.group.prime(), self.group.bits)?;
        let odd = Odd::new(prime).into_option().ok_or_else(|| {
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
        let generator = BoxedUint::from(2_u8).resize(self.group.bits);
        let public = self.power(generator, &private)?;
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
        let last = self.params()?.modulus().as_ref().wrapping_sub(BoxedUint::one());
        // 1 < y < p - 1: for a safe prime that leaves no value of small order (RFC 6989, 2.1).
        if peer <= BoxedUint::one() || peer >= last {
            return Err(PluginError::new(
                ErrorKind::InvalidPublicValue,
                format!(
                    "the peer's public value is not between 1 and the prime of {}, less one",
                    self.group.name
                ),
            ));
        }
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
