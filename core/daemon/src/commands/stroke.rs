//! Connections of ipsec.conf, which the starter sends one by one, and log levels.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use config::connection::{PeerConfig, VICI};
use config::demand::Demand;
use config::ipsec_conf::conn;
use control::vici::Message;
use iana::Protocol;
use ike::AddOutcome;
use plugin_api::Host;
use plugin_api::log::Group;

use super::Answer;
use super::load::asked;
use crate::log::targets;
use crate::run::Daemon;

impl Daemon {
    /// `stroke-add-conn`: `name`, `source`, `uniqueids`, and the section `settings` with the keys of ipsec.conf.
    pub(super) fn add_connection(&mut self, request: &Message) -> Answer {
        let name = request
            .get_str("name")
            .filter(|name| !name.is_empty())
            .ok_or("missing connection name")?;
        let mut answer = self.put_connection(name, request);
        if let Err(why) = &mut answer
            && self
                .endpoint
                .connections()
                .iter()
                .any(|known| known.name == name && known.source != VICI)
        {
            why.push_str("; the one that was loaded before stays");
        }
        // Who wants to establish it is told why there is none.
        match &answer {
            Ok(_) => self.operations.refused.remove(name),
            Err(why) => self.operations.refused.insert(name.to_owned(), why.clone()),
        };
        answer
    }

    fn put_connection(&mut self, name: &str, request: &Message) -> Answer {
        let source = request.get_str("source").unwrap_or("ipsec.conf");
        self.logger
            .log(Group::Cfg, 1, format!("received stroke: add connection '{name}'"));
        let settings = request.get_section("settings");
        let settings: BTreeMap<String, String> = settings
            .values()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let own = self.own_addresses();
        let is_local = |address: IpAddr| own.contains(&address);
        let strongswan_conf = self.host.settings();
        let allow_swap = strongswan_conf
            .get("charon.plugins.stroke.allow_swap")
            .is_none_or(|text| !matches!(text, "0" | "no" | "false" | "disabled"));
        let uniqueids = request.get_str("uniqueids").unwrap_or("yes");
        let converted = conn::to_peer_config(name, &settings, source, uniqueids, &is_local, allow_swap);
        let places = request.get_section("places");
        let place = |key: &str| places.get_str(key).unwrap_or(source);
        let mut converted = converted.map_err(|error| {
            let place = error.key.as_deref().and_then(|key| places.get_str(key));
            let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
            let text = format!("connection '{name}' of {source} refused: {error}{place}");
            self.logger.log(Group::Cfg, 1, text.clone());
            text
        })?;
        self.mean_same_kyber(&mut converted.peer, settings.contains_key("kyber_generation"));
        for (level, message) in converted.messages {
            self.logger.log(Group::Cfg, level, message);
        }
        for key in conn::without_effect(&settings, &is_local, allow_swap) {
            let text = format!("connection '{name}': {key} ({}) has no effect yet", place(&key));
            self.logger.log(Group::Cfg, 1, text);
        }
        let backend = &**self.kernel.backend();
        if asked::without_ipcomp(&converted.peer, backend).is_some() {
            let (place, why) = (place("compress"), asked::NO_IPCOMP);
            let text = format!("connection '{name}': compress ({place}): {why}");
            self.logger.log(Group::Cfg, 1, text);
        }
        if asked::without_ah(&converted.peer, backend).is_some() {
            let (value, place, why) = (&settings["ah"], place("ah"), Demand::Ah.reason());
            let text = format!("connection '{name}' of {source} refused: ah={value}: {why} ({place})");
            self.logger.log(Group::Cfg, 1, text.clone());
            return Err(text);
        }
        let checked = self.endpoint.check_proposals(&converted.peer);
        let notes = checked.map_err(|bad| {
            let key = match bad.protocol {
                Protocol::ESP => "esp",
                Protocol::AH => "ah",
                _ => "ike",
            };
            let place = place(key);
            let text = format!(
                "connection '{name}' of {source} refused: {key}= ({place}): {}",
                bad.text
            );
            self.logger.log(Group::Cfg, 1, text.clone());
            text
        })?;
        for note in notes {
            let text = format!("connection '{name}' of {source}: {note}");
            self.logger.log(Group::Cfg, 1, text);
        }
        if let Some((asked, why)) = self.beyond_back_end(&converted.peer) {
            let key = asked.keywords().iter().find(|key| settings.contains_key(**key));
            let key = key.map(|key| format!("{key}= ({}): ", place(key)));
            let text = format!(
                "connection '{name}' of {source} refused: {}{why}",
                key.unwrap_or_default()
            );
            self.logger.log(Group::Cfg, 1, text.clone());
            return Err(text);
        }
        self.say_unprovable(&converted.peer);
        self.add_pools_of(name, &converted.peer.pools, source);
        self.follow_names(&converted.peer);
        let now = self.now();
        let (outcome, start) = self.endpoint.put_connection_of_file(now, converted.peer);
        let text = match outcome {
            AddOutcome::Added | AddOutcome::Replaced => format!("added configuration '{name}'"),
            AddOutcome::ChildOf(parent) => format!("added child to existing configuration '{parent}'"),
        };
        self.logger.log(Group::Cfg, 1, text);
        self.drain();
        for start in start {
            self.start(start);
        }
        Ok(super::success())
    }

    /// `stroke-del-conn`: `name`. SAs stay.
    pub(super) fn delete_connection(&mut self, request: &Message) -> Answer {
        let name = request.get_str("name").ok_or("missing connection name")?;
        self.logger.log(
            Group::Cfg,
            1,
            format!("received stroke: delete connection '{name}'"),
        );
        self.operations.refused.remove(name);
        let peers = self.endpoint.connections().iter();
        let has = |peer: &&Arc<PeerConfig>| {
            peer.source != VICI && peer.children.iter().any(|child| child.name == name)
        };
        let parents: Vec<String> = peers.filter(has).map(|peer| peer.name.clone()).collect();
        let now = self.now();
        for parent in parents {
            self.endpoint.uninstall(now, Some(&parent), name);
        }
        if self.endpoint.remove_connection(name) {
            self.logger
                .log(Group::Cfg, 1, format!("deleted connection '{name}'"));
            Ok(super::success())
        } else {
            let text = format!("no connection named '{name}'");
            self.logger.log(Group::Cfg, 1, text.clone());
            Err(text)
        }
    }

    /// `stroke-loglevel`: `group`, or `any` for all, and `level`. Only loggers that strongswan.conf does not describe.
    pub(super) fn set_log_level(&mut self, request: &Message) -> Answer {
        let group = request.get_str("group").unwrap_or("any");
        let level = request
            .get_str("level")
            .and_then(|text| text.parse::<i8>().ok())
            .filter(|it| (-1..=4).contains(it));
        let level = level.ok_or("level must be a number from -1 to 4")?;
        self.logger.log(
            Group::Cfg,
            1,
            format!("received stroke: loglevel {level} for {group}"),
        );
        let settings = self.host.settings();
        if self
            .host
            .setting("charon.plugins.stroke.prevent_loglevel_changes")
            .is_some_and(|text| text == "yes")
        {
            return Err("charon.plugins.stroke.prevent_loglevel_changes forbids it".into());
        }
        if targets::configured(&settings) {
            return Err(
                "the loggers of strongswan.conf have levels of their own, change them there and reload"
                    .into(),
            );
        }
        if group.eq_ignore_ascii_case("any") {
            self.legacy.levels = [level; Group::ALL.len()];
        } else {
            let group: Group = group
                .parse()
                .map_err(|()| format!("no log group named '{group}'"))?;
            self.legacy.levels[group as usize] = level;
        }
        self.logger
            .set_sinks(targets::open(&settings, &self.legacy, None).0);
        self.apply_log_levels();
        Ok(super::success())
    }

    /// The addresses of this host.
    pub(crate) fn own_addresses(&self) -> Vec<IpAddr> {
        let addresses = self.host.kernel_net().map(|net| net.addresses());
        match addresses {
            Some(Ok(addresses)) => addresses.into_iter().map(|own| own.address).collect(),
            Some(Err(error)) => {
                self.logger
                    .log(Group::Knl, 1, format!("unable to list own addresses: {error}"));
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}
