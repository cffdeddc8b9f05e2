use std::collections::{HashMap, HashSet};

use iana::TrafficSelector;
use plugin_api::kernel::{PolicyOptions, PolicyPriority, SaMode};
use proptest::prelude::*;

use super::*;

fn policy(priority: PolicyPriority, spi: u32) -> PolicyParameters {
    PolicyParameters {
        direction: Direction::Out,
        src_ts: TrafficSelector::subnet([10, 3, 0, 0].into(), 16),
        dst_ts: TrafficSelector::subnet([10, 1, 0, 0].into(), 16),
        action: PolicyAction::Protect,
        priority,
        src: [192, 0, 2, 1].into(),
        dst: [192, 0, 2, 9].into(),
        reqid: 7,
        spi,
        mode: SaMode::Tunnel,
        mark: None,
        options: Default::default(),
    }
}

#[test]
fn a_shunt_beats_a_child_sa_which_beats_its_trap() {
    let mut spd = Spd::default();
    let trap = policy(PolicyPriority::Routed, 0);
    let child = policy(PolicyPriority::Default, 1);
    let shunt = policy(PolicyPriority::Pass, 0);
    assert_eq!(spd.add(&child).change, Change::Install(child.clone()));
    assert_eq!(spd.add(&trap).change, Change::Keep);
    assert_eq!(spd.add(&shunt).change, Change::Update(shunt.clone()));
    assert_eq!(spd.remove(&child).map(|it| it.change), Some(Change::Keep));
    assert_eq!(
        spd.remove(&shunt).map(|it| it.change),
        Some(Change::Update(trap.clone()))
    );
    assert_eq!(spd.remove(&trap).map(|it| it.change), Some(Change::Remove));
    assert_eq!(spd.remove(&trap), None);
    assert!(spd.is_empty());
}

#[test]
fn ranges_that_come_to_the_same_subnet_share_the_kernels_policy() {
    let mut spd = Spd::default();
    let range = |first: u8, last: u8| {
        let mut range = policy(PolicyPriority::Default, 1);
        (range.dst_ts.start, range.dst_ts.end) = ([10, 1, 0, first].into(), [10, 1, 0, last].into());
        range
    };
    let (one, other) = (range(1, 14), range(2, 13));
    assert_eq!(spd.add(&one).change, Change::Install(one.clone()));
    let second = spd.add(&other);
    assert_eq!(
        (second.change, second.turnover),
        (Change::Keep, Some(other.clone()))
    );
    assert_eq!(spd.remove(&one).map(|it| it.change), Some(Change::Keep));
    assert_eq!(spd.remove(&other).map(|it| it.change), Some(Change::Remove));
}

#[test]
fn policies_for_interfaces_are_others() {
    let mut spd = Spd::default();
    let plain = policy(PolicyPriority::Default, 1);
    let with = |change: fn(&mut PolicyOptions)| {
        let mut other = plain.clone();
        change(&mut other.options);
        other
    };
    let others = [
        with(|options| options.if_id = 1),
        with(|options| options.if_id = 2),
        with(|options| options.interface = "eth0".into()),
    ];
    for policy in others.iter().chain([&plain]) {
        assert_eq!(spd.add(policy).change, Change::Install(policy.clone()));
    }
    let first = with(|options| options.priority = 1000);
    assert_eq!(
        spd.add(&first).change,
        Change::Update(first.clone()),
        "the lowest"
    );
    let last = with(|options| options.priority = 900_000);
    assert_eq!(spd.add(&last).change, Change::Keep);
    for policy in &others {
        assert_eq!(spd.remove(policy).map(|it| it.change), Some(Change::Remove));
    }
}

#[test]
fn policies_follow_their_sas_and_traps_stay() {
    let mut spd = Spd::default();
    let (trap, child) = (
        policy(PolicyPriority::Routed, 0),
        policy(PolicyPriority::Default, 1),
    );
    let mut inbound = child.clone();
    inbound.direction = Direction::In;
    for policy in [&trap, &child, &inbound] {
        spd.add(policy);
    }
    let (old, new) = ((child.src, child.dst), ([192, 0, 2, 2].into(), child.dst));
    let moved = spd.relocate(7, old, new, Side::Outbound);
    let mut now = child.clone();
    now.src = new.0;
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0].change, Change::Update(now.clone()));
    assert_eq!(moved[0].pairs, [(child.clone(), now.clone())]);
    assert!(
        spd.relocate(7, old, new, Side::Outbound).is_empty(),
        "it is there"
    );
    assert!(
        spd.relocate(8, new, old, Side::Outbound).is_empty(),
        "another reqid"
    );
    // Who knows nothing of it removes what it had added.
    let gone = spd.remove(&child).expect("found");
    assert_eq!((gone.change, gone.turnover), (Change::Update(trap), Some(now)));
}

/// A few policies that collide as much as possible.
fn any_policy() -> impl Strategy<Value = PolicyParameters> {
    let priority = prop_oneof![
        Just(PolicyPriority::Fallback),
        Just(PolicyPriority::Routed),
        Just(PolicyPriority::Default),
        Just(PolicyPriority::Pass),
    ];
    (priority, 0u32..3, 1u32..3, 0u8..2, any::<bool>()).prop_map(|(priority, spi, reqid, net, marked)| {
        let mut policy = policy(priority, spi);
        policy.reqid = reqid;
        policy.dst_ts = TrafficSelector::subnet([10, net, 0, 0].into(), 16);
        policy.mark = marked.then_some((1, 1));
        policy
    })
}

proptest! {
    #[test]
    fn the_kernel_has_the_best_of_those_that_are_used(
        steps in proptest::collection::vec((any_policy(), any::<bool>()), 1..60)
    ) {
        let mut spd = Spd::default();
        let mut kernel: HashMap<Key, PolicyParameters> = HashMap::new();
        // Every use, the oldest first.
        let mut uses: Vec<PolicyParameters> = Vec::new();
        let mut first_use: Vec<PolicyParameters> = Vec::new();
        for (policy, add) in steps {
            let outcome = if add {
                if !uses.contains(&policy) {
                    first_use.push(policy.clone());
                }
                uses.push(policy.clone());
                spd.add(&policy)
            } else {
                let Some(at) = uses.iter().position(|used| *used == policy) else { continue };
                uses.remove(at);
                if !uses.contains(&policy) {
                    first_use.retain(|used| *used != policy);
                }
                spd.remove(&policy).expect("it is used")
            };
            match outcome.change {
                Change::Keep => {}
                Change::Install(new) => prop_assert_eq!(kernel.insert(outcome.key, new), None),
                Change::Update(new) => prop_assert!(kernel.insert(outcome.key, new).is_some()),
                Change::Remove => prop_assert!(kernel.remove(&outcome.key).is_some()),
            }
            let mut keys: Vec<Key> = first_use.iter().map(Key::of).collect();
            keys.dedup();
            for key in &keys {
                // The last of the lowest rank.
                let best = first_use.iter().rev().filter(|used| Key::of(used) == *key).min_by_key(|used| used.rank());
                prop_assert_eq!(kernel.get(key), best);
            }
            prop_assert!(kernel.len() <= keys.len());
            for reqid in 1..3 {
                let found = spd.keys(reqid, Side::Outbound);
                let expected = kernel.clone().into_iter().filter(|(_, policy)| policy.reqid == reqid);
                let expected: HashSet<Key> = expected.map(|(key, _)| key).collect();
                prop_assert_eq!(found.len(), expected.len());
                prop_assert_eq!(found.into_iter().collect::<HashSet<_>>(), expected);
            }
        }
        for policy in uses {
            let outcome = spd.remove(&policy).expect("it is used");
            if outcome.change == Change::Remove {
                kernel.remove(&outcome.key);
            }
        }
        prop_assert!(kernel.is_empty() && spd.is_empty());
    }
}
