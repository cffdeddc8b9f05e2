//! A gateway with any number of clients, one after the other, and no network between: what an IKE_SA costs it.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::connection::{Host as End, PeerConfig};
use config::identity::Identity;
use config::secret::{SecretKind, SharedSecret};
use crypto::registry::Registry;
use iana::Profile;
use ike::{CommandId, Endpoint, Initiate, KernelAnswer, KernelOp, KernelResult, Output, Settings, Transmit};

use crate::world::{MOON, PSK, Seeded, beginning, carol, moon};

/// IKE_SAs with ML-KEM-768 in IKE_INTERMEDIATE, PSKs, and a CHILD_SA each.
pub const PROPOSAL: &str = "aes256gcm16-sha512-x25519-ke1_mlkem768!";

/// How long after the other clients come.
const INTERVAL: Duration = Duration::from_millis(1);

/// The gateway, and the time it took.
pub struct Gateway {
    pub endpoint: Endpoint,
    /// Time that the gateway has spent in its state machine, and in key exchanges.
    pub spent: (Duration, Duration),
    pub now: Instant,
    registry: Arc<Registry>,
    settings: Settings,
    client: PeerConfig,
    next_spi: u32,
}

/// What a client shows of itself.
pub struct Client {
    pub endpoint: Endpoint,
    next_spi: u32,
}

impl Gateway {
    /// A gateway that knows one connection for all its clients, and writes no log.
    pub fn new(registry: Arc<Registry>) -> Self {
        let settings = Settings {
            dos_protection: false,
            ..Settings::default()
        };
        let mut config = moon(PROPOSAL);
        config.remote_addrs = vec![End::Any];
        config.remote_auth[0].id = Some(Identity::any());
        let mut client = carol(PROPOSAL);
        for config in [&mut config, &mut client] {
            config.profile = Some(Profile::Rfc);
            config.mobike = true;
        }
        let now = beginning();
        let mut endpoint = endpoint(&registry, &settings, now, 0);
        endpoint.set_local_addresses(vec![address(MOON)]);
        endpoint.add_connection(config);
        Self {
            endpoint,
            spent: Default::default(),
            now,
            registry,
            settings,
            client,
            next_spi: 0,
        }
    }

    /// Establishes an IKE_SA with a CHILD_SA with each of the clients of these numbers; what the clients have is dropped.
    pub fn serve(&mut self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.establish(number);
        }
    }

    /// Establishes an IKE_SA with a CHILD_SA with a client, which has an address, identity and subnet of its own.
    pub fn establish(&mut self, number: u32) -> Client {
        self.now += INTERVAL;
        let mut client = self.client(number);
        let mut to_gateway = VecDeque::new();
        let mut to_client = client.drain(self.now);
        let established = self.endpoint.counts().0;
        std::mem::swap(&mut to_gateway, &mut to_client);
        loop {
            if let Some(datagram) = to_gateway.pop_front() {
                to_client.extend(self.handle(&datagram));
            } else if let Some(datagram) = to_client.pop_front() {
                let Transmit { local, remote, .. } = datagram;
                client
                    .endpoint
                    .handle_datagram(self.now, remote, local, &datagram.octets);
                to_gateway.extend(client.drain(self.now));
            } else {
                break;
            }
        }
        assert_eq!(self.endpoint.counts(), (established + 1, 0), "client {number}");
        assert_eq!(client.endpoint.counts(), (1, 0), "client {number}");
        client
    }

    fn client(&mut self, number: u32) -> Client {
        let own = IpAddr::from(Ipv4Addr::from(0x0a40_0000 + number));
        let mut config = self.client.clone();
        config.local_addrs = vec![End::Address(own)];
        config.local_auth[0].id = Some(Identity::parse(&format!("client-{number}.strongswan.org")));
        let mut endpoint = endpoint(&self.registry, &self.settings, self.now, u64::from(number) + 1);
        endpoint.set_local_addresses(vec![own]);
        endpoint.add_connection(config);
        let peer = Arc::clone(&endpoint.connections()[0]);
        let what = Initiate {
            child: peer.children.first().cloned(),
            peer,
            local: SocketAddr::new(own, 500),
            remote: SocketAddr::new(address(MOON), 500),
        };
        endpoint.initiate(self.now, CommandId(1), what);
        Client {
            endpoint,
            next_spi: 0,
        }
    }

    /// The gateway takes a datagram, and does what follows from it; returns what it sends.
    #[inline(never)]
    fn handle(&mut self, datagram: &Transmit) -> Vec<Transmit> {
        let mut sent = Vec::new();
        let began = now();
        let mut in_jobs = Duration::ZERO;
        let Transmit { local, remote, .. } = *datagram;
        self.endpoint
            .handle_datagram(self.now, remote, local, &datagram.octets);
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(datagram) => sent.push(datagram),
                Output::Job(id, job) => {
                    let began = now();
                    let result = job.run();
                    in_jobs += began.elapsed();
                    self.endpoint.handle_done(self.now, id, result);
                }
                Output::Kernel(id, ops) => {
                    let result = kernel(&mut self.next_spi, &ops);
                    self.endpoint.handle_kernel_done(self.now, id, result);
                }
                _ => {}
            }
        }
        self.spent.0 += began.elapsed() - in_jobs;
        self.spent.1 += in_jobs;
        sent
    }
}

impl Client {
    /// Does what the client wants done; returns what it sends.
    pub fn drain(&mut self, now: Instant) -> VecDeque<Transmit> {
        let mut sent = VecDeque::new();
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(datagram) => sent.push_back(datagram),
                Output::Job(id, job) => self.endpoint.handle_done(now, id, job.run()),
                Output::Kernel(id, ops) => {
                    let result = kernel(&mut self.next_spi, &ops);
                    self.endpoint.handle_kernel_done(now, id, result);
                }
                _ => {}
            }
        }
        sent
    }
}

/// A kernel that has room for everything.
fn kernel(next_spi: &mut u32, ops: &[KernelOp]) -> KernelResult {
    let answer = |op: &KernelOp| match op {
        KernelOp::AllocateSpi { .. } => {
            *next_spi += 1;
            KernelAnswer::Spi(0xc000_0000 + *next_spi)
        }
        _ => KernelAnswer::Done,
    };
    Ok(ops.iter().map(answer).collect())
}

fn endpoint(registry: &Arc<Registry>, settings: &Settings, now: Instant, seed: u64) -> Endpoint {
    let randomness = Box::new(Seeded::new(seed));
    let mut endpoint = Endpoint::new(settings.clone(), Arc::clone(registry), randomness, now);
    endpoint.set_log_levels(|_| -1);
    endpoint
        .secrets_mut()
        .insert(SecretKind::Ike, Vec::new(), SharedSecret::new(PSK.into()));
    endpoint
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[allow(clippy::disallowed_methods, reason = "what is measured is time")]
fn now() -> Instant {
    Instant::now()
}
