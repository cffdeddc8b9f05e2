//! Who waits until charon has its connections, and hears of those that it refuses: the first process of `ipsec start`, and
//! `ipsec update` and `ipsec reload`, which connect to a socket before they send their signal.

use std::fs;
use std::io::{self, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use control::socket::{self, Owner};

use super::background::Waiting;
use crate::paths::Paths;

/// How many commands may wait at a time.
const MOST: usize = 16;
/// How many lines the first process gets.
const MOST_LINES: usize = 1000;

/// The last octet that a command gets; without it, it has not heard everything.
pub(crate) const DONE: u8 = 0;

/// See the module.
#[derive(Default)]
pub(super) struct Hearers {
    socket: Option<UnixListener>,
    commands: Vec<UnixStream>,
    first_process: Option<Waiting>,
    lines: Vec<String>,
}

impl Hearers {
    /// Opens the socket for commands.
    ///
    /// # Errors
    ///
    /// If that is impossible; then commands hear nothing.
    pub(super) fn open(&mut self, paths: &Paths) -> io::Result<()> {
        self.socket = Some(socket::listen(&paths.starter_socket(), Owner::default())?);
        Ok(())
    }

    /// Has the first process wait for the first hand-over.
    pub(super) fn add_first_process(&mut self, waiting: Option<Waiting>) {
        self.first_process = waiting;
    }

    /// Takes in the commands that have connected. One that has sent a signal did so before.
    pub(super) fn take_commands(&mut self) {
        let Some(socket) = &self.socket else { return };
        while let Ok((stream, _)) = socket.accept() {
            // A command that does not read must not hold up the starter.
            if self.commands.len() < MOST && stream.set_nonblocking(true).is_ok() {
                self.commands.push(stream);
            }
        }
    }

    /// Tells them a line. A command that does not read is given up.
    pub(super) fn say(&mut self, line: &str) {
        let text = format!("{line}\n");
        self.commands
            .retain_mut(|command| command.write_all(text.as_bytes()).is_ok());
        if self.first_process.is_some() && self.lines.len() < MOST_LINES {
            self.lines.push(line.to_owned());
        }
    }

    /// Tells them that charon has what it takes.
    pub(super) fn end(&mut self, code: u8) {
        for mut command in self.commands.drain(..) {
            let _ = command.write_all(&[DONE]);
        }
        if let Some(waiting) = self.first_process.take() {
            waiting.release(code, &self.lines);
        }
        self.lines.clear();
    }

    /// Removes the socket.
    pub(super) fn close(&mut self, path: &Path) {
        if self.socket.take().is_some() {
            let _ = fs::remove_file(path);
        }
    }
}
