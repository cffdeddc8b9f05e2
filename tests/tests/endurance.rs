//! What only many repetitions show: nothing is lost, nothing is left.
#![allow(missing_docs)]

use std::time::Duration;

use ike::{Event, Settings};
use pqswan_tests::counting::Counting;
use pqswan_tests::netem::Conditions;
use pqswan_tests::world::World;

#[global_allocator]
static HEAP: Counting = Counting;

const SECOND: Duration = Duration::from_secs(1);
const REKEYINGS: usize = 100_000;

/// Forgets what the hosts have told, and counts the rekeyings in it.
fn settle(world: &mut World) -> usize {
    let mut rekeyed = 0;
    for (number, host) in world.hosts.iter_mut().enumerate() {
        let events = std::mem::take(&mut host.events);
        let of_child = |event: &&Event| matches!(event, Event::ChildRekeyed(..));
        if number == 0 {
            rekeyed = events.iter().filter(of_child).count();
        }
        (host.log, host.sent, host.done) = (Vec::new(), Vec::new(), Vec::new());
    }
    rekeyed
}

/// Lets what is under way end: lingering SAs, retries after a temporary failure, deletions that the peer has obeyed
/// already and answers no more.
fn rest(world: &mut World) {
    let calm = Conditions::default();
    let rough = std::mem::replace(&mut world.net.conditions, calm);
    world.run_for(300 * SECOND);
    world.net.conditions = rough;
}

/// Two ends rekey their CHILD_SA, at once or one after the other, over a network that loses one packet in twenty,
/// reorders and repeats others; now and then the IKE_SA goes too.
#[test]
fn a_hundred_thousand_rekeyings_leave_one_pair_and_no_garbage() {
    let settings = Settings {
        send_vendor_id: true,
        ..Settings::default()
    };
    let mut world = World::moon_and_carol(
        "aes256gcm16-sha512-x25519-ke1_kyber3!",
        &settings,
        Conditions::default(),
        1,
    );
    for host in &mut world.hosts {
        host.endpoint.set_log_levels(|_| -1);
    }
    world.initiate(1);
    assert!(world.run_until(SECOND, World::is_established));
    world.net.conditions = Conditions {
        delay: Duration::from_millis(10),
        jitter: Duration::from_millis(60),
        loss: 5,
        duplication: 2,
        mtu: 0,
    };
    world.job_delay = Duration::from_millis(20);
    let (mut done, mut baseline, mut round) = (0, None, 0_u64);
    while done < REKEYINGS {
        for _ in 0..500 {
            round += 1;
            for host in [0, 1] {
                let both = round % 10 == 0;
                if !both && round % 2 != host as u64 {
                    continue;
                }
                if round % 100 == 7 {
                    world.rekey_ike(host);
                } else if let Some(child) = world.live_child(host) {
                    world.rekey_child(host, child.unique_id);
                }
            }
            world.run_for(SECOND + Duration::from_millis(round % 700));
        }
        rest(&mut world);
        let states = [0, 1].map(|host| world.sas(host).iter().map(|sa| sa.state).collect::<Vec<_>>());
        assert!(world.is_established(), "after {done} rekeyings: {states:?}");
        world.assert_consistent();
        done += settle(&mut world);
        // Every table and buffer has had its size by the first time.
        let live = HEAP.blocks();
        let first = *baseline.get_or_insert(live);
        assert!(
            live <= first + 50,
            "{live} allocations after {done} rekeyings, {first} at first"
        );
    }
    println!("{done} rekeyings");
    world.terminate(0);
    world.run_for(600 * SECOND);
    world.assert_no_trace();
}
