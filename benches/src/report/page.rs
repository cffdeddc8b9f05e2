//! The page.

use std::fmt::Write as _;

use super::charts::Chart;
use super::plot;
use crate::goals::{Judgement, number};
use crate::results::{Row, Run, Store, columns};

const STYLE: &str = include_str!("style.css");

/// Rows up to which a table is open from the beginning.
const OPEN: usize = 12;

/// A page in the making.
pub(crate) struct Page {
    html: String,
    contents: Vec<(String, &'static str)>,
    head: String,
}

/// What a scenario is called, and what it is.
fn about(scenario: &str) -> (&'static str, &'static str) {
    match scenario {
        "kem" => (
            "Key exchanges through the plugin boundary",
            "The daemon knows no algorithm: every key pair, encapsulation and decapsulation crosses the boundary of a plugin. \
             Here is what that costs beside the bare call of the library.",
        ),
        "startup" => (
            "Starting",
            "A daemon is of use once it answers. Every plugin is a library that is opened, checked against the boundary's \
             layout, and asked for its features.",
        ),
        "reload" => (
            "Thousands of connections",
            "5,000 connections, 1,000 in a quick run, are loaded, loaded again, changed and given up. Of ipsec.conf the time ends when charon has logged that \
             it has taken the last one, of swanctl.conf when swanctl ends. The stop is told when half of a reload is done.",
        ),
        "handshake" => (
            "One handshake",
            "IKE_SA_INIT, IKE_INTERMEDIATE for each additional key exchange, and IKE_AUTH with a CHILD_SA, one handshake after the \
             other, AES-256-GCM and PSK.",
        ),
        "capacity" => (
            "What a responder bears",
            "Many initiators at a time, against a responder that has one processor for itself.",
        ),
        "tunnel" => (
            "Traffic",
            "Data planes in user space: every packet passes a TUN device, is encrypted by the daemon, and leaves by its UDP socket.",
        ),
        "network" => (
            "Bad networks",
            "Many initiators at once over a network with delay and loss, which a relay between two TUN devices makes; the MTU is that \
             of the devices, and of IKE's fragments.",
        ),
        "attacks" => (
            "Attacks by strangers",
            "Strangers have no credential. They repeat requests in the name of a victim, send requests that have to be refused, \
             choose expensive key exchanges, and claim the addresses of clients. All of it stays within namespaces of the run.",
        ),
        _ => ("", ""),
    }
}

/// Text within HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A column's name without its unit, and the unit.
fn heading(column: &str) -> (String, &'static str) {
    const UNITS: [(&str, &str); 13] = [
        ("_ns", "ns"),
        ("_us", "µs"),
        ("_ms", "ms"),
        ("_kib", "KiB"),
        ("_mib", "MiB"),
        ("_octets", "octets"),
        ("_per_s", "1/s"),
        ("_mbit_s", "Mbit/s"),
        ("_percent", "%"),
        ("_s", "s"),
        ("_packets", "packets"),
        ("_fragments", "fragments"),
        ("_count", ""),
    ];
    for (suffix, unit) in UNITS {
        if let Some(name) = column.strip_suffix(suffix) {
            return (name.replace('_', " "), unit);
        }
    }
    (column.replace('_', " "), "")
}

fn table(rows: &[Row]) -> String {
    let (labels, values) = columns(rows.iter());
    let mut html = String::from("<table><thead><tr>");
    for label in &labels {
        let _ = write!(html, "<th>{}</th>", escape(label));
    }
    for value in &values {
        let (name, unit) = heading(value);
        let unit = if unit.is_empty() {
            String::new()
        } else {
            format!("<small>{unit}</small>")
        };
        let _ = write!(html, "<th class=n>{}{unit}</th>", escape(&name));
    }
    html += "</tr></thead><tbody>";
    for row in rows {
        html += "<tr>";
        for label in &labels {
            let _ = write!(html, "<td>{}</td>", escape(row.label(label)));
        }
        for value in &values {
            let text = row.value(value).map_or(String::from("–"), number);
            let _ = write!(html, "<td class=n>{text}</td>");
        }
        html += "</tr>";
    }
    html + "</tbody></table>"
}

fn folded(title: &str, rows: &[Row]) -> String {
    let open = if rows.len() <= OPEN { " open" } else { "" };
    format!(
        "<details{open}><summary>{} ({} rows)</summary><div class=scroll>{}</div></details>",
        escape(title),
        rows.len(),
        table(rows)
    )
}

impl Page {
    /// With what is known of the run.
    pub(crate) fn new(run: &Run) -> Self {
        let machine = &run.machine;
        let size = if run.quick {
            "quick run: few repetitions, a smoke test"
        } else {
            "full run"
        };
        let mut facts = vec![
            ("when", run.began.clone()),
            ("size", size.to_owned()),
            ("processor", format!("{} × {}", machine.cpus, machine.cpu)),
            ("instructions", machine.features.clone()),
            ("memory", format!("{} GiB", number(machine.memory_gib))),
            ("kernel", format!("Linux {}", machine.kernel)),
            ("load at the beginning", number(machine.load)),
            ("git revision", machine.revision.clone()),
            ("seed", run.seed.to_string()),
        ];
        facts.extend(
            machine
                .versions
                .iter()
                .map(|(name, version)| (name.as_str(), version.clone())),
        );
        let facts: String = facts
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(&text)))
            .collect();
        let head = format!(
            "<header><h1>pqswan benchmarks</h1><p>Figures of one run on one machine. Ratios within a cell are results: what is \
             compared was measured by turns. Single times depend on the machine and on what else it did.</p><dl>{facts}</dl></header>"
        );
        Self {
            html: String::new(),
            contents: Vec::new(),
            head,
        }
    }

    /// What is wanted, and what is.
    pub(crate) fn goals(&mut self, judgements: &[Judgement]) {
        if judgements.is_empty() {
            return;
        }
        self.contents.push(("goals".into(), "Goals"));
        self.html += "<section id=goals><h2>Goals</h2><p>What the figures are to be. <i>Asserted</i> is what the quick run fails \
                      without: what holds today, with a margin.</p><div class=scroll><table class=goals><thead><tr><th></th>\
                      <th>figure</th><th class=n>measured</th><th class=n>goal</th><th class=n>asserted</th></tr></thead><tbody>";
        for it in judgements {
            let (class, mark) = match (it.figure, it.met) {
                (None, _) => ("none", "not measured"),
                (_, true) => ("met", "met"),
                (_, false) => ("missed", "missed"),
            };
            let _ = write!(
                self.html,
                "<tr><td><span class=\"mark {class}\">{mark}</span></td><td>{} <small>{}</small></td><td class=n><b>{}</b></td>\
                 <td class=n>{}</td><td class=n>{}</td></tr>",
                escape(&it.text),
                escape(&it.scenario),
                escape(&it.figure_text),
                escape(&it.wanted),
                escape(&it.asserted)
            );
        }
        self.html += "</tbody></table></div></section>";
    }

    /// A scenario with its plots, each with its table.
    ///
    /// # Errors
    ///
    /// If a plot cannot be drawn.
    pub(crate) fn section(&mut self, scenario: &str, store: &Store, charts: &[Chart]) -> Result<(), String> {
        let (title, text) = about(scenario);
        self.contents.push((scenario.to_owned(), title));
        let _ = write!(
            self.html,
            "<section id={scenario}><h2>{}</h2><p>{text}</p>",
            escape(title)
        );
        for chart in charts {
            let _ = write!(
                self.html,
                "<figure><h3>{}</h3>{}<figcaption>{}</figcaption>{}</figure>",
                escape(&chart.title),
                plot::draw(chart)?,
                escape(&chart.caption),
                folded("Figures", &chart.rows)
            );
        }
        // The same note of several cells is said once.
        let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
        for cell in store.cells.iter().filter(|cell| cell.scenario == scenario) {
            let problem = cell
                .problem
                .iter()
                .map(|problem| format!("could not be measured: {problem}"));
            for note in problem.chain(cell.notes.iter().cloned()) {
                match notes.iter_mut().find(|(known, _)| *known == note) {
                    Some((_, cells)) => cells.push(&cell.cell),
                    None => notes.push((note, vec![&cell.cell])),
                }
            }
        }
        let notes: Vec<String> = notes
            .into_iter()
            .map(|(note, cells)| format!("<li><b>{}</b>: {}</li>", escape(&cells.join(", ")), escape(&note)))
            .collect();
        if !notes.is_empty() {
            let _ = write!(self.html, "<ul class=notes>{}</ul>", notes.concat());
        }
        let _ = write!(
            self.html,
            "<p class=files><a href=\"{scenario}.csv\">{scenario}.csv</a> · <a href=\"results.json\">results.json</a></p></section>"
        );
        Ok(())
    }

    /// The whole of it.
    pub(crate) fn finish(self) -> String {
        let contents: String = self
            .contents
            .iter()
            .map(|(id, title)| format!("<a href=\"#{id}\">{}</a>", escape(title)))
            .collect();
        format!(
            "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-\
             scale=1\"><title>pqswan benchmarks</title><style>{STYLE}</style></head><body>{}<nav>{contents}</nav>{}</body></html>\n",
            self.head, self.html
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_says_its_unit() {
        assert_eq!(heading("plugin_median_ns"), ("plugin median".into(), "ns"));
        assert_eq!(heading("handshakes_per_s"), ("handshakes".into(), "1/s"));
        assert_eq!(heading("rounds"), ("rounds".into(), ""));
    }

    #[test]
    fn a_table_has_a_dash_for_what_was_not_measured() {
        let rows = [
            Row::about([("who", "<a>")]).with("x_ms", 1500.0),
            Row::about([("who", "b")]),
        ];
        let html = table(&rows);
        assert!(html.contains("<td>&lt;a&gt;</td><td class=n>1,500</td>"));
        assert!(html.contains("<td>b</td><td class=n>–</td>"));
    }
}
