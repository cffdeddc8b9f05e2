//! Successors of IKE_SAs: sizes, log lines, what they inherit, collisions, and what remains.

use std::time::Duration;

use config::connection::{IkeLifetime, PeerConfig};
use ike::{Event, IkeSaState};
use pqswan_tests::netem::Conditions;
use pqswan_tests::world::{self, World};

use super::handshake::{MINUTE, TUNNEL1, TUNNEL2, TUNNEL3, calm, seed_settings};
use super::rekey::{SINGLE, assert_one_pair, established};

const SECOND: Duration = Duration::from_secs(1);

fn rekeyed(proposal: &str, host: usize) -> World {
    let mut world = established(proposal, calm(), 1);
    let spis = |world: &World| [0, 1].map(|host| world.live_child(host).map(|child| child.spi_in));
    let children = spis(&world);
    let command = world.rekey_ike(host).expect("an IKE_SA");
    assert!(world.run_until(MINUTE, |world| {
        world.hosts[host].done.contains(&(command, Ok(())))
    }));
    assert_one_pair(&mut world, proposal);
    assert_eq!(spis(&world), children, "the CHILD_SA is the one it was");
    for end in [0, 1] {
        let sa = &world.sas(end)[0];
        assert_eq!(sa.unique_id, 2);
        assert_eq!(sa.initiator, end == host, "who rekeys initiates");
        let events = &world.hosts[end].events;
        let known = |event: &Event| {
            matches!(event, Event::IkeRekeyed(old, new)
            if (old.unique_id, new.unique_id, new.children.len()) == (1, 2, 1))
        };
        assert!(events.len() == 1 && known(&events[0]), "{events:?}");
    }
    world
}

#[test]
fn tunnel1_is_rekeyed_with_the_sizes_and_lines_of_the_seed() {
    let world = rekeyed(TUNNEL1, 1);
    assert_eq!(world.hosts[1].sent, [661, 1258, 65]);
    assert_eq!(world.hosts[0].sent, [198, 1153, 57]);
    let expected = [
        "initiating IKE_SA Tunnel1[2] to 192.168.0.2",
        "generating CREATE_CHILD_SA request 3 [ SA No KE ]",
        "parsed CREATE_CHILD_SA response 3 [ SA No KE N(ADD_KE) ]",
        "selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3",
        "generating IKE_FOLLOWUP_KE request 4 [ KE N(ADD_KE) ]",
        "parsed IKE_FOLLOWUP_KE response 4 [ KE ]",
        "scheduling reauthentication in ",
        "maximum IKE_SA lifetime ",
        "IKE_SA Tunnel1[2] rekeyed between 192.168.0.3[carol.strongswan.org]...192.168.0.2[moon.strongswan.org]",
        "rescheduling reauthentication in ",
        "deleting IKE_SA Tunnel1[1] between 192.168.0.3[carol.strongswan.org]...192.168.0.2[moon.strongswan.org]",
        "sending DELETE for IKE_SA Tunnel1[1]",
        "generating INFORMATIONAL request 5 [ D ]",
        "parsed INFORMATIONAL response 5 [ ]",
        "IKE_SA deleted",
    ];
    let mut log = world.hosts[1].log.iter();
    for line in expected {
        let found = log.any(|logged| logged.contains(line));
        assert!(found, "{line}: {:#?}", world.hosts[1].log);
    }
}

#[test]
fn every_tunnel_of_the_seed_is_rekeyed_from_both_ends() {
    for proposal in [TUNNEL1, TUNNEL2, TUNNEL3, SINGLE] {
        for host in [0, 1] {
            rekeyed(proposal, host);
        }
    }
}

#[test]
fn the_successor_is_as_good_as_the_first() {
    for host in [0, 1] {
        let mut world = rekeyed(TUNNEL1, host);
        for round in 3..8 {
            let end = round % 2;
            let child = world.live_child(end).expect("a CHILD_SA").unique_id;
            world.rekey_child(end, child);
            assert_one_pair(&mut world, "CHILD_SA");
            world.rekey_ike(1 - end);
            assert_one_pair(&mut world, "IKE_SA");
        }
        world.terminate(host);
        world.run_for(MINUTE);
        world.assert_no_trace();
    }
}

#[test]
fn when_the_peer_authenticates_again_does_not_change() {
    let mut world = established(TUNNEL1, calm(), 1);
    let before = [0, 1].map(|host| world.sas(host)[0].reauth_at);
    world.run_for(10 * MINUTE);
    world.rekey_ike(0);
    assert_one_pair(&mut world, "rekeyed");
    assert_eq!([0, 1].map(|host| world.sas(host)[0].reauth_at), before);
}

#[test]
fn a_connection_without_reauthentication_is_rekeyed_in_time() {
    let rekeyed_often = |config: PeerConfig| PeerConfig {
        lifetime: IkeLifetime {
            rekey: 10 * MINUTE,
            reauth: Duration::ZERO,
            over: MINUTE,
            jitter: MINUTE,
        },
        ..config
    };
    let settings = seed_settings();
    let registry = pqswan_tests::crypto::registry();
    let addresses = [world::MOON, world::CAROL];
    let mut world = World::new(&addresses, &settings, &registry, calm(), 1);
    let configs = [world::moon(TUNNEL1), world::carol(TUNNEL1)];
    for (host, config) in world.hosts.iter_mut().zip(configs) {
        host.endpoint.add_connection(rekeyed_often(config));
        world::share(&mut host.endpoint, world::PSK);
    }
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    assert!(world.sas(0)[0].rekey_at.is_some());
    world.run_for(65 * MINUTE);
    for end in [0, 1] {
        let rekeyed = |event: &&Event| matches!(event, Event::IkeRekeyed(..));
        let times = world.hosts[end].events.iter().filter(rekeyed).count();
        assert!((6..=9).contains(&times), "{times} times in 65 minutes");
        let down = |event: &Event| matches!(event, Event::IkeDown(_) | Event::ChildDown(..));
        assert!(!world.hosts[end].events.iter().any(down));
    }
    assert_one_pair(&mut world, "after an hour");
}

#[test]
fn when_both_ends_rekey_at_once_one_remains() {
    for proposal in [SINGLE, TUNNEL1, TUNNEL2] {
        for seed in 0..60 {
            let mut world = established(proposal, calm(), seed);
            world.job_delay = Duration::from_millis(seed % 7);
            for host in [0, 1] {
                world.rekey_ike(host);
                world.run_for(Duration::from_millis(seed % 30));
            }
            assert_one_pair(&mut world, &format!("{proposal}, seed {seed}"));
        }
    }
}

#[test]
fn a_child_sa_and_its_ike_sa_rekeyed_at_once_both_are_in_the_end() {
    for proposal in [SINGLE, TUNNEL1] {
        for seed in 0..40 {
            let mut world = established(proposal, calm(), seed);
            let old = [0, 1].map(|host| world.live_child(host).map(|child| child.unique_id));
            let child = world.live_child(0).expect("a CHILD_SA").unique_id;
            world.rekey_child(0, child);
            world.run_for(Duration::from_millis(seed % 20));
            world.rekey_ike(1);
            assert_one_pair(&mut world, &format!("{proposal}, seed {seed}"));
            let new = [0, 1].map(|host| world.live_child(host).map(|child| child.unique_id));
            assert_ne!(old, new);
            assert_ne!(world.sas(0)[0].unique_id, 1, "{proposal}, seed {seed}");
        }
    }
}

#[test]
fn a_delete_in_the_middle_of_a_rekeying_is_obeyed() {
    for proposal in [SINGLE, TUNNEL1] {
        for delay in 0..45 {
            let mut world = established(proposal, calm(), 1);
            world.rekey_ike(1);
            world.run_for(Duration::from_millis(delay));
            world.terminate(0);
            world.run_for(5 * MINUTE);
            // What the other end made of a response that came too late is nobody's business any more.
            for host in [0, 1] {
                for sa in world.sas(host) {
                    let unique = sa.unique_id;
                    let now = world.now;
                    let command = ike::CommandId(1000);
                    world.hosts[host].endpoint.terminate_ike(now, command, unique);
                    world.drain(host);
                }
            }
            world.run_for(5 * MINUTE);
            world.assert_no_trace();
        }
    }
}

#[test]
fn a_rekeyed_one_whose_peer_never_deletes_it_goes_by_itself() {
    let mut world = established(SINGLE, calm(), 1);
    // carol's DELETE is the second request that she sends.
    let mut requests = 0;
    world.tamper = Some(Box::new(move |datagram| {
        let from_carol = datagram.local.ip().to_string() == world::CAROL;
        let old_request = from_carol && datagram.octets[19] & 0x20 == 0;
        requests += usize::from(old_request);
        requests < 2
    }));
    world.rekey_ike(1);
    world.run_for(80 * SECOND);
    let states: Vec<_> = world.sas(0).iter().map(|sa| sa.state).collect();
    assert_eq!(states, [IkeSaState::Rekeyed, IkeSaState::Established]);
    world.run_for(20 * SECOND);
    let states: Vec<_> = world.sas(0).iter().map(|sa| sa.state).collect();
    assert_eq!(states, [IkeSaState::Established]);
}

#[test]
fn a_peer_that_does_not_go_on_is_not_waited_for_for_ever() {
    let mut world = established(TUNNEL1, calm(), 1);
    let mut requests = 0;
    world.tamper = Some(Box::new(move |datagram| {
        let from_carol = datagram.local.ip().to_string() == world::CAROL;
        requests += usize::from(from_carol);
        requests < 2
    }));
    world.rekey_ike(1);
    world.run_for(SECOND);
    let child = world.live_child(0).expect("a CHILD_SA").unique_id;
    world.rekey_child(0, child);
    assert_eq!(world.sas(0)[0].tasks_passive, ["IKE_REKEY"]);
    assert_eq!(world.sas(0)[0].tasks_queued, ["CHILD_REKEY"]);
    world.run_for(30 * SECOND);
    assert!(world.logged(
        0,
        "peer did not finish creating the IKE_SA within 30 seconds, forgotten"
    ));
    assert_eq!(world.sas(0)[0].tasks_active, ["CHILD_REKEY"]);
}

/// Rekeyings of both kinds from both ends at random times over a bad network: 20 in each world.
#[test]
fn thousands_of_rekeyings_survive_loss_reordering_and_collisions() {
    let one: Option<u64> = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let mut given_up = 0;
    for seed in (0..super::rekey::worlds()).filter(|seed| one.is_none_or(|one| one == *seed)) {
        let conditions = Conditions {
            delay: Duration::from_millis(1 + seed % 50),
            jitter: Duration::from_millis(seed % 150),
            loss: 5,
            duplication: (seed % 6) as u32,
            mtu: 0,
        };
        let proposal = [SINGLE, TUNNEL1, TUNNEL2][seed as usize % 3];
        let mut world = established(proposal, calm(), seed);
        world.net.conditions = conditions;
        world.job_delay = Duration::from_millis(seed % 30);
        for round in 0..20_u64 {
            for host in [0, 1] {
                let both = (seed + round) % 3 == 0;
                if !both && (round % 2) as usize != host {
                    continue;
                }
                if (seed / 3 + round) % 4 == 0 {
                    if let Some(child) = world.live_child(host) {
                        world.rekey_child(host, child.unique_id);
                    }
                } else {
                    world.rekey_ike(host);
                }
            }
            world.run_for(Duration::from_millis(200 * (1 + (seed * 7 + round * 13) % 20)));
        }
        let gave_up = |line: &String| line.contains("giving up");
        if world.hosts.iter().any(|host| host.log.iter().any(gave_up)) {
            given_up += 1;
        } else {
            assert_one_pair(&mut world, &format!("seed {seed}"));
        }
    }
    assert!(
        given_up * 10 <= super::rekey::worlds(),
        "{given_up} worlds gave a peer up"
    );
}

#[test]
fn a_peer_that_dies_while_it_replaces_an_ike_sa_is_asked_whether_it_lives() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    let mut config = world::carol(TUNNEL1);
    config.dpd_delay = Duration::from_secs(5);
    world.hosts[1].endpoint.add_connection(config);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    world.rekey_ike(0);
    let answered = |world: &World| world.logged(1, "generating CREATE_CHILD_SA response 0");
    assert!(world.run_until(MINUTE, answered));
    world.tamper = Some(Box::new(|_| false));
    world.run_for(Duration::from_secs(11));
    assert!(
        world.logged(1, "sending DPD request"),
        "{:#?}",
        world.hosts[1].log
    );
}
