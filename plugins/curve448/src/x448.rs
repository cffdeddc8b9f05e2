//! X448 in IKEv2 (RFC 7748, RFC 8031).

use plugin_api::{DiffieHellman, ErrorKind, PluginError, Secret};
use subtle::Choice;
use zeroize::Zeroizing;

use crate::field::{Element, LEN};

/// (A - 2) / 4 of the curve v^2 = u^3 + A·u^2 + u.
const A24: Element = Element::small(39_081);

const BASE_POINT: [u8; LEN] = {
    let mut point = [0; LEN];
    point[0] = 5;
    point
};

/// X448. No branch and no index depends on a secret; scalars, the ladder's points and the result are zeroized.
pub struct X448;

impl DiffieHellman for X448 {
    fn public_value_len(&self) -> usize {
        LEN
    }

    fn generate(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let mut private = Secret::zeroed(LEN);
        getrandom::fill(private.expose_mut()).map_err(|error| {
            PluginError::new(
                ErrorKind::System,
                format!("the operating system gave no random octets for a private key: {error}"),
            )
        })?;
        let public = multiply(&*scalar(&private)?, &BASE_POINT);
        Ok((public.to_vec(), private))
    }

    fn agree(&self, private: &Secret, peer: &[u8]) -> Result<Secret, PluginError> {
        let peer: &[u8; LEN] = peer
            .try_into()
            .map_err(|_| PluginError::wrong_length("X448 public value", peer.len(), LEN))?;
        let shared = multiply(&*scalar(private)?, peer);
        // A point of small order makes a secret that everybody knows (RFC 7748, 6.2). All octets are looked at.
        if shared.iter().fold(0, |all, octet| all | octet) == 0 {
            return Err(PluginError::new(
                ErrorKind::InvalidPublicValue,
                "the peer's X448 public value is a point of small order",
            ));
        }
        Ok(Secret::copy_of(shared.as_slice()))
    }
}

/// The private key with the bits that RFC 7748, 5, fixes.
fn scalar(private: &Secret) -> Result<Zeroizing<[u8; LEN]>, PluginError> {
    let mut scalar = Zeroizing::new([0; LEN]);
    if private.len() != LEN {
        return Err(PluginError::new(
            ErrorKind::InvalidArgument,
            format!("an X448 private key has {LEN} octets, not {}", private.len()),
        ));
    }
    scalar.copy_from_slice(private.expose());
    scalar[0] &= 252;
    scalar[LEN - 1] |= 128;
    Ok(scalar)
}

/// The Montgomery ladder of RFC 7748, 5, with its names.
fn multiply(scalar: &[u8; LEN], point: &[u8; LEN]) -> Zeroizing<[u8; LEN]> {
    let x1 = Element::decode(point);
    let (mut x2, mut z2) = (Element::small(1), Element::small(0));
    let (mut x3, mut z3) = (x1.clone(), Element::small(1));
    let mut swapped = 0;
    for at in (0..8 * LEN).rev() {
        let bit = scalar[at / 8] >> (at % 8) & 1;
        let swap = Choice::from(swapped ^ bit);
        Element::swap(&mut x2, &mut x3, swap);
        Element::swap(&mut z2, &mut z3, swap);
        swapped = bit;

        let (a, b) = (&x2 + &z2, &x2 - &z2);
        let (aa, bb) = (a.square(), b.square());
        let e = &aa - &bb;
        let (c, d) = (&x3 + &z3, &x3 - &z3);
        let (da, cb) = (&d * &a, &c * &b);
        x3 = (&da + &cb).square();
        z3 = &x1 * &(&da - &cb).square();
        x2 = &aa * &bb;
        z2 = &e * &(&aa + &(&A24 * &e));
    }
    let swap = Choice::from(swapped);
    Element::swap(&mut x2, &mut x3, swap);
    Element::swap(&mut z2, &mut z3, swap);
    Zeroizing::new((&x2 * &z2.invert()).encode())
}
