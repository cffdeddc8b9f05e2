//! What the figures are to be, and what they are today: ratios within one run, and a few times that are so short that they are
//! goals by themselves.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use serde::Serialize;

use crate::results::{Row, Store};
use crate::scenarios::HYBRID;

/// A bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Bound {
    /// Whether a figure keeps it.
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }

    fn text(self, unit: &str) -> String {
        let (sign, bound) = match self {
            Self::AtMost(bound) => ("≤", bound),
            Self::AtLeast(bound) => ("≥", bound),
        };
        format!("{sign} {}{unit}", number(bound))
    }
}

/// A figure with as many digits as mean something.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    // Thousands apart.
    let (sign, text) = text
        .strip_prefix('-')
        .map_or(("", text.as_str()), |text| ("−", text));
    let mut out = String::from(sign);
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What is wanted of a figure, and what is asserted of it.
pub(crate) struct Goal {
    /// Its scenario.
    pub(crate) scenario: &'static str,
    /// What it is about.
    pub(crate) text: &'static str,
    unit: &'static str,
    /// What is wanted.
    wanted: Bound,
    /// What the quick run fails without: what holds today, with a margin for a busy machine.
    asserted: Option<Bound>,
    /// Whether it is a ratio to strongSwan, which need not take part.
    compares: bool,
    figure: fn(&Store) -> Option<f64>,
}

/// A goal beside its figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Judgement {
    /// The scenario that the figure is of.
    pub(crate) scenario: String,
    /// What it is about.
    pub(crate) text: String,
    /// The figure; nothing if it was not measured.
    pub(crate) figure: Option<f64>,
    /// The figure in words.
    pub(crate) figure_text: String,
    /// What is wanted, in words.
    pub(crate) wanted: String,
    /// Whether that is so.
    pub(crate) met: bool,
    /// What is asserted, in words.
    pub(crate) asserted: String,
    /// Whether the quick run may pass with this.
    pub(crate) acceptable: bool,
}

/// The row of a scenario that has these labels.
fn row<'a>(store: &'a Store, scenario: &str, labels: &[(&str, &str)]) -> Option<&'a Row> {
    store
        .rows(scenario)
        .find(|row| labels.iter().all(|(name, text)| row.label(name) == *text))
}

/// Whom ratios are of.
const THEIRS: &str = "strongswan-6.1.0";

/// What ours has of a figure, divided by what strongSwan has, where rows with these labels differ in `by`.
fn ratio(store: &Store, scenario: &str, labels: &[(&str, &str)], by: &str, value: &str) -> Option<f64> {
    let of = |who| row(store, scenario, &[labels, &[(by, who)]].concat())?.value(value);
    Some(of("ours")? / of(THEIRS)?)
}

fn rate(store: &Store, value: &str) -> Option<f64> {
    let labels = [("measured", "rate"), ("key exchanges", HYBRID)];
    ratio(store, "capacity", &labels, "responder", value)
}

fn memory(store: &Store) -> Option<f64> {
    let ours = store
        .rows("capacity")
        .filter(|row| row.label("measured") == "memory" && row.label("responder") == "ours");
    let largest =
        ours.max_by(|a, b| f64::total_cmp(&a.value("sas").unwrap_or(0.0), &b.value("sas").unwrap_or(0.0)))?;
    largest.value("memory_per_sa_kib")
}

/// Only if there really was a flood.
fn flood(store: &Store) -> Option<f64> {
    const LEAST: f64 = 40_000.0;
    let mut rows = store
        .rows("capacity")
        .filter(|row| row.label("measured") == "flood" && row.label("responder") == "ours");
    let flooded = rows.find(|row| row.value("strangers_per_s").is_some_and(|rate| rate >= LEAST))?;
    flooded.value("completed_percent")
}

fn throughput(store: &Store, plane: &str) -> Option<f64> {
    let labels = [("traffic", "tcp"), ("data plane", plane)];
    row(store, "tunnel", &labels)?.value("throughput_mbit_s")
}

fn wireguard(store: &Store) -> Option<f64> {
    Some(throughput(store, "ours")? / throughput(store, "wireguard-go")?)
}

/// The most that any operation of a fast method costs more through its plugin. Where one takes longer, a microsecond is less than
/// a hundredth, and cannot be told from noise.
fn boundary(store: &Store) -> Option<f64> {
    const FAST_NS: f64 = 100_000.0;
    store
        .rows("kem")
        .filter(|row| row.value("bare_median_ns").is_some_and(|bare| bare < FAST_NS))
        // Its secret key is the seed, and decapsulation makes the key again: what the plugin does, not what the boundary costs.
        .filter(|row| row.label("plugin") != "ml")
        .filter_map(|row| row.value("difference_ns"))
        .max_by(f64::total_cmp)
        .map(|most| most / 1000.0)
}

/// All goals. What is asserted leaves room for a machine that is busy with other things.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        scenario: "kem",
        text: "most that an operation costs more through a plugin than the bare call of its library",
        unit: " µs",
        wanted: Bound::AtMost(1.0),
        asserted: Some(Bound::AtMost(5.0)),
        compares: false,
        figure: boundary,
    },
    Goal {
        scenario: "startup",
        text: "from being executed until ready, full load list",
        unit: " ms",
        wanted: Bound::AtMost(20.0),
        asserted: Some(Bound::AtMost(100.0)),
        compares: false,
        figure: |store| {
            row(store, "startup", &[("daemon", "ours"), ("load list", "default")])?.value("median_ms")
        },
    },
    Goal {
        scenario: "handshake",
        text: "latency between two daemons, x25519 and ML-KEM-768, beside strongSwan's",
        unit: " ×",
        wanted: Bound::AtMost(0.5),
        asserted: Some(Bound::AtMost(0.8)),
        compares: true,
        figure: |store| {
            let pair = |kind| {
                let labels = [
                    ("initiator", kind),
                    ("responder", kind),
                    ("key exchanges", HYBRID),
                ];
                row(store, "handshake", &labels)?.value("latency_median_ms")
            };
            Some(pair("ours")? / pair(THEIRS)?)
        },
    },
    Goal {
        scenario: "capacity",
        text: "the responder's processor time for a handshake, x25519 and ML-KEM-768, beside strongSwan's",
        unit: " ×",
        wanted: Bound::AtMost(0.25),
        asserted: Some(Bound::AtMost(0.5)),
        compares: true,
        figure: |store| rate(store, "responder_cpu_ms"),
    },
    Goal {
        scenario: "capacity",
        text: "handshakes in a second of one processor, x25519 and ML-KEM-768, beside strongSwan's",
        unit: " ×",
        wanted: Bound::AtLeast(4.0),
        asserted: Some(Bound::AtLeast(2.0)),
        compares: true,
        figure: |store| rate(store, "per_core_per_s"),
    },
    Goal {
        scenario: "capacity",
        text: "memory of an IKE_SA with its CHILD_SA, of as many as were established",
        unit: " KiB",
        wanted: Bound::AtMost(4.0),
        asserted: Some(Bound::AtMost(6.0)),
        compares: false,
        figure: memory,
    },
    Goal {
        scenario: "capacity",
        text: "handshakes completed while 50,000 strangers a second begin others",
        unit: " %",
        wanted: Bound::AtLeast(99.0),
        asserted: Some(Bound::AtLeast(95.0)),
        compares: false,
        figure: flood,
    },
    Goal {
        scenario: "tunnel",
        text: "a stream of TCP beside strongSwan's kernel-libipsec",
        unit: " ×",
        wanted: Bound::AtLeast(5.0),
        asserted: Some(Bound::AtLeast(4.0)),
        compares: true,
        figure: |store| Some(throughput(store, "ours")? / throughput(store, THEIRS)?),
    },
    Goal {
        scenario: "tunnel",
        text: "a stream of TCP beside WireGuard in user space",
        unit: " ×",
        wanted: Bound::AtLeast(1.0),
        asserted: Some(Bound::AtLeast(1.2)),
        compares: false,
        figure: wireguard,
    },
];

/// Compares the figures of a run with the goals of the scenarios given.
pub(crate) fn judge(store: &Store, scenarios: &[&str]) -> Vec<Judgement> {
    let theirs = |row: &Row| row.labels.values().any(|text| text == THEIRS);
    let goals = GOALS
        .iter()
        .filter(|goal| scenarios.contains(&goal.scenario))
        .filter(|goal| !goal.compares || store.rows(goal.scenario).any(theirs));
    goals
        .map(|goal| {
            let figure = (goal.figure)(store).filter(|figure| figure.is_finite());
            let holds = |bound: Bound| figure.is_some_and(|figure| bound.holds(figure));
            Judgement {
                scenario: goal.scenario.to_owned(),
                text: goal.text.to_owned(),
                figure,
                figure_text: figure.map_or("not measured".to_owned(), |figure| {
                    format!("{}{}", number(figure), goal.unit)
                }),
                wanted: goal.wanted.text(goal.unit),
                met: holds(goal.wanted),
                asserted: goal
                    .asserted
                    .map_or("–".to_owned(), |bound| bound.text(goal.unit)),
                // A figure that is missing is no figure that holds.
                acceptable: goal.asserted.map_or(figure.is_some(), holds),
            }
        })
        .collect()
}

/// A table for a terminal.
pub(crate) fn table(judgements: &[Judgement]) -> String {
    let mut text = String::new();
    for it in judgements {
        let mark = match (it.met, it.acceptable) {
            (true, _) => "met   ",
            (false, true) => "missed",
            (false, false) => "FAILED",
        };
        let _ = writeln!(
            text,
            "{mark} {:<13} {:<10} asserted {:<10} {}: {}",
            it.figure_text, it.wanted, it.asserted, it.scenario, it.text
        );
    }
    text
}
