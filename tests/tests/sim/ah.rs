//! CHILD_SAs of AH (RFC 4302): offered alone or beside ESP, in both modes and by both ends, and refused where packets would go
//! in UDP.

use std::sync::Arc;
use std::time::Duration;

use config::connection::{Host, Mode, PeerConfig, ProposalList, SelectorSpec};
use config::kernel::{Ah, EspBeside};
use iana::Protocol;
use ike::Transmit;
use plugin_api::kernel::SaMode;
use pqswan_tests::world::{self, CAROL, World};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};
use super::nat::{PUBLIC, behind_nat};
use super::rekey::assert_one_pair;

/// What a host offers.
#[derive(Clone, Copy)]
struct Offers {
    ah: Option<(&'static str, EspBeside)>,
    mode: Mode,
}

const ESP_ONLY: Offers = Offers {
    ah: None,
    mode: Mode::Tunnel,
};

fn ah(list: &'static str, esp: EspBeside) -> Offers {
    Offers {
        ah: Some((list, esp)),
        mode: Mode::Tunnel,
    }
}

fn offering(mut config: PeerConfig, offers: Offers) -> PeerConfig {
    let mut child = (*config.children[0]).clone();
    child.proposals.append_defaults = false;
    child.kernel.ah = offers.ah.map(|(list, esp)| Ah {
        proposals: ProposalList {
            entries: vec![list.to_owned()],
            append_defaults: false,
        },
        esp,
    });
    child.mode = offers.mode;
    if child.mode == Mode::Transport {
        (child.local_ts, child.remote_ts) = (vec![SelectorSpec::DYNAMIC], vec![SelectorSpec::DYNAMIC]);
    }
    config.children = vec![Arc::new(child)];
    config
}

/// moon and carol that offer this; carol begins.
fn hosts(moon: Offers, carol: Offers) -> World {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    for (host, config) in [
        offering(world::moon(TUNNEL1), moon),
        offering(world::carol(TUNNEL1), carol),
    ]
    .into_iter()
    .enumerate()
    {
        world.hosts[host].endpoint.add_connection(config);
    }
    world
}

fn established(moon: Offers, carol: Offers) -> World {
    let mut world = hosts(moon, carol);
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    world
}

/// Fails unless both ends and their kernels have nothing but SAs of this protocol and mode.
fn assert_all(world: &World, protocol: Protocol, mode: SaMode) {
    for host in 0..2 {
        assert_eq!(world.live_child(host).expect("a CHILD_SA").protocol, protocol);
        let kernel = &world.hosts[host].kernel;
        let kinds: Vec<_> = kernel.kinds.values().collect();
        assert!(
            !kinds.is_empty() && kinds.iter().all(|kind| **kind == (protocol, mode)),
            "{kinds:?}"
        );
        let of_ah = protocol == Protocol::AH;
        assert!(kernel.policies.iter().all(|policy| policy.options.ah == of_ah));
        assert!(kernel.reserved.is_empty());
    }
    world.assert_consistent();
}

/// Both ends rekey it, and one ends it.
fn goes_on_and_ends(mut world: World, protocol: Protocol, mode: SaMode) {
    for host in [0, 1] {
        let child = world.live_child(host).expect("a CHILD_SA");
        world.rekey_child(host, child.unique_id);
        assert_one_pair(&mut world, "rekeyed");
        assert_ne!(world.live_child(host).expect("another").spi_in, child.spi_in);
        assert_all(&world, protocol, mode);
        let text = format!(
            "sending DELETE for {protocol} CHILD_SA with SPI {:08x}",
            child.spi_in
        );
        assert!(world.logged(host, &text), "{:#?}", world.hosts[host].log);
    }
    world.terminate(1);
    world.run_for(MINUTE);
    world.assert_no_trace();
}

#[test]
fn ah_is_negotiated_rekeyed_by_both_ends_and_deleted() {
    let offers = ah("sha256-x25519", EspBeside::No);
    let world = established(offers, offers);
    assert_all(&world, Protocol::AH, SaMode::Tunnel);
    for host in 0..2 {
        assert!(world.logged(host, "selected proposal: AH:HMAC_SHA2_256_128/NO_EXT_SEQ"));
        let kernel = &world.hosts[host].kernel;
        let keys: Vec<_> = kernel.sas.values().map(|(_, key)| key.len()).collect();
        assert_eq!(keys, [32, 32], "those of integrity");
    }
    goes_on_and_ends(world, Protocol::AH, SaMode::Tunnel);
}

#[test]
fn ah_is_negotiated_in_transport_mode() {
    let offers = Offers {
        mode: Mode::Transport,
        ..ah("sha512-esn", EspBeside::No)
    };
    let world = established(offers, offers);
    assert_all(&world, Protocol::AH, SaMode::Transport);
    assert!(world.logged(0, "selected proposal: AH:HMAC_SHA2_512_256/EXT_SEQ"));
    goes_on_and_ends(world, Protocol::AH, SaMode::Transport);
}

#[test]
fn ah_has_additional_key_exchanges_when_it_is_rekeyed() {
    let offers = ah("sha256-x25519-ke1_kyber3", EspBeside::No);
    let world = established(offers, offers);
    assert!(!world.logged(1, "IKE_FOLLOWUP_KE"));
    goes_on_and_ends(world, Protocol::AH, SaMode::Tunnel);
    let mut world = established(offers, offers);
    let child = world.live_child(1).expect("a CHILD_SA").unique_id;
    world.rekey_child(1, child);
    world.run_for(MINUTE);
    assert!(
        world.logged(1, "generating IKE_FOLLOWUP_KE request"),
        "{:#?}",
        world.hosts[1].log
    );
    assert!(world.logged(1, "selected proposal: AH:HMAC_SHA2_256_128/"));
}

#[test]
fn of_ah_and_esp_the_peer_takes_what_it_has() {
    let both = |esp| ah("sha256", esp);
    let alone = both(EspBeside::No);
    for (moon, carol, protocol) in [
        (alone, both(EspBeside::First), Protocol::AH),
        (alone, both(EspBeside::Last), Protocol::AH),
        (ESP_ONLY, both(EspBeside::First), Protocol::ESP),
        (ESP_ONLY, both(EspBeside::Last), Protocol::ESP),
        (both(EspBeside::Last), alone, Protocol::AH),
        (both(EspBeside::First), ESP_ONLY, Protocol::ESP),
    ] {
        let world = established(moon, carol);
        assert_all(&world, protocol, SaMode::Tunnel);
        goes_on_and_ends(world, protocol, SaMode::Tunnel);
    }
    // Of both, what the responder prefers.
    let world = established(both(EspBeside::First), both(EspBeside::Last));
    assert_all(&world, Protocol::ESP, SaMode::Tunnel);
    let world = established(both(EspBeside::Last), both(EspBeside::First));
    assert_all(&world, Protocol::AH, SaMode::Tunnel);
}

#[test]
fn ah_and_esp_do_not_agree() {
    let mut world = hosts(ah("sha256", EspBeside::No), ESP_ONLY);
    world.initiate(1);
    world.run_for(MINUTE);
    assert!(world.logged(1, "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built"));
    assert!(world.logged(0, "configured proposals: AH:HMAC_SHA2_256_128/NO_EXT_SEQ"));
    for host in 0..2 {
        assert!(world.live_child(host).is_none());
        assert!(world.hosts[host].kernel.is_empty());
    }
}

#[test]
fn behind_a_nat_ah_is_refused_and_the_ike_sa_stays() {
    let offers = ah("sha256", EspBeside::No);
    let mut world = hosts(offers, offers);
    let mut moon = offering(world::moon(TUNNEL1), offers);
    moon.remote_addrs = vec![Host::Any];
    world.hosts[0].endpoint.add_connection(moon);
    world.tamper = Some(Box::new(|datagram: &mut Transmit| {
        behind_nat(datagram, CAROL, PUBLIC, 1000)
    }));
    world.initiate(1);
    world.run_for(Duration::from_secs(20));
    assert!(
        world.logged(0, "AH is not compatible with encapsulation"),
        "{:#?}",
        world.hosts[0].log
    );
    assert!(world.logged(1, "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built"));
    for host in 0..2 {
        assert!(world.logged(host, "failed to establish CHILD_SA, keeping IKE_SA"));
        assert!(world.live_sa(host).is_some() && world.live_child(host).is_none());
        assert!(world.hosts[host].kernel.is_empty());
    }
}
