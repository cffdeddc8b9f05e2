//! The plugin's settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use plugin_api::{ErrorKind, Host, PluginError};

const LISTEN: &str = "charon.plugins.metrics.listen";
const MAX_CHILD_SAS: &str = "charon.plugins.metrics.max_child_sas";

/// Where scrapers come unless something else is set: this host only.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9814);

/// CHILD_SAs with series of their own unless something else is set, and at most: some 5 MiB a scrape.
const CHILD_SAS: (usize, usize) = (1_000, 10_000);

/// What can be set in strongswan.conf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `charon.plugins.metrics.listen`, an address and a port.
    pub listen: SocketAddr,
    /// `charon.plugins.metrics.max_child_sas`: CHILD_SAs that have series of their own; 0 none.
    pub max_child_sas: usize,
}

impl Settings {
    /// Asks the daemon for them.
    ///
    /// # Errors
    ///
    /// If one cannot be understood.
    pub fn of(host: &dyn Host) -> Result<Self, PluginError> {
        let refuse = |key: &str, text: &str, what: &str| {
            PluginError::new(ErrorKind::InvalidArgument, format!("{key} = {text}: {what}"))
        };
        let listen = match host.setting(LISTEN) {
            None => DEFAULT_LISTEN,
            Some(text) => text.parse().map_err(|_| {
                refuse(
                    LISTEN,
                    &text,
                    "write ADDRESS:PORT, like 127.0.0.1:9814 or [::1]:9814",
                )
            })?,
        };
        let (default, most) = CHILD_SAS;
        let max_child_sas = match host.setting(MAX_CHILD_SAS) {
            None => default,
            Some(text) => match text.parse::<usize>() {
                Ok(number) if number <= most => number,
                _ => {
                    return Err(refuse(
                        MAX_CHILD_SAS,
                        &text,
                        &format!("write a number up to {most}"),
                    ));
                }
            },
        };
        Ok(Self {
            listen,
            max_child_sas,
        })
    }
}
