//! Values of the kernel interfaces as they cross the boundary. Enumerations are numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use abi_stable::StableAbi;
use abi_stable::std_types::{RDuration, ROption, RSlice, RString, RVec, Tuple2};
use iana::{EncryptionAlgorithm, IntegrityAlgorithm, Protocol, TrafficSelector};

use super::types::option;
use crate::kernel::{
    CopyDscp, Direction, HwOffload, KernelEvent, KernelFeatures, LocalAddress, NextHop, PolicyAction,
    PolicyOptions, PolicyParameters, PolicyPriority, Route, SaId, SaLifetime, SaMode, SaOptions,
    SaParameters, SaUsage, UdpEncap,
};
use crate::{ErrorKind, PluginError, Secret};

/// Numbers of an enumeration's variants, both ways.
macro_rules! numbers {
    ($($type:ident { $($variant:ident = $number:literal),* $(,)? })*) => {$(
        impl Numbered for $type {
            fn number(&self) -> u8 {
                match self { $( Self::$variant => $number, )* }
            }
            fn from_number(number: u8) -> Result<Self, PluginError> {
                match number {
                    $( $number => Ok(Self::$variant), )*
                    _ => Err(PluginError::new(
                        ErrorKind::InvalidArgument,
                        format!("{} number {number} is unknown", stringify!($type)),
                    )),
                }
            }
        }
    )*};
}

pub(super) trait Numbered: Sized {
    fn number(&self) -> u8;
    fn from_number(number: u8) -> Result<Self, PluginError>;
}

numbers! {
    SaMode { Tunnel = 0, Transport = 1 }
    Direction { In = 0, Out = 1, Forward = 2 }
    PolicyAction { Protect = 0, Pass = 1, Drop = 2 }
    PolicyPriority { Fallback = 0, Routed = 1, Default = 2, Pass = 3 }
    HwOffload { No = 0, Crypto = 1, Packet = 2, Auto = 3 }
    CopyDscp { Out = 0, In = 1, Yes = 2, No = 3 }
}

/// An address: version 4 in the first four octets, or version 6.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Ip {
    v6: bool,
    octets: [u8; 16],
}

impl From<IpAddr> for Ip {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => {
                let mut octets = [0; 16];
                octets[..4].copy_from_slice(&address.octets());
                Self { v6: false, octets }
            }
            IpAddr::V6(address) => Self {
                v6: true,
                octets: address.octets(),
            },
        }
    }
}

impl From<Ip> for IpAddr {
    fn from(address: Ip) -> Self {
        if address.v6 {
            return Self::V6(Ipv6Addr::from(address.octets));
        }
        let [a, b, c, d, ..] = address.octets;
        Self::V4(Ipv4Addr::new(a, b, c, d))
    }
}

/// An address and a port, with the scope of a link-local one.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Endpoint {
    ip: Ip,
    port: u16,
    scope: u32,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        let scope = if let SocketAddr::V6(v6) = address {
            v6.scope_id()
        } else {
            0
        };
        Self {
            ip: address.ip().into(),
            port: address.port(),
            scope,
        }
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        let mut address = Self::new(endpoint.ip.into(), endpoint.port);
        if let Self::V6(v6) = &mut address {
            v6.set_scope_id(endpoint.scope);
        }
        address
    }
}

/// See [`TrafficSelector`].
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Selector {
    protocol: u8,
    start_port: u16,
    end_port: u16,
    start: Ip,
    end: Ip,
}

impl From<&TrafficSelector> for Selector {
    fn from(selector: &TrafficSelector) -> Self {
        let &TrafficSelector {
            protocol,
            start_port,
            end_port,
            start,
            end,
        } = selector;
        Self {
            protocol,
            start_port,
            end_port,
            start: start.into(),
            end: end.into(),
        }
    }
}

impl From<Selector> for TrafficSelector {
    fn from(selector: Selector) -> Self {
        let Selector {
            protocol,
            start_port,
            end_port,
            start,
            end,
        } = selector;
        Self {
            protocol,
            start_port,
            end_port,
            start: start.into(),
            end: end.into(),
        }
    }
}

/// See [`KernelFeatures`].
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Features {
    require_udp_encap: bool,
    tfc: bool,
}

impl From<KernelFeatures> for Features {
    fn from(
        KernelFeatures {
            require_udp_encap,
            tfc,
            ..
        }: KernelFeatures,
    ) -> Self {
        Self {
            require_udp_encap,
            tfc,
        }
    }
}

impl From<Features> for KernelFeatures {
    fn from(
        Features {
            require_udp_encap,
            tfc,
        }: Features,
    ) -> Self {
        Self {
            require_udp_encap,
            tfc,
            ..Self::default()
        }
    }
}

/// See [`SaId`].
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Id {
    src: Ip,
    dst: Ip,
    spi: u32,
    protocol: u8,
}

impl From<&SaId> for Id {
    fn from(id: &SaId) -> Self {
        Self {
            src: id.src.into(),
            dst: id.dst.into(),
            spi: id.spi,
            protocol: id.protocol.0,
        }
    }
}

impl From<Id> for SaId {
    fn from(id: Id) -> Self {
        Self {
            src: id.src.into(),
            dst: id.dst.into(),
            spi: id.spi,
            protocol: Protocol(id.protocol),
        }
    }
}

/// See [`SaLifetime`].
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
struct Lifetime {
    soft_time: RDuration,
    hard_time: RDuration,
    soft_octets: u64,
    hard_octets: u64,
    soft_packets: u64,
    hard_packets: u64,
}

impl From<SaLifetime> for Lifetime {
    fn from(lifetime: SaLifetime) -> Self {
        let SaLifetime {
            soft_time,
            hard_time,
            soft_octets,
            hard_octets,
            soft_packets,
            hard_packets,
        } = lifetime;
        let (soft_time, hard_time) = (soft_time.into(), hard_time.into());
        Self {
            soft_time,
            hard_time,
            soft_octets,
            hard_octets,
            soft_packets,
            hard_packets,
        }
    }
}

impl From<Lifetime> for SaLifetime {
    fn from(lifetime: Lifetime) -> Self {
        let Lifetime {
            soft_time,
            hard_time,
            soft_octets,
            hard_octets,
            soft_packets,
            hard_packets,
        } = lifetime;
        let (soft_time, hard_time) = (soft_time.into(), hard_time.into());
        Self {
            soft_time,
            hard_time,
            soft_octets,
            hard_octets,
            soft_packets,
            hard_packets,
        }
    }
}

/// See [`SaParameters`]; the keys stay where they are.
#[repr(C)]
#[derive(StableAbi)]
pub struct Sa<'a> {
    id: Id,
    inbound: bool,
    reqid: u32,
    mode: u8,
    src_ts: RVec<Selector>,
    dst_ts: RVec<Selector>,
    encryption: u16,
    encryption_key: RSlice<'a, u8>,
    integrity: ROption<u16>,
    integrity_key: RSlice<'a, u8>,
    encap: ROption<Tuple2<u16, u16>>,
    esn: bool,
    replay_window: u32,
    lifetime: Lifetime,
    tfc: u32,
    mark: ROption<Tuple2<u32, u32>>,
}

impl<'a> From<&'a SaParameters> for Sa<'a> {
    fn from(sa: &'a SaParameters) -> Self {
        Self {
            id: (&sa.id).into(),
            inbound: sa.inbound,
            reqid: sa.reqid,
            mode: sa.mode.number(),
            src_ts: sa.src_ts.iter().map(Selector::from).collect(),
            dst_ts: sa.dst_ts.iter().map(Selector::from).collect(),
            encryption: sa.encryption.0,
            encryption_key: sa.encryption_key.expose().into(),
            integrity: option(sa.integrity, |algorithm| algorithm.0),
            integrity_key: sa.integrity_key.expose().into(),
            encap: option(sa.encap, |encap| Tuple2(encap.src_port, encap.dst_port)),
            esn: sa.esn,
            replay_window: sa.replay_window,
            lifetime: sa.lifetime.into(),
            tfc: sa.tfc,
            mark: option(sa.mark, |(mark, mask)| Tuple2(mark, mask)),
        }
    }
}

impl TryFrom<Sa<'_>> for SaParameters {
    type Error = PluginError;

    fn try_from(sa: Sa<'_>) -> Result<Self, PluginError> {
        Ok(Self {
            id: sa.id.into(),
            inbound: sa.inbound,
            reqid: sa.reqid,
            mode: SaMode::from_number(sa.mode)?,
            src_ts: sa.src_ts.into_iter().map(Into::into).collect(),
            dst_ts: sa.dst_ts.into_iter().map(Into::into).collect(),
            encryption: EncryptionAlgorithm(sa.encryption),
            encryption_key: Secret::copy_of(sa.encryption_key.as_slice()),
            integrity: sa.integrity.into_option().map(IntegrityAlgorithm),
            integrity_key: Secret::copy_of(sa.integrity_key.as_slice()),
            encap: sa
                .encap
                .into_option()
                .map(|Tuple2(src_port, dst_port)| UdpEncap { src_port, dst_port }),
            esn: sa.esn,
            replay_window: sa.replay_window,
            lifetime: sa.lifetime.into(),
            tfc: sa.tfc,
            mark: sa.mark.into_option().map(Into::into),
            options: SaOptions::default(),
        })
    }
}

/// See [`SaUsage`].
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Usage {
    octets: u64,
    packets: u64,
    last_use: ROption<RDuration>,
}

impl From<SaUsage> for Usage {
    fn from(
        SaUsage {
            octets,
            packets,
            last_use,
        }: SaUsage,
    ) -> Self {
        Self {
            octets,
            packets,
            last_use: option(last_use, RDuration::from),
        }
    }
}

impl From<Usage> for SaUsage {
    fn from(
        Usage {
            octets,
            packets,
            last_use,
        }: Usage,
    ) -> Self {
        Self {
            octets,
            packets,
            last_use: last_use.into_option().map(Into::into),
        }
    }
}

/// See [`PolicyParameters`].
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Policy {
    direction: u8,
    src_ts: Selector,
    dst_ts: Selector,
    action: u8,
    priority: u8,
    src: Ip,
    dst: Ip,
    reqid: u32,
    spi: u32,
    mode: u8,
    mark: ROption<Tuple2<u32, u32>>,
}

impl From<&PolicyParameters> for Policy {
    fn from(policy: &PolicyParameters) -> Self {
        Self {
            direction: policy.direction.number(),
            src_ts: (&policy.src_ts).into(),
            dst_ts: (&policy.dst_ts).into(),
            action: policy.action.number(),
            priority: policy.priority.number(),
            src: policy.src.into(),
            dst: policy.dst.into(),
            reqid: policy.reqid,
            spi: policy.spi,
            mode: policy.mode.number(),
            mark: option(policy.mark, |(mark, mask)| Tuple2(mark, mask)),
        }
    }
}

impl TryFrom<Policy> for PolicyParameters {
    type Error = PluginError;

    fn try_from(policy: Policy) -> Result<Self, PluginError> {
        Ok(Self {
            direction: Direction::from_number(policy.direction)?,
            src_ts: policy.src_ts.into(),
            dst_ts: policy.dst_ts.into(),
            action: PolicyAction::from_number(policy.action)?,
            priority: PolicyPriority::from_number(policy.priority)?,
            src: policy.src.into(),
            dst: policy.dst.into(),
            reqid: policy.reqid,
            spi: policy.spi,
            mode: SaMode::from_number(policy.mode)?,
            mark: policy.mark.into_option().map(Into::into),
            options: PolicyOptions::default(),
        })
    }
}

/// See [`LocalAddress`].
#[repr(C)]
#[derive(StableAbi)]
pub struct Address {
    address: Ip,
    prefix: u8,
    interface: RString,
    loopback: bool,
    up: bool,
    is_virtual: bool,
}

impl From<LocalAddress> for Address {
    fn from(from: LocalAddress) -> Self {
        let LocalAddress {
            address,
            prefix,
            interface,
            loopback,
            up,
            is_virtual,
        } = from;
        Self {
            address: address.into(),
            prefix,
            interface: interface.into(),
            loopback,
            up,
            is_virtual,
        }
    }
}

impl From<Address> for LocalAddress {
    fn from(from: Address) -> Self {
        let Address {
            address,
            prefix,
            interface,
            loopback,
            up,
            is_virtual,
        } = from;
        Self {
            address: address.into(),
            prefix,
            interface: interface.into(),
            loopback,
            up,
            is_virtual,
        }
    }
}

/// See [`NextHop`].
#[repr(C)]
#[derive(StableAbi)]
pub struct Hop {
    gateway: ROption<Ip>,
    interface: RString,
    source: ROption<Ip>,
}

impl From<NextHop> for Hop {
    fn from(
        NextHop {
            gateway,
            interface,
            source,
        }: NextHop,
    ) -> Self {
        let (gateway, source) = (option(gateway, Ip::from), option(source, Ip::from));
        Self {
            gateway,
            interface: interface.into(),
            source,
        }
    }
}

impl From<Hop> for NextHop {
    fn from(
        Hop {
            gateway,
            interface,
            source,
        }: Hop,
    ) -> Self {
        let (gateway, source) = (gateway.into_option(), source.into_option());
        Self {
            gateway: gateway.map(Into::into),
            interface: interface.into(),
            source: source.map(Into::into),
        }
    }
}

/// See [`Route`].
#[repr(C)]
#[derive(StableAbi)]
pub struct Way {
    destination: Ip,
    prefix: u8,
    gateway: ROption<Ip>,
    source: ROption<Ip>,
    interface: RString,
}

impl From<&Route> for Way {
    fn from(route: &Route) -> Self {
        Self {
            destination: route.destination.into(),
            prefix: route.prefix,
            gateway: option(route.gateway, Ip::from),
            source: option(route.source, Ip::from),
            interface: route.interface.as_str().into(),
        }
    }
}

impl From<Way> for Route {
    fn from(way: Way) -> Self {
        Self {
            destination: way.destination.into(),
            prefix: way.prefix,
            gateway: way.gateway.into_option().map(Into::into),
            source: way.source.into_option().map(Into::into),
            interface: way.interface.into(),
        }
    }
}

/// See [`KernelEvent`].
#[repr(u8)]
#[derive(StableAbi)]
pub enum Event {
    /// See [`KernelEvent::Expire`].
    Expire {
        protocol: u8,
        spi: u32,
        dst: Ip,
        hard: bool,
    },
    /// See [`KernelEvent::Acquire`].
    Acquire {
        reqid: u32,
        src: Selector,
        dst: Selector,
    },
    /// See [`KernelEvent::Mapping`].
    Mapping { spi: u32, dst: Ip, endpoint: Endpoint },
    /// See [`KernelEvent::Roam`].
    Roam { address: bool },
}

impl From<&KernelEvent> for Event {
    fn from(event: &KernelEvent) -> Self {
        match event {
            &KernelEvent::Expire {
                protocol,
                spi,
                dst,
                hard,
            } => Self::Expire {
                protocol: protocol.0,
                spi,
                dst: dst.into(),
                hard,
            },
            KernelEvent::Acquire { reqid, src, dst } => Self::Acquire {
                reqid: *reqid,
                src: src.into(),
                dst: dst.into(),
            },
            &KernelEvent::Mapping { spi, dst, endpoint } => Self::Mapping {
                spi,
                dst: dst.into(),
                endpoint: endpoint.into(),
            },
            &KernelEvent::Roam { address } => Self::Roam { address },
        }
    }
}

impl From<Event> for KernelEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Expire {
                protocol,
                spi,
                dst,
                hard,
            } => Self::Expire {
                protocol: Protocol(protocol),
                spi,
                dst: dst.into(),
                hard,
            },
            Event::Acquire { reqid, src, dst } => Self::Acquire {
                reqid,
                src: src.into(),
                dst: dst.into(),
            },
            Event::Mapping { spi, dst, endpoint } => Self::Mapping {
                spi,
                dst: dst.into(),
                endpoint: endpoint.into(),
            },
            Event::Roam { address } => Self::Roam { address },
        }
    }
}
