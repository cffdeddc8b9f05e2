//! Traps and shunts: what holds traffic, and what the first packet starts.

use std::collections::BTreeSet;
use std::sync::Arc;

use config::connection::{ChildConfig, Host, Mode, PeerConfig, SelectorSpec};
use config::secret::{SecretKind, SecretStore, SharedSecret};
use iana::TrafficSelector;
use ike::{CommandId, Initiate};
use plugin_api::kernel::KernelEvent;
use pqswan_tests::kernel::Fate;
use pqswan_tests::world::{CAROL, World, carol, moon};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

const HERE: &str = "10.3.0.1";
const THERE: &str = "10.1.0.1";

fn world() -> World {
    World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 3)
}

/// A second packet outside of what the first was granted is for another CHILD_SA of the peer.
#[test]
fn of_several_configurations_the_one_that_covers_the_packet_is_granted() {
    let mut world = world();
    let narrow = child(&moon(TUNNEL1), |child| child.local_ts = fixed("10.1.7.0", 24));
    let other = child(&moon(TUNNEL1), |child| {
        child.name = "other".into();
        child.local_ts = fixed("10.1.8.0", 24);
    });
    world.hosts[0].endpoint.add_connection(narrow);
    world.hosts[0].endpoint.add_connection(other);
    world.install(1, "Tunnel1");
    for (index, there) in ["10.1.7.9", "10.1.8.9"].into_iter().enumerate() {
        assert!(matches!(world.send(1, HERE, there), Fate::Acquired(_)), "{there}");
        world.run_for(MINUTE / 6);
        assert_eq!(world.sas(1)[0].children.len(), index + 1, "{there}");
        assert!(matches!(world.send(1, HERE, there), Fate::Carried(_)), "{there}");
    }
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
    assert_eq!(
        made.reqid, 2,
        "packets outside of it find no SA by the reqid of the trap"
    );
    // What it does not take meets the trap again; that this is no use shows with the first attempt.
    for _ in 0..30 {
        assert!(matches!(world.send(1, HERE, "10.1.9.9"), Fate::Acquired(_)));
        world.run_for(MINUTE / 60);
    }
    assert_eq!(world.sas(1)[0].children.len(), 2);
    assert!(world.logged(1, "peer narrows it to what there is already"));
    assert!(world.sas(1)[0].children.iter().all(|child| child.reqid == 2));
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

/// A host of many with a trap for all of the others, whose packets name the peer.
fn any_peer(config: PeerConfig, peers: Host) -> PeerConfig {
    let mut config = child(&config, |child| {
        child.mode = Mode::Transport;
        (child.local_ts, child.remote_ts) = (vec![SelectorSpec::DYNAMIC], vec![SelectorSpec::DYNAMIC]);
    });
    config.local_addrs = vec![Host::Any];
    config.remote_addrs = vec![peers];
    for auth in config.local_auth.iter_mut().chain(&mut config.remote_auth) {
        auth.id = None;
    }
    config
}

const OTHERS: [&str; 3] = ["192.168.0.11", "192.168.0.12", "192.168.0.13"];

/// A host with such a trap among others like it.
fn among_others(peers: Host) -> World {
    let addresses = [&[CAROL], &OTHERS[..]].concat();
    let registry = pqswan_tests::crypto::registry();
    let mut world = World::new(&addresses, &seed_settings(), &registry, calm(), 7);
    for host in &mut world.hosts {
        host.endpoint
            .add_connection(any_peer(carol(TUNNEL1), peers.clone()));
        host.endpoint.set_local_addresses(vec![host.address]);
        let (owners, key) = (Vec::new(), SharedSecret::new(b"common".to_vec()));
        host.endpoint.secrets_mut().insert(SecretKind::Ike, owners, key);
        let peer = Arc::clone(&host.endpoint.connections()[0]);
        let any = "0.0.0.0:500".parse().expect("an address");
        let what = Initiate {
            child: Some(Arc::clone(&peer.children[0])),
            peer,
            local: any,
            remote: any,
        };
        host.endpoint.install_trap(world.now, CommandId(1), &what);
    }
    (0..addresses.len()).for_each(|host| world.drain(host));
    world
}

#[test]
fn a_trap_for_any_peer_takes_the_peer_from_the_packet() {
    let range = |from: &str, to: &str| Host::Range(from.parse().unwrap(), to.parse().unwrap());
    for peers in [Host::Any, range("192.168.0.0", "192.168.0.255")] {
        let mut world = among_others(peers.clone());
        assert_eq!(world.hosts[0].done, [(CommandId(1), Ok(()))]);
        for other in OTHERS {
            for _ in 0..3 {
                assert!(matches!(world.send(0, CAROL, other), Fate::Acquired(_)));
            }
        }
        assert!(world.run_until(MINUTE, |world| {
            let children = world.sas(0).iter().map(|sa| sa.children.len()).sum::<usize>();
            children == OTHERS.len()
        }));
        world.run_for(MINUTE);
        assert_eq!(
            world.sas(0).len(),
            OTHERS.len(),
            "one for each peer: {:#?}",
            world.hosts[0].log
        );
        for (host, other) in (1..).zip(OTHERS) {
            let Fate::Carried(spi) = world.send(0, CAROL, other) else {
                panic!("no SA with {other}: {:#?}", world.hosts[0].log);
            };
            assert!(world.hosts[host].kernel.sas.contains_key(&spi));
            // The other end needs no second one.
            assert!(matches!(world.send(host, other, CAROL), Fate::Carried(_)));
            assert_eq!(world.sas(host).len(), 1);
        }
        let reqids: BTreeSet<u32> = world.sas(0).iter().map(|sa| sa.children[0].reqid).collect();
        assert_eq!(reqids, BTreeSet::from([2, 3, 4]), "1 is the trap's");
    }
}

#[test]
fn a_trap_for_any_peer_establishes_again_and_leaves_no_trace() {
    let mut world = among_others(Host::Any);
    for _ in 0..2 {
        assert!(matches!(world.send(0, CAROL, OTHERS[0]), Fate::Acquired(_)));
        world.run_for(MINUTE);
        assert!(matches!(world.send(0, CAROL, OTHERS[0]), Fate::Carried(_)));
        world.terminate(0);
        world.run_for(MINUTE);
        assert!(world.sas(0).is_empty() && world.sas(1).is_empty());
    }
    for host in 0..=OTHERS.len() {
        world.uninstall(host, "Tunnel1");
    }
    world.run_for(5 * MINUTE);
    world.assert_no_trace();
}

#[test]
fn a_trap_starts_no_more_than_so_many_ike_sas_at_once_and_forgets_none() {
    let mut world = among_others(Host::Any);
    for last in 20..=119 {
        assert!(matches!(
            world.send(0, CAROL, &format!("192.168.0.{last}")),
            Fate::Acquired(_)
        ));
    }
    assert!(matches!(world.send(0, CAROL, OTHERS[0]), Fate::Acquired(_)));
    assert_eq!(world.sas(0).len(), 32);
    assert!(
        world.run_until(20 * MINUTE, |world| world.live_child(1).is_some()),
        "its turn came"
    );
    assert!(world.sas(0).len() <= 33);
}

#[test]
fn packets_that_name_no_peer_start_nothing() {
    let range = Host::Range("192.168.0.0".parse().unwrap(), "192.168.0.12".parse().unwrap());
    let mut world = among_others(range);
    let reqid = 1;
    for dst in ["192.168.0.13", "10.1.1.1", "224.0.0.1"] {
        let [src, dst] = [CAROL, dst].map(|address| TrafficSelector::host(address.parse().unwrap()));
        world.kernel_event(0, KernelEvent::Acquire { reqid, src, dst });
    }
    assert!(world.sas(0).is_empty());
    assert!(matches!(world.send(0, CAROL, OTHERS[1]), Fate::Acquired(_)));
    assert_eq!(world.sas(0).len(), 1);
}

#[test]
fn a_trap_in_tunnel_mode_needs_a_peer() {
    let mut world = world();
    let mut config = carol(TUNNEL1);
    config.remote_addrs = vec![Host::Any];
    let any = "0.0.0.0:500".parse().expect("an address");
    let what = Initiate {
        child: Some(Arc::clone(&config.children[0])),
        peer: Arc::new(config),
        local: any,
        remote: any,
    };
    let (now, endpoint) = (world.now, &mut world.hosts[1].endpoint);
    endpoint.install_trap(now, CommandId(1), &what);
    world.drain(1);
    assert_eq!(
        world.hosts[1].done,
        [(CommandId(1), Err(ike::CommandError::Failed))]
    );
    assert!(world.logged(1, "installing trap failed, remote address unknown"));
    assert!(world.hosts[1].kernel.is_empty());
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
