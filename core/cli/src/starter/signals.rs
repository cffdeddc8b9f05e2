//! Signals as something to poll.
//!
//! They are caught rather than blocked and read: what is blocked would stay so in charon.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// What somebody wants of the starter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// End, and charon too.
    Stop,
    /// Give charon all connections anew.
    Reload,
    /// Give charon what changed.
    Update,
}

/// The wishes that have come.
pub(super) struct Signals(Vec<(Wish, UnixStream)>);

impl Signals {
    /// Catches the signals from now on.
    pub(super) fn catch() -> io::Result<Self> {
        let wishes = [
            (SIGTERM, Wish::Stop),
            (SIGINT, Wish::Stop),
            (SIGUSR1, Wish::Reload),
            (SIGHUP, Wish::Update),
        ];
        let mut pipes = Vec::new();
        for (signal, wish) in wishes {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            signal_hook::low_level::pipe::register(signal, writer)?;
            pipes.push((wish, reader));
        }
        Ok(Self(pipes))
    }

    /// What to poll.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|(_, pipe)| pipe.as_fd())
    }

    /// What was wished since the last time, the most pressing first.
    pub(super) fn take(&self) -> Vec<Wish> {
        let mut wishes: Vec<_> = self
            .0
            .iter()
            .filter(|(_, pipe)| {
                let mut pipe = pipe;
                let mut buffer = [0; 64];
                let mut any = false;
                while matches!(pipe.read(&mut buffer), Ok(octets) if octets > 0) {
                    any = true;
                }
                any
            })
            .map(|(wish, _)| *wish)
            .collect();
        wishes.sort_unstable();
        wishes.dedup();
        wishes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_taken_once_the_most_pressing_first() {
        let signals = Signals::catch().unwrap();
        for signal in [SIGHUP, SIGHUP, SIGTERM] {
            signal_hook::low_level::raise(signal).unwrap();
        }
        assert_eq!(signals.take(), [Wish::Stop, Wish::Update]);
        assert_eq!(signals.take(), []);
    }
}
