//! A thread that listens to the kernel until it is told to stop.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{setsockopt, sockopt};
use plugin_api::PluginError;

use crate::connection;

/// How many datagrams are read before they are looked at.
const BURST: usize = 256;

/// The thread; it ends when this is dropped.
pub(crate) struct Worker {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts it.
    pub(crate) fn start(
        name: &str,
        work: impl FnOnce(&EventFd) + Send + 'static,
    ) -> Result<Self, PluginError> {
        let failed = |error: io::Error| PluginError::system(format!("starting the thread {name}"), &error);
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| failed(errno.into()))?;
        let stop = Arc::new(stop);
        let own = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&own))
            .map_err(failed)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Writing to an eventfd fails only when its counter is full, and then the thread is woken as well.
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the hook already.
            let _ = thread.join();
        }
    }
}

/// A socket that the kernel sends news to.
pub(crate) struct Listening {
    socket: Socket,
    buffer: Vec<u8>,
}

/// What was read of the messages that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// All of them.
    All,
    /// As many as one may handle at once.
    Some,
    /// Messages were lost, and those that waited are thrown away too: they are older than what a look at everything will
    /// show, and the kernel tells of further losses only once it has found the queue empty.
    Lost,
}

impl Listening {
    /// Opens it for a mask of groups; from the return on nothing goes unnoticed. `room` is how many octets may wait, or 0
    /// for the system's default.
    pub(crate) fn open(protocol: isize, groups: u32, room: u32) -> io::Result<Self> {
        Self::open_filtered(protocol, groups, room, |_| Ok(()))
    }

    /// As [`open`](Self::open), with something that keeps messages away which nobody wants.
    pub(crate) fn open_filtered(
        protocol: isize,
        groups: u32,
        room: u32,
        filter: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.set_non_blocking(true)?;
        if room > 0 {
            let room = room as usize;
            // Past what net.core.rmem_max allows it takes a capability.
            if setsockopt(&socket, sockopt::RcvBufForce, &room).is_err() {
                setsockopt(&socket, sockopt::RcvBuf, &room)?;
            }
        }
        // Who listens looks at what comes in any case, so without it all is only slower.
        let _ = filter(&socket);
        socket.bind(&SocketAddr::new(0, groups))?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(65_536),
        })
    }

    /// Waits for a message or for the end; whether it is the end.
    pub(crate) fn wait(&self, stop: &EventFd, timeout: PollTimeout) -> nix::Result<bool> {
        let mut fds = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(fds[1].any().unwrap_or(false)),
            Err(errno) => Err(errno),
        }
    }

    /// Hands over messages that wait.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<Drained> {
        for _ in 0..BURST {
            match self.receive() {
                Ok(true) => connection::messages(&self.buffer).for_each(&mut each),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Drained::All),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.discard()?;
                    return Ok(Drained::Lost);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Drained::Some)
    }

    /// Throws away the messages that wait.
    pub(crate) fn discard(&mut self) -> io::Result<()> {
        loop {
            match self.receive() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.raw_os_error() != Some(libc::ENOBUFS) => return Err(error),
                _ => {}
            }
        }
    }

    /// Reads a datagram; whether it is from the kernel, who alone has the word here.
    fn receive(&mut self) -> io::Result<bool> {
        loop {
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, 0) {
                Ok((_, sender)) => return Ok(sender.port_number() == 0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
