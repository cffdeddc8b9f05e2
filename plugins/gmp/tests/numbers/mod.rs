//! Numbers by num-bigint, which shares no code with what is tested.

use crypto_bigint::BoxedUint;
use num_bigint::{BigInt, BigUint};

/// The same number.
pub(crate) fn big(number: &BoxedUint) -> BigUint {
    BigUint::from_bytes_be(&number.to_be_bytes())
}

/// With leading zeros up to `bits`.
pub(crate) fn padded(octets: &[u8], bits: u32) -> Vec<u8> {
    let mut padded = vec![0; bits as usize / 8 - octets.len()];
    padded.extend(octets);
    padded
}

/// 2^n - 2^(n-64) - 1 + 2^64 · ([2^(n-130) pi] + offset), from another series for pi than the plugin's, Gauss's: pi = 48
/// arctan(1/18) + 32 arctan(1/57) - 20 arctan(1/239).
pub(crate) fn from_pi(bits: u32, offset: u32) -> BigUint {
    let guard = 64;
    let one = BigInt::from(1) << (bits - 130 + guard);
    let arctan_of_inverse = |x: i32| {
        let (mut sum, mut power, mut odd) = (BigInt::ZERO, &one / x, 1);
        while power != BigInt::ZERO {
            sum += &power / odd;
            power /= -x * x;
            odd += 2;
        }
        sum
    };
    let pi: BigInt =
        (arctan_of_inverse(18) * 48 + arctan_of_inverse(57) * 32 - arctan_of_inverse(239) * 20) >> guard;
    let digits = pi.to_biguint().expect("pi is positive") + offset;
    let power_of_2 = |exponent: u32| BigUint::from(1_u8) << exponent;
    power_of_2(bits) - power_of_2(bits - 64) - 1_u8 + (digits << 64)
}

/// Whether a number is prime that nobody chose to pass this test: Fermat's, to the base 3.
pub(crate) fn is_prime(number: &BigUint) -> bool {
    let one = BigUint::from(1_u8);
    BigUint::from(3_u8).modpow(&(number - &one), number) == one
}
