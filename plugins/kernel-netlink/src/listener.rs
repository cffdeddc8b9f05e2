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

impl Listening {
    /// Opens it for a mask of groups; from the return on nothing goes unnoticed. `room` is how many octets may wait, or 0
    /// for the system's default.
    pub(crate) fn open(protocol: isize, groups: u32, room: u32) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.set_non_blocking(true)?;
        if room > 0 {
            let room = room as usize;
            // Past what net.core.rmem_max allows it takes a capability.
            if setsockopt(&socket, sockopt::RcvBufForce, &room).is_err() {
                setsockopt(&socket, sockopt::RcvBuf, &room)?;
            }
        }
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

    /// Hands over messages that wait, as many as one may handle at once; whether some were lost. After that those that wait are thrown away too: they
    /// are older than what a look at everything will show, and the kernel tells of further losses only once it has found
    /// the queue empty.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut lost = false;
        let mut taken = 0;
        while lost || taken < BURST {
            taken += 1;
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, 0) {
                // Only the kernel has the word here.
                Ok((_, sender)) if sender.port_number() != 0 => {}
                Ok(_) if lost => {}
                Ok(_) => connection::messages(&self.buffer).for_each(&mut each),
                Err(error) => match (error.kind(), error.raw_os_error()) {
                    (io::ErrorKind::WouldBlock, _) => return Ok(lost),
                    (io::ErrorKind::Interrupted, _) => {}
                    (_, Some(libc::ENOBUFS)) => lost = true,
                    _ => return Err(error),
                },
            }
        }
        Ok(lost)
    }
}
