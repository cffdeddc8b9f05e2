//! What unit tests need instead of a kernel, files and plugins.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use config::connection::{
    AuthClass, AuthConfig, ChildConfig, ChildLifetime, Host, IkeLifetime, IkeVersion, Limit, PeerConfig,
    SelectorSpec, UniquePolicy,
};
use config::settings::Settings;
use control::vici::{Element, Message};
use crypto::registry::Registry;
use iana::{HashAlgorithm, Protocol, TrafficSelector};
use ike::{Endpoint, Randomness};
use plugin_api::kernel::{
    KernelFeatures, LocalAddress, NextHop, PolicyParameters, ReceivedEsp, Route, SaId, SaParameters, SaUsage,
};
use plugin_api::{ErrorKind, FeatureName, Hasher, Implementation, KernelIpsec, KernelNet, PluginError};

use crate::host::DaemonHost;
use crate::jobs::Pool;
use crate::log::Logger;
use crate::net::{Ports, Sockets};
use crate::run::Daemon;

/// Accepts everything and remembers some of it.
#[derive(Default)]
pub(crate) struct TestKernel {
    /// ESP packets that were received.
    pub(crate) esp: Mutex<Vec<(SocketAddr, Vec<u8>)>>,
    /// What every SA has carried.
    pub(crate) usage: SaUsage,
    /// What it can.
    pub(crate) features: KernelFeatures,
    /// Protocols besides ESP.
    pub(crate) knows: Vec<Protocol>,
}

impl KernelIpsec for TestKernel {
    fn features(&self) -> KernelFeatures {
        self.features
    }
    fn knows(&self, protocol: Protocol) -> bool {
        protocol == Protocol::ESP || self.knows.contains(&protocol)
    }
    fn allocate_spi(&self, _: IpAddr, _: IpAddr, _: Protocol) -> Result<u32, PluginError> {
        Ok(1)
    }
    fn add_sa(&self, _: &SaParameters) -> Result<(), PluginError> {
        Ok(())
    }
    fn update_sa(&self, _: &SaId, _: SocketAddr, _: SocketAddr, _: bool) -> Result<(), PluginError> {
        Ok(())
    }
    fn query_sa(&self, _: &SaId) -> Result<SaUsage, PluginError> {
        Ok(self.usage)
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
    fn receive_esp(&self, received: &ReceivedEsp, packets: &mut [u8]) {
        let mut esp = self.esp.lock().unwrap();
        esp.extend(
            packets
                .chunks(received.segment)
                .map(|packet| (received.local, packet.to_vec())),
        );
    }
}

/// One way to everywhere.
pub(crate) struct TestNet {
    /// The source address of it.
    pub(crate) source: Option<IpAddr>,
}

impl KernelNet for TestNet {
    fn addresses(&self) -> Result<Vec<LocalAddress>, PluginError> {
        Ok(Vec::new())
    }
    fn next_hop(&self, _: IpAddr, _: Option<IpAddr>) -> Result<NextHop, PluginError> {
        Ok(NextHop {
            gateway: None,
            interface: "eth0".into(),
            source: self.source,
        })
    }
    fn add_address(&self, _: IpAddr, _: u8, _: &str) -> Result<(), PluginError> {
        Err(PluginError::new(ErrorKind::NotSupported, "not here"))
    }
    fn delete_address(&self, _: IpAddr, _: u8, _: &str) -> Result<(), PluginError> {
        Err(PluginError::new(ErrorKind::NotSupported, "not here"))
    }
    fn add_route(&self, _: &Route) -> Result<(), PluginError> {
        Ok(())
    }
    fn delete_route(&self, _: &Route) -> Result<(), PluginError> {
        Ok(())
    }
}

/// Remembers addresses; the way to everywhere is eth0.
#[derive(Default)]
pub(crate) struct AddressNet {
    pub(crate) addresses: Mutex<Vec<(IpAddr, u8, String)>>,
    /// Where all routes lead, if not where those of others do.
    pub(crate) way_out: Mutex<Option<String>>,
}

impl KernelNet for AddressNet {
    fn addresses(&self) -> Result<Vec<LocalAddress>, PluginError> {
        Ok(Vec::new())
    }
    fn next_hop(&self, destination: IpAddr, source: Option<IpAddr>) -> Result<NextHop, PluginError> {
        let mut hop = TestNet { source: None }.next_hop(destination, source)?;
        if let Some(interface) = &*self.way_out.lock().unwrap() {
            hop.interface.clone_from(interface);
        }
        Ok(hop)
    }
    fn add_address(&self, address: IpAddr, prefix: u8, interface: &str) -> Result<(), PluginError> {
        let mut addresses = self.addresses.lock().unwrap();
        let new = (address, prefix, interface.to_owned());
        if addresses.contains(&new) {
            return Err(PluginError::new(ErrorKind::AlreadyExists, "it is there"));
        }
        addresses.push(new);
        Ok(())
    }
    fn delete_address(&self, address: IpAddr, prefix: u8, interface: &str) -> Result<(), PluginError> {
        let mut addresses = self.addresses.lock().unwrap();
        let gone = (address, prefix, interface.to_owned());
        let at = addresses.iter().position(|known| *known == gone);
        let at = at.ok_or_else(|| PluginError::new(ErrorKind::NotFound, "it is not there"))?;
        addresses.remove(at);
        Ok(())
    }
    fn add_route(&self, _: &Route) -> Result<(), PluginError> {
        Ok(())
    }
    fn delete_route(&self, _: &Route) -> Result<(), PluginError> {
        Ok(())
    }
}

/// A CHILD_SA to 10.1.0.0/16.
pub(crate) fn child_config(name: &str) -> ChildConfig {
    let seconds = Duration::from_secs;
    ChildConfig {
        name: name.into(),
        proposals: Default::default(),
        local_ts: vec![SelectorSpec::DYNAMIC],
        remote_ts: vec![SelectorSpec::Fixed(TrafficSelector::subnet(
            IpAddr::from([10, 1, 0, 0]),
            16,
        ))],
        mode: Default::default(),
        lifetime: ChildLifetime {
            time: Limit {
                rekey: seconds(1020),
                life: seconds(1200),
                jitter: seconds(180),
            },
            ..ChildLifetime::default()
        },
        updown: None,
        host_access: false,
        start_action: Default::default(),
        dpd_action: Default::default(),
        close_action: Default::default(),
        policies: true,
        reqid: 0,
        replay_window: None,
        inactivity: Duration::ZERO,
        tfc: 0,
        kernel: config::kernel::KernelOptions::default(),
    }
}

/// A connection to 192.0.2.2 with one child of its name.
pub(crate) fn peer_config(name: &str) -> PeerConfig {
    PeerConfig {
        name: name.into(),
        version: IkeVersion::V2,
        local_addrs: vec![Host::Any],
        remote_addrs: vec![Host::Address(IpAddr::from([192, 0, 2, 2]))],
        local_port: 500,
        remote_port: 500,
        proposals: Default::default(),
        local_auth: vec![AuthConfig {
            class: AuthClass::Psk,
            id: Some(config::identity::Identity::parse("carol.strongswan.org")),
            ..AuthConfig::default()
        }],
        remote_auth: vec![AuthConfig {
            class: AuthClass::Psk,
            ..AuthConfig::default()
        }],
        children: vec![Arc::new(child_config(name))],
        lifetime: IkeLifetime {
            reauth: Duration::from_secs(3420),
            ..IkeLifetime::default()
        },
        keying_tries: Some(1),
        unique: UniquePolicy::Replace,
        mobike: false,
        fragmentation: Default::default(),
        dpd_delay: Duration::ZERO,
        encap: false,
        childless: Default::default(),
        ppk_id: None,
        ppk_required: false,
        dscp: 0,
        vips: Vec::new(),
        pools: Vec::new(),
        dns_wanted: Vec::new(),
        dns: Vec::new(),
        if_ids: [config::kernel::Number::default(); 2],
        profile: None,
        source: "ipsec.conf:1".into(),
    }
}

struct NoHash;

impl Hasher for NoHash {
    fn output_len(&self) -> usize {
        20
    }
    fn hash(&self, _: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        out.fill(0);
        Ok(())
    }
}

struct Counter(u8);

impl Randomness for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        self.0 = self.0.wrapping_add(1);
        out.fill(self.0);
    }
}

/// A daemon without plugins, on random ports, that nobody runs.
pub(crate) fn daemon(backend: Arc<dyn KernelIpsec>) -> Daemon {
    let logger = Logger::start().unwrap();
    let (input, _) = crate::input::channel();
    let ports = Ports {
        ike: 0,
        nat_t: 0,
        ipv4: true,
        ipv6: false,
        max_packet: 10_000,
        mark: None,
    };
    let mut registry = Registry::new();
    registry.add(
        "test",
        FeatureName::Hasher(HashAlgorithm::SHA1),
        &Implementation::Hasher(Arc::new(NoHash)),
    );
    let (registry, now) = (Arc::new(registry), Instant::now());
    let settings = Settings::default();
    Daemon::assemble(
        Endpoint::new(ike::Settings::default(), registry, Box::new(Counter(0)), now),
        backend,
        Arc::new(Sockets::open(&ports).unwrap()),
        Pool::start(1, Box::new(|_, _| {})).unwrap(),
        Arc::new(DaemonHost::new(settings, Arc::clone(&logger), input.clone())),
        logger,
        input,
    )
}

/// A message as text, one key a line.
pub(crate) fn lines(message: &Message) -> Vec<String> {
    fn walk(prefix: &str, elements: &[Element], out: &mut Vec<String>) {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        for element in elements {
            match element {
                Element::Value(key, value) => out.push(format!("{prefix}{key} = {}", text(value))),
                Element::List(key, items) => {
                    let items: Vec<_> = items.iter().map(|item| text(item)).collect();
                    out.push(format!("{prefix}{key} = [{}]", items.join(", ")));
                }
                Element::Section(key, inner) => walk(&format!("{prefix}{key}."), inner, out),
            }
        }
    }
    let mut out = Vec::new();
    walk("", &message.elements, &mut out);
    out
}
