//! What a group is made of.

use crypto_bigint::{BoxedUint, Limb, NonZero, Resize};
use iana::KeyExchangeMethod;

/// A group of numbers modulo a prime.
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
    /// Where prime and generator are from.
    pub construction: Construction,
    /// Length of private exponents in octets.
    pub exponent_len: usize,
}

/// How a group came about.
#[derive(Debug)]
pub enum Construction {
    /// A safe prime from the digits of pi, and the generator 2 (RFC 2409, RFC 3526).
    Pi {
        /// What the prime's formula adds to the digits, to make it a safe prime.
        offset: u32,
    },
    /// A generator of a subgroup whose order is a much smaller prime (RFC 5114).
    Subgroup(Subgroup),
}

/// Hexadecimal numbers; prime and generator have all the prime's digits.
#[derive(Debug)]
pub struct Subgroup {
    /// p.
    pub prime: &'static str,
    /// g.
    pub generator: &'static str,
    /// q, a divisor of p - 1.
    pub order: &'static str,
}

impl Group {
    /// A line of the table.
    pub const fn new(
        method: KeyExchangeMethod,
        name: &'static str,
        keyword: &'static str,
        bits: u32,
        construction: Construction,
        exponent_len: usize,
    ) -> Self {
        Self {
            method,
            name,
            keyword,
            bits,
            construction,
            exponent_len,
        }
    }

    /// The prime.
    pub fn prime(&self) -> BoxedUint {
        match &self.construction {
            Construction::Pi { offset } => prime_from_pi(self.bits, *offset),
            Construction::Subgroup(subgroup) => hexadecimal(subgroup.prime),
        }
    }

    /// The generator.
    pub fn generator(&self) -> BoxedUint {
        match &self.construction {
            Construction::Pi { .. } => BoxedUint::from(2_u8).resize(self.bits),
            Construction::Subgroup(subgroup) => hexadecimal(subgroup.generator),
        }
    }

    /// The order of the subgroup, where there is one to stay in.
    pub fn order(&self) -> Option<BoxedUint> {
        match &self.construction {
            Construction::Pi { .. } => None,
            Construction::Subgroup(subgroup) => Some(hexadecimal(subgroup.order)),
        }
    }
}

/// A constant of ours. A digit that is none would make zero, which is no modulus and generates nothing.
fn hexadecimal(digits: &str) -> BoxedUint {
    BoxedUint::from_str_radix_vartime(digits, 16)
        .unwrap_or_else(|_| BoxedUint::zero())
        .resize(digits.len() as u32 * 4)
}

/// 2^n - 2^(n-64) - 1 + 2^64 · (\[2^(n-130) pi\] + offset).
fn prime_from_pi(bits: u32, offset: u32) -> BoxedUint {
    let power_of_2 = |exponent| BoxedUint::one_with_precision(bits + 64).shl(exponent);
    let digits = pi(bits - 130)
        .wrapping_add(BoxedUint::from(offset))
        .resize(bits + 64);
    power_of_2(bits)
        .wrapping_sub(power_of_2(bits - 64))
        .wrapping_sub(BoxedUint::one())
        .wrapping_add(digits.shl(64))
        .resize(bits)
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
