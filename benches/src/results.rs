//! What was measured, kept as soon as it is, so that a run that was interrupted goes on where it was.
//!
//! A run is a folder: `run.json` says what runs, `cells.jsonl` has a line for each cell that is done.

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// One line of a table: what it is about, and figures by name, which ends in their unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What tells it from other rows.
    pub(crate) labels: IndexMap<String, String>,
    /// What was measured. What could not be is not there.
    pub(crate) values: IndexMap<String, f64>,
}

impl Row {
    /// An empty row about something.
    pub(crate) fn about<const N: usize>(labels: [(&str, &str); N]) -> Self {
        Self {
            labels: labels.map(|(name, text)| (name.into(), text.into())).into(),
            values: IndexMap::new(),
        }
    }

    /// With a figure, unless it is none.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: f64) -> Self {
        if value.is_finite() {
            self.values.insert(name.into(), value);
        }
        self
    }

    /// A label; empty if it has none of that name.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// A figure.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }
}

/// What is measured at a stretch: figures of one cell may be compared with each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// The scenario that it is of.
    pub(crate) scenario: String,
    /// Its name within the scenario.
    pub(crate) cell: String,
    /// What was measured.
    pub(crate) rows: Vec<Row>,
    /// What is to be known of it: what was left out and why.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    /// Why nothing was measured; such a cell is tried again.
    #[serde(default)]
    pub(crate) problem: Option<String>,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// What a run is of. Cells of two runs are not mixed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Whether it is the quick one.
    pub(crate) quick: bool,
    /// Where randomness of ours begins.
    pub(crate) seed: u64,
    /// When it began.
    pub(crate) began: String,
    /// Where it ran, with which versions.
    pub(crate) machine: Machine,
    /// Whether all that was asked for has been tried.
    pub(crate) finished: bool,
}

/// A run and its cells.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    /// What the run is of.
    pub(crate) run: Run,
    /// What has been measured, in that order.
    pub(crate) cells: Vec<Cell>,
}

impl Store {
    /// Goes on with the run of a folder, or begins one there.
    ///
    /// An interrupted run of the same revision, size and seed goes on with what it has. If it had finished, what is asked for
    /// now is measured again, and the rest stays.
    ///
    /// # Errors
    ///
    /// If the folder cannot be written to.
    pub(crate) fn open(folder: &Path, run: Run, asked: &[&str]) -> Result<Self, String> {
        let failed = |error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(failed)?;
        let mut store = match Self::load(folder) {
            Ok(known) if known.is_like(&run) => known,
            _ => Self {
                folder: folder.to_owned(),
                run,
                cells: Vec::new(),
            },
        };
        let again = store.run.finished;
        store
            .cells
            .retain(|cell| cell.problem.is_none() && !(again && asked.contains(&cell.scenario.as_str())));
        store.run.finished = false;
        store.write()?;
        Ok(store)
    }

    /// What a folder holds.
    ///
    /// # Errors
    ///
    /// If there is no run, or one that this program cannot read.
    pub(crate) fn load(folder: &Path) -> Result<Self, String> {
        let path = folder.join("run.json");
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let run = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let lines = fs::read_to_string(folder.join("cells.jsonl")).unwrap_or_default();
        // A line that was being written when the run was interrupted is not whole, and its cell not done.
        let cells = lines.lines().filter_map(|line| serde_json::from_str(line).ok());
        Ok(Self {
            folder: folder.to_owned(),
            run,
            cells: cells.collect(),
        })
    }

    fn is_like(&self, run: &Run) -> bool {
        (
            self.run.quick,
            self.run.seed,
            &self.run.machine.revision,
            &self.run.machine.cpu,
        ) == (run.quick, run.seed, &run.machine.revision, &run.machine.cpu)
    }

    /// Whether a cell has a result.
    pub(crate) fn has(&self, scenario: &str, cell: &str) -> bool {
        self.cells
            .iter()
            .any(|known| known.scenario == scenario && known.cell == cell && known.problem.is_none())
    }

    /// Keeps a cell.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(crate) fn add(&mut self, cell: Cell) -> Result<(), String> {
        let path = self.folder.join("cells.jsonl");
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let line = line(&cell)?;
        let mut file = OpenOptions::new().append(true).open(&path).map_err(failed)?;
        file.write_all(line.as_bytes()).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        self.cells.push(cell);
        Ok(())
    }

    /// Notes that all that was asked for has been tried.
    ///
    /// # Errors
    ///
    /// If that cannot be written.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        self.run.finished = true;
        self.write()
    }

    /// Writes all of it anew.
    fn write(&self) -> Result<(), String> {
        let lines: Result<String, String> = self.cells.iter().map(line).collect();
        let run = serde_json::to_string_pretty(&self.run).map_err(|error| error.to_string())?;
        for (name, text) in [("cells.jsonl", lines?), ("run.json", run + "\n")] {
            let (path, new) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
            let written = File::create(&new)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .and_then(|()| fs::rename(&new, &path));
            written.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// The rows of a scenario.
    pub(crate) fn rows(&self, scenario: &str) -> impl DoubleEndedIterator<Item = &Row> + Clone {
        self.cells
            .iter()
            .filter(move |cell| cell.scenario == scenario)
            .flat_map(|cell| &cell.rows)
    }

    /// Writes `results.json` and a CSV a scenario.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub(crate) fn export(&self, folder: &Path) -> Result<(), String> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let whole = serde_json::json!({ "run": self.run, "cells": self.cells });
        let whole = serde_json::to_string_pretty(&whole).map_err(|error| error.to_string())?;
        write("results.json", whole + "\n")?;
        for scenario in self.scenarios() {
            write(&format!("{scenario}.csv"), csv(self.rows(scenario)))?;
        }
        Ok(())
    }

    /// The scenarios that there are cells of.
    pub(crate) fn scenarios(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for cell in &self.cells {
            if !names.contains(&cell.scenario.as_str()) {
                names.push(&cell.scenario);
            }
        }
        names
    }
}

fn line(cell: &Cell) -> Result<String, String> {
    serde_json::to_string(cell)
        .map(|line| line + "\n")
        .map_err(|error| error.to_string())
}

/// The names of labels and of figures that occur in rows, in the order in which they do.
pub(crate) fn columns<'a>(rows: impl Iterator<Item = &'a Row>) -> (Vec<String>, Vec<String>) {
    let (mut labels, mut values): (Vec<String>, Vec<String>) = Default::default();
    for row in rows {
        for (names, known) in [
            (row.labels.keys().collect::<Vec<_>>(), &mut labels),
            (row.values.keys().collect(), &mut values),
        ] {
            for name in names {
                if !known.contains(name) {
                    known.push(name.clone());
                }
            }
        }
    }
    (labels, values)
}

/// Rows as RFC 4180 wants them.
pub(crate) fn csv<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> String {
    let (labels, values) = columns(rows.clone());
    let field = |text: &str| {
        if text.contains([',', '"', '\n']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let mut text = [&labels[..], &values[..]].concat().join(",") + "\n";
    for row in rows {
        let figures = values.iter().map(|name| row.value(name).map(|it| it.to_string()));
        let fields: Vec<String> = labels
            .iter()
            .map(|name| field(row.label(name)))
            .chain(figures.map(Option::unwrap_or_default))
            .collect();
        text += &(fields.join(",") + "\n");
    }
    text
}
