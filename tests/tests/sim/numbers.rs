//! Marks and ids of interfaces: who has which, and who shares them.

use std::sync::Arc;
use std::time::Duration;

use config::connection::{Host as End, PeerConfig};
use config::kernel::{KernelOptions, Mark, Number, SetMark};
use ike::{ChildSaInfo, Numbers};
use plugin_api::kernel::{Direction, SaOptions};
use pqswan_tests::kernel::Fate;
use pqswan_tests::world::{self, CAROL, MOON, World};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};
use super::rekey::assert_one_pair;

const DAVE: &str = "192.168.0.4";

fn asking(config: PeerConfig, if_ids: [Number; 2], kernel: &KernelOptions) -> PeerConfig {
    let mut child = (*config.children[0]).clone();
    child.kernel = kernel.clone();
    PeerConfig {
        children: vec![Arc::new(child)],
        if_ids,
        ..config
    }
}

fn unique_marks() -> KernelOptions {
    let (value, mask) = (Number::Unique, 0xffff);
    KernelOptions {
        marks: [Some(Mark { value, mask }); 2],
        set_marks: [None, Some(SetMark::Same { mask: 0xff })],
        ..KernelOptions::default()
    }
}

/// moon has unique numbers for both that come, carol none.
fn gateway(kernel: &KernelOptions) -> World {
    let registry = pqswan_tests::crypto::registry();
    let mut world = World::new(&[MOON, CAROL, DAVE], &seed_settings(), &registry, calm(), 1);
    let mut moon = asking(world::moon(TUNNEL1), [Number::UniqueDir; 2], kernel);
    moon.remote_addrs = vec![End::Any];
    moon.remote_auth[0].id = None;
    world.hosts[0].endpoint.add_connection(moon);
    world.hosts[1].endpoint.add_connection(world::carol(TUNNEL1));
    let mut dave = world::carol(TUNNEL1);
    dave.local_addrs = vec![End::Address(DAVE.parse().expect("an address"))];
    dave.local_auth[0].id = Some(config::identity::Identity::parse("dave.strongswan.org"));
    world.hosts[2].endpoint.add_connection(dave);
    for host in &mut world.hosts {
        world::share(&mut host.endpoint, "a secret of all three, which is long enough");
    }
    world
}

fn establish(world: &mut World, host: usize) {
    world.initiate(host);
    assert!(
        world.run_until(MINUTE, |world| world.live_child(host).is_some()),
        "{:#?}",
        world.hosts[host].log
    );
    world.run_for(Duration::from_secs(5));
}

fn children(world: &World, host: usize) -> Vec<ChildSaInfo> {
    world.sas(host).into_iter().flat_map(|sa| sa.children).collect()
}

/// What the kernel of a host has for a CHILD_SA is what that is said to have.
fn assert_in_kernel(world: &World, host: usize, child: &ChildSaInfo) {
    let kernel = &world.hosts[host].kernel;
    let Numbers { marks, if_ids } = child.numbers;
    let policies: Vec<_> = kernel
        .policies
        .iter()
        .filter(|policy| policy.reqid == child.reqid)
        .collect();
    assert_eq!(policies.len(), 3);
    for policy in policies {
        let way = usize::from(policy.direction == Direction::Out);
        assert_eq!((policy.mark, policy.options.if_id), (marks[way], if_ids[way]));
    }
    let (inbound_mark, inbound) = &kernel.asked[&child.spi_in];
    assert_eq!(*inbound_mark, None, "only policies, unless mark_in_sa says so");
    let expected = SaOptions {
        if_id: if_ids[0],
        ..SaOptions::default()
    };
    assert_eq!(*inbound, expected);
    let (outbound_mark, outbound) = &kernel.asked[&child.spi_out];
    assert_eq!(*outbound_mark, marks[1]);
    let expected = SaOptions {
        if_id: if_ids[1],
        set_mark: marks[1].map(|(mark, _)| (mark, 0xff)),
        ..SaOptions::default()
    };
    assert_eq!(*outbound, expected);
}

#[test]
fn each_child_sa_has_numbers_of_its_own_and_its_successors_keep_them() {
    let mut world = gateway(&unique_marks());
    establish(&mut world, 1);
    establish(&mut world, 2);
    let mut sas = world.sas(0);
    sas.sort_by_key(|sa| sa.unique_id);
    let numbers: Vec<_> = sas.iter().map(|sa| (sa.if_ids, sa.children[0].numbers)).collect();
    let expected = |mark, if_ids| {
        let marks = [Some((mark, 0xffff)); 2];
        (if_ids, Numbers { marks, if_ids })
    };
    assert_eq!(numbers, [expected(1, [1, 2]), expected(2, [3, 4])]);
    assert_ne!(
        sas[0].children[0].reqid, sas[1].children[0].reqid,
        "policies of the same selectors are told apart"
    );
    for child in children(&world, 0) {
        assert_in_kernel(&world, 0, &child);
    }
    for host in [1, 2] {
        assert_eq!(
            children(&world, host)[0].numbers,
            Numbers::default(),
            "none were asked for"
        );
    }
}

#[test]
fn rekeying_changes_no_number() {
    for rekeys_ike in [false, true] {
        for host in [0, 1] {
            let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
            let asking = asking(world::moon(TUNNEL1), [Number::Unique; 2], &unique_marks());
            world.hosts[0].endpoint.add_connection(asking);
            establish(&mut world, 1);
            let before = children(&world, 0).remove(0);
            if rekeys_ike {
                world.rekey_ike(host).expect("an IKE_SA");
            } else {
                let live = world.live_child(host).expect("a CHILD_SA").unique_id;
                world.rekey_child(host, live);
            }
            assert_one_pair(&mut world, "rekeyed");
            let after = children(&world, 0).remove(0);
            assert_eq!(after.spi_in != before.spi_in, !rekeys_ike, "it was the CHILD_SA");
            assert_eq!((after.numbers, after.reqid), (before.numbers, before.reqid));
            assert_eq!(after.numbers.if_ids, [1, 1]);
            assert_eq!(world.sas(0)[0].if_ids, [1, 1]);
            assert_in_kernel(&world, 0, &after);
        }
    }
}

#[test]
fn an_id_of_the_childs_own_comes_before_that_of_the_connection() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    let kernel = KernelOptions {
        if_ids: [Number::Fixed(0), Number::Fixed(77)],
        mark_in_sa: true,
        ..unique_marks()
    };
    let connection = [Number::Fixed(5), Number::Fixed(6)];
    let asking = asking(world::moon(TUNNEL1), connection, &kernel);
    world.hosts[0].endpoint.add_connection(asking);
    establish(&mut world, 1);
    let child = children(&world, 0).remove(0);
    assert_eq!(child.numbers.if_ids, [5, 77]);
    assert_eq!(world.sas(0)[0].if_ids, [5, 6]);
    let (inbound_mark, _) = &world.hosts[0].kernel.asked[&child.spi_in];
    assert_eq!(*inbound_mark, Some((1, 0xffff)));
}

#[test]
fn a_trap_and_what_it_establishes_have_the_same_numbers() {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 1);
    let asking = asking(world::carol(TUNNEL1), [Number::Unique; 2], &unique_marks());
    world.hosts[1].endpoint.add_connection(asking);
    let command = world.install(1, "Tunnel1");
    assert_eq!(world.hosts[1].done, [(command, Ok(()))]);
    let of_trap: Vec<_> = world.hosts[1]
        .kernel
        .policies
        .iter()
        .map(|policy| (policy.mark, policy.options.if_id))
        .collect();
    assert_eq!(of_trap, [(Some((1, 0xffff)), 1); 3]);
    assert!(matches!(world.send(1, "10.3.0.1", "10.1.0.1"), Fate::Acquired(_)));
    assert!(world.run_until(MINUTE, World::is_established));
    let child = children(&world, 1).remove(0);
    let marks = [Some((1, 0xffff)); 2];
    assert_eq!(
        child.numbers,
        Numbers {
            marks,
            if_ids: [1; 2]
        }
    );
    // Installed again as it was, it stays as it is.
    world.install(1, "Tunnel1");
    assert!(matches!(world.send(1, "10.3.0.1", "10.1.0.1"), Fate::Carried(_)));
    world.uninstall(1, "Tunnel1");
    world.terminate(1);
    world.run_for(MINUTE);
    world.assert_no_trace();
}
