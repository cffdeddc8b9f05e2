//! What one datagram makes a responder send, and to whom.

use std::net::SocketAddr;
use std::time::Duration;

use iana::{ExchangeType, KeyExchangeMethod};
use pqswan_tests::puppet::Puppet;
use pqswan_tests::world::World;

/// Octets that moon sends to an address.
pub(super) fn octets_to(world: &mut World, victim: SocketAddr, act: impl FnOnce(&mut World)) -> usize {
    let (send, receive) = std::sync::mpsc::channel();
    world.tamper = Some(Box::new(move |datagram| {
        let _ = send.send(datagram.clone());
        true
    }));
    act(world);
    world.tamper = None;
    let sent = receive
        .try_iter()
        .filter(|datagram| datagram.remote.ip() == victim.ip());
    sent.map(|datagram| datagram.octets.len()).sum()
}

/// A stranger that has done IKE_SA_INIT from carol's address, and the fragments of its IKE_INTERMEDIATE, whose answer is large.
fn begun() -> (Puppet, Vec<Vec<u8>>) {
    const PROPOSAL: &str = "aes256gcm16-sha512-x25519-ke1_frodoa3";
    let mut puppet = Puppet::new("aes256gcm16-sha512", &[PROPOSAL]);
    puppet.init(PROPOSAL, true);
    let ke = puppet.public(KeyExchangeMethod::FRODO_AES_L3);
    let fragments = puppet.fragments(ExchangeType::IKE_INTERMEDIATE, &[ke], 1200);
    (puppet, fragments)
}

#[test]
fn a_captured_fragment_sends_nothing_to_another_address() {
    let victim = SocketAddr::from(([203, 0, 113, 66], 53));
    let (mut puppet, fragments) = begun();
    let answer = puppet.send(&fragments);
    let octets: usize = answer.iter().map(Vec::len).sum();
    assert!(octets > 15_000, "a large answer: {octets}");
    let moon = SocketAddr::from(([192, 168, 0, 2], 500));
    let repeated = |world: &mut World, from: SocketAddr| {
        let now = world.now;
        for fragment in fragments.iter().cycle().take(1_000) {
            world.hosts[0].endpoint.handle_datagram(now, moon, from, fragment);
            world.drain(0);
        }
    };
    // Another address gets nothing of an IKE_SA whose peer has not authenticated.
    let world = &mut puppet.world;
    assert_eq!(octets_to(world, victim, |world| repeated(world, victim)), 0);
    let carol = SocketAddr::from(([192, 168, 0, 3], 500));
    let to_carol = octets_to(world, carol, |world| repeated(world, carol));
    assert_eq!(to_carol, 4 * octets, "where it was begun, a few times");
}

#[test]
fn an_answer_goes_to_another_address_only_if_the_request_was_as_long() {
    let victim = SocketAddr::from(([203, 0, 113, 66], 53));
    let moon = SocketAddr::from(([192, 168, 0, 2], 500));
    let (mut puppet, fragments) = begun();
    let (last, others) = fragments.split_last().expect("many");
    puppet.send(others);
    let sent = octets_to(&mut puppet.world, victim, |world| {
        let now = world.now;
        world.hosts[0].endpoint.handle_datagram(now, moon, victim, last);
        world.drain(0);
        world.run_for(Duration::from_secs(1));
    });
    assert_eq!(sent, 0, "one fragment of the whole came from there");
    assert!(puppet.world.logged(
        0,
        "not answering 203.0.113.66, the IKE_SA was begun at 192.168.0.3"
    ));
}

#[test]
fn a_forged_first_fragment_does_not_make_the_responder_deaf_to_the_genuine_one() {
    let (mut puppet, fragments) = begun();
    let (last, others) = fragments.split_last().expect("many");
    puppet.send(others);
    let mut forged = fragments[0].clone();
    *forged.last_mut().expect("octets") ^= 1;
    puppet.send(&[forged]);
    let answer = puppet.send(std::slice::from_ref(last));
    assert!(!answer.is_empty());
    assert_eq!(
        puppet.send(&fragments).len(),
        answer.len(),
        "the request came again"
    );
}
