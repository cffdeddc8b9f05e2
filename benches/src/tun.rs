//! A TUN device on a host: what is written to its file comes in from the network, and what goes out is read there.
#![allow(unsafe_code)] // ioctl has no safe face

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use xtask::netns::Namespace;

/// Makes a device in a namespace and brings it up, with an address. It goes away with the file.
///
/// # Errors
///
/// If the kernel has no TUN devices, or the right to make one is missing.
pub(crate) fn open(namespace: &Namespace, name: &str, address: &str, mtu: usize) -> Result<File, String> {
    let made = namespace.run(|| {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")?;
        attach(&file, name).map(|()| file)
    });
    let file = made
        .flatten()
        .map_err(|error| format!("a TUN device {name}: {error}"))?;
    namespace.ip(&format!("link set {name} mtu {mtu} txqueuelen 5000 up"))?;
    namespace.ip(&format!("addr add {address} dev {name}"))?;
    Ok(file)
}

fn attach(file: &File, name: &str) -> io::Result<()> {
    // SAFETY: ifreq is a C struct of integers, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last octet stays zero.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is open, and TUNSETIFF reads and writes one ifreq.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
