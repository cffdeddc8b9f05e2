//! Commands about the daemon itself: `version`, `stats`, `get-algorithms`, `list-plugins`, `reload-settings`.

use std::time::Duration;

use control::vici::Message;
use crypto::registry::Class;
use plugin_api::Reply;
use plugin_api::log::Group;

use super::Answer;
use super::message::Extra;
use crate::product;
use crate::program::Program;
use crate::run::Daemon;
use crate::sys;

pub(super) fn version(program: Program) -> Message {
    let system = product::system();
    let mut out = Message::default();
    out.push_value("daemon", program.name());
    out.push_value("version", format_args!("{} {}", product::NAME, product::VERSION));
    out.push_value("sysname", &system.name);
    out.push_value("release", &system.release);
    out.push_value("machine", &system.machine);
    out
}

impl Daemon {
    pub(super) fn stats(&self, request: &Message) -> Message {
        let mut out = Message::default();
        let mut uptime = Message::default();
        uptime.push_value(
            "running",
            span(self.now().saturating_duration_since(self.started.0)),
        );
        uptime.push_value("since", product::date(self.started.1));
        out.push_section("uptime", uptime);
        let (queued, working) = self.pool.load();
        let total = self.threads.max(working);
        let mut workers = Message::default();
        workers.push_value("total", total);
        workers.push_value("idle", total - working);
        workers.push_section("active", priorities(working));
        out.push_section("workers", workers);
        out.push_section("queues", priorities(queued));
        out.push_value("scheduled", usize::from(self.endpoint.poll_timeout().is_some()));
        let (established, half_open) = self.endpoint.counts();
        let mut sas = Message::default();
        sas.push_value("total", established + half_open);
        sas.push_value("half-open", half_open);
        out.push_section("ikesas", sas);
        out.push_list("plugins", self.plugins.names());
        let memory = sys::memory();
        let mut mallinfo = Message::default();
        mallinfo.push_value("sbrk", memory.heap);
        mallinfo.push_value("mmap", memory.mapped);
        mallinfo.push_value("used", memory.used);
        mallinfo.push_value("free", memory.free);
        out.push_section("mallinfo", mallinfo);
        // Ours, for `ipsec statusall`; others take every list for that of plugins.
        if request.is("stroke") {
            out.push_list("listening", self.listening_addresses());
        }
        out
    }

    pub(super) fn algorithms(&self, request: &Message) -> Message {
        let sections: [(&str, Option<Class>); 10] = [
            ("encryption", Some(Class::Encryption)),
            ("integrity", Some(Class::Integrity)),
            ("aead", Some(Class::Aead)),
            ("hasher", Some(Class::Hasher)),
            ("prf", Some(Class::Prf)),
            ("xof", None),
            ("drbg", None),
            ("ke", Some(Class::KeyExchange)),
            ("rng", Some(Class::Random)),
            ("nonce-gen", Some(Class::NonceGenerator)),
        ];
        let mut out = Message::default();
        for (name, class) in sections {
            let mut section = Message::default();
            for entry in self
                .endpoint
                .registry()
                .entries()
                .filter(|entry| Some(entry.class) == class)
            {
                section.push_value(&entry.name, entry.plugin);
            }
            out.push_section(name, section);
        }
        // Ours, for `ipsec listalgs`; others take every section for a kind of algorithms.
        if request.is("stroke") {
            let mut all = Message::default();
            for (name, class) in sections {
                let mut section = Message::default();
                for (of, keyword, plugin) in self.endpoint.registry().keywords() {
                    if Some(of) == class {
                        section.push_value(&keyword, plugin);
                    }
                }
                all.push_section(name, section);
            }
            out.push_section("keywords", all);
        }
        out
    }

    /// Ours: one event a plugin, with its features, whether they are loaded, and what they depend on.
    pub(super) fn list_plugins(&self, reply: &dyn Reply) -> Message {
        for plugin in self.plugins.described() {
            if !reply.event("list-plugin", &plugin.encode_or_empty()) {
                break;
            }
        }
        Message::default()
    }

    /// Reads strongswan.conf again; if it cannot be read, everything stays as it was.
    pub(crate) fn reload_settings(&mut self) -> Answer {
        match self.try_reload() {
            Ok(()) => Ok(super::success()),
            Err(error) => {
                let path = self.paths.strongswan_conf();
                self.logger
                    .log(Group::Cfg, 0, format!("{error}; the settings stay as they were"));
                Err(format!("reloading '{}' failed", path.display()))
            }
        }
    }
}

fn priorities(medium: usize) -> Message {
    let mut out = Message::default();
    for (name, value) in [("critical", 0), ("high", 0), ("medium", medium), ("low", 0)] {
        out.push_value(name, value);
    }
    out
}

/// A time span in its largest unit of which there are more than two.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        ..=120 => (seconds, "second"),
        121..=7_200 => (seconds / 60, "minute"),
        7_201..=172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
