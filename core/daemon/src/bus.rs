//! Tells listeners what happens: vici's events, and `updown` for the plugin that runs scripts.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use control::vici::Message;
use ike::{ChildSaInfo, Event, IkeSaInfo};
use plugin_api::Listener;

use crate::commands::message::Extra;
use crate::commands::sas::Describe;
use crate::log::Record;
use crate::updown::Updown;

/// All listeners.
#[derive(Default)]
pub(crate) struct Bus {
    listeners: Vec<(Arc<dyn Listener>, Vec<String>)>,
    updown: Updown,
}

impl Bus {
    pub(crate) fn new(listeners: Vec<Arc<dyn Listener>>) -> Self {
        let listeners = listeners
            .into_iter()
            .map(|listener| (listener, Vec::new()))
            .collect();
        let mut bus = Self {
            listeners,
            updown: Updown::default(),
        };
        bus.refresh();
        bus
    }

    /// Asks listeners what they want now.
    pub(crate) fn refresh(&mut self) {
        for (listener, wants) in &mut self.listeners {
            *wants = listener.wants();
        }
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.listeners
            .iter()
            .any(|(_, wants)| wants.iter().any(|wanted| wanted == name))
    }

    fn emit(&self, name: &str, message: &Message) {
        let octets = message.encode_or_empty();
        for (listener, wants) in &self.listeners {
            if wants.iter().any(|wanted| wanted == name) {
                listener.event(name, &octets);
            }
        }
    }

    /// `log`: one event a line.
    pub(crate) fn log(&self, record: &Record) {
        for text in record.line.text.lines() {
            let mut event = Message::default();
            event.push_value("group", record.line.group);
            event.push_value("level", record.line.level);
            event.push_value("thread", record.thread);
            if let Some((id, name)) = &record.line.sa {
                event.push_value("ikesa-name", name);
                event.push_value("ikesa-uniqueid", id);
            }
            event.push_value("msg", text);
            self.emit("log", &event);
        }
    }

    /// Something happened to an SA. `interface` is asked for the one that leads to an address.
    pub(crate) fn event(
        &mut self,
        event: &Event,
        describe: Describe<'_>,
        interface: &dyn Fn(std::net::IpAddr) -> Option<String>,
    ) {
        match event {
            Event::IkeUp(sa) => self.ike_updown(sa, true, describe),
            Event::IkeRekeyed(old, new) => self.ike_rekey(old, new, describe),
            Event::IkeDown(sa) => self.ike_updown(sa, false, describe),
            Event::ChildUp(sa, child) => self.child_updown(sa, child, true, describe, interface),
            Event::ChildDown(sa, child) => self.child_updown(sa, child, false, describe, interface),
            Event::ChildRekeyed(sa, old, new) => self.child_rekey(sa, old, new, describe),
            Event::IkeMoved(sa, local, remote) => self.ike_update(sa, (*local, *remote), describe),
            Event::DnsServers(sa, up) => self.dns_servers(sa, *up),
            Event::Alert(alert, sa) => self.alert(alert.key(), sa.as_deref(), describe),
        }
    }

    /// Whether anybody wants what is told only then.
    pub(crate) fn is_watched(&self) -> bool {
        self.wants("alert") || self.wants("ike-update")
    }

    /// The addresses from now on, and the IKE_SA with those so far.
    fn ike_update(&self, sa: &IkeSaInfo, (local, remote): (SocketAddr, SocketAddr), describe: Describe<'_>) {
        if self.wants("ike-update") {
            let mut event = Message::default();
            event.push_value("local-host", local.ip());
            event.push_value("local-port", local.port());
            event.push_value("remote-host", remote.ip());
            event.push_value("remote-port", remote.port());
            event.push_section(&sa.name, describe.ike_sa(sa));
            self.emit("ike-update", &event);
        }
    }

    /// Ours, for the plugin `resolve`: DNS servers that came with an IKE_SA, or go with it.
    fn dns_servers(&self, sa: &IkeSaInfo, up: bool) {
        if self.wants("dns-servers") {
            let mut event = Message::default();
            event.push_flag("up", up);
            event.push_value("ike", &sa.name);
            event.push_value("uniqueid", sa.unique_id);
            event.push_list("servers", &sa.dns);
            self.emit("dns-servers", &event);
        }
    }

    /// Whether scripts are told of DNS servers.
    pub(crate) fn set_dns_in_scripts(&mut self, told: bool) {
        self.updown.dns = told;
    }

    fn alert(&self, kind: &str, sa: Option<&IkeSaInfo>, describe: Describe<'_>) {
        if self.wants("alert") {
            let mut event = Message::default();
            event.push_value("type", kind);
            if let Some(sa) = sa {
                let mut section = Message::default();
                section.push_section(&sa.name, describe.ike_sa(sa));
                event.push_section("ike-sa", section);
            }
            self.emit("alert", &event);
        }
    }

    /// The daemon ends.
    pub(crate) fn shutdown(&self) {
        if self.wants("alert") {
            self.emit("alert", &Message::new().value("type", "shutdown-signal"));
        }
    }

    fn ike_updown(&self, sa: &IkeSaInfo, up: bool, describe: Describe<'_>) {
        if self.wants("ike-updown") {
            let mut event = Message::default();
            event.push_flag("up", up);
            event.push_section(&sa.name, describe.ike_sa(sa));
            self.emit("ike-updown", &event);
        }
    }

    fn ike_rekey(&self, old: &IkeSaInfo, new: &IkeSaInfo, describe: Describe<'_>) {
        if self.wants("ike-rekey") {
            let mut both = Message::default();
            both.push_section("old", describe.ike_sa(old));
            both.push_section("new", describe.ike_sa(new));
            let mut event = Message::default();
            event.push_section(&new.name, both);
            self.emit("ike-rekey", &event);
        }
    }

    fn child_rekey(&self, sa: &IkeSaInfo, old: &ChildSaInfo, new: &ChildSaInfo, describe: Describe<'_>) {
        if self.wants("child-rekey") {
            let mut both = Message::default();
            both.push_section("old", describe.child_sa(old));
            both.push_section("new", describe.child_sa(new));
            let mut children = Message::default();
            children.push_section(&new.config.name, both);
            let mut section = describe.ike_sa(sa);
            section.push_section("child-sas", children);
            let mut event = Message::default();
            event.push_section(&sa.name, section);
            self.emit("child-rekey", &event);
        }
    }

    fn child_updown(
        &mut self,
        sa: &IkeSaInfo,
        child: &ChildSaInfo,
        up: bool,
        describe: Describe<'_>,
        interface: &dyn Fn(std::net::IpAddr) -> Option<String>,
    ) {
        if self.wants("child-updown") {
            let mut event = Message::default();
            event.push_flag("up", up);
            event.push_section(&sa.name, describe.ike_sa_with(sa, std::slice::from_ref(child)));
            self.emit("child-updown", &event);
        }
        if child.config.updown.is_some() && self.wants("updown") {
            for event in self.updown.events(sa, child, up, interface) {
                self.emit("updown", &event);
            }
        }
    }
}
