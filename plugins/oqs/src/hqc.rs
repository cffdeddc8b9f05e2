//! HQC's decapsulation. It rejects a corrupted ciphertext implicitly, but liboqs then also says that it failed, whereupon its
//! crate gives an error instead of the secret. A peer must not be told that apart, so the function is called here directly.

#![allow(unsafe_code)]

use ::oqs::ffi::kem as ffi;
use ::oqs::kem::Algorithm;
use plugin_api::Secret;

/// liboqs's function for a parameter set; it has no other way to fail.
pub(crate) struct Decapsulation {
    function: unsafe extern "C" fn(*mut u8, *const u8, *const u8) -> ffi::OQS_STATUS,
    secret_key: usize,
    ciphertext: usize,
    shared: usize,
}

impl Decapsulation {
    /// That of an algorithm, if it is HQC.
    pub(crate) fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Hqc128 => Some(Self {
                function: ffi::OQS_KEM_hqc_128_decaps,
                secret_key: ffi::OQS_KEM_hqc_128_length_secret_key as usize,
                ciphertext: ffi::OQS_KEM_hqc_128_length_ciphertext as usize,
                shared: ffi::OQS_KEM_hqc_128_length_shared_secret as usize,
            }),
            Algorithm::Hqc192 => Some(Self {
                function: ffi::OQS_KEM_hqc_192_decaps,
                secret_key: ffi::OQS_KEM_hqc_192_length_secret_key as usize,
                ciphertext: ffi::OQS_KEM_hqc_192_length_ciphertext as usize,
                shared: ffi::OQS_KEM_hqc_192_length_shared_secret as usize,
            }),
            Algorithm::Hqc256 => Some(Self {
                function: ffi::OQS_KEM_hqc_256_decaps,
                secret_key: ffi::OQS_KEM_hqc_256_length_secret_key as usize,
                ciphertext: ffi::OQS_KEM_hqc_256_length_ciphertext as usize,
                shared: ffi::OQS_KEM_hqc_256_length_shared_secret as usize,
            }),
            _ => None,
        }
    }

    /// The shared secret of a ciphertext, corrupted or not. The caller has checked the lengths.
    pub(crate) fn run(&self, secret_key: &[u8], ciphertext: &[u8]) -> Secret {
        assert_eq!(
            (secret_key.len(), ciphertext.len()),
            (self.secret_key, self.ciphertext)
        );
        let mut shared = Secret::zeroed(self.shared);
        // SAFETY: all three buffers are as long as liboqs says that the function's are.
        unsafe {
            (self.function)(
                shared.expose_mut().as_mut_ptr(),
                ciphertext.as_ptr(),
                secret_key.as_ptr(),
            )
        };
        shared
    }
}
