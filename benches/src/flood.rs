//! Strangers that begin handshakes from addresses that are not theirs, and never go on.
//!
//! They are a host of the run's own, on a cable to the responder; what it answers comes back to that host and ends there.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use socket2::Socket;
use xtask::netns::Namespace;

use crate::strangers::{self, HEADERS, SOURCE_ADDRESS};

/// How many of them, and how fast. It ends with the first bound that is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// In a second.
    pub(crate) per_second: u64,
    /// In all.
    pub(crate) most: u64,
    /// For how long.
    pub(crate) time: Duration,
}

/// Strangers at work. They end with this.
pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    began: Instant,
    thread: Option<JoinHandle<Result<(), String>>>,
    _host: Namespace,
}

impl Flood {
    /// Lets them begin, with `message` as what each of them says under an SPI of its own.
    ///
    /// # Errors
    ///
    /// Without the right to open a raw socket.
    pub(crate) fn start(
        moon: &Namespace,
        target: Ipv4Addr,
        message: &[u8],
        rate: Rate,
        seed: u64,
    ) -> Result<Self, String> {
        let host = strangers::host(moon, target)?;
        let socket = strangers::raw_socket(&host)?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        // The source is filled in each time, as is the SPI.
        let source = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 500);
        let packet = strangers::packet(source, target, message);
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let random = ChaCha8Rng::seed_from_u64(seed);
            send(&socket, target, packet, rate, random, &stopped, &counter)
        });
        Ok(Self {
            stop,
            sent,
            began: Instant::now(),
            thread: Some(thread),
            _host: host,
        })
    }

    /// How many there were so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it, and says how many there were in a second.
    ///
    /// # Errors
    ///
    /// If sending failed.
    pub(crate) fn finish(mut self) -> Result<f64, String> {
        let rate = self.sent() as f64 / self.began.elapsed().as_secs_f64();
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result.map(|()| rate),
            _ => Err("the flood's thread panicked".into()),
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn send(
    socket: &Socket,
    target: Ipv4Addr,
    mut packet: Vec<u8>,
    rate: Rate,
    mut random: ChaCha8Rng,
    stop: &AtomicBool,
    sent: &AtomicU64,
) -> Result<(), String> {
    let to = SocketAddrV4::new(target, 0).into();
    let began = Instant::now();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) && count < rate.most && began.elapsed() < rate.time {
        let due = (began.elapsed().as_secs_f64() * rate.per_second as f64) as u64;
        if count >= due {
            std::thread::sleep(Duration::from_micros(300));
            continue;
        }
        let burst = (due.min(rate.most) - count).min(256);
        for _ in 0..burst {
            let source = strangers::claimed(random.next_u32());
            packet[SOURCE_ADDRESS..SOURCE_ADDRESS + 4].copy_from_slice(&source.octets());
            packet[HEADERS..HEADERS + 8].copy_from_slice(&(random.next_u64() | 1).to_be_bytes());
            match socket.send_to(&packet, &to) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(format!("the flood: {error}")),
            }
        }
        count += burst;
        sent.store(count, Ordering::Relaxed);
    }
    Ok(())
}
