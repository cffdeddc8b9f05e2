//! What one side of the boundary was built from. Two sides built from the same have the same layouts, so that comparing
//! them plugin by plugin, which takes a good part of the daemon's start, would find nothing. All others are compared.

use abi_stable::std_types::RVec;

use super::object::Layout;

/// What a library was built from. It begins with the fingerprint in each version of this crate; what follows is looked at
/// only where that is the same.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Origin {
    /// Of the sources of this crate, the compiler and its target: see `build.rs`.
    fingerprint: [u8; 32],
    /// Any layout of abi_stable's, as it says which version made it.
    abi_stable: Layout,
}

impl Origin {
    /// That of the library which this is compiled into.
    pub const OWN: Self = Self {
        fingerprint: *env!("PLUGIN_API_ORIGIN")
            .as_bytes()
            .as_array()
            .expect("the build script writes 32 digits"),
        abi_stable: Layout::of::<RVec<u8>>(),
    };

    /// Whether a library was built from the same.
    ///
    /// # Safety
    ///
    /// `other` must point to 32 octets, and to the `Origin` of a library with a compatible abi_stable if they are the
    /// fingerprint of this one.
    pub unsafe fn is_own(other: *const Self) -> bool {
        // SAFETY: the caller promises the octets; arrays of them need no alignment.
        let fingerprint = unsafe { other.cast::<[u8; 32]>().read() };
        if fingerprint != Self::OWN.fingerprint {
            return false;
        }
        // SAFETY: the caller promises the rest for this case.
        let other = unsafe { &*other };
        let version = |origin: &Self| origin.abi_stable.0.package_version();
        version(other) == version(&Self::OWN)
    }
}

/// The name of the symbol of a plugin that its origin has.
pub fn origin_symbol(plugin: &str) -> String {
    format!("charon_origin_{plugin}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(origin: &Origin) -> bool {
        // SAFETY: it is an origin of this library.
        unsafe { Origin::is_own(origin) }
    }

    #[test]
    fn a_digit_makes_another_origin() {
        assert!(is_own(&Origin::OWN));
        for at in 0..32 {
            let mut other = Origin::OWN;
            other.fingerprint[at] ^= 1;
            assert!(!is_own(&other), "digit {at}");
        }
    }

    #[test]
    fn another_version_of_abi_stable_makes_another_origin() {
        // This crate's version, which is not abi_stable's.
        let mut other = Origin::OWN;
        other.abi_stable = Layout::of::<super::super::Object>();
        assert!(!is_own(&other));
    }
}
