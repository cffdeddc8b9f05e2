//! NATs in front of either end (RFC 7296, 2.23): who is behind one keeps it open, and the other follows its mapping.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ike::{Settings, Transmit};
use pqswan_tests::world::{self, CAROL, MOON, World};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

/// carol's NAT to the world.
pub(super) const PUBLIC: &str = "203.0.113.1";
/// moon's, which forwards to it.
const FORWARDED: &str = "203.0.113.2";

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// A NAT in front of an address, which adds a number to ports. A new number is a new mapping, and the end of the old one.
pub(super) fn behind_nat(datagram: &mut Transmit, inside: &str, outside: &str, add: u16) -> bool {
    if datagram.local.ip() == ip(inside) {
        datagram.local = SocketAddr::new(ip(outside), datagram.local.port() + add);
    }
    if datagram.remote.ip() == ip(outside) {
        let Some(port) = datagram.remote.port().checked_sub(add) else {
            return false;
        };
        datagram.remote = SocketAddr::new(ip(inside), port);
        return [500, 4500].contains(&port);
    }
    true
}

struct Options {
    mobike: bool,
    liveness: u64,
    moon_too: bool,
}

/// Tunnel1 with carol behind a NAT, and what it adds to her ports.
fn tunnelled(options: &Options) -> (World, Rc<Cell<u16>>) {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    let mut configs = [world::moon(TUNNEL1), world::carol(TUNNEL1)];
    configs[0].remote_addrs = vec![config::connection::Host::Any];
    if options.moon_too {
        configs[1].remote_addrs = vec![config::connection::Host::Address(ip(FORWARDED))];
    }
    for (host, mut config) in configs.into_iter().enumerate() {
        config.mobike = options.mobike;
        config.dpd_delay = Duration::from_secs(options.liveness * host as u64);
        let address = [MOON, CAROL][host];
        world.readdress(host, &[address]);
        world.hosts[host].endpoint.add_connection(config);
    }
    let add = Rc::new(Cell::new(1000));
    let (own, moon_too) = (Rc::clone(&add), options.moon_too);
    world.tamper = Some(Box::new(move |datagram: &mut Transmit| {
        let passes = behind_nat(datagram, CAROL, PUBLIC, own.get());
        passes && (!moon_too || behind_nat(datagram, MOON, FORWARDED, 0))
    }));
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    (world, add)
}

/// How moon's kernel has the ends of carol.
fn seen_by_moon(world: &World) -> Vec<SocketAddr> {
    let kernel = &world.hosts[0].kernel;
    let inbound = kernel.sas.iter().filter(|(_, (inbound, _))| *inbound);
    inbound.map(|(spi, _)| kernel.ends[spi].0).collect()
}

#[test]
fn only_who_is_behind_a_nat_keeps_it_open() {
    let (mut world, _) = tunnelled(&Options {
        mobike: true,
        liveness: 0,
        moon_too: false,
    });
    let count = |world: &World, host: usize| world.hosts[host].sent.iter().filter(|len| **len == 1).count();
    world.run_for(MINUTE);
    assert_eq!((count(&world, 0), count(&world, 1)), (0, 3));
    assert!(world.logged(1, "local host is behind NAT, sending keep alives"));
    assert!(world.logged(0, "remote host is behind NAT"));
    assert_eq!(seen_by_moon(&world), [SocketAddr::new(ip(PUBLIC), 5500)]);
    world.assert_consistent();
}

#[test]
fn with_mobike_the_initiator_finds_a_new_mapping_and_tells() {
    let (mut world, add) = tunnelled(&Options {
        mobike: true,
        liveness: 10,
        moon_too: false,
    });
    // The first check has nothing to compare with, and makes an update; the next ones find nothing new.
    world.run_for(MINUTE);
    add.set(2000);
    world.run_for(MINUTE);
    assert!(
        world.logged(1, "detected changes in NAT mappings, initiating MOBIKE update"),
        "{:#?}",
        world.hosts[1].log
    );
    let mapped = SocketAddr::new(ip(PUBLIC), 6500);
    assert_eq!(world.live_sa(0).unwrap().remote, mapped);
    assert_eq!(seen_by_moon(&world), [mapped]);
    let updates = world.hosts[1]
        .log
        .iter()
        .filter(|line| line.contains("requesting address change"));
    assert_eq!(updates.count(), 2, "{:#?}", world.hosts[1].log);
    world.assert_consistent();
}

#[test]
fn without_mobike_the_responder_follows_a_new_mapping() {
    let (mut world, add) = tunnelled(&Options {
        mobike: false,
        liveness: 10,
        moon_too: false,
    });
    add.set(2000);
    world.run_for(MINUTE);
    let mapped = SocketAddr::new(ip(PUBLIC), 6500);
    assert_eq!(world.live_sa(0).unwrap().remote, mapped);
    assert_eq!(seen_by_moon(&world), [mapped]);
    world.assert_consistent();
}

#[test]
fn a_responder_authenticates_a_peer_behind_a_nat_anew_by_its_mapping() {
    for make_before_break in [false, true] {
        let (mut world, _) = tunnelled(&Options {
            mobike: true,
            liveness: 0,
            moon_too: false,
        });
        let settings = Settings {
            make_before_break,
            ..seed_settings()
        };
        world.hosts[0].endpoint.set_settings(settings);
        let old = world.live_sa(0).expect("an IKE_SA");
        let now = world.now;
        world.hosts[0].endpoint.reauthenticate(now, old.unique_id);
        world.drain(0);
        world.run_for(MINUTE);
        assert!(world.logged(0, "initiator did not reauthenticate as requested"));
        assert!(world.logged(0, "reauthenticating IKE_SA Tunnel1[1] actively"));
        let new = world.live_sa(0).expect("another IKE_SA");
        assert_ne!(new.unique_id, old.unique_id);
        assert_eq!(new.remote, SocketAddr::new(ip(PUBLIC), 5500));
        assert!(world.is_established(), "{:#?}", world.hosts[0].log);
        world.assert_consistent();
    }
}

#[test]
fn who_is_behind_a_nat_itself_follows_nobody() {
    let (mut world, _) = tunnelled(&Options {
        mobike: false,
        liveness: 10,
        moon_too: true,
    });
    assert!(world.live_sa(0).unwrap().nat_local && world.live_sa(0).unwrap().nat_remote);
    assert!(world.live_sa(1).unwrap().nat_local && world.live_sa(1).unwrap().nat_remote);
    let before = world.live_sa(0).unwrap().remote;
    let old = world.tamper.take();
    let mut old = old.unwrap();
    world.tamper = Some(Box::new(move |datagram: &mut Transmit| {
        let passes = old(datagram);
        if datagram.local.ip() == ip(PUBLIC) {
            datagram.local.set_ip(ip("203.0.113.66"));
        }
        passes
    }));
    world.run_for(MINUTE);
    assert_eq!(world.live_sa(0).unwrap().remote, before);
}

#[test]
fn esp_goes_into_udp_behind_a_nat_and_out_of_it_elsewhere() {
    let (mut world, _) = tunnelled(&Options {
        mobike: true,
        liveness: 0,
        moon_too: false,
    });
    let encap = |world: &World| [0, 1].map(|host| world.live_child(host).unwrap().encap);
    assert_eq!(encap(&world), [true, true]);
    world.readdress(1, &["198.51.100.7"]);
    world.run_for(Duration::from_secs(1));
    assert_eq!(encap(&world), [false, false], "{:#?}", world.hosts[1].log);
    assert_eq!(seen_by_moon(&world), [SocketAddr::new(ip("198.51.100.7"), 0)]);
    world.readdress(1, &[CAROL]);
    world.run_for(Duration::from_secs(1));
    assert_eq!(encap(&world), [true, true]);
    assert_eq!(seen_by_moon(&world), [SocketAddr::new(ip(PUBLIC), 5500)]);
    world.assert_consistent();
}

#[test]
fn a_forced_nat_puts_esp_into_udp_and_stays_one_after_a_move() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    world.readdress(1, &[CAROL]);
    let mut config = world::carol(TUNNEL1);
    config.encap = true;
    world.hosts[1].endpoint.add_connection(config);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    let encap = |world: &World| [0, 1].map(|host| world.live_child(host).unwrap().encap);
    assert_eq!(encap(&world), [true, true]);
    assert!(world.logged(1, "faking NAT situation to enforce UDP encapsulation"));
    world.readdress(1, &["198.51.100.7"]);
    world.run_for(Duration::from_secs(1));
    assert_eq!(encap(&world), [true, true]);
    let config = Arc::clone(world.live_sa(0).unwrap().config.as_ref().unwrap());
    assert!(!config.encap, "moon does not pretend by itself");
    world.assert_consistent();
}
