#![allow(clippy::disallowed_methods)] // any instant does

use std::time::{Duration, Instant};

use iana::{EncryptionAlgorithm, Protocol, TrafficSelector};
use plugin_api::Secret;
use plugin_api::kernel::{SaLifetime, SaMode, SaParameters, UdpEncap};

use super::*;
use crate::lifetime::Verdict;
use crate::packet::Flow;

pub(crate) fn parameters(spi: u32, inbound: bool) -> SaParameters {
    SaParameters {
        id: SaId {
            src: [192, 0, 2, 1].into(),
            dst: [192, 0, 2, 2].into(),
            spi,
            protocol: Protocol::ESP,
        },
        inbound,
        reqid: 1,
        mode: SaMode::Tunnel,
        src_ts: vec![],
        dst_ts: vec![],
        encryption: EncryptionAlgorithm::AES_GCM_16,
        encryption_key: Secret::zeroed(36),
        integrity: None,
        integrity_key: Secret::default(),
        encap: Some(UdpEncap {
            src_port: 4500,
            dst_port: 4501,
        }),
        esn: false,
        replay_window: 32,
        lifetime: SaLifetime::default(),
        tfc: 0,
        mark: None,
        options: Default::default(),
    }
}

pub(crate) fn sa(parameters: &SaParameters) -> Arc<Sa> {
    Arc::new(Sa::new(parameters, Instant::now()).expect("an SA"))
}

#[test]
fn an_inbound_sa_takes_its_reserved_spi() {
    let sad = Sad::default();
    assert!(sad.reserve(0xc000_0001));
    assert!(!sad.reserve(0xc000_0001));
    assert!(sad.inbound(0xc000_0001).is_none());
    let parameters = parameters(0xc000_0001, true);
    sad.add(sa(&parameters)).expect("installed");
    assert!(!sad.reserve(0xc000_0001));
    assert_eq!(
        sad.add(sa(&parameters)).unwrap_err().kind,
        ErrorKind::AlreadyExists
    );
    assert!(sad.remove(&parameters.id).expect("there").is_some());
    assert_eq!(
        sad.remove(&parameters.id).err().expect("gone").kind,
        ErrorKind::NotFound
    );
    assert!(sad.reserve(0xc000_0001), "its SPI is free again");
}

#[test]
fn two_peers_may_choose_the_same_spi() {
    let sad = Sad::default();
    let one = parameters(7, false);
    let mut two = parameters(7, false);
    (two.id.dst, two.reqid) = ([192, 0, 2, 3].into(), 2);
    sad.add(sa(&one)).expect("installed");
    sad.add(sa(&two)).expect("installed");
    assert_eq!(sad.outbound(7, 2).expect("there").dst(), two.id.dst);
    assert_eq!(sad.find(&one.id).expect("there").reqid, 1);
    sad.remove(&one.id).expect("there");
    assert!(sad.outbound(7, 1).is_none());
    assert!(sad.outbound(7, 2).is_some());
}

#[test]
fn sequence_numbers_start_at_one_and_never_wrap() {
    let sa = sa(&parameters(1, false));
    assert_eq!(
        sa.next_sequence(),
        Some(Sequence {
            number: 1,
            near_end: false
        })
    );
    sa.skip_to(u64::from(u32::MAX) - 1);
    assert_eq!(
        sa.next_sequence(),
        Some(Sequence {
            number: u64::from(u32::MAX),
            near_end: true
        })
    );
    assert_eq!(sa.next_sequence(), None);
    assert_eq!(sa.next_sequence(), None);
}

#[test]
fn what_user_space_cannot_do_is_refused_with_a_remedy() {
    let mut transport = parameters(1, true);
    transport.mode = SaMode::Transport;
    let mut ah = parameters(1, true);
    ah.id.protocol = Protocol::AH;
    for (parameters, remedy) in [(transport, "type=tunnel"), (ah, "esp=")] {
        let error = Sa::new(&parameters, Instant::now()).err().expect("refused");
        assert_eq!(error.kind, ErrorKind::NotSupported);
        assert!(error.message.contains(remedy), "{}", error.message);
    }
}

#[test]
fn without_udp_there_are_no_ports() {
    let mut raw = parameters(1, true);
    raw.encap = None;
    let endpoints = sa(&raw).endpoints();
    assert!(endpoints.is_raw());
    assert_eq!(
        [endpoints.local.ip(), endpoints.remote.ip()],
        [raw.id.dst, raw.id.src]
    );
    assert!(!sa(&parameters(1, true)).endpoints().is_raw());
}

#[test]
fn a_new_endpoint_is_news_once() {
    let sa = sa(&parameters(1, true));
    let elsewhere = "198.51.100.1:1024".parse().unwrap();
    assert!(sa.active().is_new_mapping(elsewhere));
    assert!(!sa.active().is_new_mapping(elsewhere));
    assert!(sa.active().is_new_mapping("198.51.100.1:1025".parse().unwrap()));
}

#[test]
fn what_user_space_cannot_do_is_refused_by_its_keys() {
    let refused = |change: fn(&mut SaParameters)| {
        let mut parameters = parameters(1, true);
        change(&mut parameters);
        let refused = Sa::new(&parameters, Instant::now()).err().expect("refused");
        assert_eq!(refused.kind, ErrorKind::NotSupported);
        refused.message
    };
    assert!(refused(|sa| sa.mark = Some((1, 1))).contains("remove mark, mark_in"));
    assert!(refused(|sa| sa.options.set_mark = Some((1, 1))).contains("set_mark_in"));
    assert!(refused(|sa| sa.options.if_id = 1).contains("remove if_id_in and if_id_out"));
}

#[test]
fn what_comes_out_fits_one_selector_of_each_side() {
    let subnet = |third, prefix| TrafficSelector::subnet([10, third, 0, 0].into(), prefix);
    let flow = |src, dst| {
        let packet = crate::packet::tests::udp4(src, dst, (1, 2), 0);
        Flow::parse(&packet).expect("a packet")
    };
    let mut inbound = parameters(1, true);
    assert_eq!(sa(&inbound).admits(&flow([10, 3, 0, 1], [10, 1, 0, 1])), None);
    (inbound.src_ts, inbound.dst_ts) = (vec![subnet(3, 16)], vec![subnet(1, 16)]);
    let one = sa(&inbound);
    assert_eq!(one.admits(&flow([10, 3, 0, 1], [10, 1, 0, 1])), Some(true));
    assert_eq!(one.admits(&flow([10, 1, 0, 1], [10, 3, 0, 1])), Some(false));
    inbound.src_ts.push(subnet(5, 24));
    let two = sa(&inbound);
    assert_eq!(two.admits(&flow([10, 5, 0, 1], [10, 1, 0, 1])), Some(true));
    assert_eq!(two.admits(&flow([10, 5, 1, 1], [10, 1, 0, 1])), Some(false));
}

#[test]
fn keys_that_were_not_used_for_a_while_are_forgotten_and_numbers_are_not() {
    let (sa, start) = (sa(&parameters(1, false)), Instant::now());
    let pause = Duration::from_secs(60);
    let fresh = || sa.current().protection().is_none() && sa.wake().expect("a key that is taken").1;
    assert_eq!(sa.rest(pause, start), None, "there is nothing to forget");
    assert!(fresh());
    assert!(!fresh());
    assert_eq!(sa.count(100, start), Verdict::Carry);
    assert_eq!(sa.next_sequence().expect("a number").number, 1);
    let left = sa.rest(pause, start + pause / 2).expect("not yet");
    assert!(left <= pause / 2, "{left:?}");
    assert!(!fresh());
    let elsewhere = Endpoints {
        local: "192.0.2.1:4500".parse().unwrap(),
        remote: "198.51.100.7:1024".parse().unwrap(),
    };
    sa.move_to(elsewhere);
    assert!(!fresh(), "who moves is awake");
    assert!(!sa.wake().expect("taken").1, "who is awake wakes up no more");
    assert_eq!(sa.rest(pause, start + 2 * pause), None);
    assert_eq!(sa.endpoints(), elsewhere, "who rests stays where he is");
    assert!(fresh());
    assert_eq!(sa.endpoints(), elsewhere);
    assert_eq!(sa.next_sequence().expect("a number").number, 2);
    assert_eq!(sa.usage(start).packets, 1);
}
