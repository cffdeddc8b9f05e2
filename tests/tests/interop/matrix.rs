//! How every cell ended, as a table.

use std::time::Duration;

/// How a cell ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

/// A peer in one role.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) title: String,
    pub(crate) cells: Vec<(String, Outcome)>,
    pub(crate) took: Duration,
}

/// The table, in Markdown, and below it why cells are not green.
pub(crate) fn table(columns: &[Column]) -> String {
    let mut rows: Vec<&str> = Vec::new();
    for (name, _) in columns.iter().flat_map(|column| &column.cells) {
        if !rows.contains(&name.as_str()) {
            rows.push(name);
        }
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let titles = columns.iter().map(|column| column.title.clone());
    let mut text = line([String::new()].into_iter().chain(titles).collect());
    text += &line(vec!["---".into(); columns.len() + 1]);
    let mut notes: Vec<String> = Vec::new();
    let mut note = |why: &str| {
        let why = why.lines().next().unwrap_or_default();
        let number = notes.iter().position(|known| known == why).unwrap_or_else(|| {
            notes.push(why.to_owned());
            notes.len() - 1
        });
        number + 1
    };
    for row in rows {
        let cells = columns.iter().map(|column| {
            let cell = column.cells.iter().find(|(name, _)| name == row);
            match cell.map(|(_, outcome)| outcome) {
                None => "–".into(),
                Some(Outcome::Passed) => "ok".into(),
                Some(Outcome::Skipped(why)) => format!("skipped ({})", note(why)),
                Some(Outcome::Failed(why)) => format!("**FAILED** ({})", note(why)),
            }
        });
        text += &line([row.to_owned()].into_iter().chain(cells).collect());
    }
    let seconds = columns.iter().map(|column| column.took.as_secs().to_string());
    text += &line(["seconds".to_owned()].into_iter().chain(seconds).collect());
    for (number, why) in notes.iter().enumerate() {
        text += &format!("\n({}) {why}\n", number + 1);
    }
    text
}

/// The cells that are red.
pub(crate) fn failures(columns: &[Column]) -> Vec<String> {
    columns
        .iter()
        .flat_map(|column| {
            column.cells.iter().filter_map(|(name, outcome)| match outcome {
                Outcome::Failed(why) => Some(format!("{}, {name}: {why}", column.title)),
                _ => None,
            })
        })
        .collect()
}

#[test]
fn a_table_has_all_rows_of_all_columns_and_says_why() {
    let column = |title: &str, cells: &[(&str, Outcome)]| Column {
        title: title.into(),
        cells: cells
            .iter()
            .map(|(name, outcome)| ((*name).to_owned(), outcome.clone()))
            .collect(),
        took: Duration::from_secs(7),
    };
    let columns = [
        column("old", &[("ping", Outcome::Passed)]),
        column(
            "new",
            &[
                ("ping", Outcome::Failed("no answer\nfor long".into())),
                ("rekey", Outcome::Skipped("later".into())),
            ],
        ),
    ];
    assert_eq!(
        table(&columns),
        "|  | old | new |\n| --- | --- | --- |\n| ping | ok | **FAILED** (1) |\n| rekey | – | skipped (2) |\n\
         | seconds | 7 | 7 |\n\n(1) no answer\n\n(2) later\n"
    );
    assert_eq!(failures(&columns), ["new, ping: no answer\nfor long"]);
}
