//! Traps and shunts: what holds traffic, and what the first packet starts.

use std::sync::Arc;

use config::connection::{ChildConfig, Mode, PeerConfig, SelectorSpec};
use config::secret::SecretStore;
use iana::TrafficSelector;
use plugin_api::kernel::KernelEvent;
use pqswan_tests::kernel::Fate;
use pqswan_tests::world::{World, carol, moon};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

const HERE: &str = "10.3.0.1";
const THERE: &str = "10.1.0.1";

fn world() -> World {
    World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 3)
}

/// A trap at carol, whose first packet was sent.
fn acquired() -> World {
    let mut world = world();
    let command = world.install(1, "Tunnel1");
    assert_eq!(world.hosts[1].done, [(command, Ok(()))]);
    assert!(matches!(world.send(1, HERE, THERE), Fate::Acquired(_)));
    world
}

fn child(peer: &PeerConfig, change: impl FnOnce(&mut ChildConfig)) -> PeerConfig {
    let mut child = ChildConfig::clone(&peer.children[0]);
    change(&mut child);
    PeerConfig {
        // A connection of another name gives its child to the one that there is.
        name: child.name.clone(),
        children: vec![Arc::new(child)],
        ..peer.clone()
    }
}

fn fixed(subnet: &str, prefix: u8) -> Vec<SelectorSpec> {
    vec![SelectorSpec::Fixed(TrafficSelector::subnet(
        subnet.parse().expect("an address"),
        prefix,
    ))]
}

#[test]
fn the_first_packet_establishes_the_tunnel_and_later_ones_pass() {
    let mut world = acquired();
    assert!(world.run_until(MINUTE, World::is_established));
    world.assert_consistent();
    let child = world.sas(1)[0].children[0].clone();
    assert_eq!(world.send(1, HERE, THERE), Fate::Carried(child.spi_out));
    assert!(matches!(world.send(0, THERE, HERE), Fate::Carried(_)));
    for line in [
        "creating acquire job for policy 10.3.0.1/32 === 10.1.0.1/32 with reqid {1}",
        "establishing CHILD_SA Tunnel1{2} reqid 1",
        "TS 10.3.0.0/16 === 10.1.0.0/16",
    ] {
        assert!(
            world.logged(1, line),
            "'{line}' is not in {:#?}",
            world.hosts[1].log
        );
    }
    let trap = world.hosts[1].endpoint.policies().next().expect("a trap");
    assert_eq!((trap.reqid, trap.unique_id), (Some(1), Some(1)));
    assert_eq!(child.reqid, 1, "both share it");
}

#[test]
fn a_flood_of_acquires_makes_one_attempt() {
    let mut world = acquired();
    let lines = world.hosts[1].log.len();
    for last in 1..=255 {
        assert!(matches!(
            world.send(1, HERE, &format!("10.1.2.{last}")),
            Fate::Acquired(_)
        ));
    }
    assert_eq!(world.hosts[1].log.len(), lines, "not even a line");
    assert_eq!(world.sas(1).len(), 1);
    assert!(world.run_until(MINUTE, World::is_established));
    world.run_for(MINUTE);
    assert!(world.is_established(), "one CHILD_SA for all of them");
}

#[test]
fn a_trap_outlives_its_tunnel_and_establishes_it_again() {
    let mut world = acquired();
    assert!(world.run_until(MINUTE, World::is_established));
    world.terminate(1);
    assert!(world.run_until(MINUTE, |world| world.sas(0).is_empty() && world.sas(1).is_empty()));
    assert!(matches!(world.send(1, HERE, THERE), Fate::Acquired(_)));
    assert!(world.run_until(MINUTE, World::is_established));
    assert_eq!(world.sas(1)[0].children[0].reqid, 1);
    assert!(world.uninstall(1, "Tunnel1"));
    assert!(!world.uninstall(1, "Tunnel1"), "there is no second one");
    assert!(world.is_established(), "the tunnel does not depend on it");
    assert!(matches!(world.send(1, HERE, THERE), Fate::Carried(_)));
    world.terminate(1);
    world.run_for(MINUTE);
    world.assert_no_trace();
}

#[test]
fn a_peer_that_does_not_answer_or_refuses_leaves_the_trap() {
    let mut world = acquired();
    world.tamper = Some(Box::new(|_| false));
    assert!(world.run_until(5 * MINUTE, |world| world.sas(1).is_empty()));
    assert!(world.logged(1, "establishing IKE_SA failed, peer not responding"));
    world.tamper = None;
    assert!(matches!(world.send(1, HERE, THERE), Fate::Acquired(_)));
    // It waits a little, and then remembers the packet.
    assert!(world.sas(1).is_empty());
    assert!(world.run_until(MINUTE, World::is_established));

    let mut world = self::world();
    *world.hosts[0].endpoint.secrets_mut() = SecretStore::default();
    world.install(1, "Tunnel1");
    for _ in 0..60 {
        assert!(matches!(world.send(1, HERE, THERE), Fate::Acquired(_)));
        world.run_for(MINUTE / 60);
    }
    let attempts = world.hosts[1].log.iter();
    let attempts = attempts.filter(|line| line.contains("initiating IKE_SA")).count();
    assert!((8..=13).contains(&attempts), "{attempts} attempts in a minute");
    assert_eq!(world.hosts[1].endpoint.policies().count(), 1);
}

#[test]
fn an_established_ike_sa_gets_the_child_sa() {
    let mut world = world();
    let net = child(&carol(TUNNEL1), |child| {
        child.name = "net".into();
        (child.local_ts, child.remote_ts) = (fixed("10.4.0.0", 16), fixed("10.5.0.0", 16));
    });
    world.hosts[1].endpoint.add_connection(net);
    let net = child(&moon(TUNNEL1), |child| {
        child.name = "net".into();
        (child.local_ts, child.remote_ts) = (fixed("10.5.0.0", 16), fixed("10.4.0.0", 16));
    });
    world.hosts[0].endpoint.add_connection(net);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    world.install(1, "net");
    assert!(matches!(world.send(1, "10.4.0.1", "10.5.0.1"), Fate::Acquired(_)));
    assert!(world.run_until(MINUTE, |world| world.sas(1)[0].children.len() == 2));
    assert_eq!(world.sas(1).len(), 1, "no second IKE_SA");
    assert!(matches!(world.send(1, "10.4.0.1", "10.5.0.1"), Fate::Carried(_)));
    world.assert_consistent();
}

#[test]
fn a_peer_that_narrows_is_shown_the_packet_first() {
    let mut world = world();
    // It has no more than this behind it.
    let narrow = child(&moon(TUNNEL1), |child| child.local_ts = fixed("10.1.7.0", 24));
    world.hosts[0].endpoint.add_connection(narrow);
    world.install(1, "Tunnel1");
    world.send(1, HERE, "10.1.7.9");
    assert!(world.run_until(MINUTE, World::is_established));
    assert!(matches!(world.send(1, HERE, "10.1.7.8"), Fate::Carried(_)));
    let made = world.sas(1)[0].children[0].clone();
    assert_eq!(made.reqid, 1, "also with narrower selectors");
    // What it does not take meets the trap again; that this is no use shows with the first attempt.
    for _ in 0..30 {
        assert!(matches!(world.send(1, HERE, "10.1.9.9"), Fate::Acquired(_)));
        world.run_for(MINUTE / 60);
    }
    assert_eq!(world.sas(1)[0].children.len(), 2);
    assert!(world.logged(1, "peer narrows it to what there is already"));
    assert!(world.sas(1)[0].children.iter().all(|child| child.reqid == 1));
    world.uninstall(1, "Tunnel1");
    world.terminate(1);
    world.run_for(MINUTE);
    world.assert_no_trace();
}

#[test]
fn installing_again_changes_nothing_or_follows_the_configuration() {
    let mut world = world();
    world.install(1, "Tunnel1");
    let before = world.hosts[1].kernel.policies.clone();
    assert_eq!(before.len(), 3);
    world.install(1, "Tunnel1");
    assert_eq!(world.hosts[1].kernel.policies, before);
    let wider = child(&carol(TUNNEL1), |child| child.remote_ts = fixed("10.0.0.0", 8));
    world.hosts[1].endpoint.add_connection(wider);
    world.install(1, "Tunnel1");
    let after = &world.hosts[1].kernel.policies;
    assert_eq!(after.len(), 3, "the old ones are gone");
    assert!(matches!(world.send(1, HERE, "10.200.0.1"), Fate::Acquired(_)));
    assert_eq!(world.hosts[1].endpoint.policies().count(), 1);
    assert!(world.logged(1, "updating already routed CHILD_SA 'Tunnel1'"));
    assert_eq!(world.hosts[1].endpoint.uninstall_all(world.now, "Tunnel1"), 1);
    world.drain(1);
    world.hosts[1].endpoint.shutdown(world.now);
    world.drain(1);
    world.run_for(5 * MINUTE);
    world.assert_no_trace();
}

#[test]
fn a_kernel_that_refuses_is_left_as_it_was() {
    for failing in 0..3 {
        let mut world = world();
        world.hosts[1].kernel.fail_add = Some(failing);
        let command = world.install(1, "Tunnel1");
        assert_eq!(world.hosts[1].done, [(command, Err(ike::CommandError::Failed))]);
        assert!(world.logged(1, "installing trap policies of 'Tunnel1' failed: told to fail"));
        world.assert_no_trace();
        // Nor is the trap that was there before lost.
        world.hosts[1].kernel.fail_add = None;
        world.install(1, "Tunnel1");
        let before = world.hosts[1].kernel.policies.clone();
        let wider = child(&carol(TUNNEL1), |child| child.remote_ts = fixed("10.0.0.0", 8));
        world.hosts[1].endpoint.add_connection(wider);
        world.hosts[1].kernel.fail_add = Some(failing);
        world.install(1, "Tunnel1");
        assert_eq!(world.hosts[1].kernel.policies, before);
        assert!(matches!(world.send(1, HERE, THERE), Fate::Acquired(_)));
        assert!(world.uninstall(1, "Tunnel1"));
        assert!(world.hosts[1].kernel.is_empty());
    }
}

#[test]
fn an_acquire_that_nobody_waits_for_does_nothing() {
    let mut world = world();
    let [src, dst] = [HERE, THERE].map(|address| TrafficSelector::host(address.parse().unwrap()));
    world.kernel_event(1, KernelEvent::Acquire { reqid: 77, src, dst });
    assert!(world.sas(1).is_empty() && world.hosts[1].log.is_empty());
}

#[test]
fn shunts_pass_or_drop_what_a_tunnel_would_carry() {
    let mut world = world();
    for (name, mode, remote) in [("lan", Mode::Pass, "10.1.9.0"), ("no", Mode::Drop, "10.9.0.0")] {
        let shunt = child(&carol(TUNNEL1), |child| {
            (child.name, child.mode, child.remote_ts) = (name.into(), mode, fixed(remote, 24));
        });
        world.hosts[1].endpoint.add_connection(shunt);
        world.install(1, name);
        world.install(1, name);
    }
    assert!(world.logged(1, "shunt PASS policy 'lan' already installed"));
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    assert!(matches!(world.send(1, HERE, THERE), Fate::Carried(_)));
    assert_eq!(world.send(1, HERE, "10.1.9.1"), Fate::Unprotected);
    assert_eq!(world.send(1, HERE, "10.9.0.1"), Fate::Dropped);
    assert_eq!(world.send(1, HERE, "10.9.1.1"), Fate::Unprotected);
    assert!(world.uninstall(1, "lan") && world.uninstall(1, "no"));
    assert!(matches!(world.send(1, HERE, "10.1.9.1"), Fate::Carried(_)));
    world.terminate(1);
    world.run_for(MINUTE);
    world.assert_no_trace();
}

#[test]
fn a_shunt_that_drops_is_no_obstacle_to_a_tunnel() {
    let mut world = world();
    let shunt = child(&carol(TUNNEL1), |child| {
        (child.name, child.mode) = ("leak".into(), Mode::Drop);
        child.local_ts = vec![SelectorSpec::DYNAMIC];
        child.remote_ts = vec![SelectorSpec::DYNAMIC];
    });
    world.hosts[1].endpoint.add_connection(shunt);
    world.install(1, "leak");
    assert_eq!(world.send(1, HERE, THERE), Fate::Dropped);
    assert_eq!(
        world.send(1, "2001:db8::1", "2001:db8::2"),
        Fate::Dropped,
        "both families"
    );
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    assert!(matches!(world.send(1, HERE, THERE), Fate::Carried(_)));
}

#[test]
fn traps_at_both_ends_and_packets_at_once_leave_a_tunnel_that_works() {
    for seed in 0..20 {
        let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), seed);
        world.install(0, "Tunnel1");
        world.install(1, "Tunnel1");
        world.send(0, THERE, HERE);
        world.send(1, HERE, THERE);
        assert!(world.run_until(MINUTE, |world| {
            [0, 1].iter().all(|host| world.live_child(*host).is_some())
        }));
        world.run_for(MINUTE);
        let (Fate::Carried(there), Fate::Carried(back)) =
            (world.send(1, HERE, THERE), world.send(0, THERE, HERE))
        else {
            panic!("seed {seed}: no tunnel");
        };
        let [moon, carol] = [0, 1].map(|host: usize| &world.hosts[host].kernel.sas);
        assert!(
            moon.contains_key(&there) && carol.contains_key(&back),
            "seed {seed}"
        );
        let counts = [0, 1].map(|host| world.sas(host).len());
        assert!(
            counts[0] == counts[1] && counts[0] <= 2,
            "seed {seed}: {counts:?}"
        );
    }
}
