//! The data path: TUN to UDP on a thread of its own, UDP to TUN on the daemon's receiving thread.
//!
//! Packets are encrypted and decrypted where they lie. Outbound, a packet of the TUN device is cut into as many as it is on
//! the wire, each in a slot, and what waits goes out in one call per destination; inbound, what the daemon received
//! together is put together again where that is possible ([`crate::offload`]).

use std::io::{ErrorKind, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use plugin_api::Host;
use plugin_api::kernel::{KernelEvent, PolicyAction, ReceivedEsp};
use plugin_api::log::{CONTROL, Group};

use crate::batch::{Batch, SLOT_LEN};
use crate::drops::{Drops, Reason};
use crate::esp::{self, HEADROOM, Header, Protection, TAILROOM};
use crate::events;
use crate::lifetime::Verdict;
use crate::offload::VnetHeader;
use crate::offload::merge::{MAX_PARTS, Merged};
use crate::offload::split::Split;
use crate::packet::{Flow, NEXT_HEADER_NONE};
use crate::sad::{Current, NO_UDP, Sa, Sad};
use crate::spd::{Spd, Treatment};
use crate::timer::Timer;
use crate::tun::Tun;
use crate::udp::{MAX_SEGMENTS, Outer, Socket};

/// Everything a packet meets.
pub struct DataPath {
    /// The daemon.
    pub host: Arc<dyn Host>,
    /// The device.
    pub tun: Tun,
    /// SAs.
    pub sad: Sad,
    /// Policies.
    pub spd: Spd,
    /// What SAs are due for.
    pub timer: Timer,
    /// Counts of what was not carried.
    pub drops: Drops,
    /// Sockets to send by.
    pub sockets: ArcSwap<Vec<Arc<Socket>>>,
    /// Tells the thread to stop.
    pub stop: EventFd,
    /// Packets to the network.
    pub sent: AtomicU64,
    /// Packets from the network that go to the kernel as one.
    pub inbound: Mutex<Merged>,
}

/// Octets of the longest packet that the device hands over.
const MAX_PACKET: usize = 65_535;

/// Why an SA does not carry a packet.
enum Refused {
    Expired,
    Malformed(esp::Error),
}

/// Why a packet goes nowhere, and what a log line can tell of it.
type Dropped<'a> = (Reason, &'a dyn std::fmt::Display);

impl DataPath {
    /// Opens packets from the network and hands them to the kernel.
    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    pub fn receive(&self, received: &ReceivedEsp, packets: &mut [u8]) {
        let now = Instant::now();
        let mut merged = self.inbound.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = 0;
        while at < packets.len() {
            let end = packets.len().min(at + received.segment.max(1));
            if let Some(inner) = self.open(received, &mut packets[at..end], now) {
                let inner = at + inner.start..at + inner.end;
                if !merged.push(packets, inner.clone()) {
                    self.deliver(&mut merged, packets, now);
                    // An empty one takes any.
                    let _ = merged.push(packets, inner);
                }
            }
            at = end;
        }
        self.deliver(&mut merged, packets, now);
    }

    /// Hands to the kernel what can go as one packet.
    fn deliver(&self, merged: &mut Merged, buffer: &mut [u8], now: Instant) {
        let Some((header, parts)) = merged.take(buffer) else {
            return;
        };
        let header = header.to_octets();
        let mut slices = [IoSlice::new(&[]); 1 + MAX_PARTS];
        slices[0] = IoSlice::new(&header);
        for (slice, part) in slices[1..].iter_mut().zip(parts.iter()) {
            *slice = IoSlice::new(&buffer[part.clone()]);
        }
        if let Err(error) = self.tun.write(&slices[..=parts.len()]) {
            for _ in parts.iter() {
                self.drops.count(&*self.host, Reason::TunFailed, now, &error);
            }
        }
    }

    /// Opens a packet from the network, and says where the inner packet is.
    fn open(&self, received: &ReceivedEsp, packet: &mut [u8], now: Instant) -> Option<Range<usize>> {
        let ReceivedEsp {
            local, remote, tos, ..
        } = *received;
        let drop = |reason, what: &dyn std::fmt::Display| {
            self.drops.count(&*self.host, reason, now, what);
            None
        };
        let Some(header) = Header::parse(packet) else {
            return drop(
                Reason::Malformed,
                &format_args!("{} octets from {remote}", packet.len()),
            );
        };
        let from = format_args!(
            "SPI {:08x}, sequence number {} from {remote}",
            header.spi, header.sequence
        );
        let Some(sa) = self.sad.inbound(header.spi) else {
            return drop(Reason::UnknownSpi, &from);
        };
        let current = sa.current();
        let endpoints = current.endpoints();
        if !local.ip().is_unspecified() && local.ip() != endpoints.local.ip() && !sa.was_at(local.ip()) {
            return drop(Reason::WrongDestination, &from);
        }
        if sa.lifetime.is_dead() {
            return drop(Reason::ExpiredSa, &from);
        }
        let active = sa.active();
        let sequence = {
            let window = active.replay.lock().unwrap_or_else(PoisonError::into_inner);
            let sequence = if sa.esn() {
                window.infer(header.sequence)
            } else {
                header.sequence.into()
            };
            if window.check(sequence).is_err() {
                return drop(Reason::Replayed, &from);
            }
            sequence
        };
        let opened = self
            .protection(&sa, &current, now)
            .and_then(|protection| protection.open(sequence, packet));
        let opened = match opened {
            Ok(opened) => opened,
            Err(esp::Error::Authentication) => return drop(Reason::NotAuthentic, &from),
            Err(error) => return drop(Reason::Malformed, &format_args!("{from}: {error}")),
        };
        let newest = {
            let mut window = active.replay.lock().unwrap_or_else(PoisonError::into_inner);
            let newest = sequence > window.top();
            if window.accept(sequence).is_err() {
                return drop(Reason::Replayed, &from);
            }
            newest
        };
        // A NAT maps ports, and without UDP there are none. A late packet from the address before must not lead back to it.
        let mapped = !endpoints.is_raw() && remote.port() != NO_UDP && remote != endpoints.remote;
        if newest && mapped && active.is_new_mapping(remote) {
            self.host.kernel_event(KernelEvent::Mapping {
                spi: sa.spi,
                dst: sa.dst(),
                endpoint: remote,
            });
        }
        if opened.next_header == NEXT_HEADER_NONE {
            return None;
        }
        let start = opened.payload.start;
        let inner = &mut packet[opened.payload];
        let flow = match Flow::parse(inner) {
            Ok(flow) if flow.next_header() == opened.next_header => flow,
            Ok(_) => {
                return drop(
                    Reason::Malformed,
                    &format_args!("{from}: next header {}", opened.next_header),
                );
            }
            Err(error) => return drop(Reason::Malformed, &format_args!("{from}: {error}")),
        };
        if !sa
            .admits(&flow)
            .unwrap_or_else(|| self.spd.admits(&flow, sa.reqid))
        {
            return drop(Reason::PolicyViolation, &format_args!("{from}: {}", Ends(&flow)));
        }
        if !self.count(&sa, flow.len, now) {
            return drop(Reason::ExpiredSa, &from);
        }
        sa.copying.inward(tos, &mut inner[..flow.len]);
        Some(start..start + flow.len)
    }

    /// Encrypts what comes from the device until told to stop.
    pub fn run_outbound(&self) {
        let mut buffer = vec![0; MAX_PACKET];
        let mut batch = Batch::new();
        loop {
            match wait(&[
                (self.tun.as_fd(), PollFlags::POLLIN),
                (self.stop.as_fd(), PollFlags::POLLIN),
            ]) {
                Ok(ready) if ready[1] => return,
                Ok(_) => {}
                Err(errno) => {
                    self.host.log(
                        Group::Esp,
                        CONTROL,
                        &format!("waiting for packets failed: {errno}, stopping"),
                    );
                    return;
                }
            }
            if let Err(error) = self.forward_waiting(&mut buffer, &mut batch) {
                let name = self.tun.name();
                self.host.log(
                    Group::Esp,
                    CONTROL,
                    &format!("reading {name} failed: {error}, stopping"),
                );
                return;
            }
        }
    }

    /// Sends what waits in the device; returns when nothing does, or after a while to look whether to stop.
    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    fn forward_waiting(&self, buffer: &mut [u8], batch: &mut Batch) -> std::io::Result<()> {
        for _ in 0..1024 {
            match self.tun.read(buffer) {
                Ok((header, len)) => self.forward(&header, &mut buffer[..len], batch, Instant::now()),
                Err(error) => {
                    self.flush(batch);
                    return match error.kind() {
                        ErrorKind::WouldBlock => Ok(()),
                        ErrorKind::Interrupted => continue,
                        _ => Err(error),
                    };
                }
            }
        }
        self.flush(batch);
        Ok(())
    }

    /// Adds what a packet of the device is on the wire to those that go out next.
    fn forward(&self, header: &VnetHeader, packet: &mut [u8], batch: &mut Batch, now: Instant) {
        let drop = |(reason, what): Dropped<'_>| self.drops.count(&*self.host, reason, now, what);
        let flow = match Flow::parse(packet) {
            Ok(flow) => flow,
            Err(error) => return drop((Reason::Malformed, &error)),
        };
        let split = match Split::new(header, &mut packet[..flow.len]) {
            Ok(split) => split,
            Err(error) => return drop((Reason::Malformed, &error)),
        };
        let sa = match self.choose(&flow, now) {
            Ok(sa) => sa,
            Err(reason) => return drop((reason, &Ends(&flow))),
        };
        let current = sa.current();
        let outer = Outer {
            endpoints: current.endpoints(),
            tos: sa.copying.outer(split.whole()),
        };
        if flow.is_between(&outer.endpoints) {
            return drop((Reason::Loop, &Ends(&flow)));
        }
        let protection = match self.protection(&sa, &current, now) {
            Ok(protection) => protection,
            Err(error) => return drop((Reason::Malformed, &error)),
        };
        for index in 0..split.pieces() {
            let slot = batch.free_slot();
            let len = split.write(index, &mut slot[HEADROOM..SLOT_LEN - TAILROOM]);
            let packet = match self.seal(&sa, &protection, &flow, slot, len, now) {
                Ok(packet) => packet,
                Err(Refused::Expired) => {
                    drop((Reason::ExpiredSa, &Ends(&flow)));
                    continue;
                }
                Err(Refused::Malformed(error)) => {
                    drop((Reason::Malformed, &error));
                    continue;
                }
            };
            if !batch.takes(packet.len(), &outer) {
                let slot = batch.len();
                self.flush(batch);
                batch.keep(slot);
            }
            batch.push(packet, outer);
            if batch.is_full() {
                self.flush(batch);
            }
        }
    }

    /// The SA that protects what flows, or why there is none.
    fn choose(&self, flow: &Flow, now: Instant) -> Result<Arc<Sa>, Reason> {
        let treatment = self.spd.outbound(flow).ok_or(Reason::NoPolicy)?;
        if treatment.action != PolicyAction::Protect {
            // There is no way back out of the device for a packet that is to go past IPsec; its policy's route should
            // have led past the device as well.
            return Err(Reason::Refused);
        }
        let Some(sa) = self.sad.outbound(treatment.spi, treatment.reqid) else {
            self.acquire(&treatment, flow, now);
            return Err(Reason::NoSa);
        };
        Ok(sa)
    }

    /// Makes an ESP packet of the inner packet of `len` octets in a slot, and says where it is.
    fn seal(
        &self,
        sa: &Sa,
        protection: &Protection,
        flow: &Flow,
        slot: &mut [u8],
        len: usize,
        now: Instant,
    ) -> Result<Range<usize>, Refused> {
        if !self.count(sa, len, now) {
            return Err(Refused::Expired);
        }
        let Some(sequence) = sa.next_sequence() else {
            if sa.lifetime.reach_hard() {
                events::expire(&*self.host, sa, true);
            }
            return Err(Refused::Expired);
        };
        if sequence.near_end && sa.lifetime.reach_soft() {
            events::expire(&*self.host, sa, false);
        }
        let number = sequence.number;
        let range = HEADROOM..HEADROOM + len;
        protection
            .seal(sa.spi, number, number, flow.next_header(), slot, range)
            .map_err(Refused::Malformed)
    }

    /// What protects an SA's packets. One that is idle wakes up, and will rest when no more packets come.
    fn protection(
        &self,
        sa: &Arc<Sa>,
        current: &Current,
        now: Instant,
    ) -> Result<Arc<Protection>, esp::Error> {
        if let Some(protection) = current.protection() {
            return Ok(Arc::clone(protection));
        }
        let (protection, was_idle) = sa.wake()?;
        if was_idle {
            self.timer.watch_pause(sa, now);
        }
        Ok(protection)
    }

    /// Whether a packet may pass its SA's limits.
    fn count(&self, sa: &Sa, octets: usize, now: Instant) -> bool {
        match sa.count(octets, now) {
            Verdict::Carry => true,
            Verdict::CarryAndRekey => {
                events::expire(&*self.host, sa, false);
                true
            }
            Verdict::Expired => {
                events::expire(&*self.host, sa, true);
                false
            }
            Verdict::Dead => false,
        }
    }

    fn acquire(&self, treatment: &Treatment, flow: &Flow, now: Instant) {
        if treatment.may_acquire(now) {
            events::acquire(&*self.host, treatment, flow);
        }
    }

    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    fn flush(&self, batch: &mut Batch) {
        let Some(outer) = batch.outer() else {
            return;
        };
        let endpoints = &outer.endpoints;
        let sockets = self.sockets.load();
        let family = || {
            sockets.iter().filter(|socket| {
                socket.ipv6 == endpoints.remote.is_ipv6() && (socket.port == NO_UDP) == endpoints.is_raw()
            })
        };
        let socket = family()
            .find(|socket| socket.port == endpoints.local.port())
            .or_else(|| family().next());
        let drop = |reason, what: &dyn std::fmt::Display| {
            self.drops.count(&*self.host, reason, Instant::now(), what);
        };
        match socket {
            Some(socket) => self.send(socket, batch, &outer, &drop),
            None => (0..batch.len()).for_each(|_| drop(Reason::NoSocket, &endpoints.remote)),
        }
        batch.clear();
    }

    fn send(
        &self,
        socket: &Socket,
        batch: &Batch,
        outer: &Outer,
        drop: &dyn Fn(Reason, &dyn std::fmt::Display),
    ) {
        let mut slices = [IoSlice::new(&[]); MAX_SEGMENTS];
        let datagrams = batch.datagrams(&mut slices);
        let mut from = 0;
        while from < datagrams.len() {
            let Err((sent, error)) = socket.send(&datagrams[from..], outer) else {
                self.sent.fetch_add((datagrams.len() - from) as u64, Relaxed);
                return;
            };
            self.sent.fetch_add(sent as u64, Relaxed);
            from += sent;
            match error.kind() {
                ErrorKind::Interrupted => {}
                // Waiting here makes packets queue in the device, and that makes their senders slow down.
                ErrorKind::WouldBlock => {
                    let fds = [
                        (socket.as_fd(), PollFlags::POLLOUT),
                        (self.stop.as_fd(), PollFlags::POLLIN),
                    ];
                    if !matches!(wait(&fds), Ok([_, false])) {
                        return;
                    }
                }
                _ => {
                    drop(
                        Reason::SendFailed,
                        &format_args!("{} to {}: {error}", outer.endpoints.local, outer.endpoints.remote),
                    );
                    from += 1;
                }
            }
        }
    }
}

/// Waits for one of two descriptors; which are ready.
pub(crate) fn wait(fds: &[(BorrowedFd<'_>, PollFlags); 2]) -> nix::Result<[bool; 2]> {
    let mut polled = fds.map(|(fd, flags)| PollFd::new(fd, flags));
    loop {
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) => return Ok(polled.map(|one| one.any().unwrap_or(true))),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// A flow for a log line.
struct Ends<'a>(&'a Flow);

impl std::fmt::Display for Ends<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Flow {
            src,
            dst,
            protocol,
            ports,
            ..
        } = self.0;
        match ports {
            Some((src_port, dst_port)) => {
                write!(f, "{src}[{src_port}] => {dst}[{dst_port}], protocol {protocol}")
            }
            None => write!(f, "{src} => {dst}, protocol {protocol}"),
        }
    }
}
