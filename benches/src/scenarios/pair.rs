//! Two daemons of one kind with a tunnel between the networks behind them.

use std::sync::Arc;

use control::vici::Message;
use control::vici::client::Client;
use xtask::netns::Network;

use crate::bench::Bench;
use crate::field::LONG;
use crate::hosts::{Daemon, Kind, Options};

/// The name of the connection, and of its child.
const NAME: &str = "pair";

/// See the module.
pub(crate) struct Pair {
    /// The responder.
    pub(crate) moon: Daemon,
    /// The initiator.
    pub(crate) carol: Daemon,
    client: Client,
}

/// swanctl.conf of one end.
fn conf(proposal: &str, local: (&str, &str, &str), remote: (&str, &str, &str)) -> String {
    format!(
        "connections {{\n {NAME} {{\n  version = 2\n  local_addrs = {}\n  remote_addrs = {}\n  proposals = {proposal}\n  \
         rekey_time = 0\n  dpd_delay = 0\n  local {{\n   auth = psk\n   id = {}\n  }}\n  remote {{\n   auth = psk\n   id = {}\n  \
         }}\n  children {{\n   {NAME} {{\n    local_ts = {}\n    remote_ts = {}\n    esp_proposals = aes256gcm16\n    rekey_time = \
         0\n   }}\n  }}\n }}\n}}\nsecrets {{\n ike {{\n  secret = \"known at both ends\"\n }}\n}}\n",
        local.0, remote.0, local.1, remote.1, local.2, remote.2
    )
}

impl Pair {
    /// Both up, without a tunnel.
    ///
    /// # Errors
    ///
    /// If one cannot be started.
    pub(crate) fn new(bench: &Bench, kind: Kind, proposal: &str, settings: &str) -> Result<Self, String> {
        let Network { moon, carol } = Network::new()?;
        let options = Options {
            settings: format!("{LONG}\n {settings}"),
            ..Options::default()
        };
        let start = |namespace| Daemon::start(bench, kind, &Arc::new(namespace), &options);
        let (moon, carol) = (start(moon)?, start(carol)?);
        let ends = (
            ("192.168.0.2", "moon.pqswan.example", "10.1.0.0/16"),
            ("192.168.0.3", "carol.pqswan.example", "10.3.0.0/16"),
        );
        moon.configure(&conf(proposal, ends.0, ends.1))?;
        carol.configure(&conf(proposal, ends.1, ends.0))?;
        let client = carol.client().map_err(|error| format!("{kind}: vici: {error}"))?;
        Ok(Self { moon, carol, client })
    }

    /// Brings the tunnel up from carol, and returns once it is.
    ///
    /// # Errors
    ///
    /// If it does not come up, with the logs.
    pub(crate) fn up(&mut self) -> Result<(), String> {
        let what = Message::new()
            .value("child", NAME)
            .value("ike", NAME)
            .value("timeout", 30_000);
        self.command("initiate", &what)
    }

    /// Takes it down again, at both ends.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub(crate) fn down(&mut self) -> Result<(), String> {
        self.command("terminate", &Message::new().value("ike", NAME))
    }

    /// Replaces the CHILD_SA by a new one.
    ///
    /// # Errors
    ///
    /// If that cannot be begun.
    pub(crate) fn rekey(&mut self) -> Result<(), String> {
        self.command("rekey", &Message::new().value("child", NAME))
    }

    fn command(&mut self, name: &str, message: &Message) -> Result<(), String> {
        let answer = self
            .client
            .call(name, message)
            .map_err(|error| format!("{name}: {error}"))?;
        if answer.get_bool("success") == Some(true) {
            return Ok(());
        }
        Err(format!(
            "{} of {}: {}\n--- initiator\n{}\n--- responder\n{}",
            name,
            self.carol.kind,
            answer.get_str("errmsg").unwrap_or("failed"),
            self.carol.said(),
            self.moon.said()
        ))
    }
}
