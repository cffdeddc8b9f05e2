//! `install` and `uninstall`: commands whose arguments are checked, and which the daemon cannot do yet.

use control::vici::Message;
use plugin_api::log::Group;

use super::Answer;
use crate::run::Daemon;

impl Daemon {
    /// `install`: `child`, and `ike` if the name alone is not enough.
    pub(super) fn install(&mut self, request: &Message) -> Answer {
        let name = self.policy("install", request)?;
        let reason = "there are no trap and shunt policies yet, initiate the CHILD_SA instead";
        let text = format!("installing policy '{name}' failed");
        self.logger.log(Group::Cfg, 1, format!("{text}: {reason}"));
        Err(text)
    }

    /// `uninstall`: the same.
    pub(super) fn uninstall(&mut self, request: &Message) -> Answer {
        let name = request.get_str("child").ok_or("missing configuration name")?;
        self.logger.log(Group::Cfg, 1, format!("vici uninstall '{name}'"));
        Err(format!("policy '{name}' not found"))
    }

    /// The name of a CHILD_SA's configuration that exists.
    fn policy<'a>(&self, verb: &str, request: &'a Message) -> Result<&'a str, String> {
        let name = request.get_str("child").ok_or("missing configuration name")?;
        self.logger.log(Group::Cfg, 1, format!("vici {verb} '{name}'"));
        let ike = request.get_str("ike");
        let mut peers = self.endpoint.connections().iter();
        let known = peers.any(|peer| {
            ike.is_none_or(|ike| ike == peer.name) && peer.children.iter().any(|child| child.name == name)
        });
        known
            .then_some(name)
            .ok_or_else(|| "configuration name not found".into())
    }
}
