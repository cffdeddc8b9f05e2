//! Which plots a scenario's figures make.

mod attacks;
mod network;
mod scenarios;

use crate::results::{Row, Store};

/// A plot, and what it shows as a table.
pub(crate) struct Chart {
    /// What it says.
    pub(crate) title: String,
    /// How to read it.
    pub(crate) caption: String,
    /// What is drawn.
    pub(crate) shape: Shape,
    /// The rows behind it.
    pub(crate) rows: Vec<Row>,
}

/// What is drawn.
pub(crate) enum Shape {
    /// Horizontal bars, one a series in each category.
    Bars {
        /// From top to bottom.
        categories: Vec<String>,
        /// A name, and a figure for each category.
        series: Vec<(String, Vec<Option<f64>>)>,
        /// Of the figures.
        unit: &'static str,
        /// Whether the axis is logarithmic.
        log: bool,
    },
    /// Lines over a logarithmic axis.
    Lines {
        /// A name and points.
        series: Vec<(String, Vec<(f64, f64)>)>,
        /// What goes to the right.
        x: &'static str,
        /// What goes up.
        y: &'static str,
    },
    /// Cells coloured by a figure, small ones good.
    Heat {
        /// From left to right.
        columns: Vec<String>,
        /// From top to bottom.
        lines: Vec<String>,
        /// By line, then column.
        figures: Vec<Vec<Option<f64>>>,
        /// What is to the right, and what goes down.
        axes: (&'static str, &'static str),
        /// Of the figures.
        unit: &'static str,
    },
}

/// The plots of a scenario.
pub(crate) fn of(store: &Store, scenario: &str) -> Vec<Chart> {
    let rows: Vec<&Row> = store.rows(scenario).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    match scenario {
        "kem" => scenarios::kem(&rows),
        "startup" => scenarios::startup(&rows),
        "reload" => scenarios::reload(&rows),
        "handshake" => scenarios::handshake(&rows),
        "capacity" => scenarios::capacity(&rows),
        "tunnel" => scenarios::tunnel(&rows),
        "network" => network::network(&rows),
        "attacks" => attacks::attacks(&rows),
        _ => Vec::new(),
    }
}

/// A chart of bars: categories by some labels of the rows, series by columns of figures.
fn bars(
    rows: &[&Row],
    category: impl Fn(&Row) -> String,
    series: impl Fn(&Row) -> Vec<(String, Option<f64>)>,
    unit: &'static str,
    log: bool,
) -> Shape {
    let (mut categories, mut names): (Vec<String>, Vec<String>) = Default::default();
    let mut figures: Vec<(String, String, f64)> = Vec::new();
    for row in rows {
        let category = category(row);
        if !categories.contains(&category) {
            categories.push(category.clone());
        }
        for (name, figure) in series(row) {
            if !names.contains(&name) {
                names.push(name.clone());
            }
            figures.extend(figure.map(|figure| (category.clone(), name, figure)));
        }
    }
    let figure = |category: &String, name: &String| {
        let found = figures
            .iter()
            .find(|(of, called, _)| of == category && called == name);
        found.map(|(.., figure)| *figure)
    };
    let series = names
        .iter()
        .map(|name| {
            let of_category = categories.iter().map(|category| figure(category, name));
            (name.clone(), of_category.collect())
        })
        .collect();
    Shape::Bars {
        categories,
        series,
        unit,
        log,
    }
}

/// The rows whose label is this.
fn with<'a>(rows: &[&'a Row], label: &str, text: &str) -> Vec<&'a Row> {
    let of = rows.iter().copied();
    of.filter(|row| row.label(label) == text).collect()
}

fn owned(rows: &[&Row]) -> Vec<Row> {
    rows.iter().map(|row| (*row).clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_a_gap_where_a_figure_is_missing() {
        let rows = [
            Row::about([("method", "a")]).with("x", 1.0).with("y", 2.0),
            Row::about([("method", "b")]).with("x", 3.0),
        ];
        let rows: Vec<&Row> = rows.iter().collect();
        let shape = bars(
            &rows,
            |row| row.label("method").into(),
            |row| vec![("x".into(), row.value("x")), ("y".into(), row.value("y"))],
            "",
            false,
        );
        let Shape::Bars {
            categories, series, ..
        } = shape
        else {
            panic!("no bars")
        };
        assert_eq!(categories, ["a", "b"]);
        assert_eq!(series[1], ("y".to_owned(), vec![Some(2.0), None]));
    }
}
