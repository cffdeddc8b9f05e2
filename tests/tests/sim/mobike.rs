//! Hosts that move (RFC 4555): both ends, their kernels' SAs and the policies follow, whatever happens meanwhile.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::connection::{Host, SelectorSpec};
use iana::{ExchangeType, NotifyType, TrafficSelector};
use ike::{Event, Settings, Transmit};
use plugin_api::kernel::{Direction, KernelMigration};
use pqswan_tests::netem::Conditions;
use pqswan_tests::puppet::Puppet;
use pqswan_tests::world::{self, CAROL, MOON, World};
use wire::payload::Payload;

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

const ELSEWHERE: &str = "198.51.100.7";
const MOON_V6: &str = "2001:db8::2";
const CAROL_V6: &str = "2001:db8::3";

/// Tunnel1 between hosts that announce the addresses they have.
pub(super) fn tunnelled(moon: &[&str], carol: &[&str], conditions: Conditions, seed: u64) -> World {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), conditions, seed);
    for (host, addresses) in [moon, carol].into_iter().enumerate() {
        world.readdress(host, addresses);
        world.hosts[host].endpoint.set_watched(true);
    }
    world.initiate(1);
    assert!(
        world.run_until(5 * MINUTE, World::is_established),
        "seed {seed}: {:#?}",
        world.hosts[1].log
    );
    world
}

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// Whether both hosts and their kernels are where they should be, and have nothing more to say of it.
fn is_at(world: &World, carol: &str, moon: &str) -> bool {
    let (carol, moon) = (ip(carol), ip(moon));
    let ends = [(moon, carol), (carol, moon)];
    (0..2).all(|host| {
        let ends = ends[host];
        let Some(sa) = world.live_sa(host) else {
            return false;
        };
        let kernel = &world.hosts[host].kernel;
        let path = |src: IpAddr, dst: IpAddr| (src, dst) == ends || (dst, src) == ends;
        (sa.local.ip(), sa.remote.ip()) == ends
            && sa.tasks_active.is_empty()
            && sa.tasks_queued.is_empty()
            && !kernel.sas.is_empty()
            && kernel.ends.values().all(|(src, dst)| path(src.ip(), dst.ip()))
            && kernel.policies.iter().all(|policy| path(policy.src, policy.dst))
    })
}

/// Fails unless that comes true, and every SA has the same ends in both kernels.
fn arrives(world: &mut World, limit: Duration, carol: &str, moon: &str) {
    let arrived = world.run_until(limit, |world| is_at(world, carol, moon));
    assert!(
        arrived,
        "moon {:?} {:?}\n{}\ncarol {:?} {:?}\n{}",
        world.live_sa(0).map(|sa| (sa.local, sa.remote)),
        world.hosts[0].kernel.ends,
        world.hosts[0].log.join("\n"),
        world.live_sa(1).map(|sa| (sa.local, sa.remote)),
        world.hosts[1].kernel.ends,
        world.hosts[1].log.join("\n"),
    );
    for (spi, ends) in &world.hosts[0].kernel.ends {
        if let Some(other) = world.hosts[1].kernel.ends.get(spi) {
            assert_eq!(ends, other, "SPI {spi:08x}");
        }
    }
}

#[test]
fn selectors_that_stand_for_an_address_go_along() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    for (host, mut config) in [world::moon(TUNNEL1), world::carol(TUNNEL1)]
        .into_iter()
        .enumerate()
    {
        let mut child = (*config.children[0]).clone();
        let spec = if host == 0 {
            &mut child.remote_ts
        } else {
            &mut child.local_ts
        };
        *spec = vec![SelectorSpec::DYNAMIC];
        config.children = vec![Arc::new(child)];
        config.remote_addrs = vec![[Host::Any, Host::Address(ip(MOON))][host].clone()];
        if host == 1 {
            config.local_addrs = vec![Host::Any];
        }
        world.hosts[host].endpoint.add_connection(config);
    }
    for (host, address) in [MOON, CAROL].into_iter().enumerate() {
        world.readdress(host, &[address]);
    }
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    for address in [ELSEWHERE, CAROL] {
        world.readdress(1, &[address]);
        arrives(&mut world, Duration::from_secs(1), address, MOON);
        world.assert_consistent();
        let host = TrafficSelector::host(ip(address));
        assert_eq!(
            world.live_child(1).expect("a CHILD_SA").local_ts,
            std::slice::from_ref(&host)
        );
        assert_eq!(
            world.live_child(0).expect("a CHILD_SA").remote_ts,
            std::slice::from_ref(&host)
        );
        for end in 0..2 {
            let policies = &world.hosts[end].kernel.policies;
            assert_eq!(policies.len(), 3);
            assert!(
                policies
                    .iter()
                    .all(|policy| policy.src_ts == host || policy.dst_ts == host)
            );
        }
    }
    world.terminate(1);
    world.run_for(MINUTE);
    world.assert_no_trace();
}

#[test]
fn an_initiator_that_moves_takes_its_tunnel_along() {
    let mut world = tunnelled(&[MOON], &[CAROL], calm(), 1);
    world.readdress(1, &[ELSEWHERE]);
    arrives(&mut world, Duration::from_secs(1), ELSEWHERE, MOON);
    world.assert_consistent();
    for line in [
        "old path is not available anymore, try to find another",
        "looking for a route to 192.168.0.2 ...",
        "requesting address change using MOBIKE",
        "generating INFORMATIONAL request 3 [ N(UPD_SA_ADDR) N(NATD_S_IP) N(NATD_D_IP) N(COOKIE2) ]",
        "parsed INFORMATIONAL response 3 [ N(NATD_S_IP) N(NATD_D_IP) N(COOKIE2) ]",
    ] {
        assert!(world.logged(1, line), "{line}: {:#?}", world.hosts[1].log);
    }
    assert!(
        world.logged(0, "parsed INFORMATIONAL response 0 [ N(COOKIE2) ]"),
        "the responder checks that carol is there: {:#?}",
        world.hosts[0].log
    );
    for host in &world.hosts {
        let moves = host.events.iter().filter(|event| match event {
            Event::IkeMoved(before, local, remote) => {
                before.established.is_some() && [local.ip(), remote.ip()].contains(&ip(ELSEWHERE))
            }
            _ => false,
        });
        assert_eq!(moves.count(), 1, "one move is one event");
    }
}

#[test]
fn an_address_less_or_more_is_announced_without_a_move() {
    let mut world = tunnelled(&[MOON], &[CAROL], calm(), 1);
    world.readdress(1, &[CAROL, ELSEWHERE]);
    arrives(&mut world, Duration::from_secs(1), CAROL, MOON);
    assert!(world.logged(1, "sending address list update using MOBIKE"));
    assert!(world.logged(0, "parsed INFORMATIONAL request 3 [ N(ADD_4_ADDR) ]"));
    world.readdress(0, &[MOON, MOON_V6]);
    arrives(&mut world, Duration::from_secs(1), CAROL, MOON);
    assert!(world.logged(1, "parsed INFORMATIONAL request 0 [ N(ADD_6_ADDR) ]"));
    world.readdress(1, &[CAROL]);
    arrives(&mut world, Duration::from_secs(1), CAROL, MOON);
    assert!(world.logged(0, "parsed INFORMATIONAL request 4 [ N(NO_ADD_ADDR) ]"));
    let log = world.hosts[1].log.len();
    world.roam(1);
    assert_eq!(
        world.hosts[1].log.len(),
        log,
        "nothing new is nothing to tell: {:#?}",
        world.hosts[1].log
    );
}

#[test]
fn without_any_address_the_tunnel_waits_for_one() {
    for next in [ELSEWHERE, CAROL] {
        let mut world = tunnelled(&[MOON], &[CAROL], calm(), 1);
        world.readdress(1, &[]);
        world.run_for(MINUTE);
        assert!(world.logged(1, "no route found to reach 192.168.0.2, MOBIKE update deferred"));
        world.readdress(1, &[next]);
        arrives(&mut world, Duration::from_secs(1), next, MOON);
        world.assert_consistent();
    }
}

#[test]
fn a_tunnel_moves_from_ipv4_to_ipv6_and_back() {
    let mut world = tunnelled(&[MOON, MOON_V6], &[CAROL], calm(), 1);
    world.readdress(1, &[CAROL_V6]);
    arrives(&mut world, Duration::from_secs(1), CAROL_V6, MOON_V6);
    world.assert_consistent();
    world.readdress(1, &[CAROL]);
    arrives(&mut world, Duration::from_secs(1), CAROL, MOON);
    world.assert_consistent();
}

/// Mobile IPv6 has the kernel move SAs, policy by policy.
#[test]
fn sas_that_somebody_else_moves_take_their_ike_sa_along() {
    let mut world = tunnelled(&[MOON], &[CAROL], calm(), 1);
    let child = world.live_child(1).expect("a CHILD_SA");
    let migration = |reqid, direction, from| KernelMigration {
        reqid,
        direction,
        src_ts: TrafficSelector::subnet(ip("10.3.0.0"), 16),
        dst_ts: TrafficSelector::subnet(ip("10.1.0.0"), 16),
        from: (ip(from), ip(MOON)),
        to: (ip(ELSEWHERE), ip(MOON)),
    };
    // Whose SAs nobody knows, and others of the same policy.
    world.migrate(1, &migration(child.reqid + 1, Direction::Out, CAROL));
    let unknown = format!("no CHILD_SA found with reqid {{{}}}", child.reqid + 1);
    assert!(world.logged(1, &unknown), "{:#?}", world.hosts[1].log);
    world.migrate(1, &migration(child.reqid, Direction::Out, "203.0.113.1"));
    assert!(is_at(&world, CAROL, MOON));
    assert!(!world.logged(1, "creating migrate job"));

    world.hosts[1].kernel.own = vec![ip(ELSEWHERE)];
    world.hosts[1].endpoint.set_local_addresses(vec![ip(ELSEWHERE)]);
    for direction in [Direction::Out, Direction::In, Direction::Forward] {
        world.migrate(1, &migration(child.reqid, direction, CAROL));
    }
    arrives(&mut world, Duration::from_secs(1), ELSEWHERE, MOON);
    world.assert_consistent();
    let log = world.hosts[1].log.join("\n");
    let job = format!(
        "policy 10.3.0.0/16 === 10.1.0.0/16 with reqid {{{}}}",
        child.reqid
    );
    for (line, count) in [(job.as_str(), 1), ("requesting address change using MOBIKE", 1)] {
        assert_eq!(log.matches(line).count(), count, "{line}\n{log}");
    }
    let now = world.live_child(1).expect("a CHILD_SA");
    assert_eq!((now.spi_in, now.spi_out), (child.spi_in, child.spi_out));
}

#[test]
fn a_responder_that_loses_its_address_is_found_at_another() {
    let mut world = tunnelled(&[MOON, ELSEWHERE], &[CAROL], calm(), 1);
    world.readdress(0, &[ELSEWHERE]);
    arrives(&mut world, MINUTE, CAROL, ELSEWHERE);
    world.assert_consistent();
    assert!(
        world.logged(1, "checking path 192.168.0.3[4500] - 198.51.100.7[4500]"),
        "{:#?}",
        world.hosts[1].log
    );
}

#[test]
fn a_path_that_died_without_a_sign_is_left_for_one_that_answers() {
    let mut world = tunnelled(&[MOON, ELSEWHERE], &[CAROL, "198.51.100.8"], calm(), 1);
    let dead: [IpAddr; 2] = [ip(MOON), ip(CAROL)];
    world.tamper = Some(Box::new(move |datagram: &mut Transmit| {
        !dead.contains(&datagram.local.ip()) && !dead.contains(&datagram.remote.ip())
    }));
    world.hosts[1].kernel.unrouted = vec![(ip(CAROL), ip(ELSEWHERE)), (ip("198.51.100.8"), ip(MOON))];
    let unique = world.live_child(1).unwrap().unique_id;
    world.rekey_child(1, unique);
    arrives(&mut world, MINUTE, "198.51.100.8", ELSEWHERE);
    world.run_for(MINUTE);
    world.assert_consistent();
}

#[test]
fn a_kernel_that_cannot_move_sas_gets_new_ones() {
    let mut world = tunnelled(&[MOON], &[CAROL], calm(), 1);
    let old = world.live_child(1).unwrap();
    for host in &mut world.hosts {
        host.kernel.immovable = true;
    }
    world.readdress(1, &[ELSEWHERE]);
    arrives(&mut world, MINUTE, ELSEWHERE, MOON);
    world.assert_consistent();
    assert_ne!(world.live_child(1).unwrap().spi_in, old.spi_in);
}

#[test]
fn moves_survive_loss_and_duplication() {
    for seed in 0..60 {
        let conditions = Conditions {
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(20),
            loss: 10,
            duplication: 10,
            ..Conditions::default()
        };
        let mut world = tunnelled(&[MOON], &[CAROL], conditions, seed);
        for (nth, address) in [ELSEWHERE, CAROL, "203.0.113.9"].into_iter().enumerate() {
            world.readdress(1, &[address]);
            world.run_for(Duration::from_millis(seed * 7 % 60 * (1 + nth as u64)));
        }
        arrives(&mut world, 5 * MINUTE, "203.0.113.9", MOON);
        world.run_for(10 * Duration::from_secs(1));
        world.assert_consistent();
    }
}

#[test]
fn moves_in_the_midst_of_rekeyings_lose_neither() {
    for seed in 0..120 {
        let conditions = Conditions { loss: 5, ..calm() };
        let mut world = tunnelled(&[MOON], &[CAROL], conditions, seed);
        let host = (seed % 2) as usize;
        if seed % 3 == 0 {
            let unique = world.live_child(host).unwrap().unique_id;
            world.rekey_child(host, unique);
        } else {
            world.rekey_ike(host);
            if seed % 3 == 2 {
                world.rekey_ike(1 - host);
            }
        }
        world.run_for(Duration::from_millis(seed % 50));
        world.readdress(1, &[ELSEWHERE]);
        arrives(&mut world, 5 * MINUTE, ELSEWHERE, MOON);
        let settled = |world: &World| (0..2).all(|host| world.sas(host).len() == 1);
        assert!(world.run_until(10 * MINUTE, settled), "seed {seed}");
        world.run_for(10 * Duration::from_secs(1));
        world.assert_consistent();
    }
}

#[test]
fn an_address_that_flaps_makes_no_flood_and_ends_where_it_is() {
    let mut world = tunnelled(&[MOON], &[CAROL], calm(), 1);
    let before = world.hosts[1].sent.len();
    for nth in 0..200 {
        world.readdress(1, &[[ELSEWHERE, CAROL][nth % 2]]);
        world.run_for(Duration::from_millis(1));
    }
    world.readdress(1, &[ELSEWHERE]);
    arrives(&mut world, MINUTE, ELSEWHERE, MOON);
    world.assert_consistent();
    let sent = world.hosts[1].sent.len() - before;
    assert!(sent < 450, "{sent} messages for 201 moves");
}

/// The datagrams of carol's that a test wants to see again.
type Captured = Rc<RefCell<Vec<Transmit>>>;

fn capture(world: &mut World) -> Captured {
    let captured = Captured::default();
    let own = Rc::clone(&captured);
    world.tamper = Some(Box::new(move |datagram: &mut Transmit| {
        if datagram.local.ip() != ip(MOON) {
            own.borrow_mut().push(datagram.clone());
        }
        true
    }));
    captured
}

#[test]
fn who_repeats_or_makes_up_an_update_moves_nothing() {
    let mut world = tunnelled(&[MOON], &[CAROL], calm(), 1);
    let captured = capture(&mut world);
    world.readdress(1, &[ELSEWHERE]);
    arrives(&mut world, Duration::from_secs(1), ELSEWHERE, MOON);
    let attacker = SocketAddr::new(ip("203.0.113.66"), 4500);
    for datagram in captured.take() {
        let mut repeated = Transmit {
            local: attacker,
            ..datagram
        };
        world.deliver(repeated.clone());
        for at in [0, 20, 30, repeated.octets.len() - 1] {
            repeated.octets[at] ^= 1;
            world.deliver(repeated.clone());
            repeated.octets[at] ^= 1;
        }
    }
    world.run_for(Duration::from_secs(1));
    assert!(is_at(&world, ELSEWHERE, MOON), "{:#?}", world.hosts[0].log);
    world.assert_consistent();
}

#[test]
fn an_update_whose_source_was_changed_on_its_way_is_made_good() {
    let mut world = tunnelled(&[MOON], &[CAROL], calm(), 1);
    let mut changed = false;
    let wrong = SocketAddr::new(ip("203.0.113.66"), 4500);
    world.tamper = Some(Box::new(move |datagram: &mut Transmit| {
        if datagram.local.ip() == ip(ELSEWHERE) && !std::mem::replace(&mut changed, true) {
            datagram.local = wrong;
        }
        true
    }));
    world.readdress(1, &[ELSEWHERE]);
    world.run_for(Duration::from_secs(1));
    assert_eq!(
        world.live_sa(0).unwrap().remote,
        wrong,
        "an authentic update is followed where it came from"
    );
    // The repetition gets the answer, by which carol believes in a NAT; her next move, or her liveness check, corrects it.
    world.run_for(10 * Duration::from_secs(1));
    world.readdress(1, &[CAROL]);
    arrives(&mut world, MINUTE, CAROL, MOON);
    world.assert_consistent();
    assert!(!world.live_sa(1).unwrap().nat_local);
}

#[test]
fn nobody_moves_to_an_address_that_is_no_hosts() {
    let mut world = tunnelled(&[MOON], &[CAROL], calm(), 1);
    world.tamper = Some(Box::new(|datagram: &mut Transmit| {
        if datagram.local.ip() == ip(ELSEWHERE) {
            datagram.local.set_ip(ip("224.0.0.1"));
        }
        if datagram.remote.ip() == ip("224.0.0.1") {
            datagram.remote.set_ip(ip(ELSEWHERE));
        }
        true
    }));
    world.readdress(1, &[ELSEWHERE]);
    world.run_for(MINUTE);
    assert_eq!(world.live_sa(0).unwrap().remote.ip(), ip(CAROL));
    assert!(world.logged(1, "received UNACCEPTABLE_ADDRESSES notify error"));
    world.tamper = None;
    world.readdress(1, &["203.0.113.9"]);
    arrives(&mut world, MINUTE, "203.0.113.9", MOON);
}

/// A path that works is left for the one that routes prefer, if that is wanted.
#[test]
fn the_preferred_path_is_taken_only_if_that_is_wanted() {
    for prefer in [false, true] {
        let mut world = tunnelled(&[MOON], &[CAROL], calm(), 1);
        world.hosts[1].endpoint.set_settings(Settings {
            prefer_best_path: prefer,
            ..seed_settings()
        });
        world.readdress(1, &[ELSEWHERE, CAROL]);
        let there = if prefer { ELSEWHERE } else { CAROL };
        arrives(&mut world, MINUTE, there, MOON);
        world.run_for(MINUTE);
        assert!(is_at(&world, there, MOON));
        assert_eq!(world.logged(1, "moving IKE_SA"), prefer);
        // The same if only routes have changed.
        world.readdress(1, &[CAROL, ELSEWHERE]);
        arrives(&mut world, MINUTE, CAROL, MOON);
    }
}

/// A peer may demand that no NAT is on its way (RFC 4555, 3.9).
#[test]
fn an_update_that_has_passed_a_nat_is_refused_if_its_sender_allows_none() {
    const ESP: &str = "aes256gcm16";
    let pair = |from: &str| {
        let addresses = [from, MOON].map(|address| match ip(address) {
            IpAddr::V4(v4) => v4.octets(),
            IpAddr::V6(_) => unreachable!("IPv4 only"),
        });
        [&addresses.concat()[..], &500_u16.to_be_bytes().repeat(2)].concat()
    };
    let mut puppet = Puppet::new(ESP, &[]);
    // Without NAT detection there is no MOBIKE.
    puppet.extensions = [
        NotifyType::NAT_DETECTION_SOURCE_IP,
        NotifyType::NAT_DETECTION_DESTINATION_IP,
    ]
    .map(|kind| Puppet::notify(kind, &[7; 20]))
    .to_vec();
    let (suite, sk, init) = puppet.init("aes256gcm16-sha512-x25519", true);
    let mut request = puppet.auth_request(&suite, &sk, &init, ESP);
    request.push(Puppet::notify(NotifyType::MOBIKE_SUPPORTED, &[]));
    let answer = puppet.ask(ExchangeType::IKE_AUTH, request);
    let has = |answer: &[Payload], kind: NotifyType| {
        let mut payloads = answer.iter();
        payloads.any(|payload| matches!(payload, Payload::Notify(notify) if notify.kind == kind))
    };
    assert!(has(&answer, NotifyType::MOBIKE_SUPPORTED), "{answer:?}");
    for (from, passed) in [("10.0.0.7", true), (CAROL, false)] {
        let update = vec![
            Puppet::notify(NotifyType::UPDATE_SA_ADDRESSES, &[]),
            Puppet::notify(NotifyType::NO_NATS_ALLOWED, &pair(from)),
        ];
        let answer = puppet.ask(ExchangeType::INFORMATIONAL, update);
        assert_eq!(
            has(&answer, NotifyType::UNEXPECTED_NAT_DETECTED),
            passed,
            "{from}: {answer:?}"
        );
    }
    assert!(
        puppet
            .world
            .logged(0, "peer allows no NATs, but the packet from ")
    );
}
