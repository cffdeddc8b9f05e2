//! `ipsec status` and `ipsec statusall`, from what vici's commands say.
//!
//! Beyond vici's keys, these are ours: `listening` (addresses) in `stats`; `local-class` (how this end authenticates) in
//! `list-sa`; `uniqueid` in `list-policy`. `version` comes with the product's name before it.

mod connections;
mod sas;
#[cfg(test)]
mod tests;

use control::vici::Message;

pub use connections::{Policies, connection};
pub use sas::security_association;

use crate::text::{clean, joined, or_empty, or_zero};

/// The lines before the connections, of `statusall`.
pub fn daemon(version: &Message, stats: &Message, pools: &Message) -> String {
    let of = |key: &str| or_empty(version, key);
    let number = |key: &str| or_zero(stats, key);
    let quadruple = |section: &str| {
        ["critical", "high", "medium", "low"]
            .map(|priority| number(&format!("{section}.{priority}")))
            .join("/")
    };
    let mut text = format!(
        "Status of IKE charon daemon ({}, {} {}, {}):\n",
        of("version"),
        of("sysname"),
        of("release"),
        of("machine")
    );
    text.push_str(&format!(
        "  uptime: {}, since {}\n",
        or_empty(stats, "uptime.running"),
        or_empty(stats, "uptime.since")
    ));
    text.push_str(&format!(
        "  malloc: sbrk {}, mmap {}, used {}, free {}\n",
        number("mallinfo.sbrk"),
        number("mallinfo.mmap"),
        number("mallinfo.used"),
        number("mallinfo.free")
    ));
    text.push_str(&format!(
        "  worker threads: {} of {} idle, {} working, job queue: {}, scheduled: {}\n",
        number("workers.idle"),
        number("workers.total"),
        quadruple("workers.active"),
        quadruple("queues"),
        number("scheduled")
    ));
    text.push_str(&format!("  loaded plugins: {}\n", joined(stats, "plugins", " ")));
    let mut heading = "Virtual IP pools (size/online/offline):\n";
    for (name, pool) in pools.sections() {
        let number = |key| or_zero(&pool, key);
        text.push_str(std::mem::take(&mut heading));
        text.push_str(&format!(
            "  {}: {}/{}/{}\n",
            clean(name),
            number("size"),
            number("online"),
            number("offline")
        ));
    }
    text.push_str("Listening IP addresses:\n");
    for address in stats.get_texts("listening") {
        text.push_str(&format!("  {}\n", clean(&address)));
    }
    text
}

/// The heading of the SAs.
pub fn counts(stats: &Message) -> String {
    let number = |key| stats.get_int(key).unwrap_or(0);
    let half_open = number("ikesas.half-open");
    let up = number("ikesas.total") - half_open;
    format!("Security Associations ({up} up, {half_open} connecting):\n")
}

/// What is said if there is no SA.
pub fn none(name: Option<&str>) -> &'static str {
    if name.is_some() {
        "  no match\n"
    } else {
        "  none\n"
    }
}
