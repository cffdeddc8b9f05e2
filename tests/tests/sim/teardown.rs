//! Ends: deletes, dead peers, restarts, and that nothing is left behind.

use std::time::Duration;

use config::connection::{Action, PeerConfig};
use ike::{IkeSaState, Settings};
use pqswan_tests::world::{CAROL, MOON, PSK, World, carol, moon, share};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

fn established(settings: &Settings) -> World {
    let mut world = World::moon_and_carol(TUNNEL1, settings, calm(), 7);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    world
}

#[test]
fn a_delete_from_either_end_leaves_no_trace() {
    for host in [0, 1] {
        let mut world = established(&seed_settings());
        let command = world.terminate(host);
        assert!(world.run_until(MINUTE, |world| !world.hosts[host].done.is_empty()
            && world.sas(host).is_empty()));
        assert!(world.hosts[host].done.contains(&(command, Ok(()))));
        world.run_for(MINUTE);
        world.assert_no_trace();
        assert!(world.logged(host, "sending DELETE for IKE_SA Tunnel1[1]"));
        assert!(world.logged(1 - host, "received DELETE for IKE_SA Tunnel1[1]"));
    }
}

#[test]
fn both_ends_may_delete_at_once() {
    let mut world = established(&seed_settings());
    world.terminate(0);
    world.terminate(1);
    world.run_for(10 * MINUTE);
    world.assert_no_trace();
}

#[test]
fn a_child_sa_is_deleted_by_itself() {
    let mut world = established(&seed_settings());
    let child = world.sas(1)[0].children[0].unique_id;
    let now = world.now;
    world.hosts[1]
        .endpoint
        .terminate_child(now, ike::CommandId(99), child);
    world.drain(1);
    assert!(
        world.run_until(MINUTE, |world| world.sas(0)[0].children.is_empty()
            && world.sas(1)[0].children.is_empty())
    );
    assert!(world.hosts.iter().all(|host| host.kernel.is_empty()));
    assert_eq!(world.sas(1)[0].state, IkeSaState::Established);
    assert!(world.logged(1, "sending DELETE for ESP CHILD_SA with SPI c0010001"));
    assert!(world.logged(0, "received DELETE for ESP CHILD_SA with SPI c0010001"));
    assert!(world.logged(1, "CHILD_SA closed"));
}

#[test]
fn a_restarted_initiator_replaces_its_old_ike_sa() {
    let mut world = established(&seed_settings());
    let fresh = World::new(
        &[MOON, CAROL],
        &seed_settings(),
        &pqswan_tests::crypto::registry(),
        calm(),
        8,
    );
    world.hosts[1] = fresh.hosts.into_iter().nth(1).expect("carol");
    world.hosts[1].endpoint.add_connection(carol(TUNNEL1));
    share(&mut world.hosts[1].endpoint, PSK);
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[0].log
    );
    assert!(world.logged(
        0,
        "destroying duplicate IKE_SA for peer 'carol.strongswan.org', received INITIAL_CONTACT"
    ));
    world.assert_consistent();
}

#[test]
fn a_peer_that_never_answers_is_given_up_after_165_seconds() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    world.tamper = Some(Box::new(|_| false));
    let start = world.now;
    let command = world.initiate(1);
    assert!(world.run_until(5 * MINUTE, |world| world.sas(1).is_empty()));
    assert_eq!((world.now - start).as_secs(), 165);
    assert!(
        world.hosts[1]
            .done
            .iter()
            .any(|(id, result)| *id == command && result.is_err())
    );
    assert!(world.logged(1, "retransmit 5 of request with message ID 0"));
    assert!(world.logged(1, "giving up after 5 retransmits"));
    assert!(world.logged(1, "establishing IKE_SA failed, peer not responding"));
    assert!(world.logged(1, "nothing came back from 192.168.0.2: check right of 'Tunnel1'"));
    world.assert_no_trace();
}

#[test]
fn keying_tries_start_over_with_a_new_spi() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    world.hosts[1].endpoint.add_connection(PeerConfig {
        keying_tries: Some(2),
        ..carol(TUNNEL1)
    });
    world.tamper = Some(Box::new(|_| false));
    world.initiate(1);
    let first = world.sas(1)[0].spi_i;
    assert!(world.run_until(4 * MINUTE, |world| {
        world.logged(1, "peer not responding, trying again (2/2)")
    }));
    assert_ne!(world.sas(1)[0].spi_i, first);
    world.tamper = None;
    assert!(world.run_until(MINUTE, World::is_established));
    world.assert_consistent();
}

#[test]
fn a_responder_forgets_who_does_not_go_on() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    world.tamper = Some(Box::new(|datagram| datagram.octets[18] == 34));
    world.initiate(1);
    world.run_for(MINUTE);
    assert!(world.sas(0).is_empty());
    assert!(world.logged(0, "deleting half open IKE_SA with 192.168.0.3 after timeout"));
}

#[test]
fn a_dead_peer_is_noticed_and_restarted_where_configured() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    let mut config = PeerConfig {
        dpd_delay: Duration::from_secs(30),
        ..carol(TUNNEL1)
    };
    let mut child = config::connection::ChildConfig::clone(&config.children[0]);
    child.dpd_action = Action::Start;
    config.children = vec![child.into()];
    world.hosts[1].endpoint.add_connection(config);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    world.run_for(2 * MINUTE);
    assert!(world.logged(1, "sending DPD request"), "an idle peer is asked");
    assert!(world.is_established(), "a peer that answers stays");

    let fresh = World::new(
        &[MOON, CAROL],
        &seed_settings(),
        &pqswan_tests::crypto::registry(),
        calm(),
        9,
    );
    world.hosts[0] = fresh.hosts.into_iter().next().expect("moon");
    world.hosts[0].endpoint.add_connection(moon(TUNNEL1));
    share(&mut world.hosts[0].endpoint, PSK);
    assert!(world.run_until(5 * MINUTE, |world| world.logged(1, "restarting CHILD_SA Tunnel1")));
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    world.assert_consistent();
}

#[test]
fn a_shutdown_tells_the_peer() {
    let mut world = established(&seed_settings());
    let now = world.now;
    world.hosts[1].endpoint.shutdown(now);
    world.drain(1);
    world.run_for(MINUTE);
    world.assert_no_trace();
}

#[test]
fn an_ike_sa_that_is_destroyed_by_force_is_gone_before_the_peer_answers() {
    let mut world = established(&seed_settings());
    let (now, unique) = (world.now, world.sas(1)[0].unique_id);
    let command = ike::CommandId(99);
    world.hosts[1].endpoint.destroy_ike(now, command, unique);
    world.drain(1);
    assert!(world.sas(1).is_empty() && !world.sas(0).is_empty());
    assert!(world.hosts[1].done.contains(&(command, Ok(()))));
    world.run_for(MINUTE);
    world.assert_no_trace();
    assert!(world.logged(0, "received DELETE for IKE_SA Tunnel1[1]"));
    // One that is busy with something else goes silently.
    let mut world = established(&seed_settings());
    world.rekey_ike(1);
    assert!(world.run_until(MINUTE, |world| {
        world.logged(1, "generating CREATE_CHILD_SA request")
    }));
    let (now, unique) = (world.now, world.sas(1)[0].unique_id);
    world.hosts[1].endpoint.destroy_ike(now, command, unique);
    world.drain(1);
    assert!(world.logged(1, "destroying IKE_SA in state REKEYING without notification"));
    assert!(world.sas(1).is_empty());
}

#[test]
fn a_peer_that_is_heard_on_one_port_only_is_said_to_be() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    world.tamper = Some(Box::new(|datagram| datagram.remote.port() != 4500));
    world.initiate(1);
    world.run_for(5 * MINUTE);
    let text = "192.168.0.2 has answered IKE_SA_INIT, but not the request on UDP port 4500";
    assert!(world.logged(1, text), "{:#?}", world.hosts[1].log);
    world.assert_no_trace();
}
