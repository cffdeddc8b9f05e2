//! Compression within CHILD_SAs (IPComp, RFC 7296, 2.22): both ends want it, or neither does it.

use std::sync::Arc;

use config::connection::{Mode, PeerConfig, SelectorSpec};
use config::kernel::{Ah, EspBeside};
use iana::{ExchangeType, NotifyType, Protocol};
use plugin_api::kernel::{Direction, IPCOMP, SaMode};
use pqswan_tests::puppet::Puppet;
use pqswan_tests::world::{self, World};
use wire::payload::Payload;

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};
use super::rekey::{SINGLE, assert_one_pair};

fn compressing(mut config: PeerConfig, ipcomp: bool) -> PeerConfig {
    let mut child = (*config.children[0]).clone();
    child.kernel.ipcomp = ipcomp;
    config.children = vec![Arc::new(child)];
    config
}

fn changed(mut config: PeerConfig, change: impl FnOnce(&mut config::connection::ChildConfig)) -> PeerConfig {
    let mut child = (*config.children[0]).clone();
    change(&mut child);
    config.children = vec![Arc::new(child)];
    config
}

/// moon and carol with these connections; carol begins.
fn begun(moon: PeerConfig, carol: PeerConfig, no_cpis: [bool; 2]) -> World {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    for (host, config) in [moon, carol].into_iter().enumerate() {
        world.hosts[host].kernel.no_cpis = no_cpis[host];
        world.hosts[host].endpoint.add_connection(config);
    }
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    world
}

fn established(ipcomp: [bool; 2], no_cpis: [bool; 2]) -> World {
    let moon = compressing(world::moon(TUNNEL1), ipcomp[0]);
    let carol = compressing(world::carol(TUNNEL1), ipcomp[1]);
    begun(moon, carol, no_cpis)
}

/// Fails unless both ends compress, within SAs of this protocol, with the mode inside.
fn assert_compressed(world: &World, protocol: Protocol, mode: SaMode) {
    let children = [0, 1].map(|host| world.live_child(host).expect("a CHILD_SA"));
    let [moon, carol] = children.each_ref().map(|child| child.cpis.expect("CPIs"));
    assert_eq!(moon, (carol.1, carol.0), "each sends by the other's");
    for (host, child) in children.iter().enumerate() {
        let kernel = &world.hosts[host].kernel;
        let (cpi_in, cpi_out) = child.cpis.expect("CPIs");
        assert!((0x100..0xf000).contains(&cpi_in));
        for (spi, kind) in [
            (u32::from(cpi_in), (IPCOMP, mode)),
            (u32::from(cpi_out), (IPCOMP, mode)),
            (child.spi_in, (protocol, SaMode::Transport)),
            (child.spi_out, (protocol, SaMode::Transport)),
        ] {
            assert_eq!(kernel.kinds[&spi], kind);
        }
        for policy in &kernel.policies {
            let cpi = if policy.direction == Direction::Out {
                cpi_out
            } else {
                cpi_in
            };
            assert_eq!((policy.options.cpi, policy.mode), (cpi, mode));
            assert_eq!(policy.options.ah, protocol == Protocol::AH);
        }
        assert!(kernel.reserved.is_empty());
    }
    world.assert_consistent();
}

/// Fails unless neither compresses, and no CPI is kept.
fn assert_plain(world: &World) {
    for host in 0..2 {
        assert_eq!(world.live_child(host).expect("a CHILD_SA").cpis, None);
        let kernel = &world.hosts[host].kernel;
        let plain = (Protocol::ESP, SaMode::Tunnel);
        assert!(
            kernel.kinds.values().all(|kind| *kind == plain),
            "{:?}",
            kernel.kinds
        );
        assert!(kernel.policies.iter().all(|policy| policy.options.cpi == 0));
        assert!(kernel.reserved.is_empty());
    }
    world.assert_consistent();
}

fn end(mut world: World) {
    world.terminate(0);
    world.run_for(MINUTE);
    world.assert_no_trace();
}

#[test]
fn both_ends_compress_with_new_cpis_after_each_rekeying() {
    let mut world = established([true; 2], [false; 2]);
    assert_compressed(&world, Protocol::ESP, SaMode::Tunnel);
    for (host, text) in [
        (
            0,
            "parsed IKE_AUTH request 2 [ IDi N(INIT_CONTACT) IDr AUTH N(IPCOMP_SUP) SA TSi TSr",
        ),
        (1, "AUTH N(IPCOMP_SUP) SA TSi TSr"),
    ] {
        assert!(world.logged(host, text), "{:#?}", world.hosts[host].log);
    }
    let mut seen = vec![world.live_child(0).expect("a CHILD_SA").cpis.expect("CPIs")];
    for host in [0, 1] {
        let child = world.live_child(host).expect("a CHILD_SA");
        world.rekey_child(host, child.unique_id);
        assert_one_pair(&mut world, "rekeyed");
        assert_compressed(&world, Protocol::ESP, SaMode::Tunnel);
        let cpis = world.live_child(0).expect("a CHILD_SA").cpis.expect("CPIs");
        assert!(
            seen.iter()
                .all(|old| (old.0, old.1) != cpis && old.0 != cpis.0 && old.1 != cpis.1)
        );
        seen.push(cpis);
    }
    end(world);
}

#[test]
fn both_ends_compress_when_each_rekeys_at_once() {
    let mut world = established([true; 2], [false; 2]);
    for host in [0, 1] {
        let child = world.live_child(host).expect("a CHILD_SA");
        world.rekey_child(host, child.unique_id);
    }
    assert_one_pair(&mut world, "collided");
    assert_compressed(&world, Protocol::ESP, SaMode::Tunnel);
    end(world);
}

#[test]
fn transport_mode_and_ah_are_compressed_too() {
    let transport = |config| {
        changed(config, |child| {
            child.mode = Mode::Transport;
            (child.local_ts, child.remote_ts) = (vec![SelectorSpec::DYNAMIC], vec![SelectorSpec::DYNAMIC]);
            child.kernel.ipcomp = true;
        })
    };
    let world = begun(
        transport(world::moon(TUNNEL1)),
        transport(world::carol(TUNNEL1)),
        [false; 2],
    );
    assert_compressed(&world, Protocol::ESP, SaMode::Transport);
    end(world);
    let ah = |config| {
        changed(config, |child| {
            child.kernel.ipcomp = true;
            child.kernel.ah = Some(Ah {
                proposals: config::connection::ProposalList {
                    entries: vec!["sha256".to_owned()],
                    append_defaults: false,
                },
                esp: EspBeside::No,
            });
        })
    };
    let world = begun(ah(world::moon(TUNNEL1)), ah(world::carol(TUNNEL1)), [false; 2]);
    assert_compressed(&world, Protocol::AH, SaMode::Tunnel);
    end(world);
}

#[test]
fn a_peer_that_does_not_compress_gets_a_child_sa_without() {
    let mut world = established([false, true], [false; 2]);
    assert_plain(&world);
    assert!(world.logged(
        0,
        "received IPCOMP_SUPPORTED notify but IPComp is disabled, ignoring"
    ));
    let declined = "peer didn't accept our proposed IPComp transforms, IPComp is disabled";
    assert!(world.logged(1, declined));
    for host in [0, 1] {
        let child = world.live_child(host).expect("a CHILD_SA").unique_id;
        world.rekey_child(host, child);
        assert_one_pair(&mut world, "rekeyed");
        assert_plain(&world);
    }
    end(world);
    let world = established([true, false], [false; 2]);
    assert!(!world.logged(0, "IPCOMP_SUP") && !world.logged(1, "IPCOMP_SUP"));
    assert_plain(&world);
    end(world);
}

#[test]
fn an_end_whose_kernel_has_no_cpi_does_without() {
    for host in 0..2 {
        let mut no_cpis = [false; 2];
        no_cpis[host] = true;
        let mut world = established([true; 2], no_cpis);
        assert_plain(&world);
        let text = "unable to allocate a CPI from kernel, IPComp disabled";
        assert!(world.logged(host, text), "{:#?}", world.hosts[host].log);
        let child = world.live_child(1).expect("a CHILD_SA").unique_id;
        world.rekey_child(1, child);
        assert_one_pair(&mut world, "rekeyed");
        assert_plain(&world);
        end(world);
    }
}

/// What moon answers to a peer that offers compression so, and what she says.
fn answer_to(data: &[u8]) -> (Option<Vec<u8>>, World) {
    let mut puppet = Puppet::established(SINGLE.trim_end_matches('!'));
    let config = compressing(world::moon(SINGLE.trim_end_matches('!')), true);
    let offered = puppet.world.hosts[0].endpoint.connections()[0].proposals.clone();
    let config = PeerConfig {
        proposals: offered,
        ..config
    };
    puppet.world.hosts[0].endpoint.add_connection(config);
    let mut request = vec![
        puppet.proposals("aes256gcm16-sha512-x25519", Protocol::ESP, &[0xc0, 0xff, 0xee, 1]),
        Puppet::nonce(),
        puppet.public(iana::KeyExchangeMethod::CURVE_25519),
        Puppet::notify(NotifyType::IPCOMP_SUPPORTED, data),
    ];
    request.extend(Puppet::selectors());
    let answer = puppet.ask(ExchangeType::CREATE_CHILD_SA, request);
    let notify = answer.into_iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == NotifyType::IPCOMP_SUPPORTED => Some(notify.data),
        _ => None,
    });
    (notify, puppet.world)
}

#[test]
fn only_deflate_is_answered() {
    let (data, world) = answer_to(&[0x12, 0x34, 2]);
    let data = data.expect("agreed");
    let child = world.sas(0)[0].children.last().cloned().expect("a CHILD_SA");
    let (own, peers) = child.cpis.expect("CPIs");
    assert_eq!(peers, 0x1234);
    assert_eq!(data, [own.to_be_bytes()[0], own.to_be_bytes()[1], 2]);
    for (offer, text) in [
        (
            [0x12, 0x34, 3],
            Some("received IPCOMP_SUPPORTED notify with a transform ID we don't support IPCOMP_LZS"),
        ),
        ([0, 0, 2], None),
    ] {
        let (data, world) = answer_to(&offer);
        assert_eq!(data, None);
        let child = world.sas(0)[0].children.last().cloned().expect("a CHILD_SA");
        assert_eq!(child.cpis, None);
        assert!(world.hosts[0].kernel.reserved.is_empty());
        assert!(
            text.is_none_or(|text| world.logged(0, text)),
            "{:#?}",
            world.hosts[0].log
        );
    }
}
