//! The plugin's settings.

use std::fmt;
use std::path::PathBuf;

use control::socket::Owner;
use plugin_api::{ErrorKind, Host, PluginError};

const SOCKET: &str = "charon.plugins.vici.socket";

/// Where clients come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `unix://PATH`; by default `charon.vici` in `charon.piddir`.
    Unix(PathBuf),
    /// `tcp://HOST:PORT`. Whoever can reach it commands the daemon.
    Tcp(String),
}

/// What can be set in strongswan.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `charon.plugins.vici.socket`.
    pub address: Address,
    /// Who gets a socket in the file system.
    pub owner: Owner,
}

impl Settings {
    /// Asks the daemon for them.
    ///
    /// # Errors
    ///
    /// If the address is none.
    pub fn of(host: &dyn Host) -> Result<Self, PluginError> {
        let address = match host.setting(SOCKET) {
            None => {
                let directory = host.setting("charon.piddir").unwrap_or_else(|| "/var/run".into());
                Address::Unix(PathBuf::from(directory).join("charon.vici"))
            }
            Some(uri) => Address::parse(&uri).ok_or_else(|| {
                let text =
                    format!("{SOCKET} = {uri}: write unix:// and an absolute path, or tcp://HOST:PORT");
                PluginError::new(ErrorKind::InvalidArgument, text)
            })?,
        };
        Ok(Self {
            address,
            owner: Owner::named(host.setting("charon.user"), host.setting("charon.group")),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "'{}'", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

impl Address {
    fn parse(uri: &str) -> Option<Self> {
        if let Some(path) = uri.strip_prefix("unix://").filter(|path| path.starts_with('/')) {
            return Some(Self::Unix(path.into()));
        }
        let (host, port) = uri.strip_prefix("tcp://")?.rsplit_once(':')?;
        let valid = !host.is_empty() && port.parse::<u16>().is_ok();
        valid.then(|| Self::Tcp(format!("{host}:{port}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_paths_or_ports() {
        let path = Address::Unix("/run/charon.vici".into());
        assert_eq!(Address::parse("unix:///run/charon.vici"), Some(path));
        let port = Address::Tcp("127.0.0.1:4502".into());
        assert_eq!(Address::parse("tcp://127.0.0.1:4502"), Some(port));
        for wrong in [
            "unix://relative",
            "/run/charon.vici",
            "tcp://:1",
            "tcp://host",
            "tcp://host:no",
            "",
        ] {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
    }
}
