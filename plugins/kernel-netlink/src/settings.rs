//! What strongswan.conf says to this plugin.

use std::collections::BTreeSet;

use plugin_api::{ErrorKind, Host, PluginError};

/// The settings.
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
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// If a number is none; the message names the key.
    pub fn read(host: &dyn Host) -> Result<Self, PluginError> {
        let number = |key: &str, text: &str| {
            text.parse::<u32>().map_err(|_| {
                PluginError::new(
                    ErrorKind::InvalidArgument,
                    format!("{key} = {text}: is not a number"),
                )
            })
        };
        let setting =
            |key: &str, default: u32| host.setting(key).map_or(Ok(default), |text| number(key, &text));
        let enabled = |key: &str| {
            let value = host.setting(key);
            value.is_none_or(|value| !matches!(value.as_str(), "no" | "0" | "false" | "disabled"))
        };
        let ignored = host.setting("charon.ignore_routing_tables").unwrap_or_default();
        let ignored_tables = ignored
            .split([' ', ','])
            .filter(|text| !text.is_empty())
            .map(|text| number("charon.ignore_routing_tables", text))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            table: setting("charon.routing_table", 220)?,
            priority: setting("charon.routing_table_prio", 220)?,
            ignored_tables,
            process_route: enabled("charon.process_route"),
            roam_events: enabled("charon.plugins.kernel-netlink.roam_events"),
        })
    }
}
