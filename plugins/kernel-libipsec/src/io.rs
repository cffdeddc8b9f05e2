//! The data path: TUN to UDP on a thread of its own, UDP to TUN on the daemon's receiving thread.
//!
//! Packets are encrypted and decrypted where they lie. Outbound, everything that waits in the TUN device is read into
//! as many slots and goes out in one call per destination; inbound, the daemon may batch what it receives.

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use plugin_api::Host;
use plugin_api::kernel::{KernelEvent, PolicyAction};
use plugin_api::log::{CONTROL, Group};

use crate::batch::{Batch, SLOT_LEN};
use crate::drops::{Drops, Reason};
use crate::esp::{self, HEADROOM, Header, TAILROOM};
use crate::events;
use crate::lifetime::Verdict;
use crate::packet::{Flow, NEXT_HEADER_NONE};
use crate::sad::{Sa, Sad};
use crate::spd::{Spd, Treatment};
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
    /// Counts of what was not carried.
    pub drops: Drops,
    /// Sockets to send by.
    pub sockets: ArcSwap<Vec<Arc<Socket>>>,
    /// Tells the thread to stop.
    pub stop: EventFd,
    /// Packets to the network.
    pub sent: AtomicU64,
}

/// Why a packet goes nowhere, and what a log line can tell of it.
type Dropped<'a> = (Reason, &'a dyn std::fmt::Display);

impl DataPath {
    /// Opens a packet from the network, whose outer header has this DSCP and ECN, and hands it to the kernel.
    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    pub fn receive(&self, local: SocketAddr, remote: SocketAddr, tos: u8, packet: &mut [u8]) {
        let now = Instant::now();
        let drop = |reason, what: &dyn std::fmt::Display| self.drops.count(&*self.host, reason, now, what);
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
        let endpoints = **sa.endpoints.load();
        if !local.ip().is_unspecified() && local.ip() != endpoints.local.ip() && !sa.was_at(local.ip()) {
            return drop(Reason::WrongDestination, &from);
        }
        if sa.lifetime.is_dead() {
            return drop(Reason::ExpiredSa, &from);
        }
        let sequence = {
            let window = sa.replay.lock().unwrap_or_else(PoisonError::into_inner);
            let sequence = if sa.esn {
                window.infer(header.sequence)
            } else {
                header.sequence.into()
            };
            if window.check(sequence).is_err() {
                return drop(Reason::Replayed, &from);
            }
            sequence
        };
        let opened = match sa.protection.open(sequence, packet) {
            Ok(opened) => opened,
            Err(esp::Error::Authentication) => return drop(Reason::NotAuthentic, &from),
            Err(error) => return drop(Reason::Malformed, &format_args!("{from}: {error}")),
        };
        let newest = {
            let mut window = sa.replay.lock().unwrap_or_else(PoisonError::into_inner);
            let newest = sequence > window.top();
            if window.accept(sequence).is_err() {
                return drop(Reason::Replayed, &from);
            }
            newest
        };
        // A late packet from the address before must not lead back to it.
        if newest && remote != endpoints.remote && sa.is_new_mapping(remote) {
            self.host.kernel_event(KernelEvent::Mapping {
                spi: sa.spi,
                dst: sa.dst(),
                endpoint: remote,
            });
        }
        if opened.next_header == NEXT_HEADER_NONE {
            return;
        }
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
        let inner = &mut inner[..flow.len];
        sa.copying.inward(tos, inner);
        if let Err(error) = self.tun.write(inner) {
            drop(Reason::TunFailed, &error);
        }
    }

    /// Encrypts what comes from the device until told to stop.
    pub fn run_outbound(&self) {
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
            if let Err(error) = self.forward_waiting(&mut batch) {
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
    fn forward_waiting(&self, batch: &mut Batch) -> std::io::Result<()> {
        for _ in 0..1024 {
            let slot = batch.free_slot();
            let len = match self.tun.read(&mut slot[HEADROOM..SLOT_LEN - TAILROOM]) {
                Ok(len) => len,
                Err(error) => {
                    self.flush(batch);
                    return match error.kind() {
                        ErrorKind::WouldBlock => Ok(()),
                        ErrorKind::Interrupted => continue,
                        _ => Err(error),
                    };
                }
            };
            let now = Instant::now();
            let sealed = self.seal(slot, len, now, &mut |reason, what| {
                self.drops.count(&*self.host, reason, now, what);
            });
            if let Some((packet, outer)) = sealed {
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
        self.flush(batch);
        Ok(())
    }

    /// Makes an ESP packet of the inner packet of `len` octets in a slot.
    fn seal(
        &self,
        slot: &mut [u8],
        len: usize,
        now: Instant,
        drop: &mut dyn FnMut(Reason, &dyn std::fmt::Display),
    ) -> Option<(Range<usize>, Outer)> {
        let mut refuse = |(reason, what): Dropped<'_>| {
            drop(reason, what);
            None
        };
        let flow = match Flow::parse(&slot[HEADROOM..HEADROOM + len]) {
            Ok(flow) => flow,
            Err(error) => return refuse((Reason::Malformed, &error)),
        };
        let Some(treatment) = self.spd.outbound(&flow) else {
            return refuse((Reason::NoPolicy, &Ends(&flow)));
        };
        if treatment.action != PolicyAction::Protect {
            // There is no way back out of the device for a packet that is to go past IPsec; its policy's route should
            // have led past the device as well.
            return refuse((Reason::Refused, &Ends(&flow)));
        }
        let Some(sa) = self.sad.outbound(treatment.spi, treatment.reqid) else {
            self.acquire(&treatment, &flow, now);
            return refuse((Reason::NoSa, &Ends(&flow)));
        };
        let endpoints = **sa.endpoints.load();
        if flow.is_between(endpoints.local, endpoints.remote) {
            return refuse((Reason::Loop, &Ends(&flow)));
        }
        if !self.count(&sa, flow.len, now) {
            return refuse((Reason::ExpiredSa, &Ends(&flow)));
        }
        let Some(sequence) = sa.next_sequence() else {
            if sa.lifetime.reach_hard() {
                events::expire(&*self.host, &sa, true);
            }
            return refuse((Reason::ExpiredSa, &Ends(&flow)));
        };
        if sequence.near_end && sa.lifetime.reach_soft() {
            events::expire(&*self.host, &sa, false);
        }
        let (number, next_header) = (sequence.number, flow.next_header());
        let range = HEADROOM..HEADROOM + flow.len;
        let tos = sa.copying.outer(&slot[range.clone()]);
        match sa
            .protection
            .seal(sa.spi, number, number, next_header, slot, range)
        {
            Ok(packet) => Some((packet, Outer { endpoints, tos })),
            Err(error) => refuse((Reason::Malformed, &error)),
        }
    }

    /// Whether a packet may pass its SA's limits.
    fn count(&self, sa: &Sa, octets: usize, now: Instant) -> bool {
        match sa.lifetime.count(octets, now) {
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
        if treatment.trap && treatment.may_acquire(now) {
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
            sockets
                .iter()
                .filter(|socket| socket.ipv6 == endpoints.remote.is_ipv6())
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
fn wait(fds: &[(BorrowedFd<'_>, PollFlags); 2]) -> nix::Result<[bool; 2]> {
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
