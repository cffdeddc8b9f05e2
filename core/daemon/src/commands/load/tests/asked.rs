//! What connections ask of the kernel.

use std::sync::Arc;

use config::kernel::{CopyDscp, EspBeside, HwOffload, KernelOptions, Mark, Number, SetMark};
use iana::Protocol;
use plugin_api::KernelDemands;
use plugin_api::kernel::{IPCOMP, KernelDemand, KernelFeatures};

use super::super::asked::{without_ah, without_ipcomp};
use super::{Notes, connection, listed, load, section};
use crate::testing::{TestKernel, daemon};

#[test]
fn what_the_kernel_is_asked_for_is_read() {
    let text = "if_id_in = %unique if_id_out = 0x10 children { net { mark_in = %unique-dir/0xff mark_out = 42 \
        mark_in_sa = yes set_mark_in = %same/0xf set_mark_out = 0x7 if_id_in = %unique-dir if_id_out = 3 priority = 1000 \
        interface = eth0 policies_fwd_out = yes hw_offload = packet copy_df = no copy_ecn = no copy_dscp = yes sha256_96 = yes replay_window = 64 } plain { } }";
    let peer = connection::connection("c", &section(text).elements, &mut Notes::default()).unwrap();
    assert_eq!(peer.if_ids, [Number::Unique, Number::Fixed(16)]);
    let expected = KernelOptions {
        marks: [
            Some(Mark {
                value: Number::UniqueDir,
                mask: 0xff,
            }),
            Some(Mark {
                value: Number::Fixed(42),
                mask: u32::MAX,
            }),
        ],
        mark_in_sa: true,
        set_marks: [
            Some(SetMark::Same { mask: 0xf }),
            Some(SetMark::Fixed {
                value: 7,
                mask: u32::MAX,
            }),
        ],
        if_ids: [Number::UniqueDir, Number::Fixed(3)],
        priority: 1000,
        interface: "eth0".into(),
        forward_out: true,
        hw_offload: HwOffload::Packet,
        copy_df: false,
        copy_ecn: false,
        copy_dscp: CopyDscp::Yes,
        sha256_96: true,
        ..KernelOptions::default()
    };
    assert_eq!(peer.children[0].kernel, expected);
    assert_eq!(peer.children[1].kernel, KernelOptions::default());
    for (key, value) in [
        ("mark_in", "%same"),
        ("set_mark_out", "%unique"),
        ("if_id_in", "7/3"),
        ("priority", "-1"),
        ("hw_offload", "maybe"),
        ("copy_dscp", "both"),
        ("copy_df", "perhaps"),
    ] {
        let text = format!("children {{ net {{ {key} = {value} }} }}");
        let refused = connection::connection("c", &section(&text).elements, &mut Notes::default());
        let expected = format!("invalid value for: {key}, config discarded ('{value}')");
        assert_eq!(refused.err(), Some(expected), "{value}");
    }
}

/// Cannot do one thing.
struct Without(KernelDemand);

impl KernelDemands for Without {
    fn refusal(&self, demand: KernelDemand) -> Option<String> {
        (demand == self.0).then(|| "not by this one".to_owned())
    }
}

#[test]
fn what_the_back_end_cannot_do_refuses_the_connection() {
    let text = "c { if_id_out = 7 children { net { mark_in = 1 set_mark_out = 2 interface = eth0 hw_offload = crypto \
        mode = transport tfc_padding = 512 replay_window = 64 priority = 5 copy_dscp = no } \
        auto { hw_offload = auto remote_ts = [ 10.0.0.0/8[tcp/22] ] } \
        ssh { mode = pass remote_ts = [ 10.0.0.0/8[tcp/22] ] } } }";
    for (demand, key) in [
        (KernelDemand::Mark, "children.net.mark_in"),
        (KernelDemand::SetMark, "children.net.set_mark_out"),
        (KernelDemand::InterfaceId, "if_id_out"),
        (KernelDemand::PolicyInterface, "children.net.interface"),
        (KernelDemand::HwOffload, "children.net.hw_offload"),
        (KernelDemand::Transport, "children.net.mode"),
        (KernelDemand::Tfc, "children.net.tfc_padding"),
        (KernelDemand::ReplayWindow(64), "children.net.replay_window"),
        (KernelDemand::NarrowShunt, "children.ssh.remote_ts"),
    ] {
        let mut daemon = daemon(Arc::new(TestKernel::default()));
        daemon.kernel = daemon.kernel.with_demands(Some(Arc::new(Without(demand))));
        let said = format!("errmsg = not by this one: {key}, config discarded");
        let answer = load(&mut daemon, text);
        assert!(answer.contains(&said), "{demand:?}: {answer}");
        assert_eq!(listed(&mut daemon), "", "{demand:?}");
    }
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let other = KernelDemand::ReplayWindow(65);
    daemon.kernel = daemon.kernel.with_demands(Some(Arc::new(Without(other))));
    assert_eq!(load(&mut daemon, text), "success = yes");
}

#[test]
fn a_back_end_that_says_no_more_is_known_by_its_features() {
    let text = "c { children { net { mark_in = 1 } } }";
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let answer = load(&mut daemon, text);
    let said = "errmsg = the back end for IPsec knows no marks: children.net.mark_in, config discarded";
    assert!(answer.contains(said), "{answer}");
}

#[test]
fn interface_and_priority_are_listed_if_they_are_set() {
    let kernel = TestKernel {
        features: KernelFeatures {
            interfaces: true,
            ..KernelFeatures::default()
        },
        ..TestKernel::default()
    };
    let mut daemon = daemon(Arc::new(kernel));
    let text = "c { children { net { interface = eth0 priority = 1000 } plain { } } }";
    assert_eq!(load(&mut daemon, text), "success = yes");
    let listed = listed(&mut daemon);
    for field in [
        "c.children.net.interface = eth0",
        "c.children.net.priority = 1000",
    ] {
        assert!(listed.contains(field), "{listed}");
    }
    for field in ["plain.interface", "plain.priority"] {
        assert!(!listed.contains(field), "{listed}");
    }
}

#[test]
fn ah_is_offered_alone_or_beside_esp_in_the_order_of_the_keys() {
    let ah = |text: &str| {
        let text = format!("children {{ net {{ {text} }} }}");
        let peer = connection::connection("c", &section(&text).elements, &mut Notes::default()).unwrap();
        let child = &peer.children[0];
        let ah = child.kernel.ah.clone();
        ah.map(|ah| (ah.proposals.entries.join(","), ah.esp, child.kernel.prefers_ah()))
    };
    let list = "sha256-x25519,sha1".to_owned();
    for (text, expected) in [
        (
            "ah_proposals = [ sha256-x25519 sha1 ]",
            Some((list.clone(), EspBeside::No, true)),
        ),
        (
            "ah_proposals = [ sha256-x25519 sha1 ] esp_proposals = [ aes128gcm16 ]",
            Some((list.clone(), EspBeside::Last, true)),
        ),
        (
            "esp_proposals = [ aes128gcm16 ] ah_proposals = [ sha256-x25519 sha1 ]",
            Some((list, EspBeside::First, false)),
        ),
        ("esp_proposals = [ aes128gcm16 ]", None),
        ("ah_proposals = [ ]", None),
    ] {
        assert_eq!(ah(text), expected, "{text}");
    }
}

#[test]
fn ah_and_ipcomp_load_where_the_back_end_knows_them() {
    let kernel = TestKernel {
        knows: vec![Protocol::AH, IPCOMP],
        ..TestKernel::default()
    };
    let mut daemon = daemon(Arc::new(kernel));
    for (name, child) in [
        ("ah", "ah_proposals = [ sha256 ]"),
        ("default", "ah_proposals = [ default ]"),
        ("comp", "ipcomp = yes"),
    ] {
        let text = format!("{name} {{ children {{ net {{ {child} }} }} }}");
        assert_eq!(load(&mut daemon, &text), "success = yes");
    }
    let text = "bad { children { net { ah_proposals = [ aes128 ] } } }";
    assert_eq!(
        load(&mut daemon, text),
        "success = no, errmsg = invalid value for: ah_proposals, config discarded (an integrity algorithm is mandatory in \
         AH proposals in 'aes128')"
    );
}

#[test]
fn a_shunt_asks_for_neither_ah_nor_ipcomp() {
    let text = "children { net { mode = drop ah_proposals = [ sha256 ] ipcomp = yes } }";
    let peer = connection::connection("c", &section(text).elements, &mut Notes::default()).unwrap();
    let backend = TestKernel::default();
    assert_eq!(
        (without_ah(&peer, &backend), without_ipcomp(&peer, &backend)),
        (None, None)
    );
}
