//! What the daemon's UDP sockets need to coexist with the kernel's IPsec.
#![allow(unsafe_code)] // no crate has these options

use std::ffi::c_int;
use std::io;
use std::os::fd::RawFd;

use netlink_packet_core::Emitable;
use netlink_packet_xfrm::constants::{AF_INET, AF_INET6, XFRM_POLICY_ALLOW, XFRM_POLICY_IN, XFRM_POLICY_OUT};
use netlink_packet_xfrm::{Selector, UserPolicyInfo};

/// `linux/in.h` and `linux/in6.h`.
const IP_XFRM_POLICY: c_int = 17;
const IPV6_XFRM_POLICY: c_int = 35;
/// `linux/udp.h`.
const UDP_ENCAP: c_int = 100;
const UDP_ENCAP_ESPINUDP: c_int = 2;

/// Lets everything pass that the socket sends and receives, whatever the policies say.
pub(super) fn bypass(socket: RawFd, ipv6: bool) -> io::Result<()> {
    let (level, option, family) = if ipv6 {
        (libc::IPPROTO_IPV6, IPV6_XFRM_POLICY, AF_INET6)
    } else {
        (libc::IPPROTO_IP, IP_XFRM_POLICY, AF_INET)
    };
    for direction in [XFRM_POLICY_IN, XFRM_POLICY_OUT] {
        let policy = UserPolicyInfo {
            selector: Selector {
                family,
                ..Selector::default()
            },
            direction,
            action: XFRM_POLICY_ALLOW,
            ..UserPolicyInfo::default()
        };
        let mut octets = vec![0; policy.buffer_len()];
        policy.emit(&mut octets);
        set(socket, level, option, &octets)?;
    }
    Ok(())
}

/// Lets the kernel decrypt what comes as ESP in UDP (RFC 3948); IKE messages stay the socket's.
pub(super) fn decapsulate(socket: RawFd) -> io::Result<()> {
    set(
        socket,
        libc::IPPROTO_UDP,
        UDP_ENCAP,
        &UDP_ENCAP_ESPINUDP.to_ne_bytes(),
    )
}

fn set(socket: RawFd, level: c_int, option: c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads as many octets as there are, and an invalid descriptor is an error, no fault.
    let result = unsafe {
        libc::setsockopt(
            socket,
            level,
            option,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
