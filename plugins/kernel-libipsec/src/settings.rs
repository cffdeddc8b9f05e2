//! What strongswan.conf says to this plugin.

use plugin_api::{ErrorKind, Host, PluginError};

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `charon.plugins.kernel-libipsec.mtu`: of the TUN device. 1400 leaves room for the outer headers in 1500.
    pub mtu: u16,
    /// `charon.plugins.kernel-libipsec.allow_peer_ts`: whether a remote selector may be the peer itself.
    pub allow_peer_ts: bool,
    /// `charon.plugins.kernel-libipsec.raw_esp`: whether ESP travels without UDP where no NAT is.
    pub raw_esp: bool,
    /// `charon.plugins.kernel-libipsec.fwmark`, or else that of `socket-default`: the mark of ESP without UDP.
    pub mark: Option<u32>,
    /// `charon.spi_min` and `charon.spi_max`.
    pub spi_range: (u32, u32),
}

const MTU: &str = "charon.plugins.kernel-libipsec.mtu";

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// If a number is none or out of range; the message names the key.
    pub fn read(host: &dyn Host) -> Result<Self, PluginError> {
        let mtu = number(host, MTU, 1400)?;
        // RFC 8200, section 5: what every IPv6 link must carry.
        let mtu = u16::try_from(mtu)
            .ok()
            .filter(|mtu| *mtu >= 1280)
            .ok_or_else(|| {
                PluginError::new(
                    ErrorKind::InvalidArgument,
                    format!("{MTU} = {mtu}: must be between 1280 and 65535"),
                )
            })?;
        let spi_range = (
            number(host, "charon.spi_min", 0xc000_0000)?,
            number(host, "charon.spi_max", 0xcfff_ffff)?,
        );
        // RFC 4303, 2.1: SPIs up to 255 are reserved.
        if spi_range.0 < 256 || spi_range.0 > spi_range.1 {
            let (min, max) = spi_range;
            return Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "charon.spi_min = {min:#x}, charon.spi_max = {max:#x}: must be at least 0x100 and in order"
                ),
            ));
        }
        Ok(Self {
            mtu,
            allow_peer_ts: truth(host, "charon.plugins.kernel-libipsec.allow_peer_ts"),
            raw_esp: truth(host, "charon.plugins.kernel-libipsec.raw_esp"),
            mark: mark(host)?,
            spi_range,
        })
    }
}

fn truth(host: &dyn Host, key: &str) -> bool {
    let yes = ["1", "yes", "true", "enabled"];
    host.setting(key)
        .is_some_and(|value| yes.contains(&&*value.to_ascii_lowercase()))
}

fn mark(host: &dyn Host) -> Result<Option<u32>, PluginError> {
    let keys = ["kernel-libipsec", "socket-default"].map(|plugin| format!("charon.plugins.{plugin}.fwmark"));
    for key in keys {
        let Some(text) = host.setting(&key).filter(|text| !text.is_empty()) else {
            continue;
        };
        return match plugin_api::mark(&text) {
            Some((mark, _)) => Ok(Some(mark)),
            None => Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!("{key} = {text}: is not of the form mark[/mask]"),
            )),
        };
    }
    Ok(None)
}

fn number(host: &dyn Host, key: &str, default: u32) -> Result<u32, PluginError> {
    let Some(text) = host.setting(key) else {
        return Ok(default);
    };
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| {
        PluginError::new(
            ErrorKind::InvalidArgument,
            format!("{key} = {text}: is not a number"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::Recorder;

    #[test]
    fn without_settings_the_defaults_are_strongswans() {
        let settings = Settings::read(&Recorder::default()).expect("defaults");
        assert_eq!(settings.mtu, 1400);
        assert_eq!(settings.spi_range, (0xc000_0000, 0xcfff_ffff));
        assert!(!settings.allow_peer_ts && !settings.raw_esp);
        assert_eq!(settings.mark, None);
    }

    #[test]
    fn settings_are_read_and_impossible_ones_name_their_key() {
        let host = Recorder::with_settings(&[
            (MTU, "1280"),
            ("charon.spi_min", "0x1000"),
            ("charon.spi_max", "8192"),
            ("charon.plugins.kernel-libipsec.allow_peer_ts", "yes"),
            ("charon.plugins.kernel-libipsec.raw_esp", "Yes"),
            ("charon.plugins.socket-default.fwmark", "0x142/0xff"),
        ]);
        let settings = Settings::read(&host).expect("valid");
        assert_eq!(
            settings,
            Settings {
                mtu: 1280,
                allow_peer_ts: true,
                raw_esp: true,
                mark: Some(0x42),
                spi_range: (0x1000, 0x2000)
            }
        );
        let own = Recorder::with_settings(&[
            ("charon.plugins.kernel-libipsec.fwmark", "7"),
            ("charon.plugins.socket-default.fwmark", "8"),
        ]);
        assert_eq!(Settings::read(&own).expect("valid").mark, Some(7));
        for (key, value) in [
            ("charon.plugins.kernel-libipsec.fwmark", "!7"),
            (MTU, "1279"),
            (MTU, "70000"),
            (MTU, "large"),
            ("charon.spi_min", "5"),
            ("charon.spi_max", "0x100"),
        ] {
            let error = Settings::read(&Recorder::with_settings(&[(key, value)])).expect_err("refused");
            assert!(error.message.contains(key), "{}", error.message);
        }
    }
}
