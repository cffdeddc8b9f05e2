//! The plugin's settings.

use std::path::PathBuf;
use std::time::Duration;

use control::socket::Owner;
use plugin_api::log::{CONTROL, Group};
use plugin_api::{ErrorKind, Host, PluginError};

const SOCKET: &str = "charon.plugins.stroke.socket";

/// What can be set in strongswan.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `charon.plugins.stroke.socket`, `unix://PATH`; by default `charon.ctl` in `charon.piddir`.
    pub socket: PathBuf,
    /// `charon.plugins.stroke.max_concurrent`: requests handled at the same time, 4 by default.
    pub max_concurrent: usize,
    /// `charon.plugins.stroke.timeout`: how long `ipsec up` and `ipsec down` wait, in milliseconds; by default for ever.
    pub timeout: Option<Duration>,
    /// Who gets the socket.
    pub owner: Owner,
}

impl Settings {
    /// Asks the daemon for them.
    ///
    /// # Errors
    ///
    /// If the socket is none of the file system; a number that is none is only logged.
    pub fn of(host: &dyn Host) -> Result<Self, PluginError> {
        let socket = match host.setting(SOCKET) {
            None => {
                let directory = host.setting("charon.piddir").unwrap_or_else(|| "/var/run".into());
                PathBuf::from(directory).join("charon.ctl")
            }
            Some(uri) => match uri.strip_prefix("unix://").filter(|path| path.starts_with('/')) {
                Some(path) => path.into(),
                None => {
                    let text = format!("{SOCKET} = {uri}: write unix:// and an absolute path");
                    return Err(PluginError::new(ErrorKind::InvalidArgument, text));
                }
            },
        };
        let number = |key: &str| {
            let text = host.setting(&format!("charon.plugins.stroke.{key}"))?;
            let number = text.trim().parse::<u32>().ok();
            if number.is_none() {
                let problem =
                    format!("charon.plugins.stroke.{key}: '{text}' is not a number; using the default");
                host.log(Group::Cfg, CONTROL, &problem);
            }
            number
        };
        let timeout = number("timeout").filter(|ms| *ms > 0);
        Ok(Self {
            socket,
            max_concurrent: number("max_concurrent").filter(|max| *max > 0).unwrap_or(4) as usize,
            timeout: timeout.map(|ms| Duration::from_millis(u64::from(ms))),
            owner: Owner::named(host.setting("charon.user"), host.setting("charon.group")),
        })
    }
}
