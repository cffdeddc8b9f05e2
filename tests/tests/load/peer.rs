//! Peers that establish IKE_SAs and delete them, as fast as the daemon lets them.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crypto::registry::Registry;
use ike::{CommandId, Endpoint, Initiate, Output, Settings};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::sas::{self, Agreeing};

/// Attempts under way at a time.
const SLOTS: u32 = 8;

/// Numbers of peers that are not among those established before.
const FIRST: u32 = 1_000_000;

/// Peers at work in a thread of their own.
pub(crate) struct Peers {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    established: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
}

impl Peers {
    /// Lets them begin, against a daemon on this port.
    pub(crate) fn start(registry: &Arc<Registry>, port: u16) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let shared = Arc::new(Shared::default());
        let (own, registry) = (Arc::clone(&shared), Arc::clone(registry));
        let thread = std::thread::spawn(move || Work::new(&registry, socket, port).run(&own));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// IKE_SAs established in a second of this process's processor time, measured for a while: what other processes take
    /// away from this one makes no difference.
    pub(crate) fn rate(&self, time: Duration) -> f64 {
        let count = || self.shared.established.load(Ordering::Relaxed);
        while count() == 0 {
            std::thread::yield_now();
        }
        let (before, began) = (count(), processor_time());
        std::thread::sleep(time);
        let (made, took) = (count() - before, processor_time() - began);
        assert_eq!(self.shared.failed.load(Ordering::Relaxed), 0);
        made as f64 / took.as_secs_f64()
    }
}

/// What all threads of this process have used so far, here and in the kernel.
fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let time = usage.user_time() + usage.system_time();
    Duration::from_micros(time.num_microseconds() as u64)
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}

struct Work {
    endpoint: Endpoint,
    socket: UdpSocket,
    local: SocketAddr,
    remote: SocketAddr,
    kernel: Agreeing,
    /// The unique number of the IKE_SA in each slot. Commands are even to establish and odd to delete.
    slots: Vec<u32>,
    next: u32,
}

impl Work {
    fn new(registry: &Arc<Registry>, socket: UdpSocket, port: u16) -> Self {
        let local = socket.local_addr().unwrap();
        let settings = Settings {
            port: local.port(),
            ..sas::settings()
        };
        Self {
            endpoint: sas::endpoint(registry, settings, u64::from(FIRST), Instant::now()),
            socket,
            local,
            remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            kernel: Agreeing::default(),
            slots: vec![0; SLOTS as usize],
            next: FIRST,
        }
    }

    fn run(mut self, shared: &Shared) {
        for slot in 0..SLOTS {
            self.establish(slot);
        }
        let mut octets = vec![0; 4096];
        while !shared.stop.load(Ordering::Relaxed) {
            self.drain(shared);
            let due = self.endpoint.poll_timeout().map(|(when, _)| when);
            let wait = due.map_or(Duration::from_millis(50), |when| {
                when.saturating_duration_since(Instant::now())
            });
            let wait = wait.clamp(Duration::from_millis(1), Duration::from_millis(50));
            self.socket.set_read_timeout(Some(wait)).unwrap();
            match self.socket.recv_from(&mut octets) {
                Ok((len, from)) => {
                    let now = Instant::now();
                    self.endpoint
                        .handle_datagram(now, self.local, from, &octets[..len]);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
            self.endpoint.handle_timeout(Instant::now());
        }
    }

    fn establish(&mut self, slot: u32) {
        let config = Arc::new(sas::peer(self.next));
        self.next += 1;
        let child = config.children.first().cloned();
        let what = Initiate {
            peer: config,
            child,
            local: self.local,
            remote: self.remote,
        };
        let command = CommandId(u64::from(slot) * 2);
        self.slots[slot as usize] = self.endpoint.initiate(Instant::now(), command, what);
    }

    fn drain(&mut self, shared: &Shared) {
        while let Some(output) = self.endpoint.poll_output() {
            let now = Instant::now();
            match output {
                Output::Transmit(it) => {
                    self.socket.send_to(&it.octets, it.remote).unwrap();
                }
                Output::Job(id, job) => self.endpoint.handle_done(now, id, job.run()),
                Output::Kernel(id, ops) => {
                    let answers = ops.iter().map(|op| self.kernel.answer(op)).collect();
                    self.endpoint.handle_kernel_done(now, id, Ok(answers));
                }
                Output::CommandDone(CommandId(command), result) => {
                    let slot = (command / 2) as u32;
                    if result.is_err() {
                        shared.failed.fetch_add(1, Ordering::Relaxed);
                    }
                    if command % 2 == 0 {
                        shared.established.fetch_add(1, Ordering::Relaxed);
                        let sa = self.slots[slot as usize];
                        self.endpoint.terminate_ike(now, CommandId(command + 1), sa);
                    } else {
                        self.establish(slot);
                    }
                }
                Output::Event(_) | Output::Log(_) => {}
                other => panic!("nobody moves or is redirected here: {other:?}"),
            }
        }
    }
}
