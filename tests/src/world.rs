//! Two or more hosts in a simulated network: `World::new(…)`, then `run_until` something is true.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::connection::{
    Action, AuthClass, AuthConfig, ChildConfig, ChildLifetime, Childless, Fragmentation, Host as End,
    IkeLifetime, IkeVersion, Limit, Mode, PeerConfig, ProposalList, SelectorSpec, UniquePolicy,
};
use config::identity::Identity;
use config::secret::{SecretKind, SharedSecret};
use crypto::registry::Registry;
use iana::TrafficSelector;
use ike::{
    ChildState, CommandError, CommandId, Destination, Endpoint, Event, IkeSaInfo, IkeSaState, Initiate, Job,
    JobId, Output, Randomness, Settings, Transmit,
};
use plugin_api::kernel::{KernelEvent, KernelMigration};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::kernel::{Fate, Kernel};
use crate::netem::{Conditions, Netem};

pub const MOON: &str = "192.168.0.2";
pub const CAROL: &str = "192.168.0.3";
pub const PSK: &str = "4ny7h1n6_c4n_h4pp3n_1n_7h3_n3x7_h4lf_h0ur";

/// Randomness from a seed.
pub struct Seeded(ChaCha8Rng);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }
}

impl Randomness for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

/// A host: an Endpoint with its kernel, and everything it said.
pub struct Host {
    pub address: IpAddr,
    pub endpoint: Endpoint,
    pub kernel: Kernel,
    pub log: Vec<String>,
    pub events: Vec<Event>,
    pub done: Vec<(CommandId, Result<(), CommandError>)>,
    /// Lengths of the IKE messages it sent.
    pub sent: Vec<usize>,
    jobs: VecDeque<(Instant, JobId, Job)>,
}

pub struct World {
    pub now: Instant,
    pub hosts: Vec<Host>,
    pub net: Netem,
    /// How long a job takes at most; each takes a random part of it.
    pub job_delay: Duration,
    /// Called with every datagram before the network gets it: change it, or take it away.
    #[allow(clippy::type_complexity)]
    pub tamper: Option<Box<dyn FnMut(&mut Transmit) -> bool>>,
    /// What names stand for.
    pub names: BTreeMap<String, IpAddr>,
    random: ChaCha8Rng,
    next_command: u64,
}

#[allow(clippy::disallowed_methods, reason = "any instant will do as the beginning")]
pub(crate) fn beginning() -> Instant {
    Instant::now()
}

impl World {
    pub fn new(
        addresses: &[&str],
        settings: &Settings,
        registry: &Arc<Registry>,
        conditions: Conditions,
        seed: u64,
    ) -> Self {
        let now = beginning();
        let hosts = addresses
            .iter()
            .zip(1..)
            .map(|(address, number)| {
                let random = Seeded::new(seed.wrapping_mul(31).wrapping_add(number));
                let registry = Arc::clone(registry);
                let mut endpoint = Endpoint::new(settings.clone(), registry, Box::new(random), now);
                endpoint.set_log_levels(|_| 2);
                let address: IpAddr = address.parse().unwrap();
                endpoint.set_local_addresses(vec![address, "10.99.0.1".parse().unwrap()]);
                let mut kernel = Kernel::new(number as u32 - 1);
                kernel.own = vec![address];
                Host {
                    address,
                    endpoint,
                    kernel,
                    log: Vec::new(),
                    events: Vec::new(),
                    done: Vec::new(),
                    sent: Vec::new(),
                    jobs: VecDeque::new(),
                }
            })
            .collect();
        Self {
            now,
            hosts,
            net: Netem::new(conditions, seed),
            job_delay: Duration::ZERO,
            tamper: None,
            names: BTreeMap::new(),
            random: ChaCha8Rng::seed_from_u64(!seed),
            next_command: 0,
        }
    }

    /// moon is host 0, carol host 1, both with the seed's Tunnel1 and these proposals.
    pub fn moon_and_carol(proposal: &str, settings: &Settings, conditions: Conditions, seed: u64) -> Self {
        Self::with_registry(proposal, settings, &crate::crypto::registry(), conditions, seed)
    }

    pub fn with_registry(
        proposal: &str,
        settings: &Settings,
        registry: &Arc<Registry>,
        conditions: Conditions,
        seed: u64,
    ) -> Self {
        let mut world = Self::new(&[MOON, CAROL], settings, registry, conditions, seed);
        world.hosts[0].endpoint.add_connection(moon(proposal));
        world.hosts[1].endpoint.add_connection(carol(proposal));
        for host in &mut world.hosts {
            share(&mut host.endpoint, PSK);
        }
        world
    }

    /// Starts to establish the first connection of a host.
    pub fn initiate(&mut self, host: usize) -> CommandId {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        let Host {
            endpoint, address, ..
        } = &mut self.hosts[host];
        let peer = Arc::clone(&endpoint.connections()[0]);
        let End::Address(remote) = peer.remote_addrs[0] else {
            panic!("no address")
        };
        let child = peer.children.first().cloned();
        let (local, remote) = (SocketAddr::new(*address, 500), SocketAddr::new(remote, 500));
        endpoint.initiate(
            self.now,
            id,
            Initiate {
                peer,
                child,
                local,
                remote,
            },
        );
        self.drain(host);
        id
    }

    /// Installs the trap or shunt of a child of a host's connections.
    pub fn install(&mut self, host: usize, child: &str) -> CommandId {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        let Host {
            endpoint, address, ..
        } = &mut self.hosts[host];
        let (peer, child) = endpoint.find_child(child).expect("a configuration");
        if matches!(child.mode, Mode::Pass | Mode::Drop) {
            endpoint.install_shunt(self.now, id, &peer, &child);
        } else {
            let End::Address(remote) = peer.remote_addrs[0] else {
                panic!("no address")
            };
            let what = Initiate {
                local: SocketAddr::new(*address, 500),
                remote: SocketAddr::new(remote, 500),
                child: Some(child),
                peer,
            };
            endpoint.install_trap(self.now, id, &what);
        }
        self.drain(host);
        id
    }

    /// Takes out the trap or shunt of a child.
    pub fn uninstall(&mut self, host: usize, child: &str) -> bool {
        let removed = self.hosts[host].endpoint.uninstall(self.now, None, child);
        self.drain(host);
        removed.is_some()
    }

    /// A packet leaves a host, from one address to another; the Endpoint learns if it meets a trap.
    pub fn send(&mut self, host: usize, src: &str, dst: &str) -> Fate {
        let [src, dst] = [src, dst].map(|address| TrafficSelector::host(address.parse().unwrap()));
        let fate = self.hosts[host].kernel.send(&src, &dst);
        if let Fate::Acquired(event) = &fate {
            self.kernel_event(host, event.clone());
        }
        fate
    }

    /// A packet goes from a host to the other by the CHILD_SA in use, and both kernels count it.
    pub fn carry(&mut self, from: usize, to: usize) {
        let spi = self.live_child(from).expect("a CHILD_SA").spi_out;
        for host in [from, to] {
            let carried = self.hosts[host].kernel.carried.entry(spi);
            let (packets, last) = carried.or_insert((0, self.now));
            (*packets, *last) = (*packets + 1, self.now);
        }
    }

    /// A host's kernel says something by itself.
    pub fn kernel_event(&mut self, host: usize, event: KernelEvent) {
        self.hosts[host].endpoint.handle_kernel_event(self.now, event);
        self.drain(host);
    }

    /// A host's kernel has moved SAs for somebody else.
    pub fn migrate(&mut self, host: usize, migration: &KernelMigration) {
        self.hosts[host].endpoint.handle_migration(self.now, migration);
        self.drain(host);
    }

    /// A host starts anew and remembers nothing; its connections are `peers`.
    pub fn reboot(&mut self, host: usize, settings: &Settings, peers: Vec<PeerConfig>, seed: u64) {
        let addresses: Vec<String> = self.hosts.iter().map(|host| host.address.to_string()).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let registry = Arc::clone(self.hosts[host].endpoint.registry());
        let fresh = Self::new(&addresses, settings, &registry, Conditions::default(), seed);
        self.hosts[host] = fresh.hosts.into_iter().nth(host).expect("as many hosts");
        let endpoint = &mut self.hosts[host].endpoint;
        for peer in peers {
            endpoint.add_connection(peer);
        }
        share(endpoint, PSK);
    }

    pub fn terminate(&mut self, host: usize) -> CommandId {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        let unique = self.sas(host)[0].unique_id;
        self.hosts[host].endpoint.terminate_ike(self.now, id, unique);
        self.drain(host);
        id
    }

    /// Gives a host other addresses, the preferred first, and tells it.
    pub fn readdress(&mut self, host: usize, addresses: &[&str]) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let Host { endpoint, kernel, .. } = &mut self.hosts[host];
        kernel.own.clone_from(&addresses);
        endpoint.set_local_addresses(addresses);
        self.roam(host);
    }

    /// Tells a host that addresses or routes have changed.
    pub fn roam(&mut self, host: usize) {
        let event = KernelEvent::Roam { address: true };
        self.hosts[host].endpoint.handle_kernel_event(self.now, event);
        self.drain(host);
    }

    /// Starts to rekey a CHILD_SA of a host.
    pub fn rekey_child(&mut self, host: usize, unique_id: u32) -> CommandId {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        self.hosts[host]
            .endpoint
            .rekey_child(self.now, Some(id), unique_id);
        self.drain(host);
        id
    }

    /// Starts to rekey the IKE_SA of a host.
    pub fn rekey_ike(&mut self, host: usize) -> Option<CommandId> {
        let unique = self.live_sa(host)?.unique_id;
        self.next_command += 1;
        let id = CommandId(self.next_command);
        self.hosts[host].endpoint.rekey_ike(self.now, Some(id), unique);
        self.drain(host);
        Some(id)
    }

    /// The IKE_SA that is in use.
    pub fn live_sa(&self, host: usize) -> Option<IkeSaInfo> {
        let live = |sa: &IkeSaInfo| matches!(sa.state, IkeSaState::Established | IkeSaState::Rekeying);
        self.sas(host)
            .into_iter()
            .filter(live)
            .max_by_key(|sa| sa.children.len())
    }

    /// The CHILD_SA that carries a host's traffic.
    pub fn live_child(&self, host: usize) -> Option<ike::ChildSaInfo> {
        let live =
            |child: &ike::ChildSaInfo| matches!(child.state, ChildState::Installed | ChildState::Rekeying);
        self.sas(host).into_iter().flat_map(|sa| sa.children).find(live)
    }

    pub fn sas(&self, host: usize) -> Vec<IkeSaInfo> {
        self.hosts[host].endpoint.ike_sas().collect()
    }

    /// Lets time pass until the condition holds; `false` if it does not within `limit`.
    pub fn run_until(&mut self, limit: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            if condition(self) {
                return true;
            }
            let Some(next) = self.next_deadline().filter(|next| *next <= end) else {
                self.now = end;
                return condition(self);
            };
            self.now = self.now.max(next);
            self.step();
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let hosts = self.hosts.iter().flat_map(|host| {
            let jobs = host.jobs.iter().map(|(when, ..)| *when).min();
            [host.endpoint.poll_timeout().map(|(when, _)| when), jobs]
        });
        hosts.flatten().chain(self.net.next_arrival()).min()
    }

    fn step(&mut self) {
        while let Some(datagram) = self.net.receive(self.now) {
            self.deliver(datagram);
        }
        for index in 0..self.hosts.len() {
            while let Some(at) = self.hosts[index]
                .jobs
                .iter()
                .position(|(when, ..)| *when <= self.now)
            {
                let (_, id, job) = self.hosts[index].jobs.remove(at).unwrap();
                let result = job.run();
                self.hosts[index].endpoint.handle_done(self.now, id, result);
                self.drain(index);
            }
            let due = self.hosts[index]
                .endpoint
                .poll_timeout()
                .is_some_and(|(when, _)| when <= self.now);
            if due {
                self.hosts[index].endpoint.handle_timeout(self.now);
                self.drain(index);
            }
        }
    }

    /// Hands a datagram to the host that has its destination, as if the network had.
    pub fn deliver(&mut self, datagram: Transmit) {
        let to = self
            .hosts
            .iter()
            .position(|host| host.kernel.own.contains(&datagram.remote.ip()));
        if let Some(index) = to
            && datagram.octets != [0xff]
        {
            let endpoint = &mut self.hosts[index].endpoint;
            endpoint.handle_datagram(self.now, datagram.remote, datagram.local, &datagram.octets);
            self.drain(index);
        }
    }

    pub fn drain(&mut self, index: usize) {
        while let Some(output) = self.hosts[index].endpoint.poll_output() {
            match output {
                // A socket does not send from an address that is not there.
                Output::Transmit(datagram)
                    if !self.hosts[index].kernel.own.contains(&datagram.local.ip()) => {}
                Output::Transmit(mut datagram) => {
                    self.hosts[index].sent.push(datagram.octets.len());
                    if self.tamper.as_mut().is_none_or(|tamper| tamper(&mut datagram)) {
                        self.net.send(self.now, datagram);
                    }
                }
                Output::Job(id, job) => {
                    let delay = match self.job_delay.as_micros() as u64 {
                        0 => Duration::ZERO,
                        bound => Duration::from_micros(self.random.next_u64() % bound),
                    };
                    self.hosts[index].jobs.push_back((self.now + delay, id, job));
                }
                Output::Kernel(id, ops) => {
                    let result = self.hosts[index].kernel.run(self.now, ops);
                    self.hosts[index]
                        .endpoint
                        .handle_kernel_done(self.now, id, result);
                }
                Output::FindSources(id, destinations) => {
                    let host = &mut self.hosts[index];
                    let sources: Vec<_> = destinations.iter().map(|to| host.kernel.source(to)).collect();
                    host.endpoint.handle_sources(self.now, id, &sources);
                }
                Output::Event(event) => self.hosts[index].events.push(event),
                Output::CommandDone(id, result) => self.hosts[index].done.push((id, result)),
                Output::CommandMoved(..) => {}
                Output::Resolve(sa, peer) => {
                    let found = self.resolve(index, &peer);
                    self.hosts[index].endpoint.handle_resolved(self.now, sa, found);
                }
                Output::Log(line) => {
                    if line.level <= 1 {
                        self.hosts[index]
                            .log
                            .push(format!("[{}] {}", line.group, line.text));
                    }
                }
            }
        }
    }

    /// The way from a host to another end.
    fn resolve(&self, index: usize, peer: &PeerConfig) -> Result<(IpAddr, IpAddr), String> {
        let there = &peer.remote_addrs[0];
        let remote = match there {
            End::Address(address) => Some(*address),
            End::Name(name) => self.names.get(name).copied(),
            _ => None,
        };
        let remote = remote.ok_or_else(|| format!("unable to resolve {there}"))?;
        if let Some(End::Address(local)) = peer.local_addrs.first() {
            return Ok((*local, remote));
        }
        let source = self.hosts[index]
            .kernel
            .source(&Destination { remote, local: None });
        let local = source.ok_or_else(|| format!("no own address to reach {remote} from"))?;
        Ok((local, remote))
    }

    /// Whether both hosts have exactly one established IKE_SA with one CHILD_SA, and agree on it.
    pub fn is_established(&self) -> bool {
        let (moon, carol) = (self.sas(0), self.sas(1));
        let ([moon], [carol]) = (&moon[..], &carol[..]) else {
            return false;
        };
        moon.state == IkeSaState::Established
            && carol.state == IkeSaState::Established
            && moon.children.len() == 1
            && carol.children.len() == 1
    }

    /// What both hosts believe is what their kernels have, and fits the other's.
    /// The SAs by state are those that there are.
    fn assert_counted(&self, host: usize) {
        let (sas, census) = (self.sas(host), self.hosts[host].endpoint.census());
        for (state, count) in census.ike_sas() {
            assert_eq!(
                count,
                sas.iter().filter(|sa| sa.state == state).count(),
                "{state}"
            );
        }
        let children: Vec<_> = sas.iter().flat_map(|sa| &sa.children).collect();
        for (state, count) in census.child_sas() {
            let there = children.iter().filter(|child| child.state == state).count();
            assert_eq!(count, there, "{state}");
        }
    }

    pub fn assert_consistent(&self) {
        for (index, host) in self.hosts.iter().enumerate() {
            let mut believed: Vec<u32> = Vec::new();
            for sa in self.sas(index) {
                for child in sa.children {
                    believed.push(child.spi_in);
                    believed.extend(child.sends.then_some(child.spi_out));
                    if let Some((cpi_in, cpi_out)) = child.cpis {
                        believed.push(cpi_in.into());
                        believed.extend(child.sends.then_some(u32::from(cpi_out)));
                    }
                }
            }
            believed.sort_unstable();
            let installed: Vec<u32> = host.kernel.sas.keys().copied().collect();
            assert_eq!(
                believed,
                installed,
                "host {index}: believed and installed SAs differ\n{}",
                host.log.join("\n")
            );
            self.assert_counted(index);
        }
        let (moon, carol) = (&self.sas(0)[0], &self.sas(1)[0]);
        assert_eq!((moon.spi_i, moon.spi_r), (carol.spi_i, carol.spi_r));
        assert_eq!(moon.proposal, carol.proposal);
        let newest = |sa: &IkeSaInfo| {
            let mut live = sa
                .children
                .iter()
                .filter(|child| child.state == ChildState::Installed);
            live.next_back().expect("an installed CHILD_SA").clone()
        };
        let (m, c) = (newest(moon), newest(carol));
        assert_eq!((m.spi_in, m.spi_out), (c.spi_out, c.spi_in));
        assert_eq!((&m.local_ts, &m.remote_ts), (&c.remote_ts, &c.local_ts));
        for spi in [m.spi_in, m.spi_out] {
            let [at_moon, at_carol] = [0, 1].map(|host: usize| &self.hosts[host].kernel.sas[&spi]);
            assert_ne!(at_moon.0, at_carol.0, "one end's inbound is the other's outbound");
            assert_eq!(at_moon.1, at_carol.1, "both ends have the same key");
        }
    }

    pub fn assert_no_trace(&self) {
        for (index, host) in self.hosts.iter().enumerate() {
            assert!(host.kernel.is_empty(), "host {index}: {:?}", host.kernel);
            assert!(host.endpoint.is_pristine(), "host {index} leaks");
        }
    }

    pub fn logged(&self, host: usize, text: &str) -> bool {
        self.hosts[host].log.iter().any(|line| line.contains(text))
    }
}

pub fn share(endpoint: &mut Endpoint, psk: &str) {
    let owners = ["moon.strongswan.org", "carol.strongswan.org"]
        .map(Identity::parse)
        .to_vec();
    endpoint.secrets_mut().insert(
        SecretKind::Ike,
        owners,
        SharedSecret::new(psk.as_bytes().to_vec()),
    );
}

/// The seed's Tunnel1 as moon has it.
pub fn moon(proposal: &str) -> PeerConfig {
    tunnel(
        proposal,
        (MOON, "moon.strongswan.org", "10.1.0.0"),
        (CAROL, "carol.strongswan.org", "10.3.0.0"),
    )
}

/// The seed's Tunnel1 as carol has it.
pub fn carol(proposal: &str) -> PeerConfig {
    tunnel(
        proposal,
        (CAROL, "carol.strongswan.org", "10.3.0.0"),
        (MOON, "moon.strongswan.org", "10.1.0.0"),
    )
}

type Side<'a> = (&'a str, &'a str, &'a str);

fn tunnel(proposal: &str, left: Side<'_>, right: Side<'_>) -> PeerConfig {
    let strict = proposal.ends_with('!');
    let proposals = ProposalList {
        entries: vec![proposal.trim_end_matches('!').to_owned()],
        append_defaults: !strict,
    };
    let subnet = |address: &str| {
        vec![SelectorSpec::Fixed(TrafficSelector::subnet(
            address.parse().unwrap(),
            16,
        ))]
    };
    let auth = |id: &str| {
        vec![AuthConfig {
            class: AuthClass::Psk,
            id: Some(Identity::parse(id)),
            ..AuthConfig::default()
        }]
    };
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let child = ChildConfig {
        name: "Tunnel1".to_owned(),
        proposals: proposals.clone(),
        local_ts: subnet(left.2),
        remote_ts: subnet(right.2),
        mode: Mode::Tunnel,
        lifetime: ChildLifetime {
            time: Limit {
                rekey: minutes(17),
                life: minutes(20),
                jitter: minutes(3),
            },
            ..ChildLifetime::default()
        },
        updown: None,
        host_access: false,
        start_action: Action::None,
        dpd_action: Action::None,
        close_action: Action::None,
        policies: true,
        reqid: 0,
        replay_window: None,
        inactivity: Duration::ZERO,
        tfc: 0,
        kernel: config::kernel::KernelOptions::default(),
    };
    PeerConfig {
        name: "Tunnel1".to_owned(),
        version: IkeVersion::V2,
        local_addrs: vec![End::Address(left.0.parse().unwrap())],
        remote_addrs: vec![End::Address(right.0.parse().unwrap())],
        local_port: 500,
        remote_port: 500,
        proposals,
        local_auth: auth(left.1),
        remote_auth: auth(right.1),
        children: vec![Arc::new(child)],
        lifetime: IkeLifetime {
            reauth: minutes(57),
            rekey: Duration::ZERO,
            over: minutes(3),
            jitter: minutes(3),
        },
        keying_tries: Some(1),
        unique: UniquePolicy::Replace,
        mobike: true,
        fragmentation: Fragmentation::Yes,
        dpd_delay: Duration::ZERO,
        encap: false,
        childless: Childless::Allow,
        ppk_id: None,
        ppk_required: false,
        dscp: 0,
        vips: Vec::new(),
        pools: Vec::new(),
        dns_wanted: Vec::new(),
        dns: Vec::new(),
        if_ids: [config::kernel::Number::default(); 2],
        profile: None,
        source: "world.rs".to_owned(),
    }
}
