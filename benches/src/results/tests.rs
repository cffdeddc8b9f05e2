use super::*;

fn run() -> Run {
    Run {
        quick: true,
        seed: 1,
        began: "2026-01-01".into(),
        machine: Machine::default(),
        finished: false,
    }
}

fn cell(scenario: &str, name: &str) -> Cell {
    Cell {
        scenario: scenario.into(),
        cell: name.into(),
        rows: vec![Row::about([("method", "x, \"y\"")]).with("median_ns", 2.5)],
        notes: Vec::new(),
        problem: None,
        seconds: 1.0,
    }
}

#[test]
fn an_interrupted_run_goes_on_with_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), run(), &["kem"]).unwrap();
    store.add(cell("kem", "a")).unwrap();
    let again = Store::open(folder.path(), run(), &["kem"]).unwrap();
    assert!(again.has("kem", "a") && !again.has("kem", "b"));
    assert_eq!(again.cells, store.cells);
}

#[test]
fn a_finished_run_measures_again_what_is_asked_for_and_keeps_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), run(), &["kem", "startup"]).unwrap();
    store.add(cell("kem", "a")).unwrap();
    store.add(cell("startup", "b")).unwrap();
    store.finish().unwrap();
    let again = Store::open(folder.path(), run(), &["kem"]).unwrap();
    assert!(!again.has("kem", "a") && again.has("startup", "b"));
}

#[test]
fn what_failed_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), run(), &["kem"]).unwrap();
    let problem = Some("no such plugin".into());
    store
        .add(Cell {
            problem,
            ..cell("kem", "a")
        })
        .unwrap();
    assert!(!store.has("kem", "a"));
    assert!(
        Store::open(folder.path(), run(), &["kem"])
            .unwrap()
            .cells
            .is_empty()
    );
}

#[test]
fn cells_of_another_revision_are_not_mixed_with_these() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), run(), &["kem"]).unwrap();
    store.add(cell("kem", "a")).unwrap();
    let mut other = run();
    other.machine.revision = "another".into();
    assert!(
        Store::open(folder.path(), other, &["kem"])
            .unwrap()
            .cells
            .is_empty()
    );
}

#[test]
fn a_line_that_was_cut_off_is_a_cell_that_is_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), run(), &["kem"]).unwrap();
    store.add(cell("kem", "a")).unwrap();
    store.add(cell("kem", "b")).unwrap();
    let path = folder.path().join("cells.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 10]).unwrap();
    let mut again = Store::open(folder.path(), run(), &["kem"]).unwrap();
    assert!(again.has("kem", "a") && !again.has("kem", "b"));
    again.add(cell("kem", "b")).unwrap();
    assert!(Store::load(folder.path()).unwrap().has("kem", "b"));
}

#[test]
fn csv_quotes_what_has_commas_and_leaves_gaps_for_what_is_missing() {
    let rows = [
        cell("kem", "a").rows[0].clone(),
        Row::about([("method", "z")]).with("p99_ns", 4.0),
    ];
    assert_eq!(
        csv(rows.iter()),
        "method,median_ns,p99_ns\n\"x, \"\"y\"\"\",2.5,\nz,,4\n"
    );
}
