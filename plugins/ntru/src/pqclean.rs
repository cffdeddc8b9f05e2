//! A KEM of PQClean as a [`Kem`]: each of them has the same three C functions.
//!
//! They are called directly, because the wrappers of the `pqcrypto` crates return secret keys and shared secrets as plain
//! arrays, which are copied about and never zeroized. Here the C code writes into a [`Secret`]. What it leaves behind on its
//! own stack (seeds, unpacked polynomials) is out of reach: PQClean does not zeroize it.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::Arc;

use iana::KeyExchangeMethod;
use plugin_api::log::{CONTROL, Group};
use plugin_api::{
    ErrorKind, Feature, FeatureName, Host, Kem, KemExchange, PluginError, RandomQuality, Secret,
};

/// The C functions of a parameter set.
#[derive(Clone, Copy)]
pub(crate) struct Functions {
    /// Writes a public key and a secret key.
    pub(crate) keypair: unsafe extern "C" fn(*mut u8, *mut u8) -> c_int,
    /// Writes a ciphertext and a shared secret; reads a public key.
    pub(crate) encapsulate: unsafe extern "C" fn(*mut u8, *mut u8, *const u8) -> c_int,
    /// Writes a shared secret; reads a ciphertext and a secret key.
    pub(crate) decapsulate: unsafe extern "C" fn(*mut u8, *const u8, *const u8) -> c_int,
}

/// What a parameter set's functions read and write, in octets.
#[derive(Clone, Copy)]
pub(crate) struct Lengths {
    pub(crate) public_key: usize,
    pub(crate) secret_key: usize,
    pub(crate) ciphertext: usize,
    pub(crate) shared: usize,
}

/// One implementation of a parameter set.
#[derive(Clone, Copy)]
pub struct PqClean {
    lengths: Lengths,
    functions: Functions,
}

impl PqClean {
    /// An implementation.
    ///
    /// # Safety
    ///
    /// The functions read and write no more than `lengths` says, and this processor can run them.
    pub(crate) const unsafe fn new(lengths: Lengths, functions: Functions) -> Self {
        Self { lengths, functions }
    }
}

impl Kem for PqClean {
    fn public_key_len(&self) -> usize {
        self.lengths.public_key
    }

    fn ciphertext_len(&self) -> usize {
        self.lengths.ciphertext
    }

    fn keygen(&self) -> Result<(Vec<u8>, Secret), PluginError> {
        let mut public = vec![0; self.lengths.public_key];
        let mut secret = Secret::zeroed(self.lengths.secret_key);
        // SAFETY: both buffers are as long as `new` was promised.
        let status =
            unsafe { (self.functions.keypair)(public.as_mut_ptr(), secret.expose_mut().as_mut_ptr()) };
        succeeded("key generation", status)?;
        Ok((public, secret))
    }

    fn encapsulate(&self, public_key: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        let Lengths {
            public_key: expected,
            ciphertext,
            shared,
            ..
        } = self.lengths;
        if public_key.len() != expected {
            return Err(PluginError::wrong_length(
                "public key",
                public_key.len(),
                expected,
            ));
        }
        let mut ciphertext = vec![0; ciphertext];
        let mut shared = Secret::zeroed(shared);
        // SAFETY: all three buffers are as long as `new` was promised.
        let status = unsafe {
            (self.functions.encapsulate)(
                ciphertext.as_mut_ptr(),
                shared.expose_mut().as_mut_ptr(),
                public_key.as_ptr(),
            )
        };
        succeeded("encapsulation", status)?;
        Ok((ciphertext, shared))
    }

    fn decapsulate(&self, secret_key: &Secret, ciphertext: &[u8]) -> Result<Secret, PluginError> {
        if secret_key.len() != self.lengths.secret_key {
            return Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "a secret key has {} octets, not {}",
                    self.lengths.secret_key,
                    secret_key.len()
                ),
            ));
        }
        if ciphertext.len() != self.lengths.ciphertext {
            return Err(PluginError::wrong_length(
                "ciphertext",
                ciphertext.len(),
                self.lengths.ciphertext,
            ));
        }
        let mut shared = Secret::zeroed(self.lengths.shared);
        // SAFETY: all three buffers are as long as `new` was promised.
        let status = unsafe {
            (self.functions.decapsulate)(
                shared.expose_mut().as_mut_ptr(),
                ciphertext.as_ptr(),
                secret_key.expose().as_ptr(),
            )
        };
        succeeded("decapsulation", status)?;
        Ok(shared)
    }
}

fn succeeded(operation: &str, status: c_int) -> Result<(), PluginError> {
    if status == 0 {
        Ok(())
    } else {
        Err(PluginError::new(
            ErrorKind::System,
            format!("PQClean, {operation}: status {status}"),
        ))
    }
}

/// A parameter set in PQClean's implementations of it.
#[derive(Clone, Copy)]
pub struct ParameterSet {
    portable: PqClean,
    avx2: Option<PqClean>,
}

impl ParameterSet {
    /// A parameter set.
    ///
    /// # Safety
    ///
    /// `portable` runs everywhere, `avx2` where [`has_avx2`] says so.
    pub(crate) const unsafe fn new(portable: PqClean, avx2: Option<PqClean>) -> Self {
        Self { portable, avx2 }
    }

    /// The implementation for any processor.
    pub fn portable(&self) -> PqClean {
        self.portable
    }

    /// The implementation with AVX2, if this processor has what it takes.
    pub fn avx2(&self) -> Option<PqClean> {
        self.avx2.filter(|_| has_avx2())
    }

    /// The faster of them.
    pub fn best(&self) -> PqClean {
        self.avx2().unwrap_or(self.portable)
    }
}

/// Whether this processor has all the extensions that PQClean's AVX2 code is compiled for, which are more than AVX2.
fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("aes")
        && is_x86_feature_detected!("pclmulqdq");
    #[cfg(not(target_arch = "x86_64"))]
    let has = false;
    has
}

/// A feature for each KEM of a plugin's table: method, name in log lines, keyword in proposals, parameter set.
pub(crate) fn features(
    host: &Arc<dyn Host>,
    kems: &[(KeyExchangeMethod, &str, &str, ParameterSet)],
) -> Vec<Feature> {
    // PQClean takes its randomness from the operating system, and where it gets none it can only abort the process.
    if let Err(error) = getrandom::fill(&mut [0; 32]) {
        for (_, name, _, _) in kems {
            let line = format!("{name} is not offered, there is no randomness: {error}");
            host.log(Group::Lib, CONTROL, &line);
        }
        return Vec::new();
    }
    kems.iter()
        .map(|&(method, name, keyword, set)| {
            Feature::key_exchange(method.0, name, keyword, KemExchange::new(set.best()))
                .soft_depends(FeatureName::Random(RandomQuality::Strong))
        })
        .collect()
}

/// Declares a [`ParameterSet`] from names in a crate's `ffi`: first lengths, then the functions of either implementation.
macro_rules! parameter_set {
    (
        $(#[$doc:meta])* $name:ident = $ffi:path;
        $public_key:ident, $secret_key:ident, $ciphertext:ident, $shared:ident;
        $keypair:ident, $encapsulate:ident, $decapsulate:ident;
        $avx2_keypair:ident, $avx2_encapsulate:ident, $avx2_decapsulate:ident;
    ) => {
        $(#[$doc])*
        #[allow(unsafe_code)]
        pub const $name: $crate::pqclean::ParameterSet = {
            use $crate::pqclean::{Functions, Lengths, ParameterSet, PqClean};
            use $ffi as ffi;
            const LENGTHS: Lengths = Lengths {
                public_key: ffi::$public_key,
                secret_key: ffi::$secret_key,
                ciphertext: ffi::$ciphertext,
                shared: ffi::$shared,
            };
            // SAFETY: the lengths are the functions' own, and portable C runs everywhere.
            let portable = unsafe {
                PqClean::new(LENGTHS, Functions {
                    keypair: ffi::$keypair,
                    encapsulate: ffi::$encapsulate,
                    decapsulate: ffi::$decapsulate,
                })
            };
            // SAFETY: both implementations have the same lengths; `ParameterSet` asks the processor first.
            #[cfg(target_arch = "x86_64")]
            let avx2 = Some(unsafe {
                PqClean::new(LENGTHS, Functions {
                    keypair: ffi::$avx2_keypair,
                    encapsulate: ffi::$avx2_encapsulate,
                    decapsulate: ffi::$avx2_decapsulate,
                })
            });
            #[cfg(not(target_arch = "x86_64"))]
            let avx2 = None;
            // SAFETY: each is what its name says.
            unsafe { ParameterSet::new(portable, avx2) }
        };
    };
}
pub(crate) use parameter_set;
