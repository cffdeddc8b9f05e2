//! What the figures are to be, and what they are today: ratios within one run, and a few times that are so short that they are
//! goals by themselves.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use serde::Serialize;

use crate::results::{Row, Store};
use crate::scenarios::{FRODO, HYBRID};

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

/// How long a step with many connections takes.
fn reloaded(store: &Store, step: &str) -> Option<f64> {
    ratio(store, "reload", &[("step", step)], "daemon", "median_ms")
}

/// The largest figure of our rows of a cell of `attacks` that have these labels.
fn attack(store: &Store, measured: &str, labels: &[(&str, &str)], value: &str) -> Option<f64> {
    let labels = [&[("measured", measured), ("responder", "ours")], labels].concat();
    store
        .rows("attacks")
        .filter(|row| labels.iter().all(|(name, text)| row.label(name) == *text))
        .filter_map(|row| row.value(value))
        .max_by(f64::total_cmp)
}

fn reflected(store: &Store, repeated: &str) -> Option<f64> {
    attack(store, "reflection", &[("repeated", repeated)], "reflected_ratio")
}

fn refused(store: &Store, source: &str, value: &str) -> Option<f64> {
    attack(
        store,
        "refused",
        &[("connections", "1000"), ("source", source)],
        value,
    )
}

/// Of clients that do not use the key exchange of the strangers, or that do.
fn kem_flood(store: &Store, rate: &str, client: &str) -> Option<f64> {
    let labels = [
        ("strangers' key exchanges", FRODO),
        ("strangers a second", rate),
        ("client's key exchanges", client),
    ];
    attack(store, "kem-flood", &labels, "median_ratio")
}

/// Only if the responder answers at all.
fn chosen_group(store: &Store) -> Option<f64> {
    attack(store, "modp", &[("group", "x25519")], "accepted_percent").filter(|it| *it >= 100.0)?;
    let of = |group| attack(store, "modp", &[("group", group)], "responder_us");
    Some(of("modp8192")? / of("x25519")?)
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
        scenario: "reload",
        text: "start of a daemon with thousands of connections in ipsec.conf, beside strongSwan's",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: None,
        compares: true,
        figure: |store| reloaded(store, "start"),
    },
    Goal {
        scenario: "reload",
        text: "`ipsec reload` of thousands of connections, beside strongSwan's",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: None,
        compares: true,
        figure: |store| reloaded(store, "reload"),
    },
    Goal {
        scenario: "reload",
        text: "`ipsec update` of one of thousands of connections, beside strongSwan's",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: None,
        compares: true,
        figure: |store| reloaded(store, "update of one"),
    },
    Goal {
        scenario: "reload",
        text: "`ipsec stop` in the middle of a reload of thousands of connections, beside strongSwan's",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: None,
        compares: true,
        figure: |store| reloaded(store, "stop within a reload"),
    },
    Goal {
        scenario: "reload",
        text: "`swanctl --load-all` of thousands of connections, beside strongSwan's",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: None,
        compares: true,
        figure: |store| reloaded(store, "load"),
    },
    Goal {
        scenario: "reload",
        text: "`swanctl --load-all` of the same connections again, beside strongSwan's",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: None,
        compares: true,
        figure: |store| reloaded(store, "load the same"),
    },
    Goal {
        scenario: "reload",
        text: "`swanctl --load-all` that changes all CHILD_SAs, beside strongSwan's",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: None,
        compares: true,
        figure: |store| reloaded(store, "load changed CHILD_SAs"),
    },
    Goal {
        scenario: "reload",
        text: "`swanctl --load-all` that unloads all of them, beside strongSwan's",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: None,
        compares: true,
        figure: |store| reloaded(store, "unload"),
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
    Goal {
        scenario: "attacks",
        text: "octets to a victim for each octet in its name, one fragment of a request repeated",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: Some(Bound::AtMost(1.2)),
        compares: false,
        figure: |store| reflected(store, "one fragment"),
    },
    Goal {
        scenario: "attacks",
        text: "the same if the victim's address is claimed from the first IKE_INTERMEDIATE on",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: Some(Bound::AtMost(1.2)),
        compares: false,
        figure: |store| reflected(store, "one fragment, victim since IKE_INTERMEDIATE"),
    },
    Goal {
        scenario: "attacks",
        text: "the same for IKE_SA_INIT requests and whole messages, the worst",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: Some(Bound::AtMost(1.2)),
        compares: false,
        figure: |store| {
            let rest = [
                "IKE_SA_INIT, another address",
                "IKE_SA_INIT, another port",
                "all fragments",
            ];
            let figures: Option<Vec<f64>> = rest.iter().map(|it| reflected(store, it)).collect();
            figures?.into_iter().max_by(f64::total_cmp)
        },
    },
    Goal {
        scenario: "attacks",
        text: "processor time for an IKE_SA_INIT that none of 1,000 connections fits, from claimed addresses",
        unit: " µs",
        wanted: Bound::AtMost(20.0),
        asserted: Some(Bound::AtMost(60.0)),
        compares: false,
        figure: |store| refused(store, "claimed addresses", "responder_us"),
    },
    Goal {
        scenario: "attacks",
        text: "octets of log for an IKE_SA_INIT that none of 1,000 connections fits, from claimed addresses",
        unit: " octets",
        wanted: Bound::AtMost(200.0),
        asserted: Some(Bound::AtMost(400.0)),
        compares: false,
        figure: |store| refused(store, "claimed addresses", "log_octets"),
    },
    Goal {
        scenario: "attacks",
        text: "processor time for an IKE_SA_INIT that none of 1,000 connections fits, from one address that returns cookies",
        unit: " µs",
        wanted: Bound::AtMost(20.0),
        asserted: Some(Bound::AtMost(60.0)),
        compares: false,
        figure: |store| refused(store, "one address, returns cookies", "responder_us"),
    },
    Goal {
        scenario: "attacks",
        text: "octets of log for an IKE_SA_INIT that none of 1,000 connections fits, from one address that returns cookies",
        unit: " octets",
        wanted: Bound::AtMost(200.0),
        asserted: Some(Bound::AtMost(400.0)),
        compares: false,
        figure: |store| refused(store, "one address, returns cookies", "log_octets"),
    },
    Goal {
        scenario: "attacks",
        text: "latency of ML-KEM-768 beside that without strangers, who begin 43 FrodoKEM-1344 a second",
        unit: " ×",
        wanted: Bound::AtMost(2.0),
        asserted: Some(Bound::AtMost(4.0)),
        compares: false,
        figure: |store| kem_flood(store, "43", HYBRID),
    },
    Goal {
        scenario: "attacks",
        text: "latency of ML-KEM-768 beside that without strangers, who begin 500 FrodoKEM-1344 a second",
        unit: " ×",
        wanted: Bound::AtMost(2.0),
        asserted: Some(Bound::AtMost(8.0)),
        compares: false,
        figure: |store| kem_flood(store, "500", HYBRID),
    },
    Goal {
        scenario: "attacks",
        text: "latency of FrodoKEM-1344 beside that without strangers, who begin 43 of them a second",
        unit: " ×",
        wanted: Bound::AtMost(2.0),
        asserted: Some(Bound::AtMost(4.0)),
        compares: false,
        figure: |store| kem_flood(store, "43", FRODO),
    },
    Goal {
        scenario: "attacks",
        text: "latency of a client beside that without strangers, who claim its address",
        unit: " ×",
        wanted: Bound::AtMost(2.0),
        asserted: Some(Bound::AtMost(4.0)),
        compares: false,
        figure: |store| attack(store, "lock-out", &[], "median_ratio"),
    },
    Goal {
        scenario: "attacks",
        text: "handshakes completed by a client whose address strangers claim",
        unit: " %",
        wanted: Bound::AtLeast(100.0),
        asserted: Some(Bound::AtLeast(100.0)),
        compares: false,
        figure: |store| attack(store, "lock-out", &[], "completed_percent"),
    },
    Goal {
        scenario: "attacks",
        text: "processor time for a stranger's MODP_8192 beside that for x25519, defaults appended",
        unit: " ×",
        wanted: Bound::AtMost(1.0),
        asserted: Some(Bound::AtMost(2.0)),
        compares: false,
        figure: chosen_group,
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
