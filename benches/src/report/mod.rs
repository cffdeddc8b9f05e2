//! The report of a run: a page with plots and tables, and the figures as CSV and JSON beside it.

mod charts;
mod page;
mod plot;

use std::fs;
use std::path::Path;

use crate::goals;
use crate::results::Store;

/// Writes the report into a folder.
///
/// # Errors
///
/// If a plot cannot be drawn or a file not be written.
pub(crate) fn write(store: &Store, folder: &Path) -> Result<(), String> {
    store.export(folder)?;
    let mut page = page::Page::new(&store.run);
    page.goals(&goals::judge(store, &store.scenarios()));
    for scenario in store.scenarios() {
        let charts = charts::of(store, scenario);
        page.section(scenario, store, &charts)?;
        for (number, chart) in charts.iter().enumerate() {
            let path = folder.join(format!("{scenario}-{}.svg", number + 1));
            fs::write(&path, plot::draw(chart)?).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    let path = folder.join("index.html");
    fs::write(&path, page.finish()).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::results::{Cell, Row, Run};

    #[test]
    fn a_report_has_goals_plots_tables_and_the_figures_as_files() {
        let (state, report) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = Run {
            quick: true,
            seed: 7,
            began: "2026-01-01 10:00 UTC".into(),
            machine: Machine {
                cpu: "Processor <of> tests".into(),
                revision: "0123456789ab".into(),
                ..Machine::default()
            },
            finished: true,
        };
        let mut store = Store::open(state.path(), run, &[]).unwrap();
        let row = Row::about([
            ("method", "ML_KEM_768"),
            ("plugin", "aws-lc"),
            ("library", "aws-lc-rs"),
            ("operation", "key pair"),
        ]);
        let row = row
            .with("plugin_median_ns", 24_400.0)
            .with("bare_median_ns", 24_000.0)
            .with("difference_ns", 400.0);
        let cell = Cell {
            scenario: "kem".into(),
            cell: "ML_KEM_768".into(),
            rows: vec![row],
            notes: vec!["a note & more".into()],
            problem: None,
            seconds: 1.0,
        };
        store.add(cell).unwrap();
        write(&store, report.path()).unwrap();
        let read = |name: &str| fs::read_to_string(report.path().join(name)).unwrap();
        let page = read("index.html");
        for text in [
            "Processor &lt;of&gt; tests",
            "0123456789ab",
            "seed",
            "a note &amp; more",
            "<svg",
            "ML_KEM_768",
            "0.4 µs",
        ] {
            assert!(page.contains(text), "{text} is not in the report");
        }
        assert!(read("kem-1.svg").starts_with("<svg"));
        assert!(read("kem.csv").contains("ML_KEM_768,aws-lc,aws-lc-rs,key pair,24400,24000,400"));
        let json: serde_json::Value = serde_json::from_str(&read("results.json")).unwrap();
        assert_eq!(json["cells"][0]["rows"][0]["values"]["difference_ns"], 400.0);
        assert_eq!(json["run"]["seed"], 7);
    }
}
