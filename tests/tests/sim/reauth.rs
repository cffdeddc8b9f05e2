//! Authenticating again: what is deleted when, and that every CHILD_SA is there afterwards.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use config::connection::{ChildConfig, PeerConfig, SelectorSpec};
use iana::TrafficSelector;
use ike::{CommandId, Event, IkeSaState, Initiate, Settings};
use plugin_api::kernel::Direction;
use pqswan_tests::world::{self, World};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

const SECOND: Duration = Duration::from_secs(1);

fn settings(make_before_break: bool) -> Settings {
    Settings {
        make_before_break,
        ..seed_settings()
    }
}

fn established(make_before_break: bool) -> World {
    let mut world = World::moon_and_carol(TUNNEL1, &settings(make_before_break), calm(), 1);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    for host in &mut world.hosts {
        host.events.clear();
        host.log.clear();
    }
    world
}

fn reauthenticate(world: &mut World, host: usize) {
    let unique = world.live_sa(host).expect("an IKE_SA").unique_id;
    let now = world.now;
    world.hosts[host].endpoint.reauthenticate(now, unique);
    world.drain(host);
}

/// In which order an end saw IKE_SAs and CHILD_SAs come and go.
fn story(world: &World, host: usize) -> Vec<&'static str> {
    let tell = |event: &Event| match event {
        Event::IkeUp(_) => "IKE up",
        Event::IkeDown(_) => "IKE down",
        Event::ChildUp(..) => "CHILD up",
        Event::ChildDown(..) => "CHILD down",
        Event::IkeRekeyed(..) | Event::ChildRekeyed(..) => "rekeyed",
        Event::IkeMoved(..) => "moved",
        Event::Alert(..) => "alert",
        Event::DnsServers(..) => "DNS",
        Event::Scripts(_) => "script",
    };
    world.hosts[host].events.iter().map(tell).collect()
}

#[test]
fn break_before_make_deletes_first() {
    for host in [0, 1] {
        let mut world = established(false);
        reauthenticate(&mut world, host);
        world.run_for(MINUTE);
        assert!(world.is_established());
        world.assert_consistent();
        let expected = ["CHILD down", "IKE down", "IKE up", "CHILD up"];
        assert_eq!([story(&world, 0), story(&world, 1)], [expected, expected]);
        assert!(world.sas(host)[0].initiator);
    }
}

#[test]
fn make_before_break_deletes_last() {
    for host in [0, 1] {
        let mut world = established(true);
        reauthenticate(&mut world, host);
        world.run_for(5 * SECOND);
        assert!(world.is_established(), "{:#?}", world.hosts[host].log);
        world.assert_consistent();
        let expected = ["IKE up", "CHILD up", "CHILD down", "IKE down"];
        assert_eq!([story(&world, 0), story(&world, 1)], [expected, expected]);
        assert!(
            !world.logged(host, "INIT_CONTACT"),
            "the peer would destroy the old one"
        );
        assert!(world.logged(1 - host, "suspected reauthentication"));
    }
}

#[test]
fn while_the_new_one_is_made_the_old_one_carries_the_traffic() {
    // Packets are on their way as long as the IKE messages that announce and delete their SAs, or overtake them.
    for delay in [calm().delay, Duration::ZERO] {
        carries_the_traffic(delay);
    }
}

fn carries_the_traffic(delay: Duration) {
    let mut world = established(true);
    reauthenticate(&mut world, 1);
    let mut on_their_way = VecDeque::new();
    for _ in 0..2000 {
        for (sender, receiver) in [(0, 1), (1, 0)] {
            on_their_way.push_back((world.now + delay, receiver, sends_by(&world, sender)));
        }
        while let Some((when, receiver, spi)) = on_their_way.pop_front() {
            if when > world.now {
                on_their_way.push_front((when, receiver, spi));
                break;
            }
            let inbound = world.hosts[receiver].kernel.sas.get(&spi);
            let log = world.hosts[receiver].log.join("\n");
            assert!(inbound.is_some_and(|(inbound, _)| *inbound), "{spi:08x}\n{log}");
        }
        world.run_for(Duration::from_millis(1));
    }
    assert!(world.is_established());
    world.assert_consistent();
}

/// The SPI of the SA that an end's packets go by.
fn sends_by(world: &World, host: usize) -> u32 {
    let mut policies = world.hosts[host].kernel.policies.iter();
    let out = policies.rfind(|policy| policy.direction == Direction::Out);
    out.expect("a policy").spi
}

#[test]
fn a_peer_that_is_slow_to_delete_the_old_one_is_not_waited_for() {
    let mut world = established(true);
    let old = sends_by(&world, 0);
    // INFORMATIONAL messages do not get through.
    world.tamper = Some(Box::new(|datagram| datagram.octets.get(18) != Some(&37)));
    reauthenticate(&mut world, 1);
    world.run_for(SECOND);
    assert_eq!(world.sas(0).len(), 2, "{:#?}", world.hosts[0].log);
    assert_eq!(sends_by(&world, 0), old);
    world.run_for(2 * SECOND);
    let new = sends_by(&world, 0);
    assert_ne!(new, old);
    world.tamper = None;
    world.run_for(MINUTE);
    assert!(world.is_established());
    world.assert_consistent();
    assert_eq!(sends_by(&world, 0), new);
}

#[test]
fn it_is_done_in_time_without_being_asked() {
    for make_before_break in [false, true] {
        let mut world = established(make_before_break);
        world.run_for(70 * MINUTE);
        assert!(world.is_established());
        assert!(world.logged(1, "reauthenticating IKE_SA Tunnel1[1]"));
        assert!(world.sas(1)[0].established.expect("a time") > world.now - 20 * MINUTE);
    }
}

#[test]
fn a_peer_that_cannot_be_reached_leaves_the_old_one_and_is_tried_again() {
    let mut world = established(true);
    // IKE_SA_INIT requests do not get through.
    world.tamper = Some(Box::new(|datagram| datagram.octets.get(18) != Some(&34)));
    reauthenticate(&mut world, 1);
    world.run_for(3 * MINUTE);
    assert!(world.logged(
        1,
        "unable to reauthenticate IKE_SA Tunnel1[1] now, trying again in "
    ));
    assert_eq!(world.live_sa(1).expect("the old one").unique_id, 1);
    world.tamper = None;
    world.run_for(3 * MINUTE);
    assert!(world.is_established(), "{:#?}", world.hosts[1].log);
    world.assert_consistent();
}

/// A second CHILD_SA, between other subnets.
fn with_second(config: PeerConfig, (local, remote): (&str, &str)) -> PeerConfig {
    let subnet = |address: &str| {
        let address = address.parse().expect("an address");
        vec![SelectorSpec::Fixed(TrafficSelector::subnet(address, 24))]
    };
    let second = ChildConfig {
        name: "second".to_owned(),
        local_ts: subnet(local),
        remote_ts: subnet(remote),
        ..ChildConfig::clone(&config.children[0])
    };
    let children = [config.children.clone(), vec![Arc::new(second)]].concat();
    PeerConfig { children, ..config }
}

fn two_children(make_before_break: bool) -> World {
    let registry = pqswan_tests::crypto::registry();
    let addresses = [world::MOON, world::CAROL];
    let mut world = World::new(&addresses, &settings(make_before_break), &registry, calm(), 1);
    let moon = with_second(world::moon(TUNNEL1), ("10.11.0.0", "10.13.0.0"));
    let carol = with_second(world::carol(TUNNEL1), ("10.13.0.0", "10.11.0.0"));
    for (host, config) in world.hosts.iter_mut().zip([moon, carol]) {
        host.endpoint.add_connection(config);
        world::share(&mut host.endpoint, world::PSK);
    }
    world
}

fn children(world: &World, host: usize) -> Vec<String> {
    let sas = world.sas(host);
    let names = sas
        .iter()
        .flat_map(|sa| &sa.children)
        .map(|child| child.config.name.clone());
    names.collect()
}

fn initiate_second(world: &mut World, host: usize, id: u64) {
    let what = {
        let endpoint = &world.hosts[host].endpoint;
        let (peer, child) = endpoint.find_child("second").expect("configured");
        let addresses = [world::MOON, world::CAROL].map(|address| format!("{address}:500"));
        let [moon, carol] = addresses.map(|address| address.parse().expect("an address"));
        let (local, remote) = if host == 0 { (moon, carol) } else { (carol, moon) };
        Initiate {
            peer,
            child: Some(child),
            local,
            remote,
        }
    };
    let now = world.now;
    world.hosts[host].endpoint.initiate(now, CommandId(id), what);
    world.drain(host);
}

#[test]
fn a_further_child_sa_is_made_in_the_ike_sa_that_there_is() {
    for host in [0, 1] {
        let mut world = two_children(false);
        let first = world.initiate(1);
        // One that is asked for while the first is being made waits for it.
        initiate_second(&mut world, 1, 77);
        world.run_for(SECOND);
        assert_eq!(children(&world, 0), ["Tunnel1", "second"]);
        assert_eq!(children(&world, 1), ["Tunnel1", "second"]);
        assert!(world.hosts[1].done.contains(&(first, Ok(()))));
        assert!(world.hosts[1].done.contains(&(CommandId(77), Ok(()))));
        // What is up already is not made twice.
        initiate_second(&mut world, host, 78);
        world.run_for(SECOND);
        assert!(world.hosts[host].done.contains(&(CommandId(78), Ok(()))));
        assert_eq!(children(&world, host), ["Tunnel1", "second"]);
        assert_eq!(world.sas(host).len(), 1);
    }
}

#[test]
fn all_child_sas_are_made_anew() {
    for make_before_break in [false, true] {
        let mut world = two_children(make_before_break);
        world.initiate(1);
        initiate_second(&mut world, 1, 77);
        world.run_for(SECOND);
        reauthenticate(&mut world, 1);
        world.run_for(10 * SECOND);
        for host in [0, 1] {
            assert_eq!(
                children(&world, host),
                ["Tunnel1", "second"],
                "{make_before_break}"
            );
            let states: Vec<_> = world.sas(host).iter().map(|sa| sa.state).collect();
            assert_eq!(states, [IkeSaState::Established], "{make_before_break}");
            assert_eq!(world.hosts[host].kernel.sas.len(), 4);
        }
    }
}

#[test]
fn a_child_sa_that_the_peer_cannot_make_now_is_asked_for_again() {
    let mut world = two_children(false);
    world.initiate(1);
    world.run_for(SECOND);
    world.rekey_ike(0);
    initiate_second(&mut world, 1, 77);
    world.run_for(SECOND);
    assert!(world.logged(1, "creating CHILD_SA failed, trying again in "));
    world.run_for(20 * SECOND);
    assert_eq!(children(&world, 0), ["Tunnel1", "second"]);
    assert!(world.hosts[1].done.contains(&(CommandId(77), Ok(()))));
}
