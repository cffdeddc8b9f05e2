//! The TUN device that inner packets come from and go to, several as one where the kernel can do that ([`crate::offload`]).
#![allow(unsafe_code)] // ioctl has no safe face

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use plugin_api::PluginError;

use crate::offload::{VNET_LEN, VnetHeader};

const DEVICE: &str = "/dev/net/tun";

/// An open TUN device; it goes away when this is dropped.
pub struct Tun {
    file: File,
    name: String,
    offload: Offload,
}

/// What the kernel leaves to us, and takes from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Nothing.
    None,
    /// Checksums, and TCP segments as one packet.
    Tcp,
    /// UDP datagrams as well; since Linux 6.2.
    TcpAndUdp,
}

impl Tun {
    /// Makes a device named after `pattern`, `ipsec%d`, and brings it up.
    ///
    /// # Errors
    ///
    /// If the system has no TUN devices or the right to make one is missing; the message says which.
    pub fn open(pattern: &str, mtu: u16) -> Result<Self, PluginError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(DEVICE)
            .map_err(|error| refused(format!("opening {DEVICE}"), &error))?;
        let mut request = request_for(pattern);
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
        ioctl(&file, libc::TUNSETIFF, &mut request)
            .map_err(|error| refused(format!("making TUN device {pattern}"), &error))?;
        let name: String = request
            .ifr_name
            .iter()
            .take_while(|octet| **octet != 0)
            .map(|octet| *octet as u8 as char)
            .collect();
        let offload = set_offload(&file);

        let control =
            control_socket().map_err(|error| refused("opening a socket for ioctls".into(), &error))?;
        let mut request = request_for(&name);
        request.ifr_ifru.ifru_mtu = mtu.into();
        ioctl(&control, libc::SIOCSIFMTU, &mut request)
            .map_err(|error| refused(format!("setting the MTU of {name} to {mtu}"), &error))?;
        let mut request = request_for(&name);
        ioctl(&control, libc::SIOCGIFFLAGS, &mut request)
            .map_err(|error| refused(format!("reading the flags of {name}"), &error))?;
        // SAFETY: SIOCGIFFLAGS filled the flags; any bit pattern is a c_short.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
        ioctl(&control, libc::SIOCSIFFLAGS, &mut request)
            .map_err(|error| refused(format!("bringing {name} up"), &error))?;
        Ok(Self { file, name, offload })
    }

    /// The name the kernel gave.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What may be handed over as one packet, both ways.
    pub fn offload(&self) -> Offload {
        self.offload
    }

    /// Takes one packet with its header, if one waits, and says its length.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if none does.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<(VnetHeader, usize)> {
        let mut header = [0; VNET_LEN];
        let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(buffer)];
        let len = (&self.file).read_vectored(&mut parts)?;
        let len = len
            .checked_sub(VNET_LEN)
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        Ok((VnetHeader::from_octets(header), len))
    }

    /// Hands one packet to the kernel: a [`VnetHeader`], then its parts.
    ///
    /// # Errors
    ///
    /// If it does not take it.
    pub fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        (&self.file).write_vectored(parts).map(drop)
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn refused(attempt: String, error: &io::Error) -> PluginError {
    let remedy = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "; start as root or with CAP_NET_ADMIN (docker: --cap-add NET_ADMIN --device /dev/net/tun)"
        }
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            "; load the module (modprobe tun) or make the node (mknod /dev/net/tun c 10 200)"
        }
        _ => "",
    };
    PluginError::system(attempt, &io::Error::new(error.kind(), format!("{error}{remedy}")))
}

fn request_for(name: &str) -> libc::ifreq {
    // SAFETY: ifreq is a C struct of integers, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last octet stays zero.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

fn ioctl(fd: &impl AsRawFd, number: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: the descriptor is open, and all requests of this module read and write one ifreq.
    match unsafe { libc::ioctl(fd.as_raw_fd(), number, std::ptr::from_mut(request)) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Asks for as much as the kernel knows.
fn set_offload(file: &File) -> Offload {
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    let udp = libc::TUN_F_USO4 | libc::TUN_F_USO6;
    for (flags, offload) in [(tcp | udp, Offload::TcpAndUdp), (tcp, Offload::Tcp)] {
        // SAFETY: the descriptor is open, and TUNSETOFFLOAD takes a number.
        let set = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(flags)) };
        if set == 0 {
            return offload;
        }
    }
    Offload::None
}

fn control_socket() -> io::Result<OwnedFd> {
    // SAFETY: socket takes no pointers.
    match unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the call just made the descriptor, and nobody else has it.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}
