//! `load-conn`, `unload-conn` and `get-conns`: connections of swanctl.conf, and what is done when they come and go.

mod asked;
mod auth;
mod child;
mod connection;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use config::connection::{ChildConfig, PeerConfig, VICI};
use config::demand::Demand;
use control::vici::{Element, Message};
use credentials::Item;
use ike::{ChildState, IkeSaInfo, IkeSaState, PutOutcome};
use plugin_api::log::Group;

use super::install::is_shunt;
use super::{Answer, success};
use crate::run::Daemon;

/// Keys that are understood and have a value that would change something, if the daemon had what they are about.
#[derive(Debug, Default)]
struct Notes {
    /// The section that is being read, `children.net.`.
    within: String,
    keys: Vec<String>,
    /// Certificates and public keys that came with the connection.
    credentials: Vec<Item>,
    /// What was found on the way, for the log.
    lines: Vec<String>,
    /// What the connection cannot do without, with its keys.
    demands: Vec<(String, Demand)>,
}

impl Notes {
    fn add(&mut self, key: &str, as_is: bool) {
        if !as_is {
            self.keys.push(format!("{}{key}", self.within));
        }
    }

    fn demand(&mut self, key: &str, demand: Demand) {
        self.demands.push((key.to_owned(), demand));
    }
}

impl Daemon {
    /// `load-conn`: a section with the name of the connection. One of that name is replaced; what is established stays.
    pub(super) fn load_conn(&mut self, request: &Message) -> Answer {
        for element in &request.elements {
            let Element::Section(name, elements) = element else {
                return Err(values::Given(element).unknown());
            };
            self.load_connection(name, elements)?;
        }
        Ok(success())
    }

    fn load_connection(&mut self, name: &str, elements: &[Element]) -> Result<(), String> {
        let mut notes = Notes::default();
        let peer = connection::connection(name, elements, &mut notes);
        for line in notes.lines {
            self.logger.log(Group::Cfg, 1, line);
        }
        let peer = peer?;
        self.check_proposals(&peer)?;
        for item in notes.credentials {
            self.add(item)?;
        }
        for key in notes.keys {
            let text = format!("connection '{name}': {key} has no effect yet");
            self.logger.log(Group::Cfg, 1, text);
        }
        self.say_unprovable(&peer);
        self.follow_names(&peer);
        self.compare_with_back_end(&peer);
        let new = peer.clone();
        let (verb, old) = match self.endpoint.put_connection(peer) {
            PutOutcome::Added => ("added", None),
            PutOutcome::Updated(old) => ("updated", Some(old)),
            PutOutcome::Replaced(old) => ("replaced", Some(old)),
        };
        self.logger
            .log(Group::Cfg, 1, format!("{verb} vici connection: {name}"));
        // Where the peer is another, so are all CHILD_SAs.
        let kept = |child: &Arc<ChildConfig>, others: &PeerConfig| {
            verb == "updated" && others.children.contains(child)
        };
        if let Some(old) = &old {
            let gone = old.children.iter().filter(|child| !kept(child, &new));
            gone.for_each(|child| self.undo(old, child));
            let now = self.now();
            for child in &old.children {
                if !new.children.iter().any(|it| it.name == child.name) {
                    self.endpoint.uninstall(now, Some(name), &child.name);
                }
            }
        }
        let started = |child: &&Arc<ChildConfig>| old.as_ref().is_none_or(|old| !kept(child, old));
        new.children
            .iter()
            .filter(started)
            .for_each(|child| self.start_action(&new, child));
        Ok(())
    }

    /// Says that a connection demands what no end can prove yet: it is loaded, but establishes nothing.
    pub(super) fn say_unprovable(&self, peer: &PeerConfig) {
        if peer.has_to_prove_more_than_psk() {
            let text = format!(
                "connection '{}' of {}: this end has to prove more than a pre-shared key, which is not supported; it \
                 establishes nothing until leftauth or local.auth is psk",
                peer.name, peer.source
            );
            self.logger.log(Group::Cfg, 1, text);
        }
        if peer.demands_more_than_psk() {
            let text = format!(
                "connection '{}' of {}: the peer has to prove more than a pre-shared key, which is not supported; \
                 every peer is refused",
                peer.name, peer.source
            );
            self.logger.log(Group::Cfg, 1, text);
        }
    }

    /// Says what a connection asks for and the kernel back end cannot do.
    pub(super) fn compare_with_back_end(&self, peer: &PeerConfig) {
        for key in asked::unsupported(peer, self.kernel.features()) {
            let text = format!(
                "connection '{}': {key} is not supported by the kernel back end, remove it or load another one",
                peer.name
            );
            self.logger.log(Group::Cfg, 1, text);
        }
    }

    /// A proposal that cannot be used makes the connection none.
    fn check_proposals(&self, peer: &PeerConfig) -> Result<(), String> {
        let notes = self.endpoint.check_proposals(peer).map_err(|bad| {
            let key = if bad.of_child {
                "esp_proposals"
            } else {
                "proposals"
            };
            let (name, why) = (&peer.name, bad.text);
            self.logger
                .log(Group::Cfg, 1, format!("connection '{name}': {key}: {why}"));
            format!("invalid value for: {key}, config discarded ({why})")
        })?;
        for note in notes {
            let text = format!("connection '{}': {note}", peer.name);
            self.logger.log(Group::Cfg, 1, text);
        }
        Ok(())
    }

    /// `unload-conn`: `name`.
    pub(super) fn unload_conn(&mut self, request: &Message) -> Answer {
        let name = request.get_str("name").ok_or("unload: missing connection name")?;
        let old = self.endpoint.take_connection(name, VICI);
        let old = old.ok_or_else(|| format!("unload: connection '{name}' not found"))?;
        self.logger
            .log(Group::Cfg, 1, format!("removed vici connection: {name}"));
        for child in &old.children {
            self.undo(&old, child);
        }
        // Those that were installed by a command, too: nothing is left that they could establish.
        self.endpoint.uninstall_all(self.now(), name);
        Ok(success())
    }

    /// `get-conns`: the names of those that were loaded over vici.
    pub(super) fn get_conns(&self) -> Message {
        let connections = self.endpoint.connections().iter();
        let names = connections
            .filter(|peer| peer.source == VICI)
            .map(|peer| &peer.name);
        Message::new().list("conns", names)
    }

    /// What the operator wants done with a CHILD_SA when its configuration comes.
    fn start_action(&mut self, peer: &PeerConfig, child: &Arc<ChildConfig>) {
        let name = &child.name;
        let action = child.start_action;
        let shunt = is_shunt(child);
        // There is nothing to negotiate about a shunt.
        if action.traps() || (action.starts() && shunt) {
            self.logger
                .log(Group::Cfg, 1, format!("vici installing '{name}'"));
            self.install_detached(Arc::new(peer.clone()), Arc::clone(child));
        }
        if action.starts() && !shunt {
            self.logger
                .log(Group::Cfg, 1, format!("vici initiating '{name}'"));
            self.initiate_detached(Arc::new(peer.clone()), Some(Arc::clone(child)));
        }
    }

    /// What was started for a configuration is closed when it goes.
    fn undo(&mut self, peer: &PeerConfig, child: &ChildConfig) {
        let (action, now) = (child.start_action, self.now());
        if action.traps() || (action.starts() && is_shunt(child)) {
            self.logger
                .log(Group::Cfg, 1, format!("vici uninstalling '{}'", child.name));
            self.endpoint.uninstall(now, Some(&peer.name), &child.name);
        }
        if !action.starts() {
            return;
        }
        let live = |it: &&ike::ChildSaInfo| !matches!(it.state, ChildState::Rekeyed | ChildState::Deleted);
        let sas: Vec<IkeSaInfo> = self
            .endpoint
            .ike_sas()
            .filter(|sa| *sa.name == *peer.name && sa.state != IkeSaState::Rekeyed)
            .collect();
        for sa in sas {
            let (own, others): (Vec<_>, Vec<_>) = sa
                .children
                .iter()
                .filter(live)
                .partition(|it| it.config.name == child.name);
            if own.is_empty() {
                continue;
            }
            if others.is_empty() {
                let text = format!("vici closing IKE_SA '{}' #{}", sa.name, sa.unique_id);
                self.logger.log(Group::Cfg, 1, text);
                let command = self.operations.unattended();
                self.endpoint.terminate_ike(now, command, sa.unique_id);
                continue;
            }
            for it in own {
                let text = format!("vici closing CHILD_SA '{}' #{}", child.name, it.unique_id);
                self.logger.log(Group::Cfg, 1, text);
                let command = self.operations.unattended();
                self.endpoint.terminate_child(now, command, it.unique_id);
            }
        }
    }
}
