//! The initiators: sockets, timers, and an Endpoint each.
//!
//! Each is forgotten once its CHILD_SA stands, so that only the responder keeps it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::secret::{SecretKind, SharedSecret};
use crypto::registry::Registry;
use ike::{CommandId, Endpoint, Initiate, KernelAnswer, KernelOp, Output, Randomness, Settings};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use plugin_api::kernel::SaUsage;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use xtask::netns::Namespace;

use super::{Handshake, Load, Outcome, PSK, initiator};
use crate::bench::Bench;
use crate::usage;

/// What precedes IKE on the port that it shares with ESP.
const MARKER: [u8; 4] = [0; 4];

/// How often timers are looked at.
const TICK: Duration = Duration::from_millis(5);

/// The number of a fragment's payload (RFC 7383).
const ENCRYPTED_FRAGMENT: u8 = 53;

struct Seeded(ChaCha8Rng);

impl Randomness for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

/// One initiator.
struct Attempt {
    endpoint: Endpoint,
    began: Instant,
    figures: Handshake,
}

/// See the module.
pub(crate) struct Generator {
    registry: Arc<Registry>,
    sockets: [UdpSocket; 2],
    local: IpAddr,
    remote: IpAddr,
    random: ChaCha8Rng,
    attempts: BTreeMap<u64, Attempt>,
    /// Number of the next initiator, which no other has.
    next: u32,
    next_spi: u32,
}

impl Generator {
    /// On a host of these addresses. Its initiators are numbered from `first`; no two may be alike at one responder.
    ///
    /// # Errors
    ///
    /// If its ports are taken.
    pub(crate) fn new(
        registry: &Arc<Registry>,
        namespace: &Namespace,
        local: Ipv4Addr,
        remote: Ipv4Addr,
        (seed, first): (u64, u32),
    ) -> Result<Self, String> {
        let open = |port: u16| {
            let bound = namespace.run(|| UdpSocket::bind((local, port))).flatten();
            let socket = bound.and_then(|socket| {
                let options = socket2::SockRef::from(&socket);
                options.set_recv_buffer_size(4 << 20)?;
                options.set_send_buffer_size(4 << 20)?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            });
            socket.map_err(|error| format!("UDP port {port} of the load generator: {error}"))
        };
        Ok(Self {
            registry: Arc::clone(registry),
            sockets: [open(500)?, open(4500)?],
            local: local.into(),
            remote: remote.into(),
            random: ChaCha8Rng::seed_from_u64(seed),
            attempts: BTreeMap::new(),
            next: first,
            next_spi: 0xc000_0000,
        })
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// If a socket fails, or somebody interrupts.
    pub(crate) fn run(&mut self, bench: &Bench, load: &Load) -> Result<Outcome, String> {
        let (began, time) = (Instant::now(), usage::own_time());
        let mut outcome = Outcome::default();
        let (mut started, mut looked) = (0, began);
        let mut next = began;
        while outcome.handshakes.len() < load.total && began.elapsed() < load.time {
            bench.check()?;
            let now = Instant::now();
            while started < load.total && self.attempts.len() < load.slots && next <= now {
                self.begin(load, &mut outcome)?;
                started += 1;
                next += load.pace;
                if load.pace.is_zero() {
                    next = now;
                }
            }
            self.wait()?;
            self.receive(&mut outcome)?;
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                self.timers(load, looked, &mut outcome)?;
            }
        }
        let unfinished = std::mem::take(&mut self.attempts);
        outcome.unfinished = unfinished.values().map(|it| it.began.elapsed()).collect();
        outcome.elapsed = began.elapsed();
        outcome.initiator_time = usage::own_time().saturating_sub(time);
        Ok(outcome)
    }

    /// What an initiator sends first; it is not sent.
    ///
    /// # Errors
    ///
    /// If it sends nothing.
    pub(crate) fn first_message(&mut self, load: &Load) -> Result<Vec<u8>, String> {
        let mut endpoint = self.initiator(load);
        loop {
            match endpoint.poll_output() {
                Some(Output::Transmit(it)) => return Ok(it.octets),
                Some(Output::Job(id, job)) => endpoint.handle_done(Instant::now(), id, job.run()),
                Some(_) => {}
                None => return Err("an initiator has nothing to send".into()),
            }
        }
    }

    /// A new initiator, which has begun.
    fn initiator(&mut self, load: &Load) -> Endpoint {
        let number = self.next;
        self.next += 1;
        let settings = Settings {
            fragment_size: load.fragment_size,
            max_packet: 30_000,
            send_vendor_id: true,
            keep_alive: Duration::ZERO,
            ..Settings::default()
        };
        let now = Instant::now();
        let random = Box::new(Seeded(ChaCha8Rng::seed_from_u64(self.random.next_u64())));
        let mut endpoint = Endpoint::new(settings, Arc::clone(&self.registry), random, now);
        endpoint.set_log_levels(|_| -1);
        let secret = SharedSecret::new(PSK.into());
        endpoint.secrets_mut().insert(SecretKind::Ike, Vec::new(), secret);
        let peer = Arc::new(initiator(number, &load.proposal));
        let what = Initiate {
            child: peer.children.first().cloned(),
            peer,
            local: SocketAddr::new(self.local, 500),
            remote: SocketAddr::new(self.remote, 500),
        };
        endpoint.initiate(now, CommandId(1), what);
        endpoint
    }

    fn begin(&mut self, load: &Load, outcome: &mut Outcome) -> Result<(), String> {
        let began = Instant::now();
        let mut attempt = Attempt {
            endpoint: self.initiator(load),
            began,
            figures: Handshake::default(),
        };
        // Its SPI is in its first message.
        match self.drain(&mut attempt)? {
            (Some(spi), None) => {
                self.attempts.insert(spi, attempt);
            }
            (_, _) => outcome.handshakes.push(attempt.figures),
        }
        Ok(())
    }

    /// Until something has come in, or a moment.
    fn wait(&self) -> Result<(), String> {
        let mut fds = self
            .sockets
            .each_ref()
            .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::from(1_u8)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(format!("the load generator's sockets: {error}")),
        }
    }

    fn receive(&mut self, outcome: &mut Outcome) -> Result<(), String> {
        let mut buffer = [0; 65_536];
        for index in 0..2 {
            // A few at a time, so that timers and new handshakes have their turn.
            for _ in 0..64 {
                let (len, from) = match self.sockets[index].recv_from(&mut buffer) {
                    Ok(received) => received,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // That of an earlier datagram that nobody took.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                    Err(error) => return Err(format!("receiving: {error}")),
                };
                let octets = match index {
                    0 => &buffer[..len],
                    _ => match buffer[..len].strip_prefix(&MARKER) {
                        Some(octets) => octets,
                        None => continue, // ESP or a keepalive
                    },
                };
                let Some(spi) = octets.first_chunk().map(|spi| u64::from_be_bytes(*spi)) else {
                    continue;
                };
                let Some(mut attempt) = self.attempts.remove(&spi) else {
                    continue;
                };
                count(&mut attempt.figures, octets, index == 1);
                let port = [500, 4500][index];
                let local = SocketAddr::new(self.local, port);
                attempt
                    .endpoint
                    .handle_datagram(Instant::now(), local, from, octets);
                self.keep(spi, attempt, outcome)?;
            }
        }
        Ok(())
    }

    /// Retransmits, and gives up.
    fn timers(&mut self, load: &Load, now: Instant, outcome: &mut Outcome) -> Result<(), String> {
        let due = |attempt: &Attempt| {
            attempt
                .endpoint
                .poll_timeout()
                .is_some_and(|(when, _)| when <= now)
                || now - attempt.began > load.patience
        };
        let spis: Vec<u64> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| due(attempt))
            .map(|(spi, _)| *spi)
            .collect();
        for spi in spis {
            let Some(mut attempt) = self.attempts.remove(&spi) else {
                continue;
            };
            if now - attempt.began > load.patience {
                outcome.handshakes.push(attempt.figures);
                continue;
            }
            attempt.endpoint.handle_timeout(now);
            self.keep(spi, attempt, outcome)?;
        }
        Ok(())
    }

    /// Does what an initiator wants, and keeps it unless it is done.
    fn keep(&mut self, spi: u64, mut attempt: Attempt, outcome: &mut Outcome) -> Result<(), String> {
        match self.drain(&mut attempt)?.1 {
            None => {
                self.attempts.insert(spi, attempt);
            }
            Some(established) => {
                attempt.figures.latency = established.then(|| attempt.began.elapsed());
                outcome.handshakes.push(attempt.figures);
            }
        }
        Ok(())
    }

    /// Does what an initiator wants. Returns the SPI of what it sent, and whether it is established once it is done.
    fn drain(&mut self, attempt: &mut Attempt) -> Result<(Option<u64>, Option<bool>), String> {
        let (mut spi, mut done) = (None, None);
        while let Some(output) = attempt.endpoint.poll_output() {
            let now = Instant::now();
            match output {
                Output::Transmit(it) => {
                    count(&mut attempt.figures, &it.octets, it.non_esp_marker);
                    spi = spi.or(it.octets.first_chunk().map(|spi| u64::from_be_bytes(*spi)));
                    let sent = if it.non_esp_marker {
                        self.sockets[1].send_to(&[&MARKER, &it.octets[..]].concat(), it.remote)
                    } else {
                        self.sockets[usize::from(it.local.port() == 4500)].send_to(&it.octets, it.remote)
                    };
                    match sent {
                        Ok(_) => {}
                        // As on any network, what has no room is lost and sent again.
                        Err(error)
                            if matches!(
                                error.kind(),
                                ErrorKind::WouldBlock | ErrorKind::ConnectionRefused
                            ) || error.raw_os_error() == Some(libc::ENOBUFS) => {}
                        Err(error) => return Err(format!("sending: {error}")),
                    }
                }
                Output::Job(id, job) => attempt.endpoint.handle_done(now, id, job.run()),
                Output::Kernel(id, ops) => {
                    let answers = ops.iter().map(|op| self.agree(op)).collect();
                    attempt.endpoint.handle_kernel_done(now, id, Ok(answers));
                }
                Output::FindSources(id, destinations) => {
                    let sources = vec![Some(self.local); destinations.len()];
                    attempt.endpoint.handle_sources(now, id, &sources);
                }
                Output::CommandDone(_, result) => done = Some(result.is_ok()),
                Output::Event(_) | Output::Log(_) | Output::CommandMoved(..) | Output::Resolve(..) => {}
            }
        }
        Ok((spi, done))
    }

    /// A kernel that agrees to everything.
    fn agree(&mut self, op: &KernelOp) -> KernelAnswer {
        match op {
            KernelOp::AllocateSpi { .. } => {
                self.next_spi += 1;
                KernelAnswer::Spi(self.next_spi)
            }
            KernelOp::QuerySa(_) => KernelAnswer::Usage(SaUsage::default()),
            _ => KernelAnswer::Done,
        }
    }
}

/// Counts an IKE message or fragment as a packet of IPv4.
fn count(figures: &mut Handshake, octets: &[u8], marker: bool) {
    figures.packets += 1;
    figures.octets += 20 + 8 + if marker { MARKER.len() } else { 0 } + octets.len();
    figures.fragments += usize::from(octets.get(16) == Some(&ENCRYPTED_FRAGMENT));
}
