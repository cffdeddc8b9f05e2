//! Establishing: sizes, log lines, profiles, and what is configured.

use std::time::Duration;

use ike::{IkeSaState, Settings};
use pqswan_tests::netem::Conditions;
use pqswan_tests::world::{self, World};

pub(super) const TUNNEL1: &str = "aes256gcm16-sha512-x25519-ke1_kyber3";
pub(super) const TUNNEL2: &str = "aes256gcm16-sha512-x25519-ke1_kyber3-ke2_ntrup3-ke3_saber3!";
pub(super) const TUNNEL3: &str = "aes256gcm16-sha512-modp3072-ke1_frodoa3-ke2_sike3!";
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// strongswan.conf of the seed.
pub(super) fn seed_settings() -> Settings {
    Settings {
        send_vendor_id: true,
        fragment_size: 1480,
        max_packet: 30_000,
        ..Settings::default()
    }
}

pub(super) fn calm() -> Conditions {
    Conditions {
        delay: Duration::from_millis(5),
        ..Conditions::default()
    }
}

fn establish(proposal: &str) -> World {
    let mut world = World::moon_and_carol(proposal, &seed_settings(), calm(), 1);
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    world.assert_consistent();
    world
}

#[test]
fn tunnel1_has_the_sizes_of_the_seed() {
    let world = establish(TUNNEL1);
    assert_eq!(world.hosts[1].sent, [724, 1249, 464]);
    assert_eq!(world.hosts[0].sent, [276, 1153, 272]);
    assert!(world.hosts[1].done.iter().all(|(_, result)| result.is_ok()));
}

#[test]
fn a_closing_exclamation_mark_leaves_the_defaults_out() {
    let world = establish("aes256gcm16-sha512-x25519-ke1_kyber3!");
    assert_eq!(world.hosts[1].sent[0], 268);
}

#[test]
fn tunnel2_runs_three_additional_key_exchanges() {
    let world = establish(TUNNEL2);
    assert_eq!(world.hosts[1].sent, [284, 1249, 995, 1057, 320]);
    assert_eq!(world.hosts[0].sent, [292, 1153, 995, 1153, 272]);
}

#[test]
fn tunnel3_travels_in_fragments() {
    let world = establish(TUNNEL3);
    let carol = &world.hosts[1].sent;
    assert_eq!(carol[0], 628);
    assert_eq!(carol[1..12], [1448; 11]);
    assert_eq!(carol[12..], [444, 527, 320]);
    let moon = &world.hosts[0].sent;
    assert_eq!(moon[0], 636);
    assert_eq!(moon[1..12], [1448; 11]);
    assert_eq!(moon[12..], [556, 551, 272]);
    assert!(world.logged(1, "splitting IKE message (15697 bytes) into 12 fragments"));
    assert!(world.logged(1, "reassembled fragmented IKE message (15809 bytes)"));
}

#[test]
fn the_rfc_profile_needs_no_vendor_id() {
    let settings = Settings {
        send_vendor_id: false,
        ..seed_settings()
    };
    let mut world = World::moon_and_carol("aes256gcm16-sha512-x25519-ke1_mlkem768!", &settings, calm(), 1);
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    world.assert_consistent();
    assert!(world.logged(
        1,
        "selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_ML_KEM_768"
    ));
}

#[test]
fn without_additional_key_exchanges_there_is_no_intermediate() {
    let world = establish("aes256gcm16-sha512-x25519!");
    assert_eq!(world.hosts[1].sent.len(), 2);
}

#[test]
fn the_initiators_log_is_that_of_the_prototype() {
    let world = establish(TUNNEL2);
    let normalised: Vec<String> = world.hosts[1].log.iter().map(|line| normalise(line)).collect();
    let expected = include_str!("../golden/tunnel2-initiator.log");
    assert_eq!(normalised.join("\n") + "\n", expected);
}

#[test]
fn the_responders_log_is_that_of_the_prototype() {
    let world = establish(TUNNEL2);
    let normalised: Vec<String> = world.hosts[0].log.iter().map(|line| normalise(line)).collect();
    let expected = include_str!("../golden/tunnel2-responder.log");
    assert_eq!(normalised.join("\n") + "\n", expected);
}

/// SPIs and random times differ from run to run; everything else must not.
fn normalise(line: &str) -> String {
    line.split(' ')
        .map(|word| {
            let seconds = word.trim_end_matches(',').strip_suffix('s').unwrap_or("");
            let spi = word.len() == 10 && (word.ends_with("_i") || word.ends_with("_o"));
            if spi {
                format!("<SPI>{}", &word[8..])
            } else if !seconds.is_empty() && seconds.bytes().all(|octet| octet.is_ascii_digit()) {
                word.replace(seconds, "<N>")
            } else {
                word.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn scheduling_follows_the_seeds_formulas() {
    for seed in 0..50 {
        let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), seed);
        world.initiate(1);
        assert!(world.run_until(MINUTE, World::is_established), "seed {seed}");
        let number = |prefix: &str| -> u64 {
            let line = world.hosts[1]
                .log
                .iter()
                .find(|line| line.contains(prefix))
                .expect(prefix);
            let text = line.split(prefix).nth(1).unwrap();
            text.split('s').next().unwrap().parse().unwrap()
        };
        let own = number("[IKE] scheduling reauthentication in ");
        assert!((3241..=3420).contains(&own), "seed {seed}: {own}");
        assert_eq!(number("maximum IKE_SA lifetime "), own + 180);
        let peers = number("received AUTH_LIFETIME of ");
        assert!((3241..=3420).contains(&peers), "seed {seed}: {peers}");
    }
}

#[test]
fn an_auth_lifetime_has_the_whole_seconds_and_the_sooner_reauthentication_counts() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 2);
    for (host, mut config) in [(0, world::moon(TUNNEL1)), (1, world::carol(TUNNEL1))] {
        config.lifetime.jitter = Duration::ZERO;
        config.lifetime.reauth = Duration::from_secs([3600, 20][host]);
        config.lifetime.over = Duration::from_secs(10);
        world.hosts[host].endpoint.add_connection(config);
    }
    // The CHILD_SA of the responder takes a moment.
    world.job_delay = Duration::from_millis(300);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    let lines = [
        "received AUTH_LIFETIME of 3600s, scheduling reauthentication in 3590s",
        "scheduling reauthentication in 20s",
    ];
    let places = lines.map(|line| {
        world.hosts[1]
            .log
            .iter()
            .position(|logged| logged.ends_with(line))
    });
    assert!(
        places[0].is_some() && places[0] < places[1],
        "{:#?}",
        world.hosts[1].log
    );
    let reauth = world.sas(1)[0].reauth_at.expect("scheduled");
    assert!(reauth <= world.now + Duration::from_secs(20));
}

#[test]
fn an_auth_lifetime_that_ends_sooner_is_obeyed() {
    let mut world = establish(TUNNEL1);
    let reauth = world.sas(1)[0].reauth_at.expect("scheduled");
    assert!(world.run_until(2 * 60 * MINUTE, |world| world.now >= reauth));
    assert!(world.logged(1, "reauthenticating IKE_SA Tunnel1[1]"));
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    world.assert_consistent();
    assert_eq!(world.sas(1)[0].unique_id, 2);
}

#[test]
fn mobike_floats_to_4500_and_without_it_500_stays() {
    let world = establish(TUNNEL1);
    assert_eq!(world.sas(1)[0].remote.port(), 4500);
    assert_eq!(world.sas(0)[0].remote.port(), 4500);
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    for (host, config) in [(0, world::moon(TUNNEL1)), (1, world::carol(TUNNEL1))] {
        let config = config::connection::PeerConfig {
            mobike: false,
            ..config
        };
        world.hosts[host].endpoint.add_connection(config);
    }
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    assert_eq!(world.sas(1)[0].remote.port(), 500);
    // 20 octets less than with MOBIKE_SUPPORTED and one ADDITIONAL_IP4_ADDRESS.
    assert_eq!(world.hosts[1].sent, [724, 1249, 444]);
    assert_eq!(world.hosts[0].sent, [276, 1153, 252]);
}

#[test]
fn a_back_end_that_needs_udp_fakes_a_nat() {
    let settings = Settings {
        force_udp_encap: true,
        ..seed_settings()
    };
    let mut world = World::moon_and_carol(TUNNEL1, &settings, calm(), 1);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    world.assert_consistent();
    assert!(world.sas(0)[0].children[0].encap && world.sas(1)[0].children[0].encap);
    assert!(world.logged(1, "remote host is behind NAT"));
}

#[test]
fn another_group_is_tried_when_the_peer_asks_for_it() {
    let settings = seed_settings();
    let mut world = World::moon_and_carol("aes256gcm16-sha512-ecp256!", &settings, calm(), 1);
    let both = world::carol("aes256gcm16-sha512-x25519-ecp256!");
    world.hosts[1].endpoint.add_connection(both);
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    world.assert_consistent();
    assert!(world.logged(0, "DH group CURVE_25519 unacceptable, requesting ECP_256"));
    assert!(world.logged(1, "peer didn't accept DH group CURVE_25519, it requested ECP_256"));
}

#[test]
fn a_kernel_that_refuses_leaves_the_ike_sa_and_no_trace_of_the_child_sa() {
    for operation in 0..6 {
        let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
        world.hosts[0].kernel.fail_add = Some(operation);
        let command = world.initiate(1);
        world.run_for(MINUTE);
        assert_eq!(
            world.sas(1)[0].state,
            IkeSaState::Established,
            "operation {operation}"
        );
        assert!(world.sas(0)[0].children.is_empty() && world.sas(1)[0].children.is_empty());
        assert!(
            world.hosts[0].kernel.is_empty() && world.hosts[1].kernel.is_empty(),
            "operation {operation}"
        );
        // After the SPI and both SAs come policies.
        let refusal = if operation < 3 {
            "NO_PROPOSAL_CHOSEN"
        } else {
            "TS_UNACCEPTABLE"
        };
        let line = format!("received {refusal} notify, no CHILD_SA built");
        assert!(world.logged(1, &line), "{:#?}", world.hosts[1].log);
        assert!(world.logged(0, "failed to establish CHILD_SA, keeping IKE_SA"));
        assert!(
            world.hosts[1]
                .done
                .iter()
                .any(|(id, result)| *id == command && result.is_err())
        );
    }
}

/// The source differs when a peer probes a path (RFC 4555, 3.10), or when a NAT has mapped it anew.
#[test]
fn an_answer_goes_where_its_request_came_from_and_the_ike_sa_stays_where_it_is() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    let carol = world.hosts[1].address;
    let elsewhere: std::net::IpAddr = "192.168.0.4".parse().unwrap();
    world.tamper = Some(Box::new(move |datagram| {
        if datagram.local.ip() == carol {
            datagram.local.set_ip(elsewhere);
        }
        true
    }));
    let child = world.live_child(1).unwrap().unique_id;
    world.rekey_child(1, child);
    // Long enough for one repetition.
    world.run_for(Duration::from_secs(6));
    let sent_there = |line: &&String| line.contains("sending packet: ") && line.contains(" to 192.168.0.4[");
    assert_eq!(
        world.hosts[0].log.iter().filter(sent_there).count(),
        2,
        "{:#?}",
        world.hosts[0].log
    );
    assert_eq!(world.live_sa(0).unwrap().remote.ip(), carol);
}

/// Seven additional key exchanges, and steps that one end would leave out and the other insists on leaving out.
#[test]
fn up_to_seven_additional_key_exchanges_run_and_steps_may_be_none() {
    let seven = "aes256gcm16-sha512-x25519-ke1_kyber3-ke2_ntrup3-ke3_saber3-ke4_sike3-ke5_ecp256-ke6_modp3072-ke7_kyber1!";
    let mut world = establish(seven);
    assert_eq!(world.hosts[1].sent.len(), 9);
    world.rekey_ike(1);
    world.run_for(MINUTE);
    world.assert_consistent();

    let registry = pqswan_tests::crypto::registry();
    let addresses = [world::MOON, world::CAROL];
    let mut world = World::new(&addresses, &seed_settings(), &registry, calm(), 1);
    let moon = world::moon("aes256gcm16-sha512-x25519-ke1_none-ke3_saber3!");
    let carol = world::carol("aes256gcm16-sha512-x25519-ke1_kyber3-ke1_none-ke2_ntrup3-ke2_none-ke3_saber3!");
    for (host, config) in world.hosts.iter_mut().zip([moon, carol]) {
        host.endpoint.add_connection(config);
        world::share(&mut host.endpoint, world::PSK);
    }
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[0].log
    );
    // IKE_SA_INIT, one IKE_INTERMEDIATE, IKE_AUTH.
    assert_eq!(world.hosts[1].sent.len(), 3);
    assert_eq!(world.hosts[1].sent[1], 1057, "Saber");
    for host in [0, 1] {
        world.rekey_ike(host);
        world.run_for(MINUTE);
        let child = world.live_child(host).expect("a CHILD_SA").unique_id;
        world.rekey_child(host, child);
        world.run_for(MINUTE);
        world.assert_consistent();
    }
}
