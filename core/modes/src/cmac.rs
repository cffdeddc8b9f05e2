//! CMAC as pseudo-random function with keys of any length (RFC 4615).

use std::marker::PhantomData;

use ::cmac::Cmac;
use ::hmac::Mac;
use ::hmac::digest::FixedOutput;
use plugin_api::{PluginError, Prf, PrfKey};
use zeroize::Zeroizing;

use crate::mac::{Keyed, MacState, keyed};

const LEN: usize = 16;

/// CMAC of a cipher with blocks and keys of 16 octets.
pub struct CmacPrf<B>(PhantomData<fn() -> B>);

impl<B> CmacPrf<B> {
    /// The function.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<B> Prf for CmacPrf<B>
where
    B: ::cmac::block_api::CmacCipher + 'static,
    Cmac<B>: MacState,
{
    fn key_len(&self) -> usize {
        LEN
    }

    fn output_len(&self) -> usize {
        LEN
    }

    fn create(&self, key: &[u8]) -> Result<Box<dyn PrfKey>, PluginError> {
        if key.len() == LEN {
            return Ok(Box::new(Keyed(keyed::<Cmac<B>>(key)?)));
        }
        // Longer and shorter ones alike: their code under the key zero is the key.
        let mut state = keyed::<Cmac<B>>(&[0; LEN])?;
        Mac::update(&mut state, key);
        let mut made = Zeroizing::new([0; LEN]);
        if let Ok(out) = made.as_mut_slice().try_into() {
            FixedOutput::finalize_into(state, out);
        }
        Ok(Box::new(Keyed(keyed::<Cmac<B>>(&*made)?)))
    }
}
