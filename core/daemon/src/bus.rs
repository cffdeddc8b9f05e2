//! Tells listeners what happens: vici's events, and `script` for the plugin that runs scripts.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use control::vici::Message;
use ike::{ChildSaInfo, Event, IkeSaInfo, KernelId, ScriptRun};
use plugin_api::Listener;

use crate::commands::message::Extra;
use crate::commands::sas::Describe;
use crate::log::Record;
use crate::updown::Updown;

/// Asks for a script whose end is reported by the command `script-done` with the event's `id`.
const SCRIPT: &str = "script";
/// Asks for a script, as listeners know it that do not report its end.
const UPDOWN: &str = "updown";

/// After which time scripts are killed unless the settings say otherwise.
pub(crate) const SCRIPT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long what depends on a script waits for it then.
const PATIENCE: Duration = Duration::from_secs(65);

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

    /// Something happened to an SA.
    pub(crate) fn event(&self, event: &Event, describe: Describe<'_>) {
        match event {
            Event::IkeUp(sa) => self.ike_updown(sa, true, describe),
            Event::IkeRekeyed(old, new) => self.ike_rekey(old, new, describe),
            Event::IkeDown(sa) => self.ike_updown(sa, false, describe),
            Event::ChildUp(sa, child) => self.child_updown(sa, child, true, describe),
            Event::ChildDown(sa, child) => self.child_updown(sa, child, false, describe),
            Event::ChildRekeyed(sa, old, new) => self.child_rekey(sa, old, new, describe),
            Event::IkeMoved(sa, local, remote) => self.ike_update(sa, (*local, *remote), describe),
            Event::DnsServers(sa, up) => self.dns_servers(sa, *up),
            Event::Alert(alert, sa) => self.alert(alert.key(), sa.as_deref(), describe),
            // Run by `run_scripts`.
            Event::Scripts(_) => {}
        }
    }

    /// How long what depends on a script waits for it; `None` if nobody runs any.
    pub(crate) fn patience(&self) -> Option<Duration> {
        (self.wants(SCRIPT) || self.wants(UPDOWN)).then_some(self.updown.patience.unwrap_or(PATIENCE))
    }

    /// Sets the device of IPsec in user space, which scripts learn of.
    pub(crate) fn set_tun(&mut self, name: &str) {
        self.updown.tun = Some(name.to_owned());
    }

    /// Sets after which time scripts are killed; what depends on one waits a little longer. Scripts that may run for ever are
    /// not waited for as long.
    pub(crate) fn set_script_timeout(&mut self, timeout: Duration) {
        let timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        self.updown.patience = timeout.map(|timeout| timeout + PATIENCE - SCRIPT_TIMEOUT);
    }

    /// Has scripts run; `false` if there is nothing to wait for. `interface` is asked for the one that leads to an address.
    pub(crate) fn run_scripts(
        &mut self,
        run: &ScriptRun,
        interface: &dyn Fn(IpAddr) -> Option<String>,
    ) -> bool {
        for child in &run.children {
            for event in self.updown.events(&run.ike, child, run.up, interface) {
                self.run_script(run.id, &event);
            }
        }
        self.updown.runs.awaits(run.id)
    }

    fn run_script(&mut self, run: KernelId, variables: &Message) {
        for (listener, wants) in &self.listeners {
            let is_wanted = |name: &str| wants.iter().any(|wanted| wanted == name);
            if is_wanted(SCRIPT) {
                let number = self.updown.runs.add(run);
                let id = Message::new().value("id", number).encode_or_empty();
                match variables.encode() {
                    Ok(variables) => listener.event(SCRIPT, &[id, variables].concat()),
                    // It has no listener that would report its end.
                    Err(_) => _ = self.updown.runs.end(number),
                }
            } else if is_wanted(UPDOWN) {
                listener.event(UPDOWN, &variables.encode_or_empty());
            }
        }
    }

    /// A script has ended; its run, if that was the last one.
    pub(crate) fn script_done(&mut self, number: u64) -> Option<KernelId> {
        self.updown.runs.end(number)
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

    fn child_updown(&self, sa: &IkeSaInfo, child: &ChildSaInfo, up: bool, describe: Describe<'_>) {
        if self.wants("child-updown") {
            let mut event = Message::default();
            event.push_flag("up", up);
            event.push_section(&sa.name, describe.ike_sa_with(sa, std::slice::from_ref(child)));
            self.emit("child-updown", &event);
        }
    }
}
