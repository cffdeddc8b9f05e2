//! What connections ask of the kernel.

use std::sync::Arc;

use config::kernel::{CopyDscp, HwOffload, KernelOptions, Mark, Number, SetMark};
use plugin_api::KernelDemands;
use plugin_api::kernel::{KernelDemand, KernelFeatures};

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
