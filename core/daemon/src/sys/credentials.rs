//! User, group and capabilities of the calling thread.
//!
//! The kernel keeps them per thread. The functions make system calls and nothing else, so a signal handler may call them.

use std::ffi::{c_int, c_long, c_ulong};
use std::io;

/// Version 3 of the interface has 64 capabilities, in two halves.
const VERSION: u32 = 0x2008_0522;

// On these two the plain calls truncate numbers to 16 bits.
#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
use libc::{SYS_setgroups as SET_GROUPS, SYS_setresgid as SET_GROUP, SYS_setresuid as SET_USER};
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
use libc::{SYS_setgroups32 as SET_GROUPS, SYS_setresgid32 as SET_GROUP, SYS_setresuid32 as SET_USER};

#[repr(C)]
struct Header {
    version: u32,
    thread: c_int,
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Sets of capabilities, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// Those that system calls check.
    pub effective: u64,
    /// Those that can be made effective.
    pub permitted: u64,
    /// Those that started programs may inherit.
    pub inheritable: u64,
}

/// A user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user, unless it stays.
    pub user: Option<u32>,
    /// The only group.
    pub group: u32,
}

/// The credentials that a thread is to have; never more than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User and group to change to, if they change.
    pub identity: Option<Identity>,
    /// Permitted and effective capabilities.
    pub permitted: u64,
    /// Capabilities that programs inherit which root starts, or whose files allow it.
    pub inheritable: u64,
    /// Capabilities that programs inherit in any case.
    pub ambient: u64,
}

impl Credentials {
    /// Gives the calling thread these credentials. Changing the user would allow core dumps and debuggers again, so both are
    /// forbidden afterwards.
    ///
    /// # Errors
    ///
    /// The error of the first system call that failed; later ones are not made.
    pub fn assume(&self) -> io::Result<()> {
        if let Some(identity) = self.identity {
            identity.assume()?;
        }
        set(Sets {
            effective: self.permitted,
            permitted: self.permitted,
            inheritable: self.inheritable,
        })?;
        for capability in bits(self.ambient) {
            raise_ambient(capability)?;
        }
        control(libc::PR_SET_KEEPCAPS, [0, 0])?;
        control(libc::PR_SET_DUMPABLE, [0, 0]).map(drop)
    }
}

impl Identity {
    /// Changes the group first, because the new user may not.
    fn assume(&self) -> io::Result<()> {
        let group = c_ulong::from(self.group);
        // SAFETY: the kernel reads one group, which is there until the call returns.
        check(unsafe { libc::syscall(SET_GROUPS, 1_usize, &raw const self.group) })?;
        // SAFETY: the call takes no pointer.
        check(unsafe { libc::syscall(SET_GROUP, group, group, group) })?;
        if let Some(user) = self.user {
            let user = c_ulong::from(user);
            // SAFETY: as above.
            check(unsafe { libc::syscall(SET_USER, user, user, user) })?;
        }
        Ok(())
    }
}

/// The capabilities of the calling thread.
///
/// # Errors
///
/// If the kernel has no capabilities.
pub fn held() -> io::Result<Sets> {
    let mut header = Header {
        version: VERSION,
        thread: 0,
    };
    let mut halves = [Half::default(); 2];
    // SAFETY: of this version the kernel writes two halves, and both pointers are valid until the call returns.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) })?;
    let [low, high] = halves;
    let join = |low, high| u64::from(low) | u64::from(high) << 32;
    Ok(Sets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// Sets the capabilities of the calling thread. The ambient set loses those that are no longer inheritable.
///
/// # Errors
///
/// If the thread may not have one of them.
pub fn set(sets: Sets) -> io::Result<()> {
    let mut header = Header {
        version: VERSION,
        thread: 0,
    };
    let half = |shift: u32| Half {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let halves = [half(0), half(32)];
    // SAFETY: of this version the kernel reads two halves, and both pointers are valid until the call returns.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) }).map(drop)
}

/// The bounding set: the capabilities that a started program can get at most.
pub fn bounding() -> u64 {
    let reads = |capability| control(libc::PR_CAPBSET_READ, [capability, 0]);
    let known = (0..64).map_while(|capability| Some((capability, reads(capability).ok()?)));
    known.fold(0, |set, (capability, held)| {
        set | u64::from(held == 1) << capability
    })
}

/// Removes a capability from the bounding set.
///
/// # Errors
///
/// Without CAP_SETPCAP.
pub fn drop_bounding(capability: u32) -> io::Result<()> {
    control(libc::PR_CAPBSET_DROP, [capability.into(), 0]).map(drop)
}

/// Adds a capability to the ambient set. It must be permitted and inheritable.
///
/// # Errors
///
/// If it is neither, or secure bits forbid it.
pub fn raise_ambient(capability: u32) -> io::Result<()> {
    let raise = libc::PR_CAP_AMBIENT_RAISE as c_ulong;
    control(libc::PR_CAP_AMBIENT, [raise, capability.into()]).map(drop)
}

/// Keeps the permitted set when the user changes, on the calling thread and on those it starts.
///
/// # Errors
///
/// If secure bits forbid it.
pub fn keep_capabilities() -> io::Result<()> {
    control(libc::PR_SET_KEEPCAPS, [1, 0]).map(drop)
}

/// The bits of a set, lowest first.
pub fn bits(set: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |bit| set >> bit & 1 == 1)
}

fn control(option: c_int, [first, second]: [c_ulong; 2]) -> io::Result<c_long> {
    let unused: c_ulong = 0;
    // SAFETY: none of the options above takes a pointer.
    check(unsafe {
        libc::syscall(
            libc::SYS_prctl,
            c_long::from(option),
            first,
            second,
            unused,
            unused,
        )
    })
}

fn check(result: c_long) -> io::Result<c_long> {
    // The error is a number; making it allocates nothing.
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_here_is_what_it_says_in_proc() {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("a status");
        let listed = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            u64::from_str_radix(line.expect("a line").trim(), 16).expect("a set")
        };
        let sets = held().expect("capabilities");
        assert_eq!(sets.effective, listed("CapEff:"));
        assert_eq!(sets.permitted, listed("CapPrm:"));
        assert_eq!(sets.inheritable, listed("CapInh:"));
        assert_eq!(bounding(), listed("CapBnd:"));
    }

    #[test]
    fn bits_come_from_the_lowest_on() {
        assert_eq!(bits(0).count(), 0);
        assert_eq!(bits(1 | 1 << 12 | 1 << 63).collect::<Vec<_>>(), [0, 12, 63]);
    }
}
