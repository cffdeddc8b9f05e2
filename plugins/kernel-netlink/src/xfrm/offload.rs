//! SAs and policies in network devices.
//!
//! A device that cannot do what is asked for is told in two ways: of all the work the kernel refuses to give it, of
//! computing it says nothing and does it itself. So the SA is looked at afterwards, if it has to be the device.

use std::net::IpAddr;

use netlink_packet_xfrm::constants::{XFRM_OFFLOAD_INBOUND, XFRM_OFFLOAD_IPV6};
use netlink_packet_xfrm::{UserOffloadDev, XfrmAttrs};
use nix::net::if_::if_nametoindex;
use plugin_api::kernel::{Direction, HwOffload, PolicyParameters, SaParameters};
use plugin_api::{ErrorKind, Host, PluginError};

/// `linux/xfrm.h`, since Linux 6.2.
const XFRM_OFFLOAD_PACKET: u8 = 4;

/// The attributes to try one after the other; none leaves it to the host.
type Attempts = Vec<Option<XfrmAttrs>>;

/// What to try with an SA.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] if it has to be a device, and none has the SA's own address.
pub(super) fn of_sa(host: &dyn Host, sa: &SaParameters) -> Result<Attempts, PluginError> {
    let local = if sa.inbound { sa.id.dst } else { sa.id.src };
    let mut flags = if local.is_ipv6() { XFRM_OFFLOAD_IPV6 } else { 0 };
    if sa.inbound {
        flags |= XFRM_OFFLOAD_INBOUND;
    }
    attempts(
        host,
        local,
        sa.options.hw_offload,
        &[XFRM_OFFLOAD_PACKET, 0],
        flags,
    )
}

/// What to try with a policy: a device has all of it or nothing.
///
/// # Errors
///
/// As [`of_sa`].
pub(super) fn of_policy(host: &dyn Host, policy: &PolicyParameters) -> Result<Attempts, PluginError> {
    let local = if policy.direction == Direction::Out {
        policy.src
    } else {
        policy.dst
    };
    match policy.options.hw_offload {
        HwOffload::No | HwOffload::Crypto => Ok(vec![None]),
        asked => attempts(host, local, asked, &[XFRM_OFFLOAD_PACKET], 0),
    }
}

fn attempts(
    host: &dyn Host,
    local: IpAddr,
    asked: HwOffload,
    kinds: &[u8],
    flags: u8,
) -> Result<Attempts, PluginError> {
    let with = |device: i32, kind: u8| {
        Some(XfrmAttrs::OffloadDevice(UserOffloadDev {
            ifindex: device,
            flags: flags | kind,
        }))
    };
    if asked == HwOffload::No {
        return Ok(vec![None]);
    }
    match (asked, device(host, local)) {
        (HwOffload::No, _) | (HwOffload::Auto, None) => Ok(vec![None]),
        (HwOffload::Crypto, Some(device)) => Ok(vec![with(device, 0)]),
        (HwOffload::Packet, Some(device)) => Ok(vec![with(device, XFRM_OFFLOAD_PACKET)]),
        (HwOffload::Auto, Some(device)) => {
            let mut attempts: Attempts = kinds.iter().map(|kind| with(device, *kind)).collect();
            attempts.push(None);
            Ok(attempts)
        }
        (_, None) => Err(PluginError::new(
            ErrorKind::NotFound,
            format!("hw_offload: no network interface has {local}"),
        )),
    }
}

/// The index of the interface that has an address.
pub(super) fn device(host: &dyn Host, local: IpAddr) -> Option<i32> {
    let addresses = host.kernel_net()?.addresses().ok()?;
    let own = addresses.into_iter().find(|own| own.address == local)?;
    index(&own.interface)
}

/// The index of an interface.
pub(super) fn index(interface: &str) -> Option<i32> {
    i32::try_from(if_nametoindex(interface).ok()?).ok()
}

/// The refusal of what a device has to do and does not.
pub(super) fn unable() -> PluginError {
    PluginError::new(
        ErrorKind::NotSupported,
        "hw_offload: the network device does not do ESP; set it to auto or no",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plugin_api::KernelNet;
    use plugin_api::kernel::{LocalAddress, NextHop, Route};
    use plugin_api::testing::Recorder;

    use super::*;

    /// The loopback, which every host has.
    struct Loopback;

    impl KernelNet for Loopback {
        fn addresses(&self) -> Result<Vec<LocalAddress>, PluginError> {
            Ok(vec![LocalAddress {
                address: [127, 0, 0, 1].into(),
                prefix: 8,
                interface: "lo".into(),
                loopback: true,
                up: true,
                is_virtual: false,
            }])
        }
        fn next_hop(&self, _: IpAddr, _: Option<IpAddr>) -> Result<NextHop, PluginError> {
            unreachable!("no routes")
        }
        fn add_address(&self, _: IpAddr, _: u8, _: &str) -> Result<(), PluginError> {
            unreachable!("no addresses")
        }
        fn delete_address(&self, _: IpAddr, _: u8, _: &str) -> Result<(), PluginError> {
            unreachable!("no addresses")
        }
        fn add_route(&self, _: &Route) -> Result<(), PluginError> {
            unreachable!("no routes")
        }
        fn delete_route(&self, _: &Route) -> Result<(), PluginError> {
            unreachable!("no routes")
        }
    }

    fn flags(local: [u8; 4], asked: HwOffload) -> Result<Vec<Option<u8>>, ErrorKind> {
        let host = Recorder::with_net(Arc::new(Loopback));
        let attempts = attempts(&host, local.into(), asked, &[XFRM_OFFLOAD_PACKET, 0], 2);
        let flags = |attempt: Option<XfrmAttrs>| {
            attempt.map(|attribute| {
                let XfrmAttrs::OffloadDevice(device) = attribute else {
                    panic!("another attribute");
                };
                assert_eq!(Some(device.ifindex), index("lo"));
                device.flags
            })
        };
        attempts
            .map(|attempts| attempts.into_iter().map(flags).collect())
            .map_err(|error| error.kind)
    }

    #[test]
    fn the_device_with_the_own_address_does_as_much_as_it_can() {
        let own = [127, 0, 0, 1];
        for (asked, expected) in [
            (HwOffload::No, vec![None]),
            (HwOffload::Crypto, vec![Some(2)]),
            (HwOffload::Packet, vec![Some(6)]),
            (HwOffload::Auto, vec![Some(6), Some(2), None]),
        ] {
            assert_eq!(flags(own, asked), Ok(expected), "{asked:?}");
        }
        let nowhere = [192, 0, 2, 1];
        assert_eq!(flags(nowhere, HwOffload::Auto), Ok(vec![None]));
        assert_eq!(flags(nowhere, HwOffload::No), Ok(vec![None]));
        assert_eq!(flags(nowhere, HwOffload::Packet), Err(ErrorKind::NotFound));
    }
}
