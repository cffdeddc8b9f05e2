use super::*;
use crate::machine::Machine;
use crate::results::{Cell, Run};

fn store(rows: Vec<Row>) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let run = Run {
        quick: true,
        seed: 1,
        began: String::new(),
        machine: Machine::default(),
        finished: false,
    };
    let mut store = Store::open(folder.path(), run, &[]).unwrap();
    let cell = Cell {
        scenario: "kem".into(),
        cell: "x".into(),
        rows,
        notes: Vec::new(),
        problem: None,
        seconds: 0.0,
    };
    store.add(cell).unwrap();
    (folder, store)
}

fn kem(plugin: &str, bare: f64, difference: f64) -> Row {
    Row::about([("plugin", plugin)])
        .with("bare_median_ns", bare)
        .with("difference_ns", difference)
}

#[test]
fn the_boundary_is_judged_by_the_worst_of_the_fast_methods() {
    let (_folder, store) = store(vec![
        kem("oqs", 30_000.0, 400.0),
        kem("aws-lc", 20_000.0, 700.0),
        kem("frodo", 9_000_000.0, 80_000.0),
    ]);
    assert_eq!(boundary(&store), Some(0.7));
    let judgements = judge(&store, &["kem"]);
    assert!(judgements[0].met && judgements[0].acceptable);
    assert_eq!(judgements[0].figure_text, "0.7 µs");
}

#[test]
fn a_missed_goal_passes_only_while_what_is_asserted_holds() {
    let (_folder, slow) = store(vec![kem("oqs", 30_000.0, 2_000.0)]);
    let judgement = &judge(&slow, &["kem"])[0];
    assert!(!judgement.met && judgement.acceptable);
    let (_folder, broken) = store(vec![kem("oqs", 30_000.0, 50_000.0)]);
    assert!(!judge(&broken, &["kem"])[0].acceptable);
}

#[test]
fn what_was_not_measured_is_not_acceptable() {
    let (_folder, store) = store(Vec::new());
    let judgement = &judge(&store, &["kem"])[0];
    assert!(!judgement.met && !judgement.acceptable);
    assert_eq!(judgement.figure_text, "not measured");
}

#[test]
fn the_worst_figure_of_an_attack_on_ours_counts() {
    let row = |responder, group, time| {
        Row::about([("measured", "modp"), ("responder", responder), ("group", group)])
            .with("responder_us", time)
    };
    let (_folder, mut store) = store(Vec::new());
    let cell = Cell {
        scenario: "attacks".into(),
        cell: "modp".into(),
        rows: vec![
            row("ours", "x25519", 500.0).with("accepted_percent", 100.0),
            row("ours", "modp8192", 900.0),
            row("ours", "modp8192", 1_000.0),
            row("strongswan-6.1.0", "modp8192", 9_000.0),
        ],
        notes: Vec::new(),
        problem: None,
        seconds: 0.0,
    };
    store.add(cell).unwrap();
    assert_eq!(chosen_group(&store), Some(2.0));
    assert_eq!(
        attack(&store, "modp", &[("group", "modp4096")], "responder_us"),
        None
    );
}

#[test]
fn figures_have_as_many_digits_as_mean_something() {
    assert_eq!(
        [0.0, 0.12345, 3.456, 45.67, 1234567.8, 2.0].map(number),
        ["0", "0.123", "3.46", "45.7", "1,234,568", "2"]
    );
}
