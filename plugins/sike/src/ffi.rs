//! The functions of liboqs, behind ones that check every length.

#![allow(unsafe_code)]

use std::sync::Once;

use oqs_sys::kem as liboqs;
use oqs_sys::kem::OQS_STATUS;

unsafe extern "C" {
    /// SHAKE256 (`oqs/sha3.h`), for which there are no bindings.
    fn OQS_SHA3_shake256(output: *mut u8, output_len: usize, input: *const u8, input_len: usize);
}

/// Has liboqs choose the code for this processor, which it would do in the first call of each part, and without a lock:
/// a second thread could find the pointers half set.
pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the function takes nothing, and no other thread is in liboqs before this is done.
        unsafe { oqs_sys::common::OQS_init() };
        let mut output = [0; 1];
        // SAFETY: the output has the one octet that is asked for, the input none.
        unsafe { OQS_SHA3_shake256(output.as_mut_ptr(), output.len(), [].as_ptr(), 0) };
    });
}

/// What liboqs has of one parameter set: lengths in octets and functions. The functions write and read as many octets
/// as the lengths say, return a value of [`OQS_STATUS`] and keep no pointer. After [`init`] any thread may call them.
pub(crate) struct Functions {
    pub(crate) public_key_len: usize,
    pub(crate) secret_key_len: usize,
    pub(crate) ciphertext_len: usize,
    pub(crate) shared_secret_len: usize,
    /// Writes a public key and a secret key.
    keypair: unsafe extern "C" fn(*mut u8, *mut u8) -> OQS_STATUS,
    /// Writes a ciphertext and a shared secret, reads a public key.
    encaps: unsafe extern "C" fn(*mut u8, *mut u8, *const u8) -> OQS_STATUS,
    /// Writes a shared secret, reads a ciphertext and a secret key.
    decaps: unsafe extern "C" fn(*mut u8, *const u8, *const u8) -> OQS_STATUS,
}

pub(crate) static P434: Functions = Functions {
    public_key_len: liboqs::OQS_KEM_sike_p434_length_public_key as usize,
    secret_key_len: liboqs::OQS_KEM_sike_p434_length_secret_key as usize,
    ciphertext_len: liboqs::OQS_KEM_sike_p434_length_ciphertext as usize,
    shared_secret_len: liboqs::OQS_KEM_sike_p434_length_shared_secret as usize,
    keypair: liboqs::OQS_KEM_sike_p434_keypair,
    encaps: liboqs::OQS_KEM_sike_p434_encaps,
    decaps: liboqs::OQS_KEM_sike_p434_decaps,
};

pub(crate) static P503: Functions = Functions {
    public_key_len: liboqs::OQS_KEM_sike_p503_length_public_key as usize,
    secret_key_len: liboqs::OQS_KEM_sike_p503_length_secret_key as usize,
    ciphertext_len: liboqs::OQS_KEM_sike_p503_length_ciphertext as usize,
    shared_secret_len: liboqs::OQS_KEM_sike_p503_length_shared_secret as usize,
    keypair: liboqs::OQS_KEM_sike_p503_keypair,
    encaps: liboqs::OQS_KEM_sike_p503_encaps,
    decaps: liboqs::OQS_KEM_sike_p503_decaps,
};

pub(crate) static P610: Functions = Functions {
    public_key_len: liboqs::OQS_KEM_sike_p610_length_public_key as usize,
    secret_key_len: liboqs::OQS_KEM_sike_p610_length_secret_key as usize,
    ciphertext_len: liboqs::OQS_KEM_sike_p610_length_ciphertext as usize,
    shared_secret_len: liboqs::OQS_KEM_sike_p610_length_shared_secret as usize,
    keypair: liboqs::OQS_KEM_sike_p610_keypair,
    encaps: liboqs::OQS_KEM_sike_p610_encaps,
    decaps: liboqs::OQS_KEM_sike_p610_decaps,
};

pub(crate) static P751: Functions = Functions {
    public_key_len: liboqs::OQS_KEM_sike_p751_length_public_key as usize,
    secret_key_len: liboqs::OQS_KEM_sike_p751_length_secret_key as usize,
    ciphertext_len: liboqs::OQS_KEM_sike_p751_length_ciphertext as usize,
    shared_secret_len: liboqs::OQS_KEM_sike_p751_length_shared_secret as usize,
    keypair: liboqs::OQS_KEM_sike_p751_keypair,
    encaps: liboqs::OQS_KEM_sike_p751_encaps,
    decaps: liboqs::OQS_KEM_sike_p751_decaps,
};

impl Functions {
    /// Makes a key pair; whether it worked.
    #[must_use]
    pub(crate) fn keypair(&self, public_key: &mut [u8], secret_key: &mut [u8]) -> bool {
        assert_eq!(public_key.len(), self.public_key_len);
        assert_eq!(secret_key.len(), self.secret_key_len);
        // SAFETY: the buffers have the lengths that the function writes, and do not overlap.
        let status = unsafe { (self.keypair)(public_key.as_mut_ptr(), secret_key.as_mut_ptr()) };
        status == OQS_STATUS::OQS_SUCCESS
    }

    /// Makes a ciphertext and the shared secret in it; whether it worked.
    #[must_use]
    pub(crate) fn encaps(&self, ciphertext: &mut [u8], shared: &mut [u8], public_key: &[u8]) -> bool {
        assert_eq!(ciphertext.len(), self.ciphertext_len);
        assert_eq!(shared.len(), self.shared_secret_len);
        assert_eq!(public_key.len(), self.public_key_len);
        // SAFETY: the buffers have the lengths that the function writes and reads, and do not overlap.
        let status =
            unsafe { (self.encaps)(ciphertext.as_mut_ptr(), shared.as_mut_ptr(), public_key.as_ptr()) };
        status == OQS_STATUS::OQS_SUCCESS
    }

    /// Gets the shared secret of a ciphertext; whether it worked.
    #[must_use]
    pub(crate) fn decaps(&self, shared: &mut [u8], ciphertext: &[u8], secret_key: &[u8]) -> bool {
        assert_eq!(shared.len(), self.shared_secret_len);
        assert_eq!(ciphertext.len(), self.ciphertext_len);
        assert_eq!(secret_key.len(), self.secret_key_len);
        // SAFETY: the buffers have the lengths that the function writes and reads, and do not overlap.
        let status = unsafe { (self.decaps)(shared.as_mut_ptr(), ciphertext.as_ptr(), secret_key.as_ptr()) };
        status == OQS_STATUS::OQS_SUCCESS
    }
}
