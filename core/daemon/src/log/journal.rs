//! The journal of systemd, by its native protocol: a datagram of fields, so that lines can be found by group, level and
//! IKE_SA.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::Record;
use super::format::append_escaped;
use super::sinks::priority;

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// The end of a socket.
pub struct Journal {
    socket: UnixDatagram,
    /// The name of the program.
    tag: &'static str,
}

impl Journal {
    /// Connects to the journal; `tag` is the name of the program.
    ///
    /// # Errors
    ///
    /// If it does not listen there.
    pub fn connect(path: &Path, tag: &'static str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        // A journal that does not read loses lines; the daemon does not wait.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, tag })
    }

    /// Writes a record, one entry for each line of its text.
    pub(super) fn write(&self, record: &Record) {
        let line = &record.line;
        for text in line.text.lines() {
            let mut message = String::new();
            append_escaped(&mut message, text);
            let mut fields = format!(
                "MESSAGE={message}\nPRIORITY={}\nSYSLOG_IDENTIFIER={}\nLEVEL={}\nGROUP={}\nTHREAD={}\n",
                priority(line.level),
                self.tag,
                line.level,
                line.group,
                record.thread
            );
            if let Some((id, name)) = &line.sa {
                fields += &format!("IKE_SA_UNIQUE_ID={id}\nIKE_SA_NAME=");
                append_escaped(&mut fields, name);
                fields.push('\n');
            }
            // There is nowhere else to say that it failed.
            let _ = self.socket.send(fields.as_bytes());
        }
    }
}
