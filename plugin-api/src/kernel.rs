//! Kernel back ends: ESP and policies on one side, addresses and routes on the other.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::time::Duration;

use iana::{EncryptionAlgorithm, IntegrityAlgorithm, Protocol, TrafficSelector};

use crate::{PluginError, Secret};

/// What a back end can or needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelFeatures {
    /// ESP works only inside UDP, so a NAT has to be faked.
    pub require_udp_encap: bool,
    /// Accepts padding for traffic flow confidentiality.
    pub tfc: bool,
    /// Compares packets with marks, and sets them.
    pub marks: bool,
    /// Knows interfaces: by their id, and by the name that a policy is for.
    pub interfaces: bool,
    /// Hands SAs and policies to network devices.
    pub hw_offload: bool,
}

/// IPComp (RFC 3173), whose SAs have a CPI of 16 bits in place of an SPI, and no keys. One is there for each direction of a
/// compressed CHILD_SA, in the mode of that; the SA of ESP or AH around it is in transport mode. IKE has no number for it
/// among its protocols, so this is that of the IP header.
pub const IPCOMP: Protocol = Protocol(108);

/// What an SA is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SaId {
    /// Outer source address.
    pub src: IpAddr,
    /// Outer destination address.
    pub dst: IpAddr,
    /// The receiver's SPI.
    pub spi: u32,
    /// ESP, AH or [`IPCOMP`].
    pub protocol: Protocol,
}

/// Tunnel or transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaMode {
    /// A whole packet within a packet.
    Tunnel,
    /// The payload only.
    Transport,
}

/// Ports of ESP in UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpEncap {
    /// UDP port at the source.
    pub src_port: u16,
    /// UDP port at the destination.
    pub dst_port: u16,
}

/// When an SA asks to be rekeyed (soft) and when it ends (hard); zero is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaLifetime {
    /// Time to the soft expire, random part already subtracted.
    pub soft_time: Duration,
    /// Time to the hard expire.
    pub hard_time: Duration,
    /// Octets to the soft expire.
    pub soft_octets: u64,
    /// Octets to the hard expire.
    pub hard_octets: u64,
    /// Packets to the soft expire.
    pub soft_packets: u64,
    /// Packets to the hard expire.
    pub hard_packets: u64,
}

/// A new SA.
#[derive(Debug)]
pub struct SaParameters {
    /// What it is known by.
    pub id: SaId,
    /// Whether packets come in by it.
    pub inbound: bool,
    /// Ties the SA to its policies.
    pub reqid: u32,
    /// Tunnel or transport.
    pub mode: SaMode,
    /// What may come out of it (inbound) or go into it (outbound): source and destination side.
    pub src_ts: Vec<TrafficSelector>,
    /// See `src_ts`.
    pub dst_ts: Vec<TrafficSelector>,
    /// The encryption algorithm.
    pub encryption: EncryptionAlgorithm,
    /// Its key, salt included.
    pub encryption_key: Secret,
    /// The integrity algorithm, unless `encryption` is an AEAD.
    pub integrity: Option<IntegrityAlgorithm>,
    /// Its key, or nothing.
    pub integrity_key: Secret,
    /// ESP in UDP.
    pub encap: Option<UdpEncap>,
    /// Extended sequence numbers.
    pub esn: bool,
    /// Size of the replay window in packets; 0 does not check.
    pub replay_window: u32,
    /// Limits.
    pub lifetime: SaLifetime,
    /// Pads packets to this many octets; 0 does not.
    pub tfc: u32,
    /// Mark and mask.
    pub mark: Option<(u32, u32)>,
    /// What is rarely asked for.
    pub options: SaOptions,
}

/// Who encrypts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HwOffload {
    /// The host.
    #[default]
    No,
    /// The network device computes, the host does the rest.
    Crypto,
    /// The network device does all of it.
    Packet,
    /// As much as the network device can.
    Auto,
}

/// Which way the DSCP is copied between the headers of a tunnel (RFC 4301, 5.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyDscp {
    /// To the outer header.
    #[default]
    Out,
    /// To the inner header.
    In,
    /// Both ways.
    Yes,
    /// Neither.
    No,
}

impl CopyDscp {
    /// Whether an outer header has that of the inner one.
    pub fn out(self) -> bool {
        matches!(self, Self::Out | Self::Yes)
    }

    /// Whether an inner header gets that of the outer one.
    pub fn inward(self) -> bool {
        matches!(self, Self::In | Self::Yes)
    }
}

/// What may be asked for an SA besides; the default asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaOptions {
    /// The id of the interface that it belongs to; 0 is none.
    pub if_id: u32,
    /// Mark and mask that its packets get: inbound the decrypted ones, outbound the encrypted ones.
    pub set_mark: Option<(u32, u32)>,
    /// Who encrypts.
    pub hw_offload: HwOffload,
    /// Whether the outer header has the DF bit of the inner one; else packets may be fragmented.
    pub copy_df: bool,
    /// Whether congestion is told between the headers (RFC 6040).
    pub copy_ecn: bool,
    /// Which way the DSCP is copied.
    pub copy_dscp: CopyDscp,
}

impl Default for SaOptions {
    fn default() -> Self {
        Self {
            if_id: 0,
            set_mark: None,
            hw_offload: HwOffload::No,
            copy_df: true,
            copy_ecn: true,
            copy_dscp: CopyDscp::Out,
        }
    }
}

/// What an SA carried so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaUsage {
    /// Octets, of the inner packets.
    pub octets: u64,
    /// Packets.
    pub packets: u64,
    /// Time since the last packet, if there was one.
    pub last_use: Option<Duration>,
}

/// Which way a policy looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Packets for this host.
    In,
    /// Packets from this host or through it.
    Out,
    /// Packets through this host that came in by IPsec.
    Forward,
}

/// What a policy does with its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyAction {
    /// IPsec.
    Protect,
    /// Past IPsec.
    Pass,
    /// Nowhere.
    Drop,
}

/// Rank of a policy among those with the same selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyPriority {
    /// Catches what is left.
    Fallback,
    /// A trap.
    Routed,
    /// Of an installed CHILD_SA.
    Default,
    /// A shunt.
    Pass,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyParameters {
    /// Which way it looks.
    pub direction: Direction,
    /// Source of its packets.
    pub src_ts: TrafficSelector,
    /// Destination of its packets.
    pub dst_ts: TrafficSelector,
    /// What it does.
    pub action: PolicyAction,
    /// Its rank.
    pub priority: PolicyPriority,
    /// Outer source address of its SA.
    pub src: IpAddr,
    /// Outer destination address of its SA.
    pub dst: IpAddr,
    /// Its SA's reqid.
    pub reqid: u32,
    /// Its SA's SPI; for the outbound direction the one to use now.
    pub spi: u32,
    /// Its SA's mode.
    pub mode: SaMode,
    /// Mark and mask.
    pub mark: Option<(u32, u32)>,
    /// What is rarely asked for.
    pub options: PolicyOptions,
}

/// What may be asked for a policy besides; the default asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PolicyOptions {
    /// The id of the interface that it belongs to; 0 is none.
    pub if_id: u32,
    /// Its [rank](PolicyParameters::rank), the lower the sooner; 0 lets it follow from the rest.
    pub priority: u32,
    /// Only packets by this interface are its; empty is any.
    pub interface: String,
    /// Who encrypts.
    pub hw_offload: HwOffload,
    /// Whether its SA is one of AH, not of ESP.
    pub ah: bool,
    /// The CPI of the SA of IPComp within that, which has the mode; 0 is none. What comes in may be compressed or not.
    pub cpi: u16,
}

/// A port or ICMP type, and which of its bits count.
pub type PortAndMask = (u16, u16);

/// Source and destination ports as kernels compare them: one value and a mask each, which cover the ranges. Of ICMP the
/// type is in the place of the source port, the code in that of the destination port.
pub fn ports(src_ts: &TrafficSelector, dst_ts: &TrafficSelector) -> (PortAndMask, PortAndMask) {
    let (src, dst) = (src_ts.covering_ports(), dst_ts.covering_ports());
    if !matches!(src_ts.protocol.max(dst_ts.protocol), 1 | 58) {
        return (src, dst);
    }
    // Type and code are one number there, and one of the ends has it (RFC 7296, 3.13.1).
    let (packed, mask) = if src.1 != 0 { src } else { dst };
    let whole = |mask: u16| if mask == 0xff { 0xffff } else { mask };
    (
        (packed >> 8, whole(mask >> 8)),
        (packed & 0xff, whole(mask & 0xff)),
    )
}

impl PolicyParameters {
    /// The protocol of its packets; 0 is any.
    pub fn protocol(&self) -> u8 {
        self.src_ts.protocol.max(self.dst_ts.protocol)
    }

    /// Its place among all policies that a packet meets, the lowest first. The numbers are those of strongSwan, so that
    /// one configuration decides alike with every back end.
    pub fn rank(&self) -> u32 {
        if self.options.priority != 0 {
            return self.options.priority;
        }
        let base = match self.priority {
            PolicyPriority::Pass => 200_000,
            PolicyPriority::Default | PolicyPriority::Routed => 400_000,
            PolicyPriority::Fallback => 600_000,
        };
        let (_, src_prefix, _) = self.src_ts.covering_subnet();
        let (_, dst_prefix, _) = self.dst_ts.covering_subnet();
        let ((_, src_ports), (_, dst_ports)) = ports(&self.src_ts, &self.dst_ts);
        base - (u32::from(src_prefix) + u32::from(dst_prefix)) * 512
            - if self.protocol() == 0 { 0 } else { 256 }
            - 4 * (src_ports.count_ones() + dst_ports.count_ones())
            - if self.options.interface.is_empty() { 0 } else { 2 }
            - u32::from(self.priority != PolicyPriority::Routed)
    }
}

/// Something that happened to an SA or an address without the daemon asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelEvent {
    /// A limit was reached: soft asks for a rekeying, hard means the SA is gone.
    Expire {
        /// ESP or AH.
        protocol: Protocol,
        /// The SA's SPI.
        spi: u32,
        /// The SA's destination address.
        dst: IpAddr,
        /// Whether it was the hard limit.
        hard: bool,
    },
    /// A packet met a trap policy.
    Acquire {
        /// The policy's reqid.
        reqid: u32,
        /// Source of the packet.
        src: TrafficSelector,
        /// Destination of the packet.
        dst: TrafficSelector,
    },
    /// Authenticated packets of an SA now come from another address or port.
    Mapping {
        /// The SA's SPI.
        spi: u32,
        /// The SA's destination address.
        dst: IpAddr,
        /// Where its packets come from.
        endpoint: SocketAddr,
    },
    /// An address or a route changed.
    Roam {
        /// Whether it was an address.
        address: bool,
    },
}

/// Somebody else had the kernel move the SAs of a policy to other addresses, as Mobile IPv6 does (XFRM_MSG_MIGRATE of
/// Linux).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelMigration {
    /// The reqid of the SAs.
    pub reqid: u32,
    /// The direction of the policy.
    pub direction: Direction,
    /// The policy's source.
    pub src_ts: TrafficSelector,
    /// The policy's destination.
    pub dst_ts: TrafficSelector,
    /// Own address and the peer's before.
    pub from: (IpAddr, IpAddr),
    /// Own address and the peer's now.
    pub to: (IpAddr, IpAddr),
}

/// The back end for SAs and policies; one per daemon.
pub trait KernelIpsec: Send + Sync + 'static {
    /// What it can and needs.
    fn features(&self) -> KernelFeatures;

    /// Whether SAs can be of a protocol: ESP, AH or [`IPCOMP`]. It is asked when a connection is loaded that needs it.
    fn knows(&self, protocol: Protocol) -> bool {
        protocol == Protocol::ESP
    }

    /// Reserves an SPI for an inbound SA, of [`IPCOMP`] a CPI.
    ///
    /// # Errors
    ///
    /// If none is free or the kernel refuses.
    fn allocate_spi(&self, src: IpAddr, dst: IpAddr, protocol: Protocol) -> Result<u32, PluginError>;

    /// Installs an SA; an inbound one takes the place of its reserved SPI.
    ///
    /// # Errors
    ///
    /// If an algorithm is not supported or the kernel refuses; nothing is installed then.
    fn add_sa(&self, sa: &SaParameters) -> Result<(), PluginError>;

    /// Moves an SA to other addresses or ports.
    ///
    /// # Errors
    ///
    /// [`NotSupported`](crate::ErrorKind::NotSupported) if the back end cannot; the CHILD_SA is rekeyed then.
    fn update_sa(&self, id: &SaId, src: SocketAddr, dst: SocketAddr, encap: bool) -> Result<(), PluginError>;

    /// What the SA carried.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such SA.
    fn query_sa(&self, id: &SaId) -> Result<SaUsage, PluginError>;

    /// Removes an SA, or a reserved SPI or CPI.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none.
    fn delete_sa(&self, id: &SaId) -> Result<(), PluginError>;

    /// Removes all SAs.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    fn flush_sas(&self) -> Result<(), PluginError>;

    /// Installs a policy, or one more user of an equal one; routes that it needs come with it.
    ///
    /// # Errors
    ///
    /// If the kernel refuses; nothing is installed then.
    fn add_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError>;

    /// Removes one user of a policy, and the policy with the last.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none.
    fn delete_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError>;

    /// Removes all policies.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    fn flush_policies(&self) -> Result<(), PluginError>;

    /// Exempts an IKE socket from policies.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    fn bypass_socket(&self, socket: RawFd, ipv6: bool) -> Result<(), PluginError>;

    /// Lets ESP in UDP be received on a socket, or be sent by it where the back end sends by itself. The descriptor
    /// stays the caller's and open as long as the daemon lives.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    fn enable_udp_decap(&self, socket: RawFd, ipv6: bool, port: u16) -> Result<(), PluginError>;

    /// ESP packets that came in by UDP, for back ends that decrypt by themselves; called from a thread that only
    /// receives, so it must not wait. `packets` are one after the other, each starts with its SPI, and are overwritten.
    fn receive_esp(&self, received: &ReceivedEsp, packets: &mut [u8]);
}

/// Which algorithms the back end for SAs can compute, so that no others are offered to peers. It comes beside
/// [`KernelIpsec`], as a feature of its own named [`KERNEL_ALGORITHMS`].
pub trait KernelAlgorithms: Send + Sync + 'static {
    /// Whether ESP can have an encryption algorithm, with a key of so many octets, salt left out.
    fn encrypts(&self, algorithm: EncryptionAlgorithm, key_len: u16) -> bool;

    /// Whether ESP beside a cipher without authentication, or AH, can have an integrity algorithm.
    fn authenticates(&self, protocol: Protocol, algorithm: IntegrityAlgorithm) -> bool;
}

/// The name of the feature with [`KernelAlgorithms`].
pub const KERNEL_ALGORITHMS: &str = "kernel-algorithms";

/// Something that a connection asks for, and that a back end may be unable to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelDemand {
    /// Compares packets with marks.
    Mark,
    /// Sets marks of packets.
    SetMark,
    /// SAs and policies belong to an interface by its id.
    InterfaceId,
    /// Policies are for an interface by its name.
    PolicyInterface,
    /// Hands SAs and policies to network devices.
    HwOffload,
    /// Protects packets without a tunnel.
    Transport,
    /// Pads packets for traffic flow confidentiality.
    Tfc,
    /// Has a replay window of so many packets.
    ReplayWindow(u32),
    /// Passes or drops packets by their protocol or ports, not only by their addresses.
    NarrowShunt,
}

/// What the back end for SAs cannot do, so that connections that need it are refused when they are loaded. It comes beside
/// [`KernelIpsec`], as a feature of its own named [`KERNEL_DEMANDS`]; of a back end without it [`KernelFeatures`] have to
/// tell.
pub trait KernelDemands: Send + Sync + 'static {
    /// Why it cannot be done, `ESP in user space knows no marks`; nothing if it can. A line for an operator, in which no
    /// colon is followed by a blank.
    fn refusal(&self, demand: KernelDemand) -> Option<String>;
}

/// The name of the feature with [`KernelDemands`].
pub const KERNEL_DEMANDS: &str = "kernel-demands";

/// ESP packets that came in together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedEsp {
    /// Where to.
    pub local: SocketAddr,
    /// Where from.
    pub remote: SocketAddr,
    /// The octet of their outer headers with DSCP and ECN.
    pub tos: u8,
    /// Octets of each but the last, which may have fewer.
    pub segment: usize,
}

/// An address of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// The interface that has it.
    pub interface: String,
    /// Whether the interface is the loopback.
    pub loopback: bool,
    /// Whether the interface is up.
    pub up: bool,
    /// Whether the daemon put it there.
    pub is_virtual: bool,
}

/// The way to a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Gateway, unless on link.
    pub gateway: Option<IpAddr>,
    /// Outbound interface.
    pub interface: String,
    /// Source address the kernel would take.
    pub source: Option<IpAddr>,
}

/// The back end for addresses and routes; one per daemon.
pub trait KernelNet: Send + Sync + 'static {
    /// All addresses.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    fn addresses(&self) -> Result<Vec<LocalAddress>, PluginError>;

    /// The way to `destination`, from `source` where given, own routing table left out.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none.
    fn next_hop(&self, destination: IpAddr, source: Option<IpAddr>) -> Result<NextHop, PluginError>;

    /// Adds a virtual address to an interface.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    fn add_address(&self, address: IpAddr, prefix: u8, interface: &str) -> Result<(), PluginError>;

    /// Removes a virtual address.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is not there.
    fn delete_address(&self, address: IpAddr, prefix: u8, interface: &str) -> Result<(), PluginError>;

    /// Adds a route to the daemon's own table.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if an equal one is there, which then is left alone.
    fn add_route(&self, route: &Route) -> Result<(), PluginError>;

    /// Removes a route that [`add_route`](Self::add_route) made.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is not there.
    fn delete_route(&self, route: &Route) -> Result<(), PluginError>;
}

/// A route of the daemon's own table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Destination network.
    pub destination: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// Gateway, unless on link.
    pub gateway: Option<IpAddr>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Outbound interface.
    pub interface: String,
}
