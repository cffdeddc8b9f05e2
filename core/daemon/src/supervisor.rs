//! What systemd is told of a service (sd_notify(3)): a datagram for each change.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::product;
use crate::program::Program;

/// The socket of whoever started the daemon, if there is one.
#[derive(Debug, Default)]
pub struct Supervisor(Option<(UnixDatagram, SocketAddr)>);

impl Supervisor {
    /// The one that `NOTIFY_SOCKET` names. Only a service has one: what `ipsec start` inherited is not meant for the daemon.
    ///
    /// # Errors
    ///
    /// If the name cannot be that of a socket.
    pub fn find(program: Program) -> std::io::Result<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        match name {
            Some(name) if program == Program::Systemd => Self::at(&name),
            _ => Ok(Self::default()),
        }
    }

    fn at(name: &OsStr) -> std::io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // Nothing may keep the daemon waiting.
        socket.set_nonblocking(true)?;
        Ok(Self(Some((socket, address))))
    }

    /// The daemon has started, and clients can reach it.
    pub fn ready(&self) {
        let system = product::system();
        self.tell(&format!(
            "READY=1\nSTATUS={} running, {} {}, {} {}, {}\n",
            Program::Systemd.name(),
            product::NAME,
            product::VERSION,
            system.name,
            system.release,
            system.machine
        ));
    }

    /// The daemon has begun to stop.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\n");
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.0 {
            // Whoever does not listen does not want to know.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_abstract_names_are_reached() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let listening = UnixDatagram::bind(&path).expect("a socket");
        let name = format!("pqswan-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let hidden = UnixDatagram::bind_addr(&address).expect("a socket");
        for (socket, name) in [
            (&listening, path.as_os_str()),
            (&hidden, OsStr::new(&format!("@{name}"))),
        ] {
            let supervisor = Supervisor::at(name).expect("a supervisor");
            supervisor.ready();
            supervisor.stopping();
            let mut octets = [0; 256];
            let len = socket.recv(&mut octets).expect("a datagram");
            let text = String::from_utf8_lossy(&octets[..len]);
            assert!(
                text.starts_with("READY=1\nSTATUS=charon-systemd running, pqswan "),
                "{text}"
            );
            let len = socket.recv(&mut octets).expect("a datagram");
            assert_eq!(&octets[..len], b"STOPPING=1\n");
        }
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        let supervisor = Supervisor::at(OsStr::new("/nowhere/notify")).expect("a supervisor");
        supervisor.ready();
        Supervisor::default().stopping();
    }
}
