//! Connections that are loaded, changed and removed while SAs are established, attempted and closed for them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::connection::{Action, ChildConfig, Host, PeerConfig, SelectorSpec, UniquePolicy, VICI};
use iana::TrafficSelector;
use ike::{ChildState, CommandError, CommandId, How, IkeSaState, Initiate, PutOutcome, Start};
use pqswan_tests::kernel::Fate;
use pqswan_tests::world::{CAROL, MOON, World, carol, moon};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

pub(super) const CAROLS: usize = 1;

/// Numbers of commands that no others have.
pub(super) struct Commands(u64);

impl Commands {
    pub(super) fn new() -> Self {
        Self(1 << 40)
    }

    pub(super) fn next(&mut self) -> CommandId {
        self.0 += 1;
        CommandId(self.0)
    }
}

fn net(address: &str) -> Vec<SelectorSpec> {
    vec![SelectorSpec::Fixed(TrafficSelector::subnet(
        address.parse().expect("an address"),
        24,
    ))]
}

/// The CHILD_SA number `n` of carol's, `c0` to `c9`.
pub(super) fn child(n: usize) -> ChildConfig {
    ChildConfig {
        name: format!("c{n}"),
        local_ts: net(&format!("10.3.{n}.0")),
        remote_ts: net(&format!("10.1.{n}.0")),
        start_action: Action::Start,
        dpd_action: Action::Start,
        ..ChildConfig::clone(&carol(TUNNEL1).children[0])
    }
}

/// carol's connection over vici, which tries for ever.
pub(super) fn connection(children: impl IntoIterator<Item = ChildConfig>) -> PeerConfig {
    PeerConfig {
        name: "gw".into(),
        source: VICI.into(),
        keying_tries: None,
        children: children.into_iter().map(Arc::new).collect(),
        dpd_delay: Duration::from_secs(30),
        // An IKE_SA that moon begins does not replace what carol wants.
        unique: UniquePolicy::Never,
        ..carol(TUNNEL1)
    }
}

/// moon takes whatever carol wants.
pub(super) fn world(seed: u64) -> World {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), seed);
    let children = (0..10).map(|n| {
        let theirs = child(n);
        Arc::new(ChildConfig {
            local_ts: theirs.remote_ts,
            remote_ts: theirs.local_ts,
            start_action: Action::None,
            dpd_action: Action::None,
            name: format!("m{n}"),
            ..theirs
        })
    });
    let peer = PeerConfig {
        children: children.collect(),
        unique: UniquePolicy::Never,
        ..moon(TUNNEL1)
    };
    world.hosts[0].endpoint.remove_connection("Tunnel1");
    world.hosts[0].endpoint.add_connection(peer);
    world.hosts[CAROLS].endpoint.remove_connection("Tunnel1");
    world
}

fn ends(peer: &PeerConfig) -> (SocketAddr, SocketAddr) {
    let remote = match peer.remote_addrs[0] {
        Host::Address(address) => Some(address),
        _ => None,
    };
    let remote = remote.expect("an address");
    (
        SocketAddr::new(CAROL.parse().expect("an address"), 500),
        SocketAddr::new(remote, 500),
    )
}

/// As the daemon does what the Endpoint wants started.
pub(super) fn start(world: &mut World, commands: &mut Commands, start: Vec<Start>) {
    for Start {
        peer,
        child,
        how,
        commands: waiting,
    } in start
    {
        let (local, remote) = ends(&peer);
        let detached = waiting.is_empty() || child.start_action.starts();
        let ids: Vec<CommandId> = detached
            .then(|| commands.next())
            .into_iter()
            .chain(waiting)
            .collect();
        let what = Initiate {
            peer,
            child: Some(child),
            local,
            remote,
        };
        for id in ids {
            let endpoint = &mut world.hosts[CAROLS].endpoint;
            match how {
                How::Install => endpoint.install_trap(world.now, id, &what),
                How::Initiate => {
                    endpoint.initiate(world.now, id, what.clone());
                }
            }
        }
        world.drain(CAROLS);
    }
}

pub(super) fn load(world: &mut World, commands: &mut Commands, peer: PeerConfig) -> PutOutcome {
    let loaded = world.hosts[CAROLS].endpoint.load_connection(world.now, peer);
    world.drain(CAROLS);
    start(world, commands, loaded.start);
    loaded.outcome
}

pub(super) fn unload(world: &mut World) -> bool {
    let old = world.hosts[CAROLS].endpoint.unload_connection(world.now, "gw");
    world.drain(CAROLS);
    old.is_some()
}

pub(super) fn initiate(world: &mut World, commands: &mut Commands, name: &str) -> Option<CommandId> {
    let (peer, child) = world.hosts[CAROLS].endpoint.find_child(name)?;
    let (local, remote) = ends(&peer);
    let what = Initiate {
        peer,
        child: Some(child),
        local,
        remote,
    };
    let id = commands.next();
    world.hosts[CAROLS].endpoint.initiate(world.now, id, what);
    world.drain(CAROLS);
    Some(id)
}

pub(super) fn terminate_child(world: &mut World, commands: &mut Commands, unique_id: u32) -> CommandId {
    let id = commands.next();
    let endpoint = &mut world.hosts[CAROLS].endpoint;
    endpoint.terminate_child(world.now, id, unique_id);
    world.drain(CAROLS);
    id
}

/// Names and unique numbers of the CHILD_SAs that carry traffic.
pub(super) fn standing(world: &World, host: usize) -> Vec<(Arc<ChildConfig>, u32)> {
    let live = |child: &ike::ChildSaInfo| matches!(child.state, ChildState::Installed | ChildState::Rekeying);
    let sas = world
        .sas(host)
        .into_iter()
        .filter(|sa| sa.state != IkeSaState::Rekeyed);
    let mut all: Vec<_> = sas
        .flat_map(|sa| sa.children)
        .filter(live)
        .map(|child| (child.config, child.unique_id))
        .collect();
    all.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    all
}

fn names(world: &World) -> Vec<String> {
    let all = standing(world, CAROLS).into_iter();
    all.map(|(config, _)| config.name.clone()).collect()
}

fn result(world: &World, id: CommandId) -> Option<Result<(), CommandError>> {
    let mut done = world.hosts[CAROLS].done.iter().filter(|(done, _)| *done == id);
    let first = done.next().map(|(_, result)| *result);
    assert!(done.next().is_none(), "{id:?} is answered twice");
    first
}

fn absent(world: &mut World) {
    world.tamper = Some(Box::new(|_| false));
}

/// With another lifetime, which is as good as any other change.
fn changed(child: ChildConfig) -> ChildConfig {
    let mut changed = child;
    changed.lifetime.time.life += Duration::from_secs(1);
    changed
}

/// An established connection with three CHILD_SAs.
fn three() -> (World, Commands) {
    let (mut world, mut commands) = (world(1), Commands::new());
    load(&mut world, &mut commands, connection((0..3).map(child)));
    world.run_for(MINUTE);
    assert_eq!(names(&world), ["c0", "c1", "c2"]);
    (world, commands)
}

#[test]
fn children_that_are_changed_are_all_established_anew() {
    let (mut world, mut commands) = three();
    let before = standing(&world, CAROLS);
    let outcome = load(
        &mut world,
        &mut commands,
        connection((0..3).map(|n| changed(child(n)))),
    );
    assert!(matches!(outcome, PutOutcome::Updated(_)));
    world.run_for(MINUTE);
    assert_eq!(names(&world), ["c0", "c1", "c2"]);
    let after = standing(&world, CAROLS);
    for ((old, old_id), (new, new_id)) in before.iter().zip(&after) {
        assert!(
            old != new && old_id != new_id,
            "{} has its new settings",
            new.name
        );
    }
    assert_eq!(world.sas(CAROLS).len(), 1);
    assert_eq!(world.sas(0).len(), 1);
}

#[test]
fn another_setting_for_the_peer_leaves_one_ike_sa_and_all_children() {
    let (mut world, mut commands) = three();
    let other = PeerConfig {
        dpd_delay: Duration::from_secs(40),
        ..connection((0..3).map(child))
    };
    let outcome = load(&mut world, &mut commands, other);
    assert!(matches!(outcome, PutOutcome::Replaced(_)));
    world.run_for(MINUTE);
    assert_eq!(names(&world), ["c0", "c1", "c2"]);
    for host in [0, CAROLS] {
        assert_eq!(world.sas(host).len(), 1, "host {host}");
    }
    let config = world.sas(CAROLS)[0].config.clone().unwrap();
    assert_eq!(config.dpd_delay, Duration::from_secs(40));
}

#[test]
fn a_removed_connection_leaves_nothing() {
    let (mut world, _) = three();
    assert!(unload(&mut world));
    world.run_for(MINUTE);
    world.assert_no_trace();
}

#[test]
fn children_that_are_removed_are_closed_and_the_others_stay() {
    let (mut world, mut commands) = three();
    let before = standing(&world, CAROLS);
    load(&mut world, &mut commands, connection([child(1)]));
    world.run_for(MINUTE);
    assert_eq!(standing(&world, CAROLS), [before[1].clone()]);
    assert_eq!(world.sas(CAROLS).len(), 1);
    load(&mut world, &mut commands, connection([]));
    world.run_for(MINUTE);
    world.assert_no_trace();
}

#[test]
fn a_connection_that_is_loaded_again_as_it_was_is_left_alone() {
    let (mut world, mut commands) = three();
    let before = standing(&world, CAROLS);
    load(&mut world, &mut commands, connection((0..3).map(child)));
    world.run_for(MINUTE);
    assert_eq!(standing(&world, CAROLS), before);
}

#[test]
fn a_removed_connection_stops_connecting() {
    let (mut world, mut commands) = (world(2), Commands::new());
    absent(&mut world);
    load(&mut world, &mut commands, connection([child(0), child(1)]));
    world.run_for(10 * MINUTE);
    assert!(world.logged(CAROLS, "peer not responding, trying again (2/0)"));
    let by_hand = initiate(&mut world, &mut commands, "c1").unwrap();
    assert!(unload(&mut world));
    assert_eq!(result(&world, by_hand), Some(Err(CommandError::Failed)));
    world.assert_no_trace();
    world.tamper = None;
    world.run_for(10 * MINUTE);
    world.assert_no_trace();
}

#[test]
fn a_replaced_connection_connects_with_its_new_settings_only() {
    let (mut world, mut commands) = (world(3), Commands::new());
    let wrong = PeerConfig {
        remote_addrs: vec![Host::Address("192.168.0.9".parse().unwrap())],
        ..connection([child(0), child(1)])
    };
    load(&mut world, &mut commands, wrong);
    world.run_for(MINUTE);
    let by_hand = initiate(&mut world, &mut commands, "c1").unwrap();
    load(&mut world, &mut commands, connection([child(0), child(1)]));
    let sas = world.sas(CAROLS);
    assert_eq!(sas.len(), 1, "{sas:?}");
    assert_eq!(sas[0].remote.ip().to_string(), MOON);
    world.run_for(MINUTE);
    assert_eq!(names(&world), ["c0", "c1"]);
    assert_eq!(
        result(&world, by_hand),
        Some(Ok(())),
        "who waits gets what it waits for"
    );
}

#[test]
fn what_is_wanted_by_hand_is_wanted_of_the_changed_connection() {
    let (mut world, mut commands) = (world(4), Commands::new());
    let manual = |n| ChildConfig {
        start_action: Action::None,
        ..child(n)
    };
    load(&mut world, &mut commands, connection([manual(0)]));
    absent(&mut world);
    let id = initiate(&mut world, &mut commands, "c0").unwrap();
    world.run_for(MINUTE);
    load(&mut world, &mut commands, connection([changed(manual(0))]));
    world.tamper = None;
    world.run_for(MINUTE);
    assert_eq!(result(&world, id), Some(Ok(())));
    let all = standing(&world, CAROLS);
    assert_eq!(all.len(), 1);
    assert_eq!(*all[0].0, changed(manual(0)));
}

#[test]
fn what_was_established_by_hand_stays_when_its_connection_goes_but_does_not_come_back() {
    let (mut world, mut commands) = (world(5), Commands::new());
    let manual = ChildConfig {
        start_action: Action::None,
        ..child(0)
    };
    load(&mut world, &mut commands, connection([manual]));
    initiate(&mut world, &mut commands, "c0").unwrap();
    world.run_for(MINUTE);
    assert!(unload(&mut world));
    world.run_for(MINUTE);
    assert_eq!(names(&world), ["c0"]);
    absent(&mut world);
    world.run_for(10 * MINUTE);
    assert!(
        world.sas(CAROLS).is_empty(),
        "no connection says that it is to be there"
    );
}

#[test]
fn a_child_that_is_closed_and_wanted_at_once_is_there_afterwards() {
    let (mut world, mut commands) = three();
    for (config, id) in standing(&world, CAROLS) {
        let closing = terminate_child(&mut world, &mut commands, id);
        let wanted = initiate(&mut world, &mut commands, &config.name).unwrap();
        world.run_for(MINUTE);
        assert_eq!(result(&world, closing), Some(Ok(())));
        assert_eq!(result(&world, wanted), Some(Ok(())));
        assert_eq!(names(&world), ["c0", "c1", "c2"]);
        assert!(standing(&world, CAROLS).iter().all(|(_, other)| *other != id));
    }
}

#[test]
fn an_ike_sa_that_is_closed_and_wanted_at_once_is_there_afterwards() {
    let (mut world, mut commands) = three();
    let closing = world.terminate(CAROLS);
    let wanted = initiate(&mut world, &mut commands, "c1").unwrap();
    world.run_for(MINUTE);
    assert_eq!(result(&world, closing), Some(Ok(())));
    assert_eq!(result(&world, wanted), Some(Ok(())));
    assert_eq!(names(&world), ["c1"]);
}

#[test]
fn what_is_closed_while_the_peer_is_dead_does_not_come_back() {
    let (mut world, mut commands) = three();
    absent(&mut world);
    // A liveness check is on its way, so the request to close has to wait.
    assert!(world.run_until(MINUTE, |world| world.logged(CAROLS, "sending DPD request")));
    let (_, first) = standing(&world, CAROLS)[0];
    terminate_child(&mut world, &mut commands, first);
    assert!(world.run_until(10 * MINUTE, |world| {
        world.logged(CAROLS, "restarting CHILD_SA c1")
    }));
    assert!(!world.logged(CAROLS, "restarting CHILD_SA c0"));
    world.tamper = None;
    world.run_for(10 * MINUTE);
    assert_eq!(names(&world), ["c1", "c2"]);
    absent(&mut world);
    world.hosts[CAROLS].log.clear();
    assert!(world.run_until(MINUTE, |world| world.logged(CAROLS, "sending DPD request")));
    world.terminate(CAROLS);
    world.run_for(20 * MINUTE);
    assert!(world.sas(CAROLS).is_empty());
}

#[test]
fn a_child_that_is_closed_while_it_is_rekeyed_leaves_no_successor() {
    for rekeys in [0, CAROLS] {
        for delay in [0, 5, 10, 15, 20, 25, 30, 40, 60] {
            let (mut world, mut commands) = three();
            let id = standing(&world, rekeys)[1].1;
            world.rekey_child(rekeys, id);
            world.run_for(Duration::from_millis(delay));
            let Some((_, id)) = standing(&world, CAROLS)
                .into_iter()
                .find(|(config, _)| config.name == "c1")
            else {
                continue;
            };
            terminate_child(&mut world, &mut commands, id);
            world.run_for(MINUTE);
            assert_eq!(
                names(&world),
                ["c0", "c2"],
                "rekeyed by {rekeys}, closed after {delay} ms"
            );
        }
    }
}

#[test]
fn a_child_that_is_wanted_twice_is_made_once() {
    let (mut world, mut commands) = (world(6), Commands::new());
    let manual = |n| ChildConfig {
        start_action: Action::None,
        ..child(n)
    };
    load(&mut world, &mut commands, connection([manual(0), manual(1)]));
    let ids: Vec<_> = ["c0", "c0", "c1", "c1", "c0"]
        .map(|name| initiate(&mut world, &mut commands, name).unwrap())
        .into();
    world.run_for(MINUTE);
    assert!(ids.iter().all(|id| result(&world, *id) == Some(Ok(()))));
    assert_eq!(names(&world), ["c0", "c1"]);
}

#[test]
fn a_connection_that_goes_while_its_trap_connects_leaves_nothing() {
    let (mut world, mut commands) = (world(7), Commands::new());
    let trap = ChildConfig {
        start_action: Action::Trap,
        ..child(0)
    };
    load(&mut world, &mut commands, connection([trap]));
    absent(&mut world);
    assert!(matches!(
        world.send(CAROLS, "10.3.0.1", "10.1.0.1"),
        Fate::Acquired(_)
    ));
    world.run_for(MINUTE);
    assert!(!world.sas(CAROLS).is_empty());
    unload(&mut world);
    world.assert_no_trace();
}

#[test]
fn a_connection_that_changes_while_its_ike_sa_is_rekeyed_has_its_new_children() {
    for delay in [0, 5, 10, 15, 20, 25, 30, 40, 60, 100] {
        let (mut world, mut commands) = three();
        world.rekey_ike(CAROLS);
        world.run_for(Duration::from_millis(delay));
        load(
            &mut world,
            &mut commands,
            connection((0..3).map(|n| changed(child(n)))),
        );
        world.run_for(3 * MINUTE);
        assert_eq!(names(&world), ["c0", "c1", "c2"], "after {delay} ms");
        for (config, _) in standing(&world, CAROLS) {
            assert!(config.lifetime.time.life > child(0).lifetime.time.life);
        }
        let (mut world, _) = three();
        world.rekey_ike(CAROLS);
        world.run_for(Duration::from_millis(delay));
        unload(&mut world);
        world.run_for(3 * MINUTE);
        world.assert_no_trace();
    }
}

#[test]
fn a_connection_of_ipsec_conf_that_goes_stops_connecting_and_its_sas_stay() {
    let (mut world, mut commands) = (world(8), Commands::new());
    let conn = |n: usize| PeerConfig {
        name: format!("c{n}"),
        source: format!("/etc/ipsec.conf:{n}"),
        ..connection([ChildConfig {
            start_action: Action::None,
            ..child(n)
        }])
    };
    for n in 0..3 {
        world.hosts[CAROLS].endpoint.add_connection(conn(n));
    }
    initiate(&mut world, &mut commands, "c0").unwrap();
    world.run_for(MINUTE);
    assert_eq!(names(&world), ["c0"]);
    world.hosts[CAROLS].endpoint.remove_connection("c0");
    world.drain(CAROLS);
    world.run_for(MINUTE);
    assert_eq!(names(&world), ["c0"]);
    absent(&mut world);
    let wanted = initiate(&mut world, &mut commands, "c1").unwrap();
    let other = initiate(&mut world, &mut commands, "c2").unwrap();
    world.run_for(20 * Duration::from_secs(1));
    world.hosts[CAROLS].endpoint.remove_connection("c1");
    world.drain(CAROLS);
    assert_eq!(result(&world, wanted), Some(Err(CommandError::Failed)));
    world.tamper = None;
    world.run_for(MINUTE);
    assert_eq!(result(&world, other), Some(Ok(())));
    assert_eq!(names(&world), ["c0", "c2"]);
}

#[test]
fn children_of_one_connection_of_ipsec_conf_part_when_one_is_changed() {
    let (mut world, mut commands) = (world(9), Commands::new());
    let conn = |n: usize, dpd: u64| PeerConfig {
        name: format!("c{n}"),
        source: format!("/etc/ipsec.conf:{n}"),
        dpd_delay: Duration::from_secs(dpd),
        ..connection([child(n)])
    };
    let endpoint = &mut world.hosts[CAROLS].endpoint;
    endpoint.add_connection(conn(0, 30));
    endpoint.add_connection(conn(1, 30));
    assert_eq!(endpoint.connections().len(), 1);
    absent(&mut world);
    let zero = initiate(&mut world, &mut commands, "c0").unwrap();
    let one = initiate(&mut world, &mut commands, "c1").unwrap();
    world.run_for(MINUTE);
    let (_, again) = world.hosts[CAROLS]
        .endpoint
        .put_connection_of_file(world.now, conn(0, 50));
    world.drain(CAROLS);
    start(&mut world, &mut commands, again);
    let all = world.hosts[CAROLS].endpoint.connections();
    let known: Vec<_> = all
        .iter()
        .map(|peer| (peer.name.as_str(), peer.children.len()))
        .collect();
    assert_eq!(known, [("c1", 1), ("c0", 1)]);
    world.tamper = None;
    world.run_for(2 * MINUTE);
    for id in [zero, one] {
        assert_eq!(result(&world, id), Some(Ok(())));
    }
    assert_eq!(names(&world), ["c0", "c1"]);
    for sa in world.sas(CAROLS) {
        let delay = if sa.children[0].config.name == "c0" {
            50
        } else {
            30
        };
        assert_eq!(sa.config.unwrap().dpd_delay, Duration::from_secs(delay));
    }
}

#[test]
fn a_child_that_is_not_yet_made_can_be_given_up_and_the_others_come() {
    for seconds in [0, 20] {
        for gone in ["c0", "c1"] {
            let (mut world, mut commands) = (world(10), Commands::new());
            let manual = |n| ChildConfig {
                start_action: Action::None,
                ..child(n)
            };
            load(&mut world, &mut commands, connection((0..3).map(manual)));
            absent(&mut world);
            let ids =
                ["c0", "c1", "c2"].map(|name| (name, initiate(&mut world, &mut commands, name).unwrap()));
            world.run_for(Duration::from_secs(seconds));
            let given_up = world.hosts[CAROLS].endpoint.give_up_child(world.now, None, gone);
            world.drain(CAROLS);
            assert_eq!(given_up, 1);
            world.tamper = None;
            world.run_for(MINUTE);
            for (name, id) in ids {
                let expected = if name == gone {
                    Err(CommandError::Failed)
                } else {
                    Ok(())
                };
                assert_eq!(result(&world, id), Some(expected), "{name}");
            }
            assert!(!names(&world).contains(&gone.to_owned()));
            assert_eq!(names(&world).len(), 2);
        }
    }
}
