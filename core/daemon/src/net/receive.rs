//! The thread that receives ESP, which goes directly to the kernel back end, so that a busy loop does not hold up traffic. What
//! IKE messages it meets go to the loop through a queue that drops when it is full.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use plugin_api::KernelIpsec;
use plugin_api::log::Group;
use tokio::sync::mpsc;

use super::{Bound, Message, Reader, Sockets};
use crate::log::Logger;
use crate::sys::Batch;

/// IKE messages that may wait for the loop.
const QUEUED_DATAGRAMS: usize = 512;

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
    ) -> io::Result<(Receiver, mpsc::Receiver<Message<Vec<u8>>>)> {
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
        queue: &mpsc::Sender<Message<Vec<u8>>>,
        logger: &Logger,
    ) {
        let mut batch = Batch::default();
        let bound = self.bound.iter();
        let own: Vec<&Bound> = bound.filter(|socket| socket.reader == Reader::Thread).collect();
        let mut fds: Vec<PollFd<'_>> = own
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
            for (socket, fd) in own.iter().zip(&fds) {
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
        queue: &mpsc::Sender<Message<Vec<u8>>>,
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
            self.sort(socket, datagrams, kernel, logger, &mut |message| {
                let owned = Message {
                    local: message.local,
                    remote: message.remote,
                    octets: message.octets.to_vec(),
                };
                if queue.try_send(owned).is_err() {
                    self.lost(1);
                }
            });
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
