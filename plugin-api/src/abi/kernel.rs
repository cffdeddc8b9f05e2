//! `kernel-ipsec/3`, its versions before, and `kernel-net/1`.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;

use abi_stable::std_types::{ROption, RSliceMut, RStr, RVec};
use iana::Protocol;

use super::kernel_types::{Address, Endpoint, Features, Hop, Id, Ip, Policy, Sa, Usage, Way};
use super::kernel_types_2::{Features2, Policy2, Sa2};
use super::kernel_types_3::Policy3;
use super::object::interface;
use super::offer::Checked;
use super::types::option;
use crate::feature::Constructor;
use crate::kernel::{
    KernelFeatures, LocalAddress, NextHop, PolicyOptions, PolicyParameters, ReceivedEsp, Route, SaId,
    SaOptions, SaParameters, SaUsage,
};
use crate::{ErrorKind, Host, KernelIpsec, KernelNet, PluginError};

interface! {
    /// Makes a [`KernelIpsec`].
    KernelIpsecMaker3("kernel-ipsec/3") holds (Constructor<dyn KernelIpsec>, Arc<dyn Host>) {
        fn make(this) -> KernelIpsec3 {
            let (make, host) = this;
            make(Arc::clone(host)).map(KernelIpsec3::new)
        }
    }
}

interface! {
    /// See [`KernelIpsec`].
    KernelIpsec3("kernel-ipsec-object/3") holds Arc<dyn KernelIpsec> {
        fn features(this) -> Features2 { Ok(this.features().into()) }
        fn knows(this, protocol: u8) -> bool { Ok(this.knows(Protocol(protocol))) }
        fn allocate_spi(this, src: Ip, dst: Ip, protocol: u8) -> u32 {
            this.allocate_spi(src.into(), dst.into(), Protocol(protocol))
        }
        fn add_sa(this, sa: Sa2<'_>) -> () { this.add_sa(&sa.try_into()?) }
        fn update_sa(this, id: Id, src: Endpoint, dst: Endpoint, encap: bool) -> () {
            this.update_sa(&id.into(), src.into(), dst.into(), encap)
        }
        fn query_sa(this, id: Id) -> Usage { this.query_sa(&id.into()).map(Usage::from) }
        fn delete_sa(this, id: Id) -> () { this.delete_sa(&id.into()) }
        fn flush_sas(this) -> () { this.flush_sas() }
        fn add_policy(this, policy: Policy3) -> () { this.add_policy(&policy.try_into()?) }
        fn delete_policy(this, policy: Policy3) -> () { this.delete_policy(&policy.try_into()?) }
        fn flush_policies(this) -> () { this.flush_policies() }
        fn bypass_socket(this, socket: i32, ipv6: bool) -> () { this.bypass_socket(socket, ipv6) }
        fn enable_udp_decap(this, socket: i32, ipv6: bool, port: u16) -> () {
            this.enable_udp_decap(socket, ipv6, port)
        }
        fn receive_esp(
            this,
            local: Endpoint,
            remote: Endpoint,
            tos: u8,
            segment: u32,
            packets: RSliceMut<'_, u8>
        ) -> () {
            let received = ReceivedEsp {
                local: local.into(),
                remote: remote.into(),
                tos,
                segment: segment as usize,
            };
            this.receive_esp(&received, packets.into_mut_slice());
            Ok(())
        }
    }
}

interface! {
    /// Makes a [`KernelIpsec`], of plugins that were built before there was [`KernelIpsecMaker3`].
    KernelIpsecMaker2("kernel-ipsec/2") holds (Constructor<dyn KernelIpsec>, Arc<dyn Host>) {
        fn make(this) -> KernelIpsec2 {
            let (make, host) = this;
            make(Arc::clone(host)).map(KernelIpsec2::new)
        }
    }
}

interface! {
    /// See [`KernelIpsec`].
    KernelIpsec2("kernel-ipsec-object/2") holds Arc<dyn KernelIpsec> {
        fn features(this) -> Features2 { Ok(this.features().into()) }
        fn allocate_spi(this, src: Ip, dst: Ip, protocol: u8) -> u32 {
            this.allocate_spi(src.into(), dst.into(), Protocol(protocol))
        }
        fn add_sa(this, sa: Sa2<'_>) -> () { this.add_sa(&sa.try_into()?) }
        fn update_sa(this, id: Id, src: Endpoint, dst: Endpoint, encap: bool) -> () {
            this.update_sa(&id.into(), src.into(), dst.into(), encap)
        }
        fn query_sa(this, id: Id) -> Usage { this.query_sa(&id.into()).map(Usage::from) }
        fn delete_sa(this, id: Id) -> () { this.delete_sa(&id.into()) }
        fn flush_sas(this) -> () { this.flush_sas() }
        fn add_policy(this, policy: Policy2) -> () { this.add_policy(&policy.try_into()?) }
        fn delete_policy(this, policy: Policy2) -> () { this.delete_policy(&policy.try_into()?) }
        fn flush_policies(this) -> () { this.flush_policies() }
        fn bypass_socket(this, socket: i32, ipv6: bool) -> () { this.bypass_socket(socket, ipv6) }
        fn enable_udp_decap(this, socket: i32, ipv6: bool, port: u16) -> () {
            this.enable_udp_decap(socket, ipv6, port)
        }
        fn receive_esp(
            this,
            local: Endpoint,
            remote: Endpoint,
            tos: u8,
            segment: u32,
            packets: RSliceMut<'_, u8>
        ) -> () {
            let received = ReceivedEsp {
                local: local.into(),
                remote: remote.into(),
                tos,
                segment: segment as usize,
            };
            this.receive_esp(&received, packets.into_mut_slice());
            Ok(())
        }
    }
}

interface! {
    /// Makes a [`KernelIpsec`], of plugins that were built before there was [`KernelIpsecMaker2`].
    KernelIpsecMaker1("kernel-ipsec/1") holds (Constructor<dyn KernelIpsec>, Arc<dyn Host>) {
        fn make(this) -> KernelIpsec1 {
            let (make, host) = this;
            make(Arc::clone(host)).map(KernelIpsec1::new)
        }
    }
}

interface! {
    /// See [`KernelIpsec`].
    KernelIpsec1("kernel-ipsec-object/1") holds Arc<dyn KernelIpsec> {
        fn features(this) -> Features { Ok(this.features().into()) }
        fn allocate_spi(this, src: Ip, dst: Ip, protocol: u8) -> u32 {
            this.allocate_spi(src.into(), dst.into(), Protocol(protocol))
        }
        fn add_sa(this, sa: Sa<'_>) -> () { this.add_sa(&sa.try_into()?) }
        fn update_sa(this, id: Id, src: Endpoint, dst: Endpoint, encap: bool) -> () {
            this.update_sa(&id.into(), src.into(), dst.into(), encap)
        }
        fn query_sa(this, id: Id) -> Usage { this.query_sa(&id.into()).map(Usage::from) }
        fn delete_sa(this, id: Id) -> () { this.delete_sa(&id.into()) }
        fn flush_sas(this) -> () { this.flush_sas() }
        fn add_policy(this, policy: Policy) -> () { this.add_policy(&policy.try_into()?) }
        fn delete_policy(this, policy: Policy) -> () { this.delete_policy(&policy.try_into()?) }
        fn flush_policies(this) -> () { this.flush_policies() }
        fn bypass_socket(this, socket: i32, ipv6: bool) -> () { this.bypass_socket(socket, ipv6) }
        fn enable_udp_decap(this, socket: i32, ipv6: bool, port: u16) -> () {
            this.enable_udp_decap(socket, ipv6, port)
        }
        fn receive_esp(this, local: Endpoint, remote: Endpoint, packet: RSliceMut<'_, u8>) -> () {
            let received = ReceivedEsp {
                local: local.into(),
                remote: remote.into(),
                tos: 0,
                segment: packet.len(),
            };
            this.receive_esp(&received, packet.into_mut_slice());
            Ok(())
        }
    }
}

interface! {
    /// Makes a [`KernelNet`].
    KernelNetMaker1("kernel-net/1") holds (Constructor<dyn KernelNet>, Arc<dyn Host>) {
        fn make(this) -> KernelNet1 {
            let (make, host) = this;
            make(Arc::clone(host)).map(KernelNet1::new)
        }
    }
}

interface! {
    /// See [`KernelNet`].
    KernelNet1("kernel-net-object/1") holds Arc<dyn KernelNet> {
        fn addresses(this) -> RVec<Address> {
            Ok(this.addresses()?.into_iter().map(Address::from).collect())
        }
        fn next_hop(this, destination: Ip, source: ROption<Ip>) -> Hop {
            this.next_hop(destination.into(), source.into_option().map(Into::into)).map(Hop::from)
        }
        fn add_address(this, address: Ip, prefix: u8, interface: RStr<'_>) -> () {
            this.add_address(address.into(), prefix, interface.as_str())
        }
        fn delete_address(this, address: Ip, prefix: u8, interface: RStr<'_>) -> () {
            this.delete_address(address.into(), prefix, interface.as_str())
        }
        fn add_route(this, route: Way) -> () { this.add_route(&route.into()) }
        fn delete_route(this, route: Way) -> () { this.delete_route(&route.into()) }
    }
}

/// The daemon's side; the host given is that of the plugin, which has its own way to it already.
pub(super) fn ipsec(maker: Checked<KernelIpsecMaker3>) -> Constructor<dyn KernelIpsec> {
    Box::new(move |_host| {
        let table = maker.make()?;
        let features = table.features()?.into();
        Ok(Arc::new(RemoteIpsec { table, features }))
    })
}

/// See [`ipsec`].
pub(super) fn ipsec_2(maker: Checked<KernelIpsecMaker2>) -> Constructor<dyn KernelIpsec> {
    Box::new(move |_host| {
        let table = maker.make()?;
        let features = table.features()?.into();
        Ok(Arc::new(RemoteIpsec { table, features }))
    })
}

/// See [`ipsec`].
pub(super) fn ipsec_1(maker: Checked<KernelIpsecMaker1>) -> Constructor<dyn KernelIpsec> {
    Box::new(move |_host| {
        let table = maker.make()?;
        let features = KernelFeatures {
            marks: true,
            ..table.features()?.into()
        };
        Ok(Arc::new(RemoteIpsec { table, features }))
    })
}

/// See [`ipsec`].
pub(super) fn net(maker: Checked<KernelNetMaker1>) -> Constructor<dyn KernelNet> {
    Box::new(move |_host| Ok(Arc::new(RemoteNet(maker.make()?))))
}

struct RemoteIpsec<T> {
    table: T,
    features: KernelFeatures,
}

/// What all versions have in common, and the few functions that they do not.
macro_rules! remote_ipsec {
    ($table:ident { $($own:item)* }) => {
        impl KernelIpsec for RemoteIpsec<$table> {
            fn features(&self) -> KernelFeatures {
                self.features
            }

            fn allocate_spi(&self, src: IpAddr, dst: IpAddr, protocol: Protocol) -> Result<u32, PluginError> {
                self.table.allocate_spi(src.into(), dst.into(), protocol.0)
            }

            fn update_sa(
                &self,
                id: &SaId,
                src: SocketAddr,
                dst: SocketAddr,
                encap: bool,
            ) -> Result<(), PluginError> {
                self.table.update_sa(id.into(), src.into(), dst.into(), encap)
            }

            fn query_sa(&self, id: &SaId) -> Result<SaUsage, PluginError> {
                self.table.query_sa(id.into()).map(Into::into)
            }

            fn delete_sa(&self, id: &SaId) -> Result<(), PluginError> {
                self.table.delete_sa(id.into())
            }

            fn flush_sas(&self) -> Result<(), PluginError> {
                self.table.flush_sas()
            }

            fn flush_policies(&self) -> Result<(), PluginError> {
                self.table.flush_policies()
            }

            fn bypass_socket(&self, socket: RawFd, ipv6: bool) -> Result<(), PluginError> {
                self.table.bypass_socket(socket, ipv6)
            }

            fn enable_udp_decap(&self, socket: RawFd, ipv6: bool, port: u16) -> Result<(), PluginError> {
                self.table.enable_udp_decap(socket, ipv6, port)
            }

            $($own)*
        }
    };
}

remote_ipsec! { KernelIpsec3 {
    fn knows(&self, protocol: Protocol) -> bool {
        // Of one that panics nothing is asked that needs it.
        self.table.knows(protocol.0).unwrap_or(false)
    }

    fn add_sa(&self, sa: &SaParameters) -> Result<(), PluginError> {
        self.table.add_sa(sa.into())
    }

    fn add_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        self.table.add_policy(policy.into())
    }

    fn delete_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        self.table.delete_policy(policy.into())
    }

    fn receive_esp(&self, received: &ReceivedEsp, packets: &mut [u8]) {
        let ReceivedEsp {
            local,
            remote,
            tos,
            segment,
        } = *received;
        let segment = segment.try_into().unwrap_or(u32::MAX);
        // A packet that makes the back end panic is lost, as any packet may be.
        let _ = self
            .table
            .receive_esp(local.into(), remote.into(), tos, segment, packets.into());
    }
} }

remote_ipsec! { KernelIpsec2 {
    fn add_sa(&self, sa: &SaParameters) -> Result<(), PluginError> {
        self.table.add_sa(sa.into())
    }

    fn add_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        if policy.options.ah || policy.options.cpi != 0 {
            return Err(older(2, "ah_proposals and ipcomp"));
        }
        self.table.add_policy(policy.into())
    }

    fn delete_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        self.table.delete_policy(policy.into())
    }

    fn receive_esp(&self, received: &ReceivedEsp, packets: &mut [u8]) {
        let ReceivedEsp {
            local,
            remote,
            tos,
            segment,
        } = *received;
        let segment = segment.try_into().unwrap_or(u32::MAX);
        // A packet that makes the back end panic is lost, as any packet may be.
        let _ = self
            .table
            .receive_esp(local.into(), remote.into(), tos, segment, packets.into());
    }
} }

remote_ipsec! { KernelIpsec1 {
    fn add_sa(&self, sa: &SaParameters) -> Result<(), PluginError> {
        if sa.options != SaOptions::default() {
            return Err(older(
                1,
                "if_id_in, if_id_out, set_mark_in, set_mark_out, hw_offload, copy_df, copy_ecn and copy_dscp",
            ));
        }
        self.table.add_sa(sa.into())
    }

    fn add_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        if policy.options != PolicyOptions::default() {
            return Err(older(
                1,
                "if_id_in, if_id_out, priority, interface, hw_offload, ah_proposals and ipcomp",
            ));
        }
        self.table.add_policy(policy.into())
    }

    fn delete_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        self.table.delete_policy(policy.into())
    }

    fn receive_esp(&self, received: &ReceivedEsp, packets: &mut [u8]) {
        for packet in packets.chunks_mut(received.segment.max(1)) {
            // As above.
            let _ = self
                .table
                .receive_esp(received.local.into(), received.remote.into(), packet.into());
        }
    }
} }

/// Something is asked for that an older version cannot carry.
fn older(version: u8, keys: &str) -> PluginError {
    PluginError::new(
        ErrorKind::NotSupported,
        format!(
            "the kernel back end was built for kernel-ipsec/{version}, which has no {keys}; build it again or remove them"
        ),
    )
}

/// The side without the back end: the daemon's, and that of another plugin.
pub(super) struct RemoteNet(pub(super) KernelNet1);

impl KernelNet for RemoteNet {
    fn addresses(&self) -> Result<Vec<LocalAddress>, PluginError> {
        Ok(self.0.addresses()?.into_iter().map(Into::into).collect())
    }

    fn next_hop(&self, destination: IpAddr, source: Option<IpAddr>) -> Result<NextHop, PluginError> {
        self.0
            .next_hop(destination.into(), option(source, Ip::from))
            .map(Into::into)
    }

    fn add_address(&self, address: IpAddr, prefix: u8, interface: &str) -> Result<(), PluginError> {
        self.0.add_address(address.into(), prefix, interface.into())
    }

    fn delete_address(&self, address: IpAddr, prefix: u8, interface: &str) -> Result<(), PluginError> {
        self.0.delete_address(address.into(), prefix, interface.into())
    }

    fn add_route(&self, route: &Route) -> Result<(), PluginError> {
        self.0.add_route(route.into())
    }

    fn delete_route(&self, route: &Route) -> Result<(), PluginError> {
        self.0.delete_route(route.into())
    }
}

#[cfg(test)]
mod tests;
