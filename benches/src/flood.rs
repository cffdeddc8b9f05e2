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
use socket2::{Domain, Protocol, Socket, Type};
use xtask::netns::Namespace;

/// Addresses for benchmarks (RFC 2544), of which each stranger claims one.
const CLAIMED: (u32, u32) = (0xc612_0000, 0x1_ffff);

/// Where a message's initiator SPI stands behind the headers of IP and UDP.
const HEADERS: usize = 28;

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
        let host = Namespace::new()?;
        moon.cable("flood0", &host, "flood1")?;
        moon.ip("addr add 192.168.9.1/24 dev flood0")?;
        moon.ip("route add 198.18.0.0/15 via 192.168.9.2")?;
        host.ip("addr add 192.168.9.2/24 dev flood1")?;
        host.ip(&format!("route add {target}/32 via 192.168.9.1"))?;
        // With it comes a header of IP that says who sends.
        let opened =
            host.run(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))));
        let socket = opened
            .flatten()
            .map_err(|error| format!("a raw socket for the flood: {error}"))?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let packet = packet(target, message);
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

/// A packet without source, which is filled in each time, as is the SPI. The kernel adds lengths and checksum of IP; UDP does
/// without one.
fn packet(target: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let total = (HEADERS + message.len()) as u16;
    let udp = (8 + message.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0]);
    packet.extend(target.octets());
    packet.extend(500_u16.to_be_bytes());
    packet.extend(500_u16.to_be_bytes());
    packet.extend(udp.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(message);
    packet
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
            let source = CLAIMED.0 | random.next_u32() & CLAIMED.1;
            packet[12..16].copy_from_slice(&source.to_be_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_says_how_long_it_is_and_where_it_goes() {
        let packet = packet(Ipv4Addr::new(192, 0, 2, 1), &[7; 100]);
        assert_eq!(packet.len(), 128);
        assert_eq!(packet[2..4], 128_u16.to_be_bytes());
        assert_eq!(packet[9], 17);
        assert_eq!(packet[16..20], [192, 0, 2, 1]);
        assert_eq!(packet[24..26], 108_u16.to_be_bytes());
        assert_eq!(packet[HEADERS..], [7; 100]);
    }
}
