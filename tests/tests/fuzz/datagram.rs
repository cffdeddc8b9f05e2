//! Datagrams into an Endpoint that has an established IKE_SA.

use std::time::Duration;

use ike::{Settings, Transmit};
use pqswan_tests::netem::Conditions;
use pqswan_tests::world::World;

use super::corpus::replay;

const MINUTE: Duration = Duration::from_secs(60);
const PROPOSAL: &str = "aes256gcm16-sha512-x25519-ke1_kyber3";

/// An established pair, with what its own handshake looked like on the wire.
fn established() -> (World, Vec<Transmit>) {
    let mut world = World::moon_and_carol(PROPOSAL, &Settings::default(), Conditions::default(), 1);
    let (send, receive) = std::sync::mpsc::channel();
    world.tamper = Some(Box::new(move |datagram| send.send(datagram.clone()).is_ok()));
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    world.tamper = None;
    (world, receive.try_iter().collect())
}

/// As if it had come the way that `carrier` came.
fn hand_over(world: &mut World, carrier: &Transmit, octets: &[u8]) {
    let mut datagram = carrier.clone();
    datagram.octets = octets.to_vec();
    world.deliver(datagram);
}

#[test]
fn foreign_datagrams_neither_panic_nor_harm_the_established_sa() {
    let (mut world, recorded) = established();
    let towards_moon = recorded[0].clone();
    let live = recorded.last().expect("messages").octets[..16].to_vec();
    let mut count = 0_u64;
    replay("datagram", 300, |octets| {
        hand_over(&mut world, &towards_moon, octets);
        // The same with the SPIs of the live SA gets as far as its window and its keys.
        if octets.len() >= 16 {
            hand_over(&mut world, &towards_moon, &[&live, &octets[16..]].concat());
        }
        count += 1;
        if count.is_multiple_of(500) {
            settle(&mut world);
        }
    });
    settle(&mut world);
}

/// Lets half-open SAs expire; what remains is the pair.
fn settle(world: &mut World) {
    world.run_for(5 * MINUTE);
    assert!(world.is_established());
    world.assert_consistent();
    for host in &mut world.hosts {
        host.log.clear();
        host.events.clear();
        host.sent.clear();
    }
}
