//! What AUTH payloads are computed over (RFC 7296, 2.15).

use plugin_api::{PluginError, Prf, PrfKey, Secret};
use subtle::ConstantTimeEq;

use crate::keymat;

const KEY_PAD: &[u8] = b"Key Pad for IKEv2";

/// The octets one side signs or MACs: its IKE_SA_INIT message, the peer's nonce, its identity, and IntAuth.
///
/// `real_message` is the datagram without non-ESP marker, the last one if IKE_SA_INIT was repeated; `rest_of_id` is the
/// body of the ID payload behind its generic header.
///
/// # Errors
///
/// If the PRF fails.
pub fn signed_octets(
    real_message: &[u8],
    peer_nonce: &[u8],
    prf: &dyn Prf,
    sk_p: &Secret,
    rest_of_id: &[u8],
    int_auth: Option<&[u8]>,
) -> Result<Vec<u8>, PluginError> {
    let identity = keymat::prf(prf, sk_p.expose(), &[rest_of_id])?;
    Ok([
        real_message,
        peer_nonce,
        identity.expose(),
        int_auth.unwrap_or_default(),
    ]
    .concat())
}

/// AUTH of a shared key, over the concatenation of `octets`.
///
/// # Errors
///
/// If the PRF fails.
pub fn psk_auth(prf: &dyn Prf, psk: &[u8], octets: &[&[u8]]) -> Result<Secret, PluginError> {
    let mut auth = Secret::zeroed(prf.output_len());
    psk_key(prf, psk)?.compute(octets, auth.expose_mut())?;
    Ok(auth)
}

/// The key that AUTH of a shared key is computed with.
///
/// # Errors
///
/// If the PRF fails.
pub fn psk_key(prf: &dyn Prf, psk: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
    prf.create(keymat::prf(prf, psk, &[KEY_PAD])?.expose())
}

/// Compares a received AUTH with the expected one, in constant time.
pub fn verify(expected: &Secret, received: &[u8]) -> bool {
    expected.expose().ct_eq(received).into()
}
