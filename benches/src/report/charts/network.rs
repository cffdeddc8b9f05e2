//! Plots of handshakes over bad networks.

use super::{Chart, Shape, owned};
use crate::results::Row;

/// The texts of a label, each once, in the order in which they come.
fn distinct(rows: &[&Row], label: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for row in rows {
        if !texts.iter().any(|text| text == row.label(label)) {
            texts.push(row.label(label).to_owned());
        }
    }
    texts
}

pub(super) fn network(rows: &[&Row]) -> Vec<Chart> {
    let mut charts = vec![failures(rows)];
    for exchanges in distinct(rows, "key exchanges") {
        let of: Vec<&Row> = rows
            .iter()
            .copied()
            .filter(|row| row.label("key exchanges") == exchanges)
            .collect();
        charts.push(latencies(&exchanges, &of));
    }
    charts
}

/// Who did not get through, by loss.
fn failures(rows: &[&Row]) -> Chart {
    let (exchanges, losses) = (distinct(rows, "key exchanges"), distinct(rows, "loss"));
    let failed = |exchanges: &String, loss: &String| {
        let of = rows
            .iter()
            .filter(|row| row.label("key exchanges") == exchanges && row.label("loss") == loss);
        of.filter_map(|row| row.value("established_percent"))
            .map(|established| 100.0 - established)
            .max_by(f64::total_cmp)
    };
    let figures = exchanges
        .iter()
        .map(|exchanges| losses.iter().map(|loss| failed(exchanges, loss)).collect())
        .collect();
    Chart {
        title: "Handshakes that failed, at the worst delay and size of packets".into(),
        caption: "A handshake has failed if there was no CHILD_SA when the responder had long forgotten who was half open.".into(),
        shape: Shape::Heat {
            columns: losses,
            lines: exchanges,
            figures,
            axes: ("loss", "key exchanges"),
            unit: "%",
        },
        rows: owned(rows),
    }
}

/// How long it took, by delay, size and loss.
fn latencies(exchanges: &str, rows: &[&Row]) -> Chart {
    let line = |row: &Row| format!("{}, MTU {}", row.label("delay"), row.label("MTU"));
    let losses = distinct(rows, "loss");
    let mut lines: Vec<String> = Vec::new();
    for row in rows {
        if !lines.contains(&line(row)) {
            lines.push(line(row));
        }
    }
    let figure = |name: &String, loss: &String| {
        let found = rows
            .iter()
            .find(|row| line(row) == *name && row.label("loss") == loss);
        found.and_then(|row| row.value("p95_ms"))
    };
    let figures = lines
        .iter()
        .map(|line| losses.iter().map(|loss| figure(line, loss)).collect())
        .collect();
    Chart {
        title: format!("{exchanges}: latency that 95 % did not exceed"),
        caption: "Delay is that of one direction; loss is of packets, so a message in many fragments is lost more often. A request \
                  is sent again after 4 s, then 7.2 s and so on, as strongSwan does."
            .into(),
        shape: Shape::Heat {
            columns: losses,
            lines,
            figures,
            axes: ("loss", "delay and MTU"),
            unit: "ms",
        },
        rows: owned(rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(delay: &str, loss: &str, p95: f64, established: f64) -> Row {
        Row::about([
            ("key exchanges", "x"),
            ("delay", delay),
            ("loss", loss),
            ("MTU", "1280"),
        ])
        .with("p95_ms", p95)
        .with("established_percent", established)
    }

    #[test]
    fn each_key_exchange_has_a_map_of_delay_by_loss() {
        let rows = [
            row("0 ms", "0 %", 1.0, 100.0),
            row("0 ms", "5 %", 2.0, 90.0),
            row("50 ms", "5 %", 3.0, 80.0),
        ];
        let charts = network(&rows.iter().collect::<Vec<_>>());
        assert_eq!(charts.len(), 2);
        let Shape::Heat { figures, .. } = &charts[0].shape else {
            panic!("no map")
        };
        assert_eq!(figures, &[vec![Some(0.0), Some(20.0)]]);
        let Shape::Heat { lines, figures, .. } = &charts[1].shape else {
            panic!("no map")
        };
        assert_eq!(lines, &["0 ms, MTU 1280", "50 ms, MTU 1280"]);
        assert_eq!(figures, &[vec![Some(1.0), Some(2.0)], vec![None, Some(3.0)]]);
    }
}
