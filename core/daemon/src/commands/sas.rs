//! `list-sas`, and the sections that events carry: IKE_SAs and CHILD_SAs with vici's keys, in vici's order.

#[cfg(test)]
pub(crate) mod tests;

use std::time::{Duration, Instant};

use control::vici::Message;
use crypto::proposal::Proposal;
use crypto::registry::Registry;
use iana::{
    EncryptionAlgorithm, ExtendedSequenceNumbers, IntegrityAlgorithm, KeyExchangeMethod,
    PseudoRandomFunction, TransformType,
};
use ike::{ChildSaInfo, ChildState, IkeSaInfo, IkeSaState};
use plugin_api::{KernelIpsec, Reply};

use super::message::Extra;
use super::page::Page;
use crate::run::Daemon;

/// What sections of SAs are made with.
#[derive(Clone, Copy)]
pub struct Describe<'a> {
    /// Names of algorithms.
    pub registry: &'a Registry,
    /// The time.
    pub now: Instant,
    /// Knows what SAs carried.
    pub kernel: &'a dyn KernelIpsec,
}

impl Daemon {
    pub(super) fn list_sas(&self, request: &Message, reply: &dyn Reply) -> Message {
        let (name, child) = (request.get_str("ike"), request.get_str("child"));
        let number = |key| request.get_str(key).and_then(|id| id.parse::<u32>().ok());
        let (id, child_id) = (number("ike-id"), number("child-id"));
        let of_child = child.is_some() || child_id.is_some();
        let stroke = request.is("stroke");
        let describe = self.describe();
        let mut page = Page::of(request);
        for mut sa in self.endpoint.ike_sas_after(page.after) {
            if name.is_some_and(|name| name != &*sa.name) || id.is_some_and(|id| id != sa.unique_id) {
                continue;
            }
            sa.children.retain(|it| {
                child.is_none_or(|name| name == it.config.name)
                    && child_id.is_none_or(|id| id == it.unique_id)
            });
            if of_child && sa.children.is_empty() {
                continue;
            }
            if !page.takes(sa.unique_id) {
                return page.full();
            }
            let mut section = describe.ike_sa(&sa);
            if stroke {
                // Ours: `ipsec statusall` names how this end authenticates.
                let classes: Vec<_> = sa.local_auth.iter().map(ToString::to_string).collect();
                section.push_value("local-class", classes.join("+"));
            }
            let mut event = Message::default();
            event.push_section(&sa.name, describe.with_children(section, &sa.children));
            if !reply.event("list-sa", &event.encode_or_empty()) {
                break;
            }
        }
        Message::default()
    }
}

impl Describe<'_> {
    /// An IKE_SA with some of its CHILD_SAs; their section is the last, because clients print when they meet it.
    pub fn ike_sa_with(&self, sa: &IkeSaInfo, children: &[ChildSaInfo]) -> Message {
        self.with_children(self.ike_sa(sa), children)
    }

    fn with_children(&self, mut section: Message, children: &[ChildSaInfo]) -> Message {
        let mut list = Message::default();
        for child in children {
            list.push_section(
                &format!("{}-{}", child.config.name, child.unique_id),
                self.child_sa(child),
            );
        }
        section.push_section("child-sas", list);
        section
    }

    /// An IKE_SA alone.
    pub fn ike_sa(&self, sa: &IkeSaInfo) -> Message {
        let mut out = Message::default();
        let id = |id: &Option<config::identity::Identity>| {
            id.as_ref().map_or_else(|| "%any".to_owned(), ToString::to_string)
        };
        out.push_value("uniqueid", sa.unique_id);
        out.push_value("version", 2);
        out.push_value("state", sa.state);
        out.push_value("local-host", sa.local.ip());
        out.push_value("local-port", sa.local.port());
        out.push_value("local-id", id(&sa.local_id));
        out.push_value("remote-host", sa.remote.ip());
        out.push_value("remote-port", sa.remote.port());
        out.push_value("remote-id", id(&sa.remote_id));
        out.push_flag("initiator", sa.initiator);
        out.push_value("initiator-spi", format_args!("{:016x}", sa.spi_i));
        out.push_value("responder-spi", format_args!("{:016x}", sa.spi_r));
        out.push_flag("nat-local", sa.nat_local);
        out.push_flag("nat-remote", sa.nat_remote);
        out.push_flag("nat-fake", sa.nat_fake);
        out.push_flag("nat-any", sa.nat_local || sa.nat_remote || sa.nat_fake);
        put_if_ids(&mut out, sa.if_ids);
        if let Some(proposal) = &sa.proposal {
            self.algorithms(&mut out, proposal);
        }
        out.push_flag("ppk", sa.ppk);
        if sa.state == IkeSaState::Established {
            if let Some(since) = sa.established {
                out.push_value("established", self.now.saturating_duration_since(since).as_secs());
            }
            self.put_until(&mut out, "rekey-time", sa.rekey_at);
            self.put_until(&mut out, "reauth-time", sa.reauth_at);
        }
        out.push_list_if_any("local-vips", &sa.local_vips);
        out.push_list_if_any("remote-vips", &sa.remote_vips);
        out.push_list_if_any("tasks-queued", &sa.tasks_queued);
        out.push_list_if_any("tasks-active", &sa.tasks_active);
        out.push_list_if_any("tasks-passive", &sa.tasks_passive);
        out
    }

    /// A CHILD_SA.
    pub fn child_sa(&self, child: &ChildSaInfo) -> Message {
        let mut out = Message::default();
        out.push_value("name", &child.config.name);
        out.push_value("uniqueid", child.unique_id);
        out.push_value("reqid", child.reqid);
        out.push_value("state", child.state);
        out.push_value("mode", child.mode);
        if !matches!(child.state, ChildState::Created | ChildState::Installing) {
            out.push_value("protocol", child.protocol);
            out.push_flag("encap", child.encap);
            out.push_value("spi-in", format_args!("{:08x}", child.spi_in));
            out.push_value("spi-out", format_args!("{:08x}", child.spi_out));
            if let Some((cpi_in, cpi_out)) = child.cpis {
                out.push_value("cpi-in", format_args!("{cpi_in:04x}"));
                out.push_value("cpi-out", format_args!("{cpi_out:04x}"));
            }
            for (suffix, mark) in ["in", "out"].into_iter().zip(child.numbers.marks) {
                if let Some((value, mask)) = mark {
                    out.push_value(&format!("mark-{suffix}"), format_args!("{value:08x}"));
                    if mask != u32::MAX {
                        out.push_value(&format!("mark-mask-{suffix}"), format_args!("{mask:08x}"));
                    }
                }
            }
            put_if_ids(&mut out, child.numbers.if_ids);
            if let Some(proposal) = &child.proposal {
                self.algorithms(&mut out, proposal);
            }
            for (suffix, id) in [
                ("in", child.kernel.as_ref().map(|ids| &ids.0)),
                ("out", child.kernel.as_ref().map(|ids| &ids.1)),
            ] {
                let usage = id
                    .and_then(|id| self.kernel.query_sa(id).ok())
                    .unwrap_or_default();
                out.push_value(&format!("bytes-{suffix}"), usage.octets);
                out.push_value(&format!("packets-{suffix}"), usage.packets);
                if let Some(ago) = usage.last_use {
                    out.push_value(&format!("use-{suffix}"), ago.as_secs());
                }
            }
            self.put_until(&mut out, "rekey-time", child.rekey_at);
            self.put_until(&mut out, "life-time", child.expires_at);
            if let Some(since) = child.installed {
                out.push_value(
                    "install-time",
                    self.now.saturating_duration_since(since).as_secs(),
                );
            }
        }
        out.push_list("local-ts", &child.local_ts);
        out.push_list("remote-ts", &child.remote_ts);
        out
    }

    fn put_until(&self, out: &mut Message, key: &str, when: Option<Instant>) {
        let Some(when) = when else { return };
        match when.checked_duration_since(self.now) {
            Some(left) => out.push_value(key, rounded(left)),
            // It should have happened already.
            None => out.push_value(
                key,
                format_args!("-{}", self.now.saturating_duration_since(when).as_secs()),
            ),
        }
    }

    fn algorithms(&self, out: &mut Message, proposal: &Proposal) {
        for (kind, name, size) in [
            (TransformType::ENCR, "encr-alg", "encr-keysize"),
            (TransformType::INTEG, "integ-alg", "integ-keysize"),
        ] {
            if let Some(transform) = proposal.transform(kind) {
                match kind {
                    TransformType::ENCR => out.push_value(name, EncryptionAlgorithm(transform.id)),
                    _ if transform.id == 0 => continue,
                    _ => out.push_value(name, IntegrityAlgorithm(transform.id)),
                }
                if let Some(bits) = transform.key_bits {
                    out.push_value(size, bits);
                }
            }
        }
        if let Some(transform) = proposal.transform(TransformType::PRF) {
            out.push_value("prf-alg", PseudoRandomFunction(transform.id));
        }
        if let Some(method) = proposal
            .key_exchange()
            .filter(|method| *method != KeyExchangeMethod::NONE)
        {
            out.push_value("dh-group", self.registry.method_name(method));
        }
        for (slot, method) in proposal.additional_key_exchanges() {
            if method != KeyExchangeMethod::NONE {
                out.push_value(&format!("ake{slot}"), self.registry.method_name(method));
            }
        }
        if proposal
            .transform(TransformType::ESN)
            .is_some_and(|esn| ExtendedSequenceNumbers(esn.id) != ExtendedSequenceNumbers(0))
        {
            out.push_value("esn", 1);
        }
    }
}

/// The ids of interfaces that there are.
fn put_if_ids(out: &mut Message, if_ids: [u32; 2]) {
    for (key, id) in ["if-id-in", "if-id-out"].into_iter().zip(if_ids) {
        if id != 0 {
            out.push_value(key, format_args!("{id:08x}"));
        }
    }
}

/// Whole seconds: what was just scheduled for 10 seconds shows as 10.
fn rounded(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_millis() >= 500)
}
