//! Connections as data: what ipsec.conf, swanctl.conf and the control sockets produce, and what the IKE core consumes.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use iana::{Profile, TrafficSelector};

use crate::authentication::Constraint;
use crate::identity::Identity;
use crate::kernel::{KernelOptions, Number};

/// An IKE_SA's configuration: who the two ends are, how they prove it, and which CHILD_SAs they may have.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerConfig {
    /// Name of the connection.
    pub name: String,
    /// IKE version to accept; initiated is always IKEv2.
    pub version: IkeVersion,
    /// Own addresses, the first usable one is the source.
    pub local_addrs: Vec<Host>,
    /// The peer's addresses, the first specific one is the destination.
    pub remote_addrs: Vec<Host>,
    /// Own UDP port, 500 unless set.
    pub local_port: u16,
    /// The peer's UDP port, 500 unless set.
    pub remote_port: u16,
    /// IKE proposals.
    pub proposals: ProposalList,
    /// How this end authenticates, one entry a round.
    pub local_auth: Vec<AuthConfig>,
    /// How the peer has to, one entry a round.
    pub remote_auth: Vec<AuthConfig>,
    /// What may be negotiated under the IKE_SA.
    pub children: Vec<Arc<ChildConfig>>,
    /// When the IKE_SA is renewed.
    pub lifetime: IkeLifetime,
    /// How often an IKE_SA is tried; `None` is for ever.
    pub keying_tries: Option<u32>,
    /// What happens to a second IKE_SA with the same pair of identities.
    pub unique: UniquePolicy,
    /// MOBIKE (RFC 4555).
    pub mobike: bool,
    /// IKE fragmentation (RFC 7383).
    pub fragmentation: Fragmentation,
    /// Idle time before the peer's liveness is checked; zero never does.
    pub dpd_delay: Duration,
    /// Pretend a NAT, so that ESP travels in UDP.
    pub encap: bool,
    /// Childless IKE_SAs (RFC 6023).
    pub childless: Childless,
    /// Identity of the post-quantum preshared key (RFC 8784): the one to use as initiator, those to take as responder.
    pub ppk_id: Option<Identity>,
    /// Whether the IKE_SA is not to be established without one.
    pub ppk_required: bool,
    /// DSCP of IKE packets.
    pub dscp: u8,
    /// Virtual IPs to ask for.
    pub vips: Vec<IpAddr>,
    /// Pools that the peer's virtual IPs come from.
    pub pools: Vec<String>,
    /// DNS servers to ask for, as initiator; unspecified addresses stand for any of their family.
    pub dns_wanted: Vec<IpAddr>,
    /// DNS servers that the peer is told of, as responder.
    pub dns: Vec<IpAddr>,
    /// Ids of interfaces, inbound and outbound, of CHILD_SAs that have none of their own. One that is to be unique is so for
    /// each IKE_SA.
    pub if_ids: [Number; 2],
    /// Pins the wire profile; otherwise the selected proposal decides.
    pub profile: Option<Profile>,
    /// Where the connection was read, `ipsec.conf:12`, for messages; or [`VICI`].
    pub source: String,
}

impl PeerConfig {
    /// Whether a pre-shared key in one round is not enough for what this end has to prove.
    pub fn has_to_prove_more_than_psk(&self) -> bool {
        let provable = |auth: &AuthConfig| auth.class.takes_psk();
        self.local_auth.len() > 1 || !self.local_auth.iter().all(provable)
    }

    /// Whether a pre-shared key is not enough to satisfy what is demanded of the peer.
    pub fn demands_more_than_psk(&self) -> bool {
        let provable = |auth: &AuthConfig| {
            auth.class.takes_psk()
                && auth.certs.is_empty()
                && auth.cacerts.is_empty()
                && auth.constraints.is_empty()
        };
        self.remote_auth.len() > 1 || !self.remote_auth.iter().all(provable)
    }
}

/// The source of connections that were loaded over vici. Each stands by itself, and only vici changes it.
pub const VICI: &str = "vici";

/// IKE versions a connection accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IkeVersion {
    /// IKEv2 is initiated, both would be accepted; IKEv1 is not implemented.
    #[default]
    Any,
    /// IKEv1 only: refused with a message.
    V1,
    /// IKEv2 only.
    V2,
}

/// An end of an IKE_SA, as written in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Any address of any family.
    Any,
    /// Any IPv4 address.
    Any4,
    /// Any IPv6 address.
    Any6,
    /// One address.
    Address(IpAddr),
    /// Any address of a subnet or range.
    Range(IpAddr, IpAddr),
    /// A name, which is looked up when it is needed, and again from time to time.
    Name(String),
}

impl Host {
    /// Whether the host may have this address; names are resolved by whoever asks.
    pub fn matches(&self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Any4 => address.is_ipv4(),
            Self::Any6 => address.is_ipv6(),
            Self::Address(own) => *own == address,
            Self::Range(start, end) => {
                start.is_ipv4() == address.is_ipv4() && (*start..=*end).contains(&address)
            }
            Self::Name(_) => false,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("%any"),
            Self::Any4 => f.write_str("%any4"),
            Self::Any6 => f.write_str("%any6"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Range(start, end) => {
                let mut range = TrafficSelector::host(*start);
                range.end = *end;
                // Selectors have dots between addresses, hosts a dash.
                f.write_str(&range.to_string().replace("..", "-"))
            }
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Proposals as written; keywords are resolved against the loaded algorithms by `crypto::proposal`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProposalList {
    /// One entry a proposal, `aes256gcm16-sha512-x25519-ke1_kyber3`; `default` stands for the built-in ones.
    pub entries: Vec<String>,
    /// Whether the built-in proposals follow: ipsec.conf without a closing `!`, or nothing configured.
    pub append_defaults: bool,
}

/// One round of authentication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthConfig {
    /// How.
    pub class: AuthClass,
    /// Who; `None` accepts anyone, or for the own end takes the address.
    pub id: Option<Identity>,
    /// Whether the peer's certificate may have the identity besides the one that the peer sends (`rightid=%…`). Then an
    /// initiator does not ask for the identity.
    pub loose_id: bool,
    /// Certificates or raw public keys that are sent, or of which the peer has to have one.
    pub certs: Vec<NamedCertificate>,
    /// Certificates of issuers, of which one has to have issued the peer's.
    pub cacerts: Vec<NamedCertificate>,
    /// What the peer has to satisfy besides.
    pub constraints: Vec<Constraint>,
}

/// A certificate of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCertificate {
    /// Whose it is; the id of a key that has no certificate.
    pub subject: Identity,
    /// The certificate, or a SubjectPublicKeyInfo, in DER.
    pub der: Arc<[u8]>,
}

/// Kinds of authentication. Of an end that says nothing a signature is expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthClass {
    /// Any kind.
    Any,
    /// A shared secret.
    Psk,
    /// A certificate or raw public key.
    #[default]
    Pubkey,
    /// EAP.
    Eap,
    /// XAuth, which only IKEv1 has.
    Xauth,
    /// None: the connection is for traffic that passes IPsec, and establishes nothing.
    Never,
}

impl AuthClass {
    /// Whether a pre-shared key satisfies it, or nothing has to.
    fn takes_psk(self) -> bool {
        matches!(self, Self::Psk | Self::Any | Self::Never)
    }
}

impl fmt::Display for AuthClass {
    /// As in `uses pre-shared key authentication`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Any => "any",
            Self::Psk => "pre-shared key",
            Self::Pubkey => "public key",
            Self::Eap => "EAP",
            Self::Xauth => "XAuth",
            Self::Never => "never",
        })
    }
}

/// Times of an IKE_SA, from `ikelifetime` and `margintime` of ipsec.conf or `rekey_time` and the like of swanctl.conf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IkeLifetime {
    /// When to reauthenticate; zero never.
    pub reauth: Duration,
    /// When to rekey; zero never.
    pub rekey: Duration,
    /// How long after the first of both the IKE_SA is deleted.
    pub over: Duration,
    /// Upper bound of what is randomly subtracted from both.
    pub jitter: Duration,
}

/// A CHILD_SA's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildConfig {
    /// Name of the CHILD_SA.
    pub name: String,
    /// ESP proposals.
    pub proposals: ProposalList,
    /// What this end sends from.
    pub local_ts: Vec<SelectorSpec>,
    /// What the peer has behind it.
    pub remote_ts: Vec<SelectorSpec>,
    /// Tunnel, transport or a shunt.
    pub mode: Mode,
    /// Limits of the CHILD_SA.
    pub lifetime: ChildLifetime,
    /// Script to run when the CHILD_SA goes up or down.
    pub updown: Option<String>,
    /// Lets the firewall rules of the script include the host itself.
    pub host_access: bool,
    /// What to do when the configuration is loaded.
    pub start_action: Action,
    /// What to do when the peer is dead.
    pub dpd_action: Action,
    /// What to do when the peer closes the CHILD_SA.
    pub close_action: Action,
    /// Install policies.
    pub policies: bool,
    /// A fixed reqid; 0 assigns one.
    pub reqid: u32,
    /// Size of the replay window in packets; `None` takes `charon.replay_window`.
    pub replay_window: Option<u32>,
    /// Close after this long without traffic; zero never.
    pub inactivity: Duration,
    /// Pad packets to this many octets.
    pub tfc: u32,
    /// What the kernel is asked for besides.
    pub kernel: KernelOptions,
}

/// A traffic selector that may depend on the addresses of the IKE_SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectorSpec {
    /// The IKE address or virtual IP of its end, with protocol and ports.
    Dynamic {
        /// Protocol number, 0 is any.
        protocol: u8,
        /// First and last port.
        ports: (u16, u16),
    },
    /// Fixed.
    Fixed(TrafficSelector),
}

impl SelectorSpec {
    /// The address of its end, with all protocols and ports.
    pub const DYNAMIC: Self = Self::Dynamic {
        protocol: 0,
        ports: (0, u16::MAX),
    };

    /// The selector, given the address that stands for `dynamic`.
    pub fn resolve(&self, address: IpAddr) -> TrafficSelector {
        match self {
            Self::Fixed(selector) => selector.clone(),
            Self::Dynamic { protocol, ports } => TrafficSelector {
                protocol: *protocol,
                start_port: ports.0,
                end_port: ports.1,
                ..TrafficSelector::host(address)
            },
        }
    }
}

impl fmt::Display for SelectorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(selector) => write!(f, "{selector}"),
            Self::Dynamic {
                protocol: 0,
                ports: (0, u16::MAX),
            } => f.write_str("dynamic"),
            Self::Dynamic { .. } => {
                let text = self.resolve(IpAddr::from([0, 0, 0, 0])).to_string();
                write!(f, "dynamic{}", text.strip_prefix("0.0.0.0/32").unwrap_or(&text))
            }
        }
    }
}

/// Limits of a CHILD_SA: when it is rekeyed and when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildLifetime {
    /// In time.
    pub time: Limit<Duration>,
    /// In octets.
    pub octets: Limit<u64>,
    /// In packets.
    pub packets: Limit<u64>,
}

/// One limit; zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit<T> {
    /// When to rekey.
    pub rekey: T,
    /// When to delete.
    pub life: T,
    /// Upper bound of what is randomly subtracted from `rekey`.
    pub jitter: T,
}

/// How packets are wrapped, or that they are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A whole packet within a packet.
    #[default]
    Tunnel,
    /// The payload only.
    Transport,
    /// Shunt: past IPsec.
    Pass,
    /// Shunt: nowhere.
    Drop,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tunnel => "TUNNEL",
            Self::Transport => "TRANSPORT",
            Self::Pass => "PASS",
            Self::Drop => "DROP",
        })
    }
}

/// What to do on load, on a dead peer, or when the peer closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Nothing: `clear`, `none`, `add`.
    #[default]
    None,
    /// Install a trap policy: `hold`, `route`, `trap`.
    Trap,
    /// Establish: `restart`, `start`.
    Start,
    /// Both: `trap|start`.
    TrapAndStart,
}

impl Action {
    /// Whether a trap policy is to be installed.
    pub fn traps(self) -> bool {
        matches!(self, Self::Trap | Self::TrapAndStart)
    }

    /// Whether the CHILD_SA is to be established.
    pub fn starts(self) -> bool {
        matches!(self, Self::Start | Self::TrapAndStart)
    }
}

impl fmt::Display for Action {
    /// As vici lists it; 6.0dr3 still said `clear`, `hold` and `restart`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Trap => "trap",
            Self::Start => "start",
            Self::TrapAndStart => "trap|start",
        })
    }
}

/// What happens to a second IKE_SA with the same pair of identities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UniquePolicy {
    /// Nothing, and INITIAL_CONTACT is neither sent nor obeyed.
    Never,
    /// Nothing, unless the peer sends INITIAL_CONTACT.
    #[default]
    No,
    /// The old one is replaced.
    Replace,
    /// The new one is refused.
    Keep,
}

/// IKE fragmentation (RFC 7383).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragmentation {
    /// Not announced.
    No,
    /// Announced and used.
    #[default]
    Yes,
    /// Announced, reassembled, never sent.
    Accept,
    /// Used even if the peer did not announce it.
    Force,
}

/// Childless IKE_SAs (RFC 6023).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Childless {
    /// Accepted.
    #[default]
    Allow,
    /// Initiated too, where the peer accepts it: the first CHILD_SA comes by CREATE_CHILD_SA.
    Prefer,
    /// Neither announced nor accepted.
    Never,
    /// Nothing else is initiated or accepted.
    Force,
}
