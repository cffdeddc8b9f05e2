//! What connections ask of the kernel back end.

use config::connection::{ChildConfig, Mode, PeerConfig, SelectorSpec};
use config::kernel::HwOffload;
use iana::Protocol;
use plugin_api::KernelIpsec;
use plugin_api::kernel::{IPCOMP, KernelDemand};

/// The first CHILD_SA that is negotiated and wants a protocol which the back end does not have. A shunt negotiates nothing.
fn without<'a>(
    peer: &'a PeerConfig,
    backend: &dyn KernelIpsec,
    protocol: Protocol,
    wants: fn(&ChildConfig) -> bool,
) -> Option<&'a str> {
    let negotiated = |child: &&ChildConfig| !matches!(child.mode, Mode::Pass | Mode::Drop);
    let children = peer.children.iter().map(|child| &**child);
    let child = children.filter(negotiated).find(|child| wants(child))?;
    // Asking may cost the kernel an attempt.
    (!backend.knows(protocol)).then_some(child.name.as_str())
}

/// The first CHILD_SA that is to have AH, which the back end cannot do.
pub(in crate::commands) fn without_ah<'a>(
    peer: &'a PeerConfig,
    backend: &dyn KernelIpsec,
) -> Option<&'a str> {
    without(peer, backend, Protocol::AH, |child| child.kernel.ah.is_some())
}

/// The first CHILD_SA that is to be compressed, which the back end cannot do. Compression protects nothing, so that the
/// CHILD_SA does without, as in strongSwan.
pub(in crate::commands) fn without_ipcomp<'a>(
    peer: &'a PeerConfig,
    backend: &dyn KernelIpsec,
) -> Option<&'a str> {
    without(peer, backend, IPCOMP, |child| child.kernel.ipcomp)
}

/// What is said of it.
pub(in crate::commands) const NO_IPCOMP: &str =
    "IPComp is not supported by the kernel back end, packets are not compressed";

/// Something that a connection asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Asked {
    /// The CHILD_SA's configuration that asks, unless the connection does.
    child: Option<String>,
    /// The key of swanctl.conf.
    key: &'static str,
    /// What the back end has to do.
    pub(in crate::commands) demand: KernelDemand,
}

impl Asked {
    /// Its key within the connection, `children.net.if_id_in`.
    pub(in crate::commands) fn path(&self) -> String {
        match &self.child {
            Some(child) => format!("children.{child}.{}", self.key),
            None => self.key.to_owned(),
        }
    }

    /// The keywords of ipsec.conf that it may come from.
    pub(in crate::commands) fn keywords(&self) -> &'static [&'static str] {
        match self.key {
            "mark_in" => &["mark_in", "mark"],
            "mark_out" => &["mark_out", "mark"],
            "mode" => &["type"],
            "tfc_padding" => &["tfc"],
            "replay_window" => &["replay_window"],
            "local_ts" => &["leftprotoport", "leftsubnet", "rightprotoport", "rightsubnet"],
            "remote_ts" => &["rightprotoport", "rightsubnet", "leftprotoport", "leftsubnet"],
            _ => &[],
        }
    }
}

/// All that a connection asks for.
pub(in crate::commands) fn asked(peer: &PeerConfig) -> Vec<Asked> {
    let ids = ["if_id_in", "if_id_out"].into_iter().zip(peer.if_ids);
    let mut all: Vec<Asked> = ids
        .filter(|(_, id)| id.is_set())
        .map(|(key, _)| Asked {
            child: None,
            key,
            demand: KernelDemand::InterfaceId,
        })
        .collect();
    for child in &peer.children {
        let of_child = options(child).into_iter().chain(by_mode(child));
        all.extend(of_child.map(|(key, demand)| Asked {
            child: Some(child.name.clone()),
            key,
            demand,
        }));
    }
    all
}

fn options(child: &ChildConfig) -> Vec<(&'static str, KernelDemand)> {
    let kernel = &child.kernel;
    // Where it is left to the back end, nothing is asked for.
    let offloads = matches!(kernel.hw_offload, HwOffload::Crypto | HwOffload::Packet);
    let asked = [
        ("mark_in", kernel.marks[0].is_some(), KernelDemand::Mark),
        ("mark_out", kernel.marks[1].is_some(), KernelDemand::Mark),
        (
            "set_mark_in",
            kernel.set_marks[0].is_some(),
            KernelDemand::SetMark,
        ),
        (
            "set_mark_out",
            kernel.set_marks[1].is_some(),
            KernelDemand::SetMark,
        ),
        ("if_id_in", kernel.if_ids[0].is_set(), KernelDemand::InterfaceId),
        ("if_id_out", kernel.if_ids[1].is_set(), KernelDemand::InterfaceId),
        (
            "interface",
            !kernel.interface.is_empty(),
            KernelDemand::PolicyInterface,
        ),
        ("hw_offload", offloads, KernelDemand::HwOffload),
    ];
    let asked = asked.into_iter().filter(|(_, is_asked, _)| *is_asked);
    asked.map(|(key, _, demand)| (key, demand)).collect()
}

/// What follows from what the CHILD_SA is.
fn by_mode(child: &ChildConfig) -> Vec<(&'static str, KernelDemand)> {
    let mut all = Vec::new();
    if matches!(child.mode, Mode::Pass | Mode::Drop) {
        let narrow = |selectors: &[SelectorSpec]| selectors.iter().any(is_narrow);
        for (key, selectors) in [("local_ts", &child.local_ts), ("remote_ts", &child.remote_ts)] {
            if narrow(selectors) {
                all.push((key, KernelDemand::NarrowShunt));
            }
        }
        return all;
    }
    if child.mode == Mode::Transport {
        all.push(("mode", KernelDemand::Transport));
    }
    if child.tfc != 0 {
        all.push(("tfc_padding", KernelDemand::Tfc));
    }
    if let Some(packets) = child.replay_window {
        all.push(("replay_window", KernelDemand::ReplayWindow(packets)));
    }
    all
}

/// Whether not only addresses decide.
fn is_narrow(selector: &SelectorSpec) -> bool {
    let (protocol, ports) = match selector {
        SelectorSpec::Dynamic { protocol, ports } => (*protocol, *ports),
        SelectorSpec::Fixed(fixed) => (fixed.protocol, (fixed.start_port, fixed.end_port)),
    };
    protocol != 0 || ports != (0, u16::MAX)
}
