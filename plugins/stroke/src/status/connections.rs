//! Connections as configured, shunts and traps.

use control::vici::Message;

use crate::text::{clean, joined, or_empty, value};

/// An event `list-conn` as lines of `statusall`.
pub fn connection(event: &Message, only: Option<&str>) -> String {
    let mut text = String::new();
    for (name, connection) in event.sections() {
        if only.is_none_or(|only| only == name) {
            one(&mut text, &clean(name), &connection);
        }
    }
    text
}

fn one(text: &mut String, name: &str, connection: &Message) {
    let addresses = |key| {
        let list = joined(connection, key, ",");
        if list.is_empty() { "%any".to_owned() } else { list }
    };
    text.push_str(&format!(
        "{name:>12}:  {}...{}  {}",
        addresses("local_addrs"),
        addresses("remote_addrs"),
        or_empty(connection, "version")
    ));
    let dpd = connection.get_int("dpd_delay").filter(|delay| *delay > 0);
    if let Some(delay) = dpd {
        text.push_str(&format!(", dpddelay={delay}s"));
    }
    text.push('\n');
    for (side, word) in [("local-", "local: "), ("remote-", "remote:")] {
        let rounds = connection
            .sections()
            .filter(|(section, _)| section.starts_with(side));
        rounds.for_each(|(_, round)| authentication(text, name, word, &round));
    }
    for (child_name, child) in connection.get_section("children").sections() {
        text.push_str(&format!(
            "{:>12}:   child:  {}",
            clean(child_name),
            selectors(&child)
        ));
        text.push_str(&format!(" {}", or_empty(&child, "mode")));
        if dpd.is_some() {
            // In the words of ipsec.conf.
            let action = match or_empty(&child, "dpd_action").as_str() {
                "none" => "clear".to_owned(),
                "trap" => "hold".to_owned(),
                "start" => "restart".to_owned(),
                other => other.to_owned(),
            };
            text.push_str(&format!(", dpdaction={action}"));
        }
        text.push('\n');
    }
}

fn authentication(text: &mut String, name: &str, word: &str, round: &Message) {
    text.push_str(&format!("{name:>12}:   {word}"));
    if let Some(id) = value(round, "id") {
        text.push_str(&format!(" [{id}]"));
    }
    let class = match (or_empty(round, "class"), value(round, "eap-type")) {
        (class, Some(kind)) if class == "EAP" => format!("EAP_{}", kind.to_uppercase()),
        (class, _) if class.is_empty() => "any".to_owned(),
        (class, _) => class,
    };
    text.push_str(&format!(" uses {class} authentication"));
    if class == "XAuth" {
        text.push_str(&format!(
            ": {}",
            value(round, "xauth").unwrap_or_else(|| "any".into())
        ));
    }
    if let Some(id) = value(round, "eap_id") {
        text.push_str(&format!(" with EAP identity '{id}'"));
    }
    text.push('\n');
    for (key, word, quote) in [
        ("cacerts", "ca:   ", "\""),
        ("certs", "cert: ", "\""),
        ("groups", "group:", ""),
    ] {
        for item in round.get_texts(key) {
            text.push_str(&format!("{name:>12}:    {word} {quote}{}{quote}\n", clean(&item)));
        }
    }
}

/// `TS TS === TS TS`.
pub(super) fn selectors(message: &Message) -> String {
    format!(
        "{} === {}",
        joined(message, "local-ts", " "),
        joined(message, "remote-ts", " ")
    )
}

/// Collects the events of `list-policies`.
#[derive(Default)]
pub struct Policies {
    shunts: String,
    traps: String,
}

impl Policies {
    /// Takes an event.
    pub fn add(&mut self, event: &Message, only: Option<&str>) {
        for (_, policy) in event.sections() {
            let named = |key| policy.get_str(key).is_some_and(|name| Some(name) == only);
            if only.is_some() && !named("child") && !named("ike") {
                continue;
            }
            let (name, mode) = (or_empty(&policy, "child"), or_empty(&policy, "mode"));
            let selectors = selectors(&policy);
            if matches!(mode.as_str(), "PASS" | "DROP") {
                self.shunts
                    .push_str(&format!("{name:>12}:  {selectors} {mode}\n"));
                continue;
            }
            let id = policy.get_int("uniqueid").unwrap_or(0);
            let reqid = policy.get_int("reqid").unwrap_or(0);
            self.traps
                .push_str(&format!("{name:>12}{{{id}}}:  ROUTED, {mode}, reqid {reqid}\n"));
            self.traps
                .push_str(&format!("{name:>12}{{{id}}}:   {selectors}\n"));
        }
    }

    /// The lines, each kind under its heading.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (heading, lines) in [
            ("Shunted Connections:\n", &self.shunts),
            ("Routed Connections:\n", &self.traps),
        ] {
            if !lines.is_empty() {
                text.push_str(heading);
                text.push_str(lines);
            }
        }
        text
    }
}
