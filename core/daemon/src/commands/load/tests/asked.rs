//! What connections ask of the kernel.

use std::sync::Arc;

use config::kernel::{CopyDscp, EspBeside, HwOffload, KernelOptions, Mark, Number, SetMark};
use iana::Protocol;
use plugin_api::kernel::{IPCOMP, KernelFeatures};

use super::super::asked::{unmet, unsupported};
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

#[test]
fn what_the_back_end_cannot_do_is_named() {
    let text = "if_id_out = 7 children { net { mark_in = 1 set_mark_out = 2 if_id_in = %unique interface = eth0 \
        hw_offload = crypto priority = 5 copy_dscp = no } auto { hw_offload = auto } }";
    let peer = connection::connection("c", &section(text).elements, &mut Notes::default()).unwrap();
    let all = KernelFeatures {
        marks: true,
        interfaces: true,
        hw_offload: true,
        ..KernelFeatures::default()
    };
    assert_eq!(unsupported(&peer, all), Vec::<String>::new());
    let without = |change: fn(&mut KernelFeatures)| {
        let mut features = all;
        change(&mut features);
        unsupported(&peer, features).join(" ")
    };
    assert_eq!(
        without(|features| features.marks = false),
        "children.net.mark_in children.net.set_mark_out"
    );
    assert_eq!(
        without(|features| features.interfaces = false),
        "if_id_out children.net.if_id_in children.net.interface"
    );
    assert_eq!(
        without(|features| features.hw_offload = false),
        "children.net.hw_offload"
    );
}

#[test]
fn interface_and_priority_are_listed_if_they_are_set() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
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
    assert_eq!(unmet(&peer, &TestKernel::default()), None);
}
