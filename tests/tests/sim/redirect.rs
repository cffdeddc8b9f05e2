//! Gateways that send their clients to others (RFC 5685), and those that only pretend to.

use std::net::IpAddr;
use std::time::Duration;

use config::connection::{Host as End, PeerConfig};
use config::selector::gateway;
use iana::NotifyType;
use ike::{IkeSaState, Redirection, Settings, Transmit};
use pqswan_tests::world::{CAROL, MOON, World, carol, moon, share};
use wire::payload::{Notify, Payload};
use wire::{Flags, Packet};

use super::handshake::{MINUTE, calm, seed_settings};

const PROPOSAL: &str = "aes256gcm16-sha512-x25519!";
const SUN: &str = "192.168.0.4";
const NOBODY: &str = "192.168.0.9";

/// carol is configured to go to moon (0); sun (2) would take her too.
fn three() -> World {
    let registry = pqswan_tests::crypto::registry();
    let mut world = World::new(&[MOON, CAROL, SUN], &seed_settings(), &registry, calm(), 1);
    world.hosts[0].endpoint.add_connection(moon(PROPOSAL));
    world.hosts[1].endpoint.add_connection(carol(PROPOSAL));
    world.hosts[2].endpoint.add_connection(PeerConfig {
        local_addrs: vec![End::Address(address(SUN))],
        ..moon(PROPOSAL)
    });
    for host in &mut world.hosts {
        share(&mut host.endpoint, pqswan_tests::world::PSK);
    }
    world
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn send_to(world: &mut World, host: usize, to: Option<&str>, authenticated: bool) {
    world.hosts[host].endpoint.set_settings(Settings {
        redirection: to.map(|to| Redirection {
            gateway: gateway(to).expect("a gateway"),
            authenticated,
        }),
        ..seed_settings()
    });
}

/// carol has a tunnel with this host, and nobody else has anything.
fn is_with(world: &World, host: usize) -> bool {
    let established = |host: usize| match &world.sas(host)[..] {
        [sa] => sa.state == IkeSaState::Established && sa.children.len() == 1,
        _ => false,
    };
    let remote = world.sas(1).first().map(|sa| sa.remote.ip());
    established(1)
        && established(host)
        && remote == Some(world.hosts[host].address)
        && (0..3).all(|other| other == 1 || other == host || world.sas(other).is_empty())
}

#[track_caller]
fn ends_with(world: &mut World, host: usize, within: Duration) {
    let done = world.run_until(within, |world| is_with(world, host));
    assert!(done, "{:#?}", world.hosts[1].log);
    for host in &world.hosts {
        let sas = if host.endpoint.ike_sas().count() == 0 {
            0
        } else {
            2
        };
        assert_eq!(host.kernel.sas.len(), sas, "{:?}", host.address);
    }
}

#[test]
fn a_client_is_sent_on_as_it_comes() {
    let mut world = three();
    send_to(&mut world, 0, Some(SUN), false);
    let command = world.initiate(1);
    ends_with(&mut world, 2, MINUTE);
    assert!(world.logged(0, "redirecting 192.168.0.3 to 192.168.0.4"));
    assert!(world.hosts[0].endpoint.is_pristine(), "moon has kept nothing");
    assert!(world.logged(1, "redirected to 192.168.0.4"));
    assert!(world.logged(2, "client got redirected from 192.168.0.2"));
    assert_eq!(world.hosts[1].done, [(command, Ok(()))]);
}

#[test]
fn a_gateway_may_be_another_address_of_the_same_host() {
    const OTHER: &str = "192.168.0.8";
    for authenticated in [false, true] {
        let mut world = three();
        world.hosts[0].endpoint.add_connection(PeerConfig {
            local_addrs: vec![End::Any],
            ..moon(PROPOSAL)
        });
        world.readdress(0, &[MOON, OTHER]);
        send_to(&mut world, 0, Some(OTHER), authenticated);
        world.initiate(1);
        let there = |world: &World| {
            let there = |sa: &ike::IkeSaInfo| sa.remote.ip() == address(OTHER) && sa.children.len() == 1;
            world.sas(0).len() == 1 && world.sas(1).iter().all(there) && world.is_established()
        };
        assert!(world.run_until(MINUTE, there), "{:#?}", world.hosts[1].log);
        let redirects = world.hosts[1].log.iter();
        let redirects = redirects.filter(|line| line.contains("redirected to"));
        assert_eq!(redirects.count(), 1);
    }
}

#[test]
fn a_gateway_may_be_named() {
    let mut world = three();
    world.names.insert("sun.example.com".into(), address(SUN));
    send_to(&mut world, 0, Some("sun.example.com"), false);
    world.initiate(1);
    ends_with(&mut world, 2, MINUTE);
    assert!(world.logged(1, "redirected to sun.example.com"));
}

#[test]
fn a_gateway_that_cannot_be_found_ends_the_attempt() {
    for authenticated in [false, true] {
        let mut world = three();
        send_to(&mut world, 0, Some("gone.example.com"), authenticated);
        let command = world.initiate(1);
        world.run_for(2 * MINUTE);
        let text = "redirect to gone.example.com not possible: unable to resolve gone.example.com";
        assert!(world.logged(1, text), "{:#?}", world.hosts[1].log);
        assert_eq!(
            world.hosts[1].done,
            [(command, Err(ike::CommandError::Failed))],
            "{authenticated}"
        );
        world.assert_no_trace();
    }
}

#[test]
fn a_client_is_sent_on_when_it_has_authenticated() {
    let mut world = three();
    send_to(&mut world, 0, Some(SUN), true);
    let command = world.initiate(1);
    ends_with(&mut world, 2, MINUTE);
    assert!(world.logged(0, "redirecting peer to 192.168.0.4"));
    assert!(world.logged(0, "received DELETE for IKE_SA Tunnel1[1]"));
    assert!(world.logged(2, "client got redirected from 192.168.0.2"));
    assert_eq!(world.hosts[1].done, [(command, Ok(()))]);
}

#[test]
fn an_established_client_is_sent_on_and_loses_nothing_before_it_is_there() {
    let mut world = three();
    world.initiate(1);
    ends_with(&mut world, 0, MINUTE);
    let (now, sa) = (world.now, world.sas(0)[0].unique_id);
    let gateway = gateway(SUN).expect("a gateway");
    assert!(world.hosts[0].endpoint.redirect(now, sa, &gateway));
    world.drain(0);
    let mut without = false;
    let done = world.run_until(MINUTE, |world| {
        without |= world.live_child(1).is_none();
        is_with(world, 2)
    });
    assert!(done && !without, "{:#?}", world.hosts[1].log);
    ends_with(&mut world, 2, MINUTE);
    assert!(world.logged(2, "client got redirected from 192.168.0.2"));
}

#[test]
fn only_the_responder_redirects_and_only_those_who_understand_it() {
    let mut world = three();
    world.initiate(1);
    ends_with(&mut world, 0, MINUTE);
    let gateway = gateway(SUN).expect("a gateway");
    let (now, sa) = (world.now, world.sas(1)[0].unique_id);
    assert!(!world.hosts[1].endpoint.redirect(now, sa, &gateway));
    world.drain(1);
    assert!(world.logged(
        1,
        "unable to redirect IKE_SA Tunnel1[1] to 192.168.0.4: we are its client"
    ));

    let mut world = three();
    world.hosts[1].endpoint.set_settings(Settings {
        follow_redirects: false,
        ..seed_settings()
    });
    send_to(&mut world, 0, Some(SUN), false);
    world.initiate(1);
    ends_with(&mut world, 0, MINUTE);
    let (now, sa) = (world.now, world.sas(0)[0].unique_id);
    assert!(!world.hosts[0].endpoint.redirect(now, sa, &gateway));
    world.drain(0);
    assert!(world.logged(0, "the client did not announce that it understands redirection"));
}

#[test]
fn gateways_that_send_in_circles_are_left_after_five_times() {
    for authenticated in [false, true] {
        let mut world = three();
        send_to(&mut world, 0, Some(SUN), authenticated);
        send_to(&mut world, 2, Some(MOON), authenticated);
        let command = world.initiate(1);
        world.run_for(2 * MINUTE);
        assert!(world.logged(1, "not followed: only 5 are followed within 300 seconds"));
        let sent = world.hosts[1].log.iter();
        assert_eq!(sent.filter(|line| line.contains("initiating IKE_SA")).count(), 6);
        assert_eq!(world.hosts[1].done, [(command, Err(ike::CommandError::Failed))]);
        world.assert_no_trace();
    }
}

#[test]
fn a_client_goes_home_from_a_gateway_that_does_not_answer() {
    let mut world = three();
    send_to(&mut world, 0, Some(NOBODY), false);
    let command = world.initiate(1);
    assert!(world.run_until(MINUTE, |world| world.logged(1, "redirected to 192.168.0.9")));
    send_to(&mut world, 0, None, false);
    ends_with(&mut world, 0, 5 * MINUTE);
    assert!(world.logged(
        1,
        "gateway 192.168.0.9 does not answer, going back to 192.168.0.2"
    ));
    assert_eq!(world.hosts[1].done, [(command, Ok(()))]);
}

#[test]
fn a_gateway_that_redirects_without_end_makes_one_attempt_at_a_time() {
    let mut world = three();
    world.initiate(1);
    ends_with(&mut world, 0, MINUTE);
    let (now, sa) = (world.now, world.sas(0)[0].unique_id);
    let gateway = gateway(NOBODY).expect("a gateway");
    for _ in 0..20 {
        assert!(world.hosts[0].endpoint.redirect(now, sa, &gateway));
        world.drain(0);
    }
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.sas(1).len(), 2, "the old one, and one to the gateway");
    assert!(world.logged(1, "cannot be redirected to 192.168.0.9, ignored"));
    // moon deletes what does not leave, and carol comes back.
    ends_with(&mut world, 0, 5 * MINUTE);
}

/// A REDIRECT to nobody, as an answer to carol's IKE_SA_INIT.
fn forged(request: &Transmit, nonce: Option<&[u8]>) -> Transmit {
    let Ok(Packet::Plain(message)) = wire::parse_datagram(&request.octets) else {
        unreachable!("an IKE_SA_INIT request")
    };
    let own = message.payloads.iter().find_map(|payload| match payload {
        Payload::Nonce(nonce) => Some(&nonce.data[..]),
        _ => None,
    });
    let nonce = nonce.or(own).expect("a nonce");
    let data = [&[1, 4, 192, 168, 0, 9][..], nonce].concat();
    let mut header = message.header.clone();
    header.flags = Flags::RESPONSE;
    let notify = Payload::Notify(Notify::status(NotifyType::REDIRECT, data));
    Transmit {
        local: request.remote,
        remote: request.local,
        non_esp_marker: false,
        dscp: 0,
        octets: wire::write_plain(&header, &[notify]),
    }
}

#[test]
fn a_flood_of_forged_redirects_changes_nothing() {
    for understands in [true, false] {
        let mut world = three();
        world.hosts[1].endpoint.set_settings(Settings {
            follow_redirects: understands,
            ..seed_settings()
        });
        let (send, receive) = std::sync::mpsc::channel();
        world.tamper = Some(Box::new(move |datagram| {
            let _ = send.send(datagram.clone());
            true
        }));
        world.initiate(1);
        let mut request = None;
        world.run_until(MINUTE, |_| {
            request = receive.try_iter().next();
            request.is_some()
        });
        let request = request.expect("a request");
        for number in 0..500_u32 {
            let guess = [&number.to_be_bytes()[..], &[0; 28]].concat();
            world.deliver(forged(&request, Some(&guess)));
            world.deliver(forged(&request, Some(&[])));
            if !understands {
                world.deliver(forged(&request, None));
            }
        }
        assert!(world.logged(1, "received REDIRECT"));
        assert!(!world.logged(1, "redirected to"));
        ends_with(&mut world, 0, MINUTE);
    }
}

#[test]
fn who_has_seen_the_request_cannot_send_a_client_to_himself() {
    let mut world = three();
    // He has no key that the client knows.
    world.hosts[2]
        .endpoint
        .secrets_mut()
        .replace_file_secrets(Vec::new());
    share(&mut world.hosts[2].endpoint, "another");
    send_to(&mut world, 0, Some(SUN), false);
    let command = world.initiate(1);
    world.run_for(2 * MINUTE);
    assert!(world.logged(1, "received AUTHENTICATION_FAILED notify error"));
    assert_eq!(world.hosts[1].done, [(command, Err(ike::CommandError::Failed))]);
    world.assert_no_trace();
}
