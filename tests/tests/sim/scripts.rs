//! Scripts that open and close firewalls: what follows waits for them, and nothing else does.

use std::sync::Arc;
use std::time::Duration;

use config::connection::{Action, ChildConfig, PeerConfig, SelectorSpec};
use iana::TrafficSelector;
use ike::{ChildState, CommandId, Event, KernelId, ScriptRun};
use pqswan_tests::world::{World, carol, moon};

use super::handshake::{MINUTE, TUNNEL1, calm, seed_settings};

const PATIENCE: Duration = Duration::from_secs(60);
const A_LITTLE: Duration = Duration::from_secs(20);

fn scripted(mut config: PeerConfig) -> PeerConfig {
    for child in &mut config.children {
        Arc::make_mut(child).updown = Some("firewall".into());
    }
    config
}

/// moon and carol, those named with scripts.
fn world(hosts: &[usize]) -> World {
    let mut world = World::moon_and_carol(TUNNEL1, &seed_settings(), calm(), 5);
    for (host, config) in [moon(TUNNEL1), carol(TUNNEL1)].into_iter().enumerate() {
        if hosts.contains(&host) {
            world.hosts[host].endpoint.add_connection(scripted(config));
            world.hosts[host].endpoint.set_scripts(Some(PATIENCE));
        }
    }
    world
}

/// The runs that a host was asked for since the last time.
fn take_runs(world: &mut World, host: usize) -> Vec<ScriptRun> {
    let events = std::mem::take(&mut world.hosts[host].events);
    let runs = events.into_iter().filter_map(|event| match event {
        Event::Scripts(run) => Some(run),
        _ => None,
    });
    runs.collect()
}

/// The only run that a host was asked for.
fn take_run(world: &mut World, host: usize, up: bool) -> KernelId {
    let runs = take_runs(world, host);
    let [run] = &runs[..] else {
        unreachable!("{} runs: {:#?}", runs.len(), world.hosts[host].log)
    };
    assert_eq!(run.up, up);
    assert_eq!(run.children[0].config.updown.as_deref(), Some("firewall"));
    run.id
}

fn end(world: &mut World, host: usize, run: KernelId) {
    let now = world.now;
    world.hosts[host].endpoint.handle_scripts_done(now, run);
    world.drain(host);
}

fn is_done(world: &World, host: usize, command: CommandId) -> bool {
    world.hosts[host].done.contains(&(command, Ok(())))
}

/// Established, with the scripts of both ends run.
fn established(hosts: &[usize]) -> (World, CommandId) {
    established_in(world(hosts), hosts)
}

fn established_in(mut world: World, hosts: &[usize]) -> (World, CommandId) {
    let command = world.initiate(1);
    for host in [0, 1] {
        world.run_for(A_LITTLE);
        if hosts.contains(&host) {
            let run = take_run(&mut world, host, true);
            end(&mut world, host, run);
        }
    }
    world.run_for(A_LITTLE);
    assert!(world.is_established() && is_done(&world, 1, command));
    (world, command)
}

#[test]
fn the_responders_answer_waits_for_its_script() {
    let mut world = world(&[0]);
    let command = world.initiate(1);
    world.run_for(A_LITTLE);
    let run = take_run(&mut world, 0, true);
    assert_eq!(
        world.hosts[0].kernel.policies.len(),
        3,
        "the script finds the policies"
    );
    assert_eq!(world.hosts[0].kernel.sas.len(), 2);
    assert!(world.live_child(1).is_none() && world.hosts[1].done.is_empty());
    end(&mut world, 0, run);
    assert!(world.run_until(A_LITTLE, World::is_established));
    assert!(is_done(&world, 1, command));
    world.assert_consistent();
    assert!(take_runs(&mut world, 0).is_empty());
}

#[test]
fn the_end_of_a_command_waits_for_the_initiators_script() {
    let mut world = world(&[1]);
    let command = world.initiate(1);
    world.run_for(A_LITTLE);
    let run = take_run(&mut world, 1, true);
    assert_eq!(world.hosts[1].kernel.policies.len(), 3);
    let again = world.initiate(1);
    assert!(
        world.hosts[1].done.is_empty(),
        "whoever asks as well waits as well"
    );
    end(&mut world, 1, run);
    assert_eq!(world.hosts[1].done, [(command, Ok(())), (again, Ok(()))]);
    world.assert_consistent();
}

fn second(config: &PeerConfig, (local, remote): (&str, &str)) -> PeerConfig {
    let subnet = |address: &str| {
        let address = address.parse().expect("an address");
        vec![SelectorSpec::Fixed(TrafficSelector::subnet(address, 16))]
    };
    let mut child = ChildConfig::clone(&config.children[0]);
    child.name = "second".into();
    (child.local_ts, child.remote_ts) = (subnet(local), subnet(remote));
    PeerConfig {
        name: "second".into(),
        children: vec![Arc::new(child)],
        ..config.clone()
    }
}

#[test]
fn both_ends_of_a_further_child_sa_wait_for_their_scripts() {
    let mut world = world(&[0, 1]);
    let configs = [
        second(&scripted(moon(TUNNEL1)), ("10.5.0.0", "10.6.0.0")),
        second(&scripted(carol(TUNNEL1)), ("10.6.0.0", "10.5.0.0")),
    ];
    for (host, config) in configs.into_iter().enumerate() {
        world.hosts[host].endpoint.add_connection(config);
    }
    let (mut world, _) = established_in(world, &[0, 1]);
    let (peer, child) = world.hosts[1].endpoint.find_child("second").expect("a child");
    let (now, command) = (world.now, CommandId(99));
    let sa = world.sas(1)[0].clone();
    let what = ike::Initiate {
        peer,
        child: Some(child),
        local: sa.local,
        remote: sa.remote,
    };
    world.hosts[1].endpoint.initiate(now, command, what);
    world.drain(1);
    world.run_for(A_LITTLE);
    let run = take_run(&mut world, 0, true);
    assert_eq!(world.sas(1)[0].children.len(), 1);
    end(&mut world, 0, run);
    world.run_for(A_LITTLE);
    let run = take_run(&mut world, 1, true);
    assert!(!is_done(&world, 1, command));
    end(&mut world, 1, run);
    assert!(is_done(&world, 1, command));
    assert_eq!(world.sas(0)[0].children.len(), 2);
}

#[test]
fn a_rekeying_runs_no_script() {
    let (mut world, _) = established(&[0, 1]);
    let child = world.live_child(1).expect("a CHILD_SA");
    world.rekey_child(1, child.unique_id);
    world.run_for(MINUTE);
    world.rekey_ike(0);
    world.run_for(MINUTE);
    assert_ne!(
        world.live_child(1).expect("a CHILD_SA").unique_id,
        child.unique_id
    );
    for host in [0, 1] {
        assert!(take_runs(&mut world, host).is_empty());
    }
}

#[test]
fn policies_go_after_the_script_that_closes_the_firewall() {
    for host in [0, 1] {
        let (mut world, _) = established(&[0, 1]);
        let child = world.live_child(host).expect("a CHILD_SA").unique_id;
        let (now, command) = (world.now, CommandId(99));
        world.hosts[host].endpoint.terminate_child(now, command, child);
        world.drain(host);
        world.run_for(A_LITTLE);
        let other = 1 - host;
        assert!(
            take_runs(&mut world, other).is_empty(),
            "the peer has not been told"
        );
        for closing in [host, other] {
            let run = take_run(&mut world, closing, false);
            assert_eq!(world.hosts[closing].kernel.policies.len(), 3);
            assert_eq!(world.hosts[closing].kernel.sas.len(), 2);
            assert!(!is_done(&world, host, command));
            end(&mut world, closing, run);
            assert!(world.hosts[closing].kernel.policies.is_empty());
            world.run_for(A_LITTLE);
        }
        assert!(is_done(&world, host, command));
        for host in [0, 1] {
            assert!(take_runs(&mut world, host).is_empty());
            assert!(world.hosts[host].kernel.is_empty());
        }
    }
}

#[test]
fn policies_of_an_ike_sa_that_is_gone_go_after_the_script() {
    for host in [0, 1] {
        let (mut world, _) = established(&[0, 1]);
        let command = world.terminate(host);
        world.run_for(A_LITTLE);
        assert!(world.sas(0).is_empty() && world.sas(1).is_empty());
        assert!(!is_done(&world, host, command));
        for closing in [0, 1] {
            let run = take_run(&mut world, closing, false);
            assert_eq!(world.hosts[closing].kernel.policies.len(), 3);
            assert!(!world.hosts[closing].endpoint.is_pristine());
            end(&mut world, closing, run);
        }
        assert!(is_done(&world, host, command));
        world.assert_no_trace();
    }
}

#[test]
fn an_ike_sa_that_goes_while_its_scripts_run_leaves_nothing() {
    for (to_end, up) in [(false, true), (true, false)] {
        let mut world = world(&[0, 1]);
        world.initiate(1);
        world.run_for(A_LITTLE);
        let mut opening = take_run(&mut world, 0, true);
        if to_end {
            end(&mut world, 0, opening);
            world.run_for(A_LITTLE);
            opening = take_run(&mut world, 1, true);
            end(&mut world, 1, opening);
            let child = world.live_child(0).expect("a CHILD_SA").unique_id;
            let now = world.now;
            world.hosts[0].endpoint.terminate_child(now, CommandId(99), child);
            world.drain(0);
            opening = take_run(&mut world, 0, up);
        }
        let (now, sa) = (world.now, world.sas(0)[0].unique_id);
        world.hosts[0].endpoint.destroy_ike(now, CommandId(98), sa);
        world.drain(0);
        world.run_for(5 * MINUTE);
        let mut last = vec![opening];
        last.extend(take_runs(&mut world, 0).iter().map(|run| run.id));
        last.extend(take_runs(&mut world, 1).iter().map(|run| run.id));
        // In any order, and each once.
        for run in last {
            end(&mut world, 0, run);
            end(&mut world, 1, run);
        }
        world.run_for(5 * MINUTE);
        assert!(world.hosts[0].kernel.is_empty());
        assert!(world.hosts[0].endpoint.is_pristine());
    }
}

#[test]
fn a_script_that_never_ends_is_given_up() {
    let mut world = world(&[0]);
    let command = world.initiate(1);
    world.run_for(PATIENCE - A_LITTLE);
    let run = take_run(&mut world, 0, true);
    assert!(world.hosts[1].done.is_empty());
    world.run_for(2 * PATIENCE);
    assert!(is_done(&world, 1, command), "{:#?}", world.hosts[1].log);
    let line = "updown script of 'Tunnel1' has not ended after 60 s, going on without it";
    assert_eq!(
        world.hosts[0]
            .log
            .iter()
            .filter(|logged| logged.contains(line))
            .count(),
        1
    );
    end(&mut world, 0, run);
    assert!(world.is_established());

    world.terminate(1);
    world.run_for(3 * PATIENCE);
    assert!(world.hosts[0].kernel.is_empty() && world.hosts[0].endpoint.is_pristine());
}

#[test]
fn others_do_not_wait_for_a_script() {
    let mut world = World::new(
        &["192.168.0.2", "192.168.0.3", "192.168.0.4"],
        &seed_settings(),
        &pqswan_tests::crypto::registry(),
        calm(),
        9,
    );
    let any = |mut config: PeerConfig| {
        config.remote_addrs = vec![config::connection::Host::Any];
        config.remote_auth[0].id = None;
        config.unique = config::connection::UniquePolicy::Never;
        scripted(config)
    };
    let gateway = &mut world.hosts[0].endpoint;
    gateway.add_connection(any(moon(TUNNEL1)));
    gateway.set_scripts(Some(PATIENCE));
    for host in [1, 2] {
        let mut config = carol(TUNNEL1);
        config.local_addrs = vec![config::connection::Host::Address(world.hosts[host].address)];
        world.hosts[host].endpoint.add_connection(config);
    }
    for host in &mut world.hosts {
        pqswan_tests::world::share(&mut host.endpoint, "common");
    }
    world.initiate(1);
    world.run_for(A_LITTLE);
    let first = take_run(&mut world, 0, true);
    let other = world.initiate(2);
    world.run_for(Duration::from_secs(1));
    let second = take_run(&mut world, 0, true);
    end(&mut world, 0, second);
    world.run_for(Duration::from_secs(1));
    assert!(is_done(&world, 2, other) && world.hosts[1].done.is_empty());
    end(&mut world, 0, first);
    world.run_for(A_LITTLE);
    assert_eq!(world.hosts[1].done.len(), 1);
}

#[test]
fn without_anybody_who_runs_scripts_nothing_waits() {
    let mut world = world(&[0, 1]);
    for host in [0, 1] {
        world.hosts[host].endpoint.set_scripts(None);
    }
    world.initiate(1);
    assert!(world.run_until(A_LITTLE, World::is_established));
    world.terminate(1);
    world.run_for(A_LITTLE);
    world.assert_no_trace();
    assert!(take_runs(&mut world, 0).is_empty() && take_runs(&mut world, 1).is_empty());
}

#[test]
fn what_is_established_again_opens_the_firewall_after_it_was_closed() {
    let mut world = world(&[1]);
    let mut config = scripted(carol(TUNNEL1));
    Arc::make_mut(&mut config.children[0]).close_action = Action::Start;
    world.hosts[1].endpoint.add_connection(config);
    world.initiate(1);
    world.run_for(A_LITTLE);
    let up = take_run(&mut world, 1, true);
    end(&mut world, 1, up);
    let child = world.live_child(0).expect("a CHILD_SA");
    let now = world.now;
    world.hosts[0]
        .endpoint
        .terminate_child(now, CommandId(99), child.unique_id);
    world.drain(0);
    world.run_for(Duration::from_secs(1));
    let down = take_run(&mut world, 1, false);
    end(&mut world, 1, down);
    world.run_for(A_LITTLE);
    let up = take_run(&mut world, 1, true);
    end(&mut world, 1, up);
    assert_eq!(
        world.live_child(1).expect("a CHILD_SA").state,
        ChildState::Installed
    );
    world.assert_consistent();
}
