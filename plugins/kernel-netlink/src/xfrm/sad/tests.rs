use iana::{EncryptionAlgorithm, TrafficSelector};
use netlink_packet_xfrm::{Address, Selector, UserAcquire, UserMapping, UserSaId, UserTemplate};
use plugin_api::Secret;
use plugin_api::kernel::{SaLifetime, SaMode};

use super::*;
use crate::xfrm::sa;

fn parameters(spi: u32, inbound: bool) -> SaParameters {
    SaParameters {
        id: SaId {
            src: [192, 0, 2, 9].into(),
            dst: [192, 0, 2, 1].into(),
            spi,
            protocol: Protocol::ESP,
        },
        inbound,
        reqid: 7,
        mode: SaMode::Tunnel,
        src_ts: Vec::new(),
        dst_ts: Vec::new(),
        encryption: EncryptionAlgorithm::AES_GCM_16,
        encryption_key: Secret::zeroed(20),
        integrity: None,
        integrity_key: Secret::default(),
        encap: None,
        esn: false,
        replay_window: 32,
        lifetime: SaLifetime {
            soft_time: Duration::from_secs(10),
            soft_octets: 1000,
            ..SaLifetime::default()
        },
        tfc: 0,
        mark: None,
        options: Default::default(),
    }
}

fn info(spi: u32) -> UserSaInfo {
    let mut info = sa::install(&parameters(spi, true), false)
        .expect("known")
        .user_sa_info;
    info.lifetime_cur.add_time = 100;
    info
}

fn expire(spi: u32, hard: bool) -> KernelEvent {
    KernelEvent::Expire {
        protocol: Protocol::ESP,
        spi,
        dst: [192, 0, 2, 1].into(),
        hard,
    }
}

#[test]
fn limits_of_our_own_sas_are_told_once() {
    let mut sad = Sad::default();
    sad.add(&parameters(1, true));
    assert_eq!(
        sad.expire(&info(2), true),
        None,
        "a reserved SPI, or an SA of others"
    );
    assert_eq!(sad.expire(&info(1), false), Some(expire(1, false)));
    assert_eq!(sad.expire(&info(1), false), None);
    assert_eq!(sad.expire(&info(1), true), Some(expire(1, true)));
    assert_eq!(sad.expire(&info(1), true), None);
    assert_eq!(
        sad.expire(&info(1), false),
        None,
        "there is nothing to rekey any more"
    );
}

#[test]
fn what_was_lost_is_found_in_what_is_there() {
    let mut sad = Sad::default();
    for spi in 1..=5 {
        sad.add(&parameters(spi, true));
    }
    let (fresh, mut used) = (info(1), info(2));
    used.lifetime_cur.bytes = 1000;
    let mut told = info(4);
    told.lifetime_cur.bytes = 5000;
    sad.expire(&told, false).expect("told");
    // 3 is gone, and so is 5, which was told.
    sad.expire(&info(5), true).expect("told");
    let now = Duration::from_secs(105);
    let missed = sad.missed(&[told, used, fresh, info(77)], now);
    assert_eq!(missed, [expire(2, false), expire(3, true)]);
    assert_eq!(sad.missed(&[told, used, fresh], now), []);
    assert_eq!(
        sad.missed(&[told, used, fresh], now + Duration::from_secs(5)),
        [expire(1, false)],
        "10 seconds old"
    );
    sad.remove(&parameters(1, true).id);
    assert_eq!(sad.missed(&[told, used], now), []);
}

#[test]
fn an_acquire_is_told_once_whether_it_was_heard_or_found() {
    let mut sad = Sad::default();
    let selector = Selector {
        saddr: Address::from_ip(&[10, 3, 0, 1].into()),
        daddr: Address::from_ip(&[10, 1, 0, 1].into()),
        prefixlen_s: 32,
        prefixlen_d: 32,
        family: 2,
        ..Selector::default()
    };
    let message = AcquireMessage {
        acquire: UserAcquire {
            selector,
            seq: 5,
            ..UserAcquire::default()
        },
        nlas: vec![XfrmAttrs::Template(vec![UserTemplate {
            reqid: 9,
            ..UserTemplate::default()
        }])],
    };
    let event = |reqid| KernelEvent::Acquire {
        reqid,
        src: TrafficSelector::host([10, 3, 0, 1].into()),
        dst: TrafficSelector::host([10, 1, 0, 1].into()),
    };
    assert_eq!(sad.acquire(&message), Some(event(9)));
    let waiting = |seq, reqid| {
        let mut info = info(0);
        (info.seq, info.reqid, info.selector) = (seq, reqid, selector);
        info
    };
    let missed = sad.missed(&[waiting(5, 9), waiting(6, 10)], Duration::ZERO);
    assert_eq!(missed, [event(10)]);
    assert_eq!(sad.missed(&[waiting(6, 10)], Duration::ZERO), []);
}

#[test]
fn an_sa_that_covers_the_packet_answers_an_acquire_once() {
    let mut sad = Sad::default();
    for (sequence, last) in [(5, 1), (6, 2)] {
        let selector = Selector {
            saddr: Address::from_ip(&[10, 3, 0, 1].into()),
            daddr: Address::from_ip(&[10, last, 0, 1].into()),
            prefixlen_s: 32,
            prefixlen_d: 32,
            family: 2,
            ..Selector::default()
        };
        assert!(sad.ask(sequence, 9, &selector).is_some());
    }
    let narrowed = |inbound| SaParameters {
        src_ts: vec![TrafficSelector::subnet([10, 3, 0, 0].into(), 16)],
        dst_ts: vec![TrafficSelector::subnet([10, 1, 0, 0].into(), 16)],
        ..parameters(1, inbound)
    };
    assert_eq!(sad.answers(&narrowed(true)), 0);
    assert_eq!(sad.answers(&narrowed(false)), 5);
    assert_eq!(sad.answers(&narrowed(false)), 0, "a rekeying");
}

#[test]
fn a_mapping_names_the_new_endpoint() {
    let message = MappingMessage {
        map: UserMapping {
            id: UserSaId {
                daddr: Address::from_ip(&[192, 0, 2, 1].into()),
                spi: 1,
                family: 2,
                proto: 50,
            },
            new_saddr: Address::from_ip(&[203, 0, 113, 5].into()),
            new_sport: 61_000,
            ..UserMapping::default()
        },
    };
    let expected = KernelEvent::Mapping {
        spi: 1,
        dst: [192, 0, 2, 1].into(),
        endpoint: ([203, 0, 113, 5], 61_000).into(),
    };
    assert_eq!(mapping(&message), expected);
}
