//! What strongswan.conf says to this plugin.

use std::collections::BTreeSet;

use plugin_api::{ErrorKind, Host, PluginError};

/// The settings of both halves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `charon.routing_table`: where our routes go; 0 is the main table.
    pub table: u32,
    /// `charon.routing_table_prio`: of the rule that leads there.
    pub priority: u32,
    /// `charon.ignore_routing_tables`.
    pub ignored_tables: BTreeSet<u32>,
    /// `charon.process_route`: whether a changed route may mean another way to a peer.
    pub process_route: bool,
    /// `charon.plugins.kernel-netlink.roam_events`: whether the daemon is told of changes at all.
    pub roam_events: bool,
    /// `charon.plugins.kernel-netlink.process_rules`: whether a changed routing rule may mean another way to a peer.
    pub process_rules: bool,
    /// `charon.plugins.kernel-netlink.fwmark`: which packets the rule leads to our routes.
    pub fwmark: Option<FwMark>,
    /// `charon.plugins.kernel-netlink.mtu` of our routes; 0 leaves it to the interface.
    pub mtu: u32,
    /// `charon.plugins.kernel-netlink.mss` that TCP announces by our routes; 0 leaves it to the interface.
    pub mss: u32,
    /// `charon.plugins.kernel-netlink.receive_buffer_size` in octets, of sockets that listen; 0 is the system's default.
    pub receive_buffer_size: u32,
}

/// The settings of SAs and policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XfrmSettings {
    /// `charon.spi_min` and `charon.spi_max`.
    pub spi_range: (u32, u32),
    /// See [`Settings::receive_buffer_size`].
    pub receive_buffer_size: u32,
    /// `charon.plugins.kernel-netlink.set_proto_port_transport_sa`: whether SAs in transport mode admit nothing but the
    /// protocol and ports of their selectors.
    pub transport_ports: bool,
    /// `charon.plugins.kernel-netlink.port_bypass`: whether policies let the daemon's ports pass, in place of those of its
    /// sockets.
    pub port_bypass: bool,
    /// `charon.plugins.kernel-netlink.policy_update`: whether policies that are there are taken over without a word.
    pub policy_update: bool,
    /// `charon.plugins.kernel-netlink.xfrm_acq_expires`: seconds for which a packet that met a trap asks for nothing more.
    pub acquire_expires: u32,
    /// `charon.plugins.kernel-netlink.spdh_thresh.{ipv4,ipv6}.{lbits,rbits}`: up to which prefix lengths the kernel hashes
    /// policies, where any of the two is set.
    pub hash_thresholds: [Option<(u8, u8)>; 2],
}

/// A mark of packets, `[!]value[/mask]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FwMark {
    /// The value.
    pub value: u32,
    /// Which bits of it count.
    pub mask: u32,
    /// Whether packets without the mark are meant.
    pub inverted: bool,
}

const PREFIX: &str = "charon.plugins.kernel-netlink";

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// If a number is none; the message names the key.
    pub fn read(host: &dyn Host) -> Result<Self, PluginError> {
        let ignored = host.setting("charon.ignore_routing_tables").unwrap_or_default();
        let ignored_tables = ignored
            .split([' ', ','])
            .filter(|text| !text.is_empty())
            .map(|text| parsed("charon.ignore_routing_tables", text))
            .collect::<Result<_, _>>()?;
        let fwmark_key = format!("{PREFIX}.fwmark");
        let fwmark = host.setting(&fwmark_key).filter(|text| !text.is_empty());
        Ok(Self {
            table: number(host, "charon.routing_table", 220)?,
            priority: number(host, "charon.routing_table_prio", 220)?,
            ignored_tables,
            process_route: truth(host, "charon.process_route", true),
            roam_events: truth(host, &format!("{PREFIX}.roam_events"), true),
            process_rules: truth(host, &format!("{PREFIX}.process_rules"), false),
            fwmark: fwmark.map(|text| mark(&fwmark_key, &text)).transpose()?,
            mtu: number(host, &format!("{PREFIX}.mtu"), 0)?,
            mss: number(host, &format!("{PREFIX}.mss"), 0)?,
            receive_buffer_size: receive_buffer_size(host)?,
        })
    }
}

impl XfrmSettings {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// If a number is none or out of range; the message names the key.
    pub fn read(host: &dyn Host) -> Result<Self, PluginError> {
        let spi_range = (
            number(host, "charon.spi_min", 0xc000_0000)?,
            number(host, "charon.spi_max", 0xcfff_ffff)?,
        );
        // RFC 4303, 2.1: SPIs up to 255 are reserved.
        if spi_range.0 < 256 || spi_range.0 > spi_range.1 {
            let (min, max) = spi_range;
            return Err(invalid(format!(
                "charon.spi_min = {min:#x}, charon.spi_max = {max:#x}: must be at least 0x100 and in order"
            )));
        }
        Ok(Self {
            spi_range,
            receive_buffer_size: receive_buffer_size(host)?,
            transport_ports: truth(host, &format!("{PREFIX}.set_proto_port_transport_sa"), false),
            port_bypass: truth(host, &format!("{PREFIX}.port_bypass"), false),
            policy_update: truth(host, &format!("{PREFIX}.policy_update"), false),
            acquire_expires: number(host, &format!("{PREFIX}.xfrm_acq_expires"), 165)?,
            hash_thresholds: [thresholds(host, "ipv4", 32)?, thresholds(host, "ipv6", 128)?],
        })
    }
}

fn receive_buffer_size(host: &dyn Host) -> Result<u32, PluginError> {
    number(host, &format!("{PREFIX}.receive_buffer_size"), 8 << 20)
}

fn thresholds(host: &dyn Host, family: &str, width: u32) -> Result<Option<(u8, u8)>, PluginError> {
    let [local, remote] = ["lbits", "rbits"].map(|bits| format!("{PREFIX}.spdh_thresh.{family}.{bits}"));
    if host.setting(&local).is_none() && host.setting(&remote).is_none() {
        return Ok(None);
    }
    let bits = |key: &str| {
        let bits = number(host, key, width)?;
        u8::try_from(bits)
            .ok()
            .filter(|bits| u32::from(*bits) <= width)
            .ok_or_else(|| invalid(format!("{key} = {bits}: must be at most {width}")))
    };
    Ok(Some((bits(&local)?, bits(&remote)?)))
}

fn truth(host: &dyn Host, key: &str, default: bool) -> bool {
    host.setting(key).map_or(default, |value| {
        if default {
            !matches!(value.as_str(), "no" | "0" | "false" | "disabled")
        } else {
            matches!(value.as_str(), "yes" | "1" | "true" | "enabled")
        }
    })
}

fn number(host: &dyn Host, key: &str, default: u32) -> Result<u32, PluginError> {
    host.setting(key).map_or(Ok(default), |text| parsed(key, &text))
}

fn parsed(key: &str, text: &str) -> Result<u32, PluginError> {
    digits(text).ok_or_else(|| invalid(format!("{key} = {text}: is not a number")))
}

fn digits(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn mark(key: &str, text: &str) -> Result<FwMark, PluginError> {
    let (inverted, rest) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (value, mask) = rest.split_once('/').unwrap_or((rest, "0xffffffff"));
    digits(value)
        .zip(digits(mask))
        .map(|(value, mask)| FwMark {
            value: value & mask,
            mask,
            inverted,
        })
        .ok_or_else(|| invalid(format!("{key} = {text}: is not of the form [!]mark[/mask]")))
}

fn invalid(text: String) -> PluginError {
    PluginError::new(ErrorKind::InvalidArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::Recorder;

    #[test]
    fn without_settings_the_defaults_are_strongswans() {
        let host = Recorder::default();
        let settings = Settings::read(&host).expect("defaults");
        assert_eq!((settings.table, settings.priority), (220, 220));
        assert_eq!((settings.mtu, settings.mss, settings.fwmark), (0, 0, None));
        assert!(settings.process_route && settings.roam_events && !settings.process_rules);
        let xfrm = XfrmSettings::read(&host).expect("defaults");
        assert_eq!(xfrm.spi_range, (0xc000_0000, 0xcfff_ffff));
        assert_eq!((xfrm.acquire_expires, xfrm.hash_thresholds), (165, [None, None]));
        assert!(!xfrm.transport_ports && !xfrm.policy_update && !xfrm.port_bypass);
    }

    #[test]
    fn settings_are_read() {
        let host = Recorder::with_settings(&[
            ("charon.ignore_routing_tables", "7, 8"),
            ("charon.plugins.kernel-netlink.fwmark", "!0x42/0xff"),
            ("charon.plugins.kernel-netlink.spdh_thresh.ipv6.lbits", "64"),
            ("charon.spi_min", "0x1000"),
        ]);
        let settings = Settings::read(&host).expect("valid");
        assert_eq!(settings.ignored_tables, BTreeSet::from([7, 8]));
        let mark = FwMark {
            value: 0x42,
            mask: 0xff,
            inverted: true,
        };
        assert_eq!(settings.fwmark, Some(mark));
        let xfrm = XfrmSettings::read(&host).expect("valid");
        assert_eq!(xfrm.hash_thresholds, [None, Some((64, 128))]);
        assert_eq!(xfrm.spi_range.0, 0x1000);
    }

    #[test]
    fn impossible_ones_name_their_key() {
        for (key, value) in [
            ("charon.routing_table", "main"),
            ("charon.plugins.kernel-netlink.fwmark", "red"),
            ("charon.plugins.kernel-netlink.spdh_thresh.ipv4.rbits", "33"),
            ("charon.spi_min", "5"),
            ("charon.plugins.kernel-netlink.xfrm_acq_expires", "-1"),
        ] {
            let host = Recorder::with_settings(&[(key, value)]);
            let refused = Settings::read(&host)
                .err()
                .or_else(|| XfrmSettings::read(&host).err())
                .expect("refused");
            assert!(refused.message.contains(key), "{}", refused.message);
        }
    }
}
