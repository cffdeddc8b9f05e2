//! What connections ask of the kernel back end, against what it can.

use std::sync::Arc;

use config::connection::{ChildConfig, Mode, PeerConfig};
use config::demand::Demand;
use config::kernel::{HwOffload, KernelOptions};
use iana::Protocol;
use plugin_api::KernelIpsec;
use plugin_api::kernel::{IPCOMP, KernelFeatures};

/// The first CHILD_SA, and what it demands, that the back end cannot do. A shunt negotiates nothing.
pub(in crate::commands) fn unmet<'a>(
    peer: &'a PeerConfig,
    backend: &dyn KernelIpsec,
) -> Option<(&'a str, Demand)> {
    let negotiated = |child: &&Arc<ChildConfig>| !matches!(child.mode, Mode::Pass | Mode::Drop);
    peer.children.iter().filter(negotiated).find_map(|child| {
        let KernelOptions { ah, ipcomp, .. } = &child.kernel;
        let demands = [
            (ah.is_some(), Protocol::AH, Demand::Ah),
            (*ipcomp, IPCOMP, Demand::Ipcomp),
        ];
        let mut demands = demands.into_iter().filter(|(asked, ..)| *asked);
        let unmet = demands.find(|(_, protocol, _)| !backend.knows(*protocol));
        unmet.map(|(_, _, demand)| (child.name.as_str(), demand))
    })
}

/// The key that a demand comes by.
pub(super) fn key_of(demand: Demand) -> &'static str {
    match demand {
        Demand::Ah => "ah_proposals",
        _ => "ipcomp",
    }
}

/// The keys, `children.net.if_id_in`, of what the back end cannot do.
pub(in crate::commands) fn unsupported(peer: &PeerConfig, features: KernelFeatures) -> Vec<String> {
    let mut keys = Vec::new();
    let ways = ["in", "out"];
    let mut add = |within: &str, key: &str, missing: bool| {
        if missing {
            keys.push(format!("{within}{key}"));
        }
    };
    for (way, id) in ways.into_iter().zip(peer.if_ids) {
        add("", &format!("if_id_{way}"), id.is_set() && !features.interfaces);
    }
    for child in &peer.children {
        let within = format!("children.{}.", child.name);
        let KernelOptions {
            marks,
            set_marks,
            if_ids,
            interface,
            hw_offload,
            ..
        } = &child.kernel;
        for (index, way) in ways.into_iter().enumerate() {
            for (key, missing) in [
                ("mark", marks[index].is_some() && !features.marks),
                ("set_mark", set_marks[index].is_some() && !features.marks),
                ("if_id", if_ids[index].is_set() && !features.interfaces),
            ] {
                add(&within, &format!("{key}_{way}"), missing);
            }
        }
        add(
            &within,
            "interface",
            !interface.is_empty() && !features.interfaces,
        );
        // Where it is left to the back end, nothing is missing.
        let offloads = matches!(hw_offload, HwOffload::Crypto | HwOffload::Packet);
        add(&within, "hw_offload", offloads && !features.hw_offload);
    }
    keys
}
