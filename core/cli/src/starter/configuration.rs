//! ipsec.conf, as the starter needs it.

use std::path::Path;

use config::ipsec_conf::{self, IpsecConf};
use control::stroke::Connection;

use super::connections::{Auto, Conn};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    /// Connections, but for those with `auto=ignore`, in the order of the file.
    pub(super) conns: Vec<Conn>,
    /// What `charondebug` means for charon's command line.
    pub(super) charon_arguments: Vec<String>,
    /// Connections that cannot be used as they are written.
    pub(super) refused: Vec<String>,
    /// What is wrong, but does not keep the rest from being used.
    pub(super) messages: Vec<String>,
}

impl Configuration {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// With file and line, if nothing of it can be used.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        IpsecConf::load(path)
            .map(Self::from)
            .map_err(|error| error.to_string())
    }
}

impl From<IpsecConf> for Configuration {
    fn from(file: IpsecConf) -> Self {
        let mut messages = file.messages;
        let uniqueids = file.setup.uniqueids.unwrap_or_else(|| "yes".to_owned());
        let charon_arguments = debug_arguments(
            file.setup.charondebug.as_deref().unwrap_or_default(),
            &mut messages,
        );
        let conns = file.conns.into_iter().filter_map(|conn| {
            let kind = conn.settings.get("type").map(String::as_str);
            let auto = match conn.auto {
                ipsec_conf::Auto::Ignore => return None,
                ipsec_conf::Auto::Add => Auto::Add,
                ipsec_conf::Auto::Route => Auto::Route,
                // A shunt is not negotiated.
                ipsec_conf::Auto::Start if matches!(kind, Some("passthrough" | "pass" | "drop")) => {
                    Auto::Route
                }
                ipsec_conf::Auto::Start => Auto::Start,
            };
            let connection = Connection {
                name: conn.name,
                source: conn.source,
                uniqueids: uniqueids.clone(),
                settings: conn.settings.into_iter().collect(),
                places: conn.places.into_iter().collect(),
            };
            Some(Conn { connection, auto })
        });
        Self {
            conns: conns.collect(),
            refused: file.refused,
            charon_arguments,
            messages,
        }
    }
}

/// `ike 2, knl 3` to `--debug-ike 2 --debug-knl 3`.
fn debug_arguments(charondebug: &str, messages: &mut Vec<String>) -> Vec<String> {
    const GROUPS: [&str; 18] = [
        "dmn", "mgr", "ike", "chd", "job", "cfg", "knl", "net", "asn", "enc", "tnc", "imc", "imv", "pts",
        "tls", "app", "esp", "lib",
    ];
    let mut arguments = Vec::new();
    for entry in charondebug
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let (group, level) = entry.split_once(char::is_whitespace).unwrap_or((entry, ""));
        let level = level
            .trim()
            .parse::<i8>()
            .ok()
            .filter(|level| (-1..=4).contains(level));
        match level.filter(|_| GROUPS.contains(&group)) {
            Some(level) => arguments.extend([format!("--debug-{group}"), level.to_string()]),
            None => messages.push(format!(
                "charondebug: '{entry}' ignored: write a group and a level, like ike 2"
            )),
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charondebug_becomes_options() {
        let mut messages = Vec::new();
        let arguments = debug_arguments("ike 2,  knl 3, foo 1, net", &mut messages);
        assert_eq!(arguments, ["--debug-ike", "2", "--debug-knl", "3"]);
        assert_eq!(messages.len(), 2);
        assert!(
            messages[0].contains("'foo 1'") && messages[1].contains("'net'"),
            "{messages:?}"
        );
    }

    #[test]
    fn ignored_connections_are_left_out() {
        let text = "\
config setup
    uniqueids = no
conn %default
    keyexchange = ikev2
conn a
    left = 10.0.0.1
    auto = start
conn b
    auto = add
conn c
    left = 10.0.0.3
";
        let configuration = Configuration::from(IpsecConf::parse(text, "test").unwrap());
        let conns: Vec<_> = configuration
            .conns
            .iter()
            .map(|conn| (conn.connection.name.as_str(), conn.auto))
            .collect();
        assert_eq!(conns, [("a", Auto::Start), ("b", Auto::Add)]);
        let first = &configuration.conns[0].connection;
        assert_eq!(first.uniqueids, "no");
        assert!(
            first.settings.contains(&("keyexchange".into(), "ikev2".into())),
            "{first:?}"
        );
        assert!(
            first.settings.contains(&("left".into(), "10.0.0.1".into())),
            "{first:?}"
        );
    }
}
