//! An Endpoint with many IKE_SAs, each made with a peer that is forgotten once it stands.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use config::connection::{AuthClass, AuthConfig, Host, PeerConfig, ProposalList, SelectorSpec, UniquePolicy};
use config::identity::Identity;
use config::secret::{SecretKind, SharedSecret};
use crypto::registry::Registry;
use iana::{Protocol, TrafficSelector};
use ike::{CommandId, Endpoint, Initiate, KernelAnswer, KernelOp, Output, Randomness, Settings};
use plugin_api::kernel::{KernelFeatures, PolicyParameters, ReceivedEsp, SaId, SaParameters, SaUsage};
use plugin_api::{KernelIpsec, PluginError};
use pqswan_tests::world;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const PROPOSAL: &str = "aes256gcm16-sha512-x25519!";
const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 500);

struct Seeded(ChaCha8Rng);

impl Randomness for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

/// Without limits for strangers, who all come from one address here.
pub(crate) fn settings() -> Settings {
    Settings {
        dos_protection: false,
        ..Settings::default()
    }
}

/// An Endpoint that knows the secret, and logs nothing.
pub(crate) fn endpoint(registry: &Arc<Registry>, settings: Settings, seed: u64, now: Instant) -> Endpoint {
    let random = Seeded(ChaCha8Rng::seed_from_u64(seed));
    let mut endpoint = Endpoint::new(settings, Arc::clone(registry), Box::new(random), now);
    endpoint.set_log_levels(|_| -1);
    let secret = SharedSecret::new(world::PSK.into());
    endpoint.secrets_mut().insert(SecretKind::Ike, Vec::new(), secret);
    endpoint
}

fn auth(id: Option<&str>) -> Vec<AuthConfig> {
    let class = AuthClass::Psk;
    let id = id.map(Identity::parse);
    vec![AuthConfig {
        class,
        id,
        ..AuthConfig::default()
    }]
}

fn connection(
    name: &str,
    local: (&str, TrafficSelector),
    remote: Option<&str>,
    to: TrafficSelector,
) -> PeerConfig {
    let mut config = world::moon(PROPOSAL);
    config.name = name.to_owned();
    config.proposals = ProposalList {
        entries: vec![PROPOSAL.trim_end_matches('!').into()],
        append_defaults: false,
    };
    config.local_addrs = vec![Host::Any];
    config.remote_addrs = vec![Host::Any];
    config.local_auth = auth(Some(local.0));
    config.remote_auth = auth(remote);
    config.unique = UniquePolicy::Never;
    config.mobike = false;
    let mut child = (*config.children[0]).clone();
    child.name = "net".into();
    child.local_ts = vec![SelectorSpec::Fixed(local.1)];
    child.remote_ts = vec![SelectorSpec::Fixed(to)];
    config.children = vec![Arc::new(child)];
    config
}

fn subnet(address: Ipv4Addr, len: u8) -> TrafficSelector {
    TrafficSelector::subnet(IpAddr::V4(address), len)
}

/// What the gateway has: whoever knows the secret comes in.
pub(crate) fn gateway() -> PeerConfig {
    let own = subnet(Ipv4Addr::new(172, 16, 0, 0), 16);
    connection(
        "gw",
        ("gw.strongswan.org", own),
        None,
        subnet(Ipv4Addr::new(10, 0, 0, 0), 8),
    )
}

/// The connection of the n-th peer.
pub(crate) fn peer(number: u32) -> PeerConfig {
    let id = format!("rw-{number}.strongswan.org");
    let own = subnet(Ipv4Addr::from(0x0a00_0000 | (number & 0xff_ffff)), 32);
    let to = subnet(Ipv4Addr::new(172, 16, 0, 0), 16);
    connection("rw", (&id, own), Some("gw.strongswan.org"), to)
}

/// A kernel that agrees to everything; its SPIs are new.
#[derive(Default)]
pub(crate) struct Agreeing(AtomicU32);

impl Agreeing {
    fn spi(&self) -> u32 {
        0xc000_0000 + self.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn answer(&self, op: &KernelOp) -> KernelAnswer {
        match op {
            KernelOp::AllocateSpi { .. } => KernelAnswer::Spi(self.spi()),
            KernelOp::QuerySa(_) => KernelAnswer::Usage(SaUsage::default()),
            _ => KernelAnswer::Done,
        }
    }
}

impl KernelIpsec for Agreeing {
    fn features(&self) -> KernelFeatures {
        KernelFeatures::default()
    }
    fn allocate_spi(&self, _: IpAddr, _: IpAddr, _: Protocol) -> Result<u32, PluginError> {
        Ok(self.spi())
    }
    fn add_sa(&self, _: &SaParameters) -> Result<(), PluginError> {
        Ok(())
    }
    fn update_sa(&self, _: &SaId, _: SocketAddr, _: SocketAddr, _: bool) -> Result<(), PluginError> {
        Ok(())
    }
    fn query_sa(&self, _: &SaId) -> Result<SaUsage, PluginError> {
        Ok(SaUsage::default())
    }
    fn delete_sa(&self, _: &SaId) -> Result<(), PluginError> {
        Ok(())
    }
    fn flush_sas(&self) -> Result<(), PluginError> {
        Ok(())
    }
    fn add_policy(&self, _: &PolicyParameters) -> Result<(), PluginError> {
        Ok(())
    }
    fn delete_policy(&self, _: &PolicyParameters) -> Result<(), PluginError> {
        Ok(())
    }
    fn flush_policies(&self) -> Result<(), PluginError> {
        Ok(())
    }
    fn bypass_socket(&self, _: RawFd, _: bool) -> Result<(), PluginError> {
        Ok(())
    }
    fn enable_udp_decap(&self, _: RawFd, _: bool, _: u16) -> Result<(), PluginError> {
        Ok(())
    }
    fn receive_esp(&self, _: &ReceivedEsp, _: &mut [u8]) {}
}

/// The gateway with so many peers, each of which has one CHILD_SA.
pub(crate) fn established(registry: &Arc<Registry>, kernel: &Agreeing, count: u32) -> Endpoint {
    let now = Instant::now();
    let mut gateway = endpoint(registry, settings(), 0, now);
    gateway.add_connection(self::gateway());
    for number in 1..=count {
        let mut initiator = endpoint(registry, settings(), u64::from(number), now);
        let config = Arc::new(peer(number));
        let child = config.children.first().cloned();
        let what = Initiate {
            peer: config,
            child,
            local: SocketAddr::new(Ipv4Addr::from(0xc612_0000 + number).into(), 500),
            remote: GATEWAY,
        };
        initiator.initiate(now, CommandId(1), what);
        while drain(&mut initiator, &mut gateway, kernel, now)
            || drain(&mut gateway, &mut initiator, kernel, now)
        {}
        assert_eq!(initiator.counts().0, 1, "peer {number}");
    }
    assert_eq!(gateway.counts(), (count as usize, 0));
    gateway
}

/// Does what one end wants; whether it wanted anything.
fn drain(from: &mut Endpoint, to: &mut Endpoint, kernel: &Agreeing, now: Instant) -> bool {
    let mut any = false;
    while let Some(output) = from.poll_output() {
        any = true;
        match output {
            Output::Transmit(it) => to.handle_datagram(now, it.remote, it.local, &it.octets),
            Output::Job(id, job) => from.handle_done(now, id, job.run()),
            Output::Kernel(id, ops) => {
                let answers = ops.iter().map(|op| kernel.answer(op)).collect();
                from.handle_kernel_done(now, id, Ok(answers));
            }
            Output::CommandDone(_, result) => result.unwrap(),
            Output::Event(_) | Output::Log(_) => {}
            other => panic!("nobody moves or is redirected here: {other:?}"),
        }
    }
    any
}
