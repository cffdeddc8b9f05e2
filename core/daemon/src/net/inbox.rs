//! What the loop receives by itself: IKE messages, as they come out of the sockets, without a copy.

use std::future::poll_fn;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::Poll;

use plugin_api::KernelIpsec;
use plugin_api::log::Group;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Bound, Message, Reader, Sockets};
use crate::log::Logger;
use crate::sys::{self, Batch};

/// The sockets that the loop reads.
pub struct Inbox {
    sockets: Arc<Sockets>,
    readable: Vec<(usize, AsyncFd<UdpSocket>)>,
    /// Whose turn it is first: a flood at one port keeps nothing from the others.
    turn: usize,
    batch: Batch,
}

impl Inbox {
    /// Watches the sockets, in the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// If the system cannot watch more.
    pub fn open(sockets: Arc<Sockets>) -> io::Result<Self> {
        let watch = |(index, bound): (usize, &Bound)| Ok((index, sys::watch(bound.socket.try_clone()?)?));
        let own = sockets.bound.iter().enumerate();
        let own = own.filter(|(_, bound)| bound.reader == Reader::Loop);
        let readable = own.map(watch).collect::<io::Result<_>>()?;
        Ok(Self {
            sockets,
            readable,
            turn: 0,
            batch: Batch::default(),
        })
    }

    /// Waits for something to receive; nothing is lost if this is dropped before. Says where it is, for
    /// [`take`](Self::take).
    pub async fn wait(&self) -> usize {
        poll_fn(|context| {
            // An error concerns all that is watched, and there is nobody to tell but the next who receives.
            let (before, after) = (0..self.turn, self.turn..self.readable.len());
            let mut order = after.chain(before);
            match order.find(|at| self.readable[*at].1.poll_read_ready(context).is_ready()) {
                Some(at) => Poll::Ready(at),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Receives what fits in a batch: hands IKE messages to `ike`, and what ESP there is among them to the back end.
    pub fn take(
        &mut self,
        at: usize,
        kernel: &dyn KernelIpsec,
        logger: &Logger,
        mut ike: impl FnMut(Message<&[u8]>),
    ) {
        let Some((index, fd)) = self.readable.get(at) else {
            return;
        };
        self.turn = (at + 1) % self.readable.len();
        let Some(bound) = self.sockets.bound.get(*index) else {
            return;
        };
        let (batch, nothing) = (&mut self.batch, || io::Error::from(io::ErrorKind::WouldBlock));
        let mut received = Err(nothing());
        // A batch that is not full leaves nothing: no need to ask once more to be told so.
        let _ = fd.try_io(Interest::READABLE, |_| {
            received = batch.receive(bound.socket.as_fd());
            match &received {
                Ok(count) if Batch::is_full(*count) => Ok(()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Ok(()),
                _ => Err(nothing()),
            }
        });
        match received {
            Ok(count) => {
                for slot in 0..count {
                    if let Some(datagrams) = self.batch.slot(slot) {
                        self.sockets.sort(bound, datagrams, kernel, logger, &mut ike);
                    }
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            // ICMP errors of what was sent before come back here; they are unauthenticated.
            Err(error) => {
                let text = format!("receiving on port {}: {error}", bound.port);
                logger.log(Group::Net, 2, text);
            }
        }
    }
}
