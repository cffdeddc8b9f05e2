//! Numbers modulo 2^448 - 2^224 - 1.

use std::ops::{Add, Mul, Sub};

use fiat_crypto::p448_solinas_64::{
    fiat_p448_add, fiat_p448_carry, fiat_p448_carry_mul, fiat_p448_carry_square, fiat_p448_from_bytes,
    fiat_p448_loose_field_element as Loose, fiat_p448_sub, fiat_p448_tight_field_element as Tight,
    fiat_p448_to_bytes,
};
use subtle::{Choice, ConditionallySelectable};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Octets of a number.
pub(crate) const LEN: usize = 56;

/// A number in digits of 56 bits, which are carried after every operation; fiat-crypto calls that tight.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Element([u64; 8]);

impl Element {
    /// A number below 2^56.
    pub(crate) const fn small(number: u64) -> Self {
        Self([number, 0, 0, 0, 0, 0, 0, 0])
    }

    /// From little-endian octets; numbers that are not below the prime are taken modulo it (RFC 7748, 5).
    pub(crate) fn decode(octets: &[u8; LEN]) -> Self {
        Self::made(|out| fiat_p448_from_bytes(out, octets))
    }

    /// In little-endian octets, below the prime.
    pub(crate) fn encode(&self) -> [u8; LEN] {
        let mut octets = [0; LEN];
        fiat_p448_to_bytes(&mut octets, &Tight(self.0));
        octets
    }

    pub(crate) fn square(&self) -> Self {
        Self::made(|out| fiat_p448_carry_square(out, &Loose(self.0)))
    }

    /// Exchanges two numbers or not, in the same time.
    pub(crate) fn swap(one: &mut Self, other: &mut Self, choice: Choice) {
        for (one, other) in one.0.iter_mut().zip(&mut other.0) {
            u64::conditional_swap(one, other, choice);
        }
    }

    /// 1/x = x^(p-2), and 0 for 0. The exponent is 223 ones, a zero, 222 ones, a zero and a one.
    pub(crate) fn invert(&self) -> Self {
        let ones = self.to_ones(222);
        let more = &ones.square() * self;
        let both = &more.squared(223) * &ones;
        &both.squared(2) * self
    }

    /// To the power of 2^count - 1.
    fn to_ones(&self, count: u32) -> Self {
        if count == 1 {
            return self.clone();
        }
        let half = self.to_ones(count / 2);
        let even = &half.squared(count / 2) * &half;
        if count.is_multiple_of(2) {
            even
        } else {
            &even.square() * self
        }
    }

    fn squared(&self, times: u32) -> Self {
        (0..times).fold(self.clone(), |number, _| number.square())
    }

    fn made(operation: impl FnOnce(&mut Tight)) -> Self {
        let mut out = Tight([0; 8]);
        operation(&mut out);
        Self(out.0)
    }

    fn carried(operation: impl FnOnce(&mut Loose)) -> Self {
        let mut loose = Loose([0; 8]);
        operation(&mut loose);
        Self::made(|out| fiat_p448_carry(out, &loose))
    }
}

impl Add for &Element {
    type Output = Element;

    fn add(self, other: Self) -> Element {
        Element::carried(|out| fiat_p448_add(out, &Tight(self.0), &Tight(other.0)))
    }
}

impl Sub for &Element {
    type Output = Element;

    fn sub(self, other: Self) -> Element {
        Element::carried(|out| fiat_p448_sub(out, &Tight(self.0), &Tight(other.0)))
    }
}

impl Mul for &Element {
    type Output = Element;

    fn mul(self, other: Self) -> Element {
        Element::made(|out| fiat_p448_carry_mul(out, &Loose(self.0), &Loose(other.0)))
    }
}
