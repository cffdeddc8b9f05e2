//! `load-conn`, `unload-conn` and `get-conns`: connections of swanctl.conf, and what is done when they come and go.

pub(super) mod asked;
mod auth;
mod child;
mod connection;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use config::connection::{PeerConfig, VICI};
use config::demand::{self, Demand};
use control::vici::{Element, Message};
use credentials::Item;
use iana::{Profile, Protocol};
use ike::{How, Loaded, PutOutcome, Start};
use plugin_api::log::Group;

use super::{Answer, success};
use crate::run::Daemon;
use asked::{Asked, asked};

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

    /// A connection that is pinned to the drafts and says nothing of Kyber means the one that all others mean.
    pub(super) fn mean_same_kyber(&self, peer: &mut PeerConfig, says_kyber: bool) {
        if peer.profile == Some(Profile::Draft) && !says_kyber {
            peer.profile = Some(self.endpoint.draft_profile());
        }
    }

    fn load_connection(&mut self, name: &str, elements: &[Element]) -> Result<(), String> {
        let mut notes = Notes::default();
        let peer = connection::connection(name, elements, &mut notes);
        for line in notes.lines {
            self.logger.log(Group::Cfg, 1, line);
        }
        let mut peer = peer?;
        let says_kyber = elements
            .iter()
            .any(|element| values::Given(element).key() == "kyber_generation");
        self.mean_same_kyber(&mut peer, says_kyber);
        self.check_protocols(&peer)?;
        self.check_proposals(&peer)?;
        self.check_demands(&peer)?;
        for item in notes.credentials {
            self.add(item)?;
        }
        for key in notes.keys {
            let text = format!("connection '{name}': {key} has no effect yet");
            self.logger.log(Group::Cfg, 1, text);
        }
        self.say_unprovable(&peer);
        self.follow_names(&peer);
        let now = self.now();
        let Loaded { outcome, start } = self.endpoint.load_connection(now, peer);
        let verb = match outcome {
            PutOutcome::Added => "added",
            PutOutcome::Updated(_) => "updated",
            PutOutcome::Replaced(_) => "replaced",
        };
        self.logger
            .log(Group::Cfg, 1, format!("{verb} vici connection: {name}"));
        // What is closed for it comes before what is started.
        self.drain();
        for start in start {
            let verb = match start.how {
                How::Install => "installing",
                How::Initiate => "initiating",
            };
            let text = format!("vici {verb} '{}'", start.child.name);
            self.logger.log(Group::Cfg, 1, text);
            self.start(start);
        }
        Ok(())
    }

    /// Refuses AH where the back end has none, and says what is done without.
    fn check_protocols(&self, peer: &PeerConfig) -> Result<(), String> {
        let backend = &**self.kernel.backend();
        let name = &peer.name;
        if let Some(child) = asked::without_ipcomp(peer, backend) {
            let text = format!(
                "connection '{name}': children.{child}.ipcomp: {}",
                asked::NO_IPCOMP
            );
            self.logger.log(Group::Cfg, 1, text);
        }
        let Some(child) = asked::without_ah(peer, backend) else {
            return Ok(());
        };
        let why = Demand::Ah.reason();
        let text = format!("connection '{name}': children.{child}.ah_proposals: {why}");
        self.logger.log(Group::Cfg, 1, text);
        Err(format!("{why}: ah_proposals, config discarded"))
    }

    /// Says that a connection demands what no end can prove yet: it is loaded, but establishes nothing.
    pub(super) fn say_unprovable(&self, peer: &PeerConfig) {
        if !demand::negotiates(peer) {
            return;
        }
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

    /// The first thing that a connection asks for and the kernel back end cannot do, and why.
    pub(super) fn beyond_back_end(&self, peer: &PeerConfig) -> Option<(Asked, String)> {
        asked(peer)
            .into_iter()
            .find_map(|asked| Some((asked.clone(), self.kernel.refusal(asked.demand)?)))
    }

    /// What the back end cannot do makes the connection none: without it other packets would be protected than it says.
    fn check_demands(&self, peer: &PeerConfig) -> Result<(), String> {
        let Some((asked, why)) = self.beyond_back_end(peer) else {
            return Ok(());
        };
        let (name, key) = (&peer.name, asked.path());
        self.logger
            .log(Group::Cfg, 1, format!("connection '{name}': {key}: {why}"));
        Err(format!("{why}: {key}, config discarded"))
    }

    /// A proposal that cannot be used makes the connection none.
    fn check_proposals(&self, peer: &PeerConfig) -> Result<(), String> {
        let notes = self.endpoint.check_proposals(peer).map_err(|bad| {
            let key = match bad.protocol {
                Protocol::ESP => "esp_proposals",
                Protocol::AH => "ah_proposals",
                _ => "proposals",
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
        let now = self.now();
        let old = self.endpoint.unload_connection(now, name);
        old.ok_or_else(|| format!("unload: connection '{name}' not found"))?;
        self.logger
            .log(Group::Cfg, 1, format!("removed vici connection: {name}"));
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

    /// Does what a connection wants done, in the names of those who wait for it already.
    pub(super) fn start(&mut self, start: Start) {
        let Start {
            peer,
            child,
            how,
            commands,
        } = start;
        let waiting: Vec<u64> = commands
            .iter()
            .filter_map(|command| self.operations.commands.remove(command))
            .collect();
        if waiting.is_empty() || child.start_action.starts() {
            match how {
                How::Install => self.install_detached(Arc::clone(&peer), child),
                How::Initiate => self.initiate_detached(Arc::clone(&peer), Some(child)),
            }
        }
        for operation in waiting {
            self.next_target(operation);
        }
    }
}
