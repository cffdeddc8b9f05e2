//! System calls without a safe face elsewhere.
#![allow(unsafe_code)]

mod batch;
pub mod credentials;
pub mod every_thread;

use std::ffi::{CStr, CString};
use std::io;
use std::net::UdpSocket;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub use batch::{Batch, Datagrams};
use credentials::Credentials;

/// Gives these credentials to all threads except the calling one, and returns when all have them.
///
/// # Errors
///
/// If a thread may not have them, or does not answer within `patience`. Other threads may have them already.
pub fn assume_on_other_threads(
    credentials: Credentials,
    patience: Duration,
) -> Result<(), every_thread::Error> {
    // SAFETY: `assume` makes system calls only, and its errors are plain numbers.
    unsafe { every_thread::on_other_threads(move || credentials.assume(), patience) }
}

/// Lets the runtime that this is called in watch for datagrams.
///
/// # Errors
///
/// If the system cannot watch more.
pub fn watch(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    // Not for room to send too, which each datagram that was sent would wake the loop up for.
    // SAFETY: a UdpSocket has one descriptor, which is open until the AsyncFd that owns it is dropped.
    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(io::Error::from)
}

/// Of two sockets with one port, gives the one that was bound second what begins with four zeros, the other one the rest.
///
/// # Errors
///
/// If the kernel has no such filters, or the sockets do not share their port.
pub fn part_by_marker(socket: &UdpSocket) -> io::Result<()> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUALS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let instruction = |code: u32, jump_false, value| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: jump_false,
        k: value,
    };
    // Loading behind the end of a datagram returns 0.
    let mut program = [
        instruction(LOAD, 0, 0),
        instruction(EQUALS, 1, 0),
        instruction(RETURN, 0, 1),
        instruction(RETURN, 0, 0),
    ];
    let program = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_mut_ptr(),
    };
    // The kernel has copied the instructions when this returns.
    setsockopt(socket, sockopt::AttachReusePortCbpf, &program).map_err(io::Error::from)
}

/// Takes over a descriptor that this process was started with.
///
/// # Errors
///
/// If it is not open.
pub fn take_fd(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the command takes no pointer, and any number may be asked about.
    let open = unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
    // Scripts shall not inherit it.
    // SAFETY: as above.
    if !open || unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and whoever started this process left it to nobody else here.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets the name that lines in syslog begin with.
pub fn open_syslog(identifier: &'static CStr) {
    // SAFETY: openlog keeps the pointer, which stays valid for ever.
    unsafe { libc::openlog(identifier.as_ptr(), libc::LOG_PID, libc::LOG_DAEMON) }
}

/// Writes a line to syslog, of a facility with a priority, `LOG_AUTHPRIV | LOG_INFO`.
pub fn syslog(priority: i32, text: &str) {
    let Ok(text) = CString::new(text) else { return };
    // SAFETY: both are strings with an end, and the format takes one.
    unsafe { libc::syslog(priority, c"%s".as_ptr(), text.as_ptr()) }
}

/// What the allocator holds, in octets.
pub struct Memory {
    /// By moving the end of the heap.
    pub heap: usize,
    /// By mapping.
    pub mapped: usize,
    /// In use.
    pub used: usize,
    /// Free for later.
    pub free: usize,
}

/// Asks the allocator.
pub fn memory() -> Memory {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallinfo2 only reads, under the allocator's own locks.
        let info = unsafe { libc::mallinfo2() };
        Memory {
            heap: info.arena,
            mapped: info.hblkhd,
            used: info.uordblks,
            free: info.fordblks,
        }
    }
    #[cfg(not(target_env = "gnu"))]
    Memory {
        heap: 0,
        mapped: 0,
        used: 0,
        free: 0,
    }
}
