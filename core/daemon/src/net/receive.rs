//! The thread that receives: IKE messages go to the loop through a queue that drops when it is full, ESP directly to
//! the kernel back end, so that a busy loop does not hold up traffic.

use std::io::{self, PipeReader, PipeWriter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use plugin_api::KernelIpsec;
use plugin_api::kernel::ReceivedEsp;
use plugin_api::log::Group;
use tokio::sync::mpsc;

use super::{Bound, Datagram, Sockets};
use crate::log::Logger;
use crate::sys::Batch;

/// IKE messages that may wait for the loop.
const QUEUED_DATAGRAMS: usize = 512;
/// The port on which no message has a non-ESP marker, at either end (RFC 3948, 2.2; RFC 7296, 2.23).
const IKE_PORT: u16 = 500;

impl Sockets {
    /// Starts the thread that receives, and says where IKE messages come out.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn receive(
        self: &Arc<Self>,
        kernel: Arc<dyn KernelIpsec>,
        logger: Arc<Logger>,
    ) -> io::Result<(Receiver, mpsc::Receiver<Datagram>)> {
        let (queue, datagrams) = mpsc::channel(QUEUED_DATAGRAMS);
        let (stopped, stop) = io::pipe()?;
        let sockets = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .name("receive".into())
            .spawn(move || sockets.run(&stopped, kernel.as_ref(), &queue, &logger))?;
        Ok((
            Receiver {
                stop: Some(stop),
                thread: Some(thread),
            },
            datagrams,
        ))
    }

    fn run(
        &self,
        stopped: &PipeReader,
        kernel: &dyn KernelIpsec,
        queue: &mpsc::Sender<Datagram>,
        logger: &Logger,
    ) {
        let mut batch = Batch::default();
        let mut fds: Vec<PollFd<'_>> = self
            .bound
            .iter()
            .map(|socket| PollFd::new(socket.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        fds.push(PollFd::new(stopped.as_fd(), PollFlags::POLLIN));
        loop {
            if let Err(error) = poll(&mut fds, PollTimeout::NONE) {
                if error == nix::errno::Errno::EINTR {
                    continue;
                }
                logger.log(
                    Group::Net,
                    0,
                    format!("waiting for datagrams failed: {error}, nothing is received any more"),
                );
                return;
            }
            if fds.last().and_then(PollFd::any).unwrap_or(true) {
                return;
            }
            for (socket, fd) in self.bound.iter().zip(&fds) {
                if fd.any().unwrap_or(false) {
                    self.drain(socket, &mut batch, kernel, queue, logger);
                }
            }
        }
    }

    fn drain(
        &self,
        socket: &Bound,
        batch: &mut Batch,
        kernel: &dyn KernelIpsec,
        queue: &mpsc::Sender<Datagram>,
        logger: &Logger,
    ) {
        let count = match batch.receive(socket.socket.as_fd()) {
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                return;
            }
            Err(error) => {
                // ICMP errors of what was sent before come back here; they are unauthenticated.
                logger.log(
                    Group::Net,
                    2,
                    format!("receiving on port {}: {error}", socket.port),
                );
                return;
            }
        };
        for index in 0..count {
            let Some(datagrams) = batch.slot(index) else {
                continue;
            };
            let unspecified = if socket.ipv6 {
                IpAddr::V6(Ipv6Addr::UNSPECIFIED)
            } else {
                IpAddr::V4(Ipv4Addr::UNSPECIFIED)
            };
            let local = SocketAddr::new(datagrams.local.unwrap_or(unspecified), socket.port);
            let remote = datagrams.remote;
            let segment = datagrams.segment.max(1);
            let received = ReceivedEsp {
                local,
                remote,
                tos: datagrams.tos,
                segment,
            };
            let kind = |octets: &[u8]| classify(octets, local.port(), remote.port(), socket.nat_t);
            // What comes together is nearly always ESP alone, and goes on as it came.
            if datagrams
                .octets
                .chunks(segment)
                .all(|octets| kind(octets) == Kind::Esp)
            {
                kernel.receive_esp(&received, datagrams.octets);
                continue;
            }
            for octets in datagrams.octets.chunks_mut(segment) {
                match kind(octets) {
                    Kind::Esp => kernel.receive_esp(&received, octets),
                    Kind::Ignored => {}
                    Kind::Ike { skip } => {
                        let message = &octets[skip..];
                        if message.len() > self.max_packet {
                            self.losses.too_long.fetch_add(1, Relaxed);
                            let len = message.len();
                            let text =
                                format!("{len} octets from {remote} exceed charon.max_packet - ignored");
                            logger.log(Group::Net, 2, text);
                        } else if queue
                            .try_send(Datagram {
                                local,
                                remote,
                                octets: message.to_vec(),
                            })
                            .is_err()
                        {
                            self.dropped.fetch_add(1, Relaxed);
                            self.losses.queue_full.fetch_add(1, Relaxed);
                        }
                    }
                }
            }
        }
    }
}

/// The thread that receives.
pub struct Receiver {
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // The other end of the pipe wakes up when this one is closed.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message behind so many octets.
    Ike {
        skip: usize,
    },
    Esp,
    Ignored,
}

/// What a datagram is (RFC 3948, 2).
pub(super) fn classify(octets: &[u8], local_port: u16, remote_port: u16, nat_t: bool) -> Kind {
    if local_port == IKE_PORT {
        return Kind::Ike { skip: 0 };
    }
    match octets {
        [0xff] | [] | [_] | [_, _] | [_, _, _] => Kind::Ignored,
        // No IKE message begins with zeros, since no SPI of an initiator is zero.
        [0, 0, 0, 0, ..] => Kind::Ike { skip: 4 },
        // A peer on port 500 sends no marker, not even to a port of our own choice.
        _ if !nat_t || remote_port == IKE_PORT => Kind::Ike { skip: 0 },
        _ => Kind::Esp,
    }
}
