//! `list-conns`: configurations with vici's keys, in vici's order.

use config::authentication::Constraint;
use config::connection::{AuthClass, AuthConfig, ChildConfig, IkeVersion, PeerConfig, UniquePolicy};
use control::vici::Message;
use crypto::proposal::Proposal;
use crypto::registry::Registry;
use iana::keyword::Transform;
use iana::{KeyExchangeMethod, TransformType};
use ike::Endpoint;
use plugin_api::Reply;

use super::message::Extra;
use super::page::Page;
use crate::run::Daemon;

impl Daemon {
    pub(super) fn list_conns(&self, request: &Message, reply: &dyn Reply) -> Message {
        let name = request.get_str("ike");
        let mut page = Page::of(request);
        for (number, peer) in (1..).zip(self.endpoint.connections()) {
            if number <= page.after || name.is_some_and(|name| name != peer.name) {
                continue;
            }
            if !page.takes(number) {
                return page.full();
            }
            let mut event = Message::default();
            event.push_section(&peer.name, connection(peer, &self.endpoint));
            if !reply.event("list-conn", &event.encode_or_empty()) {
                break;
            }
        }
        Message::default()
    }
}

/// A connection.
pub(super) fn connection(peer: &PeerConfig, endpoint: &Endpoint) -> Message {
    let mut out = Message::default();
    out.push_list("local_addrs", &peer.local_addrs);
    out.push_list("remote_addrs", &peer.remote_addrs);
    out.push_value("local_port", peer.local_port);
    out.push_value("remote_port", peer.remote_port);
    out.push_value(
        "version",
        match peer.version {
            IkeVersion::Any => "IKEv1/2",
            IkeVersion::V1 => "IKEv1",
            IkeVersion::V2 => "IKEv2",
        },
    );
    out.push_value("reauth_time", peer.lifetime.reauth.as_secs());
    out.push_value("rekey_time", peer.lifetime.rekey.as_secs());
    out.push_value(
        "unique",
        match peer.unique {
            UniquePolicy::Never => "UNIQUE_NEVER",
            UniquePolicy::No => "UNIQUE_NO",
            UniquePolicy::Replace => "UNIQUE_REPLACE",
            UniquePolicy::Keep => "UNIQUE_KEEP",
        },
    );
    let registry = endpoint.registry();
    out.push_section("proposals", proposals(&endpoint.ike_proposals(peer), registry));
    if !peer.dpd_delay.is_zero() {
        out.push_value("dpd_delay", peer.dpd_delay.as_secs());
    }
    if let Some(id) = &peer.ppk_id {
        out.push_value("ppk_id", id);
    }
    out.push_flag("ppk_required", peer.ppk_required);
    for (side, rounds) in [("local", &peer.local_auth), ("remote", &peer.remote_auth)] {
        for (round, auth) in rounds.iter().enumerate() {
            out.push_section(&format!("{side}-{}", round + 1), authentication(auth));
        }
    }
    let mut children = Message::default();
    for config in &peer.children {
        let proposed = proposals(&endpoint.child_proposals(config), registry);
        children.push_section(&config.name, child(config, proposed));
    }
    out.push_section("children", children);
    out
}

fn authentication(auth: &AuthConfig) -> Message {
    let mut out = Message::default();
    if let Some(id) = &auth.id {
        out.push_value("id", id);
    }
    // Where any will do, charon names none.
    if auth.class != AuthClass::Any {
        out.push_value("class", auth.class);
    }
    let (mut groups, mut policies) = (&[][..], &[][..]);
    for constraint in &auth.constraints {
        match constraint {
            Constraint::Groups(names) => groups = names,
            Constraint::CertPolicies(oids) => policies = oids,
            Constraint::EapIdentity(id) => out.push_value("eap_id", id),
            Constraint::Authority(name) => out.push_value("ca_id", name),
            Constraint::EapMethod(_)
            | Constraint::Certificate(_)
            | Constraint::Revocation(_)
            | Constraint::Signatures(_) => {}
        }
    }
    out.push_list("groups", groups);
    out.push_list("cert_policy", policies);
    out.push_list("certs", auth.certs.iter().map(|cert| &cert.subject));
    out.push_list("cacerts", auth.cacerts.iter().map(|cert| &cert.subject));
    out
}

/// `NUMBER { encr[], integ[], prf[], ke[], ake1[] ..., sn[] }`, numbered from 0, without what a proposal does not have.
fn proposals(proposals: &[Proposal], registry: &Registry) -> Message {
    let additional =
        (1..=7).filter_map(|slot| Some((format!("ake{slot}"), TransformType::additional_ke(slot)?)));
    let mut kinds = vec![
        ("encr".to_owned(), TransformType::ENCR),
        ("integ".to_owned(), TransformType::INTEG),
        ("prf".to_owned(), TransformType::PRF),
        ("ke".to_owned(), TransformType::KE),
    ];
    kinds.extend(additional);
    kinds.push(("sn".to_owned(), TransformType::ESN));
    let name = |transform: &Transform| match transform.kind.is_key_exchange() {
        true => registry.method_name(KeyExchangeMethod(transform.id)),
        false => transform.to_string(),
    };
    let mut out = Message::default();
    for (number, proposal) in proposals.iter().enumerate() {
        let mut section = Message::default();
        for (key, kind) in &kinds {
            let of_kind = proposal.transforms.iter().filter(|it| it.kind == *kind);
            section.push_list_if_any(key, &of_kind.map(name).collect::<Vec<_>>());
        }
        out.push_section(&number.to_string(), section);
    }
    out
}

fn child(config: &ChildConfig, esp_proposals: Message) -> Message {
    let mut out = Message::default();
    out.push_value("mode", config.mode);
    out.push_value("rekey_time", config.lifetime.time.rekey.as_secs());
    out.push_value("rekey_bytes", config.lifetime.octets.rekey);
    out.push_value("rekey_packets", config.lifetime.packets.rekey);
    out.push_value("dpd_action", config.dpd_action);
    out.push_value("close_action", config.close_action);
    out.push_section("esp_proposals", esp_proposals);
    out.push_section("ah_proposals", Message::default());
    out.push_list("local-ts", &config.local_ts);
    out.push_list("remote-ts", &config.remote_ts);
    let asked = &config.kernel;
    if !asked.interface.is_empty() {
        out.push_value("interface", &asked.interface);
    }
    if asked.priority != 0 {
        out.push_value("priority", asked.priority);
    }
    out
}
