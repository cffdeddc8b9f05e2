//! Modes of block ciphers and message authentication codes as IKE and ESP use them, behind plugin-api's traits.
//!
//! RustCrypto computes; here are the lengths of keys, salts, IVs and tags that the RFCs of IPsec give them. The plugins
//! `aes`, `des`, `blowfish`, `camellia`, `gcm`, `ccm`, `ctr`, `hmac`, `md5`, `cmac` and `xcbc` are this for their ciphers and hash
//! functions, and `kernel-libipsec` for its packets.

mod cbc;
mod ccm;
mod cmac;
mod ctr;
mod gcm;
mod mac;
mod nonce;
mod xcbc;

pub use crate::cbc::Cbc;
pub use crate::ccm::Ccm;
pub use crate::cmac::CmacPrf;
pub use crate::ctr::Ctr;
pub use crate::gcm::Gcm;
pub use crate::mac::{HmacIntegrity, HmacPrf, MacIntegrity, MacPrf, MacState};
pub use crate::xcbc::{Xcbc, XcbcPrf};

/// The integrity algorithm of CMAC: key and tag have the lengths of RFC 4494.
pub type CmacIntegrity<B> = MacIntegrity<::cmac::Cmac<B>>;

use ::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use plugin_api::{ErrorKind, PluginError};

/// What is needed of a block cipher.
pub trait BlockCipher: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + Send + Sync + 'static {}

impl<B: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + Send + Sync + 'static> BlockCipher for B {}

/// A block cipher with blocks of 16 octets.
pub trait BlockCipher16: BlockCipher + BlockSizeUser<BlockSize = cipher::consts::U16> {}

impl<B: BlockCipher + BlockSizeUser<BlockSize = cipher::consts::U16>> BlockCipher16 for B {}

fn wrong_length(what: &str, got: usize, expected: usize) -> PluginError {
    PluginError::new(
        ErrorKind::InvalidArgument,
        format!("the {what} has {got} octets instead of {expected}"),
    )
}

fn check_len(what: &str, got: usize, expected: usize) -> Result<(), PluginError> {
    if got == expected {
        Ok(())
    } else {
        Err(wrong_length(what, got, expected))
    }
}
