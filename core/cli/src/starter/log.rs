//! Where the starter says what it does: standard error as long as somebody is there, and syslog.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;

const SYSLOG: &str = "/dev/log";
pub(super) const CONSOLE: &str = "/dev/console";
/// Facility authpriv (10), severity informational (6): RFC 5424, 6.2.1.
const PRIORITY: u8 = 10 * 8 + 6;

/// A log.
pub(super) struct Log {
    stderr: bool,
    syslog: bool,
}

impl Log {
    /// To either, both or none.
    pub(super) fn new(stderr: bool, syslog: bool) -> Self {
        Self { stderr, syslog }
    }

    /// Writes a line.
    pub(super) fn line(&self, text: &str) {
        let sent = self.syslog && to_syslog(text);
        if self.stderr {
            eprintln!("{text}");
        } else if self.syslog && !sent && !to_console(text) {
            eprintln!("{}: {text}", tag());
        }
    }
}

fn tag() -> String {
    format!("ipsec_starter[{}]", std::process::id())
}

fn to_syslog(text: &str) -> bool {
    let Ok(socket) = UnixDatagram::unbound() else {
        return false;
    };
    // Losing a line is better than to hang because the log does.
    let _ = socket.set_nonblocking(true);
    socket
        .send_to(format!("<{PRIORITY}>{}: {text}", tag()).as_bytes(), SYSLOG)
        .is_ok()
}

/// Without a log the console gets the line, as with syslog(3): in a container it is what the container's log shows.
fn to_console(text: &str) -> bool {
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    let console = OpenOptions::new().write(true).custom_flags(flags).open(CONSOLE);
    console.is_ok_and(|mut console| {
        console
            .write_all(format!("{}: {text}\r\n", tag()).as_bytes())
            .is_ok()
    })
}
