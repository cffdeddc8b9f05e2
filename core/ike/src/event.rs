//! What listeners learn, and how SAs look from outside.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use config::connection::{AuthClass, ChildConfig, Mode, PeerConfig};
use config::identity::Identity;
use crypto::proposal::Proposal;
use iana::{Protocol, TrafficSelector};
use plugin_api::kernel::SaId;

use crate::alert::Alert;
use crate::child::{ChildState, Numbers};
use crate::output::KernelId;
use crate::sa::IkeSaState;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// An IKE_SA was established.
    IkeUp(Box<IkeSaInfo>),
    /// An established IKE_SA is gone.
    IkeDown(Box<IkeSaInfo>),
    /// An IKE_SA, the first, was replaced by another, which has its CHILD_SAs.
    IkeRekeyed(Box<IkeSaInfo>, Box<IkeSaInfo>),
    /// A CHILD_SA was installed.
    ChildUp(Box<IkeSaInfo>, Box<ChildSaInfo>),
    /// An installed CHILD_SA is gone.
    ChildDown(Box<IkeSaInfo>, Box<ChildSaInfo>),
    /// A CHILD_SA, the first, was replaced by another.
    ChildRekeyed(Box<IkeSaInfo>, Box<ChildSaInfo>, Box<ChildSaInfo>),
    /// Scripts are to be run. Only if [somebody runs them](crate::Endpoint::set_scripts).
    Scripts(ScriptRun),
    /// The peer has named DNS servers, or the IKE_SA that they came with goes.
    DnsServers(Box<IkeSaInfo>, bool),
    /// An IKE_SA, as it was, goes on between these addresses, its own and the peer's. Only if somebody watches.
    IkeMoved(Box<IkeSaInfo>, SocketAddr, SocketAddr),
    /// Something may want an operator. Only if somebody watches.
    Alert(Alert, Option<Box<IkeSaInfo>>),
}

/// Scripts for CHILD_SAs that went up, or that are about to go down. The answer to the peer, the end of the command, and
/// when they go down their removal from the kernel wait for
/// [`Endpoint::handle_scripts_done`](crate::Endpoint::handle_scripts_done).
#[derive(Clone, Debug)]
pub struct ScriptRun {
    /// Names the run until it is done.
    pub id: KernelId,
    /// Whether the CHILD_SAs went up; the kernel has their SAs and policies in either case.
    pub up: bool,
    /// Their IKE_SA.
    pub ike: Box<IkeSaInfo>,
    /// The CHILD_SAs, each with a script in its configuration.
    pub children: Vec<ChildSaInfo>,
}

/// An IKE_SA, from outside.
#[derive(Clone, Debug)]
pub struct IkeSaInfo {
    /// Its number, unique as long as the daemon lives.
    pub unique_id: u32,
    /// Its configuration, once selected.
    pub config: Option<Arc<PeerConfig>>,
    /// Its name; `(unnamed)` until the configuration is selected.
    pub name: Arc<str>,
    /// Where it stands.
    pub state: IkeSaState,
    /// Whether this end initiated it.
    pub initiator: bool,
    /// The initiator's SPI.
    pub spi_i: u64,
    /// The responder's SPI; 0 until known.
    pub spi_r: u64,
    /// Own address and port.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
    /// Own identity.
    pub local_id: Option<Identity>,
    /// The peer's identity.
    pub remote_id: Option<Identity>,
    /// How this end authenticated.
    pub local_auth: Vec<AuthClass>,
    /// Whether this host is behind a NAT, the peer is, and whether one was faked.
    pub nat_local: bool,
    /// See `nat_local`.
    pub nat_remote: bool,
    /// See `nat_local`.
    pub nat_fake: bool,
    /// Ids of interfaces, inbound and outbound, of those of its CHILD_SAs that have none of their own; 0 is none.
    pub if_ids: [u32; 2],
    /// The selected proposal.
    pub proposal: Option<Proposal>,
    /// Whether a post-quantum preshared key went into its keys (RFC 8784).
    pub ppk: bool,
    /// Since when it is established.
    pub established: Option<Instant>,
    /// When it will be rekeyed.
    pub rekey_at: Option<Instant>,
    /// When it will be reauthenticated.
    pub reauth_at: Option<Instant>,
    /// Virtual addresses of this end.
    pub local_vips: Vec<IpAddr>,
    /// Virtual addresses that the peer was given.
    pub remote_vips: Vec<IpAddr>,
    /// DNS servers that the peer has named.
    pub dns: Vec<IpAddr>,
    /// Names of what is queued to be done.
    pub tasks_queued: Vec<&'static str>,
    /// Names of what this end is doing.
    pub tasks_active: Vec<&'static str>,
    /// Names of what the peer is doing.
    pub tasks_passive: Vec<&'static str>,
    /// Its CHILD_SAs.
    pub children: Vec<ChildSaInfo>,
}

/// A CHILD_SA, from outside.
#[derive(Clone, Debug)]
pub struct ChildSaInfo {
    /// ESP or AH.
    pub protocol: Protocol,
    /// CPIs, inbound and outbound, if packets are compressed.
    pub cpis: Option<(u16, u16)>,
    /// Its number, unique as long as the daemon lives.
    pub unique_id: u32,
    /// Its configuration.
    pub config: Arc<ChildConfig>,
    /// Ties its SAs to its policies.
    pub reqid: u32,
    /// Its marks and ids of interfaces.
    pub numbers: Numbers,
    /// Where it stands.
    pub state: ChildState,
    /// Tunnel or transport.
    pub mode: Mode,
    /// Whether ESP travels in UDP.
    pub encap: bool,
    /// SPI of packets to this host.
    pub spi_in: u32,
    /// SPI of packets to the peer.
    pub spi_out: u32,
    /// The selected proposal.
    pub proposal: Option<Proposal>,
    /// What this end sends from.
    pub local_ts: Vec<TrafficSelector>,
    /// What the peer has behind it.
    pub remote_ts: Vec<TrafficSelector>,
    /// Since when it is installed.
    pub installed: Option<Instant>,
    /// When it will be rekeyed.
    pub rekey_at: Option<Instant>,
    /// When it ends.
    pub expires_at: Option<Instant>,
    /// The kernel's names of both SAs, inbound and outbound, to ask for their usage.
    pub kernel: Option<(SaId, SaId)>,
    /// Whether the outbound one is installed already, or still.
    pub sends: bool,
}
