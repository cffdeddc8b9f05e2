//! libc's `syscall`, by which the older releases of PQClean ask for randomness, so that known answers can be made with it.
//!
//! The includer says where randomness comes from: `fn draw_syscall(out: &mut [u8])`.

use std::ffi::{c_int, c_long};

use super::draw_syscall;

const GETRANDOM: c_long = 318;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// Stands in for libc's in this program and all libraries that it loads.
///
/// # Safety
///
/// As the original. The original takes any number of arguments, which this ABI passes as it does six of them.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    if number == GETRANDOM && b > 0 {
        // SAFETY: the caller hands over a buffer of `b` octets at `a`, and of nothing else.
        draw_syscall(unsafe { std::slice::from_raw_parts_mut(a as *mut u8, b.cast_unsigned() as usize) });
        return b;
    }
    let result: c_long;
    // SAFETY: the kernel gets what the caller meant for it.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    if !(-4095..0).contains(&result) {
        return result;
    }
    // SAFETY: it is this thread's own.
    unsafe { *__errno_location() = c_int::try_from(-result).expect("an errno") };
    -1
}
