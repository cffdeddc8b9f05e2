use iana::TrafficSelector;
use plugin_api::kernel::{PolicyOptions, SaMode};

use super::*;
use crate::packet::tests::udp4;

fn policy(src: &str, dst: &str, priority: PolicyPriority, spi: u32) -> PolicyParameters {
    let selector = |text: &str| {
        let (address, prefix) = text.split_once('/').expect("a subnet");
        TrafficSelector::subnet(
            address.parse().expect("an address"),
            prefix.parse().expect("a prefix"),
        )
    };
    PolicyParameters {
        direction: Direction::Out,
        src_ts: selector(src),
        dst_ts: selector(dst),
        action: PolicyAction::Protect,
        priority,
        src: [192, 0, 2, 1].into(),
        dst: [192, 0, 2, 2].into(),
        reqid: 1,
        spi,
        mode: SaMode::Tunnel,
        mark: None,
        options: Default::default(),
    }
}

fn spi_for(spd: &Spd, dst: [u8; 4]) -> Option<u32> {
    let flow = Flow::parse(&udp4([10, 1, 0, 1], dst, (1000, 53), 0)).expect("a packet");
    spd.outbound(&flow).map(|treatment| treatment.spi)
}

#[test]
fn the_rank_is_that_of_strongswans_kernel_policies() {
    let installed = policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Default, 1);
    let trap = policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Routed, 0);
    assert_eq!((installed.rank(), trap.rank()), (383_615, 383_616));
}

#[test]
fn a_narrower_policy_wins_and_others_still_count() {
    let spd = Spd::default();
    spd.add(&policy("10.1.0.0/16", "10.0.0.0/8", PolicyPriority::Default, 1))
        .unwrap();
    spd.add(&policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Default, 2))
        .unwrap();
    spd.add(&policy("10.9.0.0/16", "10.3.0.7/32", PolicyPriority::Default, 3))
        .unwrap();
    assert_eq!(
        spi_for(&spd, [10, 3, 0, 7]),
        Some(2),
        "the /32 is for another source"
    );
    assert_eq!(spi_for(&spd, [10, 4, 0, 1]), Some(1));
    assert_eq!(spi_for(&spd, [11, 0, 0, 1]), None);
}

#[test]
fn an_address_range_matches_no_more_than_itself() {
    let spd = Spd::default();
    let mut range = policy("0.0.0.0/0", "10.3.0.0/24", PolicyPriority::Default, 5);
    (range.dst_ts.start, range.dst_ts.end) = ([10, 3, 0, 10].into(), [10, 3, 0, 20].into());
    spd.add(&range).unwrap();
    assert_eq!(spi_for(&spd, [10, 3, 0, 15]), Some(5));
    assert_eq!(spi_for(&spd, [10, 3, 0, 21]), None);
}

#[test]
fn an_installed_policy_beats_its_trap_and_a_shunt_beats_both() {
    let spd = Spd::default();
    spd.add(&policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Routed, 0))
        .unwrap();
    spd.add(&policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Default, 4))
        .unwrap();
    assert_eq!(spi_for(&spd, [10, 3, 0, 1]), Some(4));
    let mut shunt = policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Pass, 0);
    shunt.action = PolicyAction::Pass;
    spd.add(&shunt).unwrap();
    let flow = Flow::parse(&udp4([10, 1, 0, 1], [10, 3, 0, 1], (1, 2), 0)).unwrap();
    assert_eq!(spd.outbound(&flow).unwrap().action, PolicyAction::Pass);
}

#[test]
fn a_rekeyed_sas_policy_takes_over_and_outlives_the_old_one() {
    let spd = Spd::default();
    let old = policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Default, 1);
    let new = policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Default, 2);
    assert!(spd.add(&old).unwrap().is_some());
    assert!(spd.add(&new).unwrap().is_some());
    assert_eq!(spi_for(&spd, [10, 3, 0, 1]), Some(2));
    assert_eq!(spd.remove(&old).unwrap().map(|gone| gone.parameters()), Some(old));
    assert_eq!(spi_for(&spd, [10, 3, 0, 1]), Some(2));
    spd.remove(&new).unwrap();
    assert_eq!(spi_for(&spd, [10, 3, 0, 1]), None);
    assert_eq!(spd.remove(&new).unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn equal_policies_count_their_users() {
    let spd = Spd::default();
    let one = policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Default, 1);
    assert!(spd.add(&one).unwrap().is_some());
    assert!(spd.add(&one).unwrap().is_none());
    assert!(spd.remove(&one).unwrap().is_none());
    assert_eq!(spi_for(&spd, [10, 3, 0, 1]), Some(1));
    assert!(spd.remove(&one).unwrap().is_some());
    assert_eq!(spi_for(&spd, [10, 3, 0, 1]), None);
}

#[test]
fn an_inbound_policy_admits_packets_of_its_own_reqid_only() {
    let spd = Spd::default();
    let mut inbound = policy("10.3.0.0/16", "10.1.0.0/16", PolicyPriority::Default, 1);
    inbound.direction = Direction::In;
    spd.add(&inbound).unwrap();
    let flow = Flow::parse(&udp4([10, 3, 0, 1], [10, 1, 0, 1], (1, 2), 0)).unwrap();
    assert!(spd.admits(&flow, 1));
    assert!(!spd.admits(&flow, 2));
}

#[test]
#[allow(clippy::disallowed_methods)] // any instant does
fn a_trap_asks_again_only_after_a_while() {
    let spd = Spd::default();
    spd.add(&policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Routed, 0))
        .unwrap();
    let flow = Flow::parse(&udp4([10, 1, 0, 1], [10, 3, 0, 1], (1, 2), 0)).unwrap();
    let trap = spd.outbound(&flow).unwrap();
    let now = Instant::now();
    assert!(trap.is_trap());
    assert!(trap.may_acquire(now));
    assert!(!trap.may_acquire(now + ACQUIRE_INTERVAL / 2));
    assert!(trap.may_acquire(now + ACQUIRE_INTERVAL));
}

#[test]
fn a_trap_admits_nothing_that_its_narrower_sa_does_not() {
    let spd = Spd::default();
    for (subnet, priority) in [
        ("10.3.0.0/16", PolicyPriority::Routed),
        ("10.3.0.0/24", PolicyPriority::Default),
    ] {
        let mut inbound = policy(subnet, "10.1.0.0/16", priority, 1);
        inbound.direction = Direction::In;
        spd.add(&inbound).unwrap();
    }
    let from = |src| Flow::parse(&udp4(src, [10, 1, 0, 1], (1, 2), 0)).unwrap();
    assert!(spd.admits(&from([10, 3, 0, 1]), 1));
    assert!(!spd.admits(&from([10, 3, 1, 1]), 1));
}

#[test]
fn a_priority_of_the_configuration_comes_before_the_selectors() {
    let spd = Spd::default();
    let narrow = policy("10.1.0.0/16", "10.3.0.7/32", PolicyPriority::Default, 1);
    let mut wide = policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Default, 2);
    wide.options.priority = 100;
    for policy in [&narrow, &wide] {
        spd.add(policy).expect("added");
    }
    assert_eq!(spi_for(&spd, [10, 3, 0, 7]), Some(2));
}

#[test]
fn policies_for_interfaces_are_refused() {
    for change in [
        (|options| options.if_id = 1) as fn(&mut PolicyOptions),
        |options| options.interface = "eth0".into(),
    ] {
        let mut policy = policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Default, 1);
        change(&mut policy.options);
        let refused = Spd::default().add(&policy).expect_err("refused");
        assert!(
            refused.message.contains("if_id_in, if_id_out and interface"),
            "{refused}"
        );
    }
}

#[test]
fn a_policy_that_was_removed_is_what_was_added() {
    let spd = Spd::default();
    let six = |text: &str| TrafficSelector::subnet(text.parse().expect("an address"), 64);
    for direction in [Direction::In, Direction::Out] {
        let mut ranked = policy("10.1.0.0/16", "10.3.0.7/32", PolicyPriority::Pass, 1);
        ranked.options.priority = 100;
        let mut wide = policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Routed, 0);
        (wide.src_ts, wide.dst_ts) = (six("fd01::"), six("fd02::"));
        (wide.src, wide.dst) = ([0; 16].into(), [192, 0, 2, 2].into());
        // Such as no packet can have.
        let mut mixed = wide.clone();
        mixed.src_ts = ranked.src_ts.clone();
        for mut policy in [ranked, wide, mixed] {
            policy.direction = direction;
            spd.add(&policy).expect("added");
            let gone = spd.remove(&policy).expect("there").expect("the last");
            assert_eq!(gone.parameters(), policy);
        }
    }
}

#[test]
fn policies_of_ipv6_are_found_by_both_of_their_subnets() {
    let spd = Spd::default();
    let six = |text: &str| TrafficSelector::subnet(text.parse().expect("an address"), 64);
    for (spi, src) in [(1, "fd01::"), (2, "fd02::")] {
        let mut policy = policy("10.1.0.0/16", "10.3.0.0/16", PolicyPriority::Default, spi);
        (policy.src_ts, policy.dst_ts) = (six(src), six("fd09::"));
        spd.add(&policy).expect("added");
    }
    let spi = |src: &str, dst: &str| {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
        for address in [src, dst] {
            let address: std::net::Ipv6Addr = address.parse().expect("an address");
            packet.extend(address.octets());
        }
        let flow = Flow::parse(&packet).expect("a packet");
        spd.outbound(&flow).map(|policy| policy.spi)
    };
    assert_eq!(spi("fd01::1", "fd09::1"), Some(1));
    assert_eq!(spi("fd02::1", "fd09::1"), Some(2));
    assert_eq!(spi("fd03::1", "fd09::1"), None);
    assert_eq!(spi("fd02::1", "fd0a::1"), None);
}
