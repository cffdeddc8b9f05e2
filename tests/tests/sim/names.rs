//! Peers that a responder knows by name.

use std::net::IpAddr;
use std::time::Duration;

use config::connection::{Host, PeerConfig};
use pqswan_tests::world::{CAROL, World, moon};

use super::handshake::{MINUTE, calm, seed_settings};

const PROPOSAL: &str = "aes256gcm16-sha512-x25519!";

/// A connection of moon's with this peer.
fn from(name: &str, remote: Vec<Host>) -> PeerConfig {
    PeerConfig {
        name: name.to_owned(),
        remote_addrs: remote,
        ..moon(PROPOSAL)
    }
}

/// moon has these connections, and carol wants her tunnel.
fn world(connections: Vec<PeerConfig>) -> World {
    let mut world = World::moon_and_carol(PROPOSAL, &seed_settings(), calm(), 1);
    let endpoint = &mut world.hosts[0].endpoint;
    assert!(endpoint.remove_connection("Tunnel1"));
    for connection in connections {
        endpoint.put_connection(connection);
    }
    world
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn name(text: &str) -> Host {
    Host::Name(text.to_owned())
}

fn knows(world: &mut World, name: &str, addresses: &[&str]) {
    let addresses = addresses.iter().map(|text| address(text)).collect();
    world.hosts[0].endpoint.set_addresses_of(name, addresses);
}

fn connection(world: &World) -> String {
    world.sas(0)[0].name.to_string()
}

#[test]
fn a_peer_is_found_by_its_name() {
    let mut world = world(vec![from("named", vec![name("carol")])]);
    knows(&mut world, "carol", &["2001:db8::3", CAROL]);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    assert_eq!(connection(&world), "named");
}

#[test]
fn a_peer_waits_for_a_name_that_is_being_looked_up() {
    let mut world = world(vec![from("named", vec![name("carol")])]);
    world.initiate(1);
    world.run_for(Duration::from_secs(2));
    assert!(world.logged(0, "ignoring IKE_SA_INIT from 192.168.0.3"));
    assert_eq!((world.sas(0).len(), world.sas(1).len()), (0, 1));
    knows(&mut world, "carol", &[CAROL]);
    assert!(world.run_until(MINUTE, World::is_established));
}

#[test]
fn a_name_that_stands_for_another_peer_or_for_none_lets_nobody_in() {
    for addresses in [&[][..], &["192.168.0.9"]] {
        let mut world = world(vec![from("named", vec![name("carol")])]);
        knows(&mut world, "carol", addresses);
        world.initiate(1);
        world.run_for(Duration::from_secs(2));
        let text = "no IKE config found for 192.168.0.2...192.168.0.3, sending NO_PROPOSAL_CHOSEN";
        assert!(world.logged(0, text), "{:#?}", world.hosts[0].log);
        world.assert_no_trace();
    }
}

#[test]
fn any_other_may_come_where_a_name_only_says_whom_to_initiate_to() {
    let any = config::ipsec_conf::conn::to_peer_config(
        "any",
        &[("right", "%carol.example.org"), ("rightallowany", "no")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        "ipsec.conf",
        "yes",
        &|_| false,
        true,
    );
    let hosts = any.expect("a connection").peer.remote_addrs;
    let written: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    assert_eq!(written, ["carol.example.org", "0.0.0.0/0", "::/0"]);
    let mut world = world(vec![from("any", hosts)]);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
}

#[test]
fn of_several_connections_the_one_that_says_most_of_the_peer_is_taken() {
    let network = Host::Range(address("192.168.0.0"), address("192.168.0.255"));
    let all = || {
        vec![
            from("any", vec![Host::Any]),
            from("network", vec![network.clone()]),
            from("named", vec![name("carol")]),
        ]
    };
    for (addresses, expected) in [(&[CAROL][..], "named"), (&["192.168.0.9"], "network")] {
        let mut world = world(all());
        knows(&mut world, "carol", addresses);
        world.initiate(1);
        assert!(world.run_until(MINUTE, World::is_established));
        assert_eq!(connection(&world), expected);
    }
}

#[test]
fn a_name_is_looked_up_again_for_a_peer_that_has_another_address_and_not_without_end() {
    let mut world = world(vec![from("named", vec![name("carol")])]);
    knows(&mut world, "carol", &["192.168.0.9"]);
    world.hosts[0].endpoint.set_looks_names_up(true);
    let wanted = |world: &mut World| -> Vec<String> { world.hosts[0].endpoint.take_wanted_names().collect() };
    world.initiate(1);
    world.run_for(Duration::from_secs(2));
    assert_eq!(wanted(&mut world), ["carol"]);
    assert!(world.logged(0, "ignoring IKE_SA_INIT from 192.168.0.3"));
    // It is where it was: the next one is refused, and asks for nothing.
    world.run_for(Duration::from_secs(4));
    assert!(world.logged(0, "no IKE config found for 192.168.0.2...192.168.0.3"));
    assert_eq!(wanted(&mut world), [""; 0]);
    world.run_for(Duration::from_secs(10));
    world.initiate(1);
    world.run_for(Duration::from_secs(2));
    assert_eq!(wanted(&mut world), ["carol"]);
    knows(&mut world, "carol", &[CAROL]);
    assert!(world.run_until(MINUTE, World::is_established));
}
