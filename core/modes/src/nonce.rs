//! The nonce of an AEAD: a salt from keying material and an explicit IV of eight octets.

use ::cipher::Array;
use ::cipher::array::ArraySize;
use plugin_api::PluginError;

use crate::check_len;

pub(crate) const IV_LEN: usize = 8;

/// Salt and IV, one after the other.
pub(crate) fn nonce<N: ArraySize>(salt: &[u8], iv: &[u8]) -> Result<Array<u8, N>, PluginError> {
    check_len("IV", iv.len(), IV_LEN)?;
    let mut nonce = Array::<u8, N>::default();
    check_len("salt", salt.len() + IV_LEN, nonce.len())?;
    nonce[..salt.len()].copy_from_slice(salt);
    nonce[salt.len()..].copy_from_slice(iv);
    Ok(nonce)
}
