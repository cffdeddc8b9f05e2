//! What a responder with one processor bears: handshakes, established SAs, strangers.

use std::time::Duration;

use super::proposals::{HYBRID, offered_by, proposal};
use super::{Measured, Scenario};
use crate::bench::Bench;
use crate::field::{CAROL, Field, MOON, TRUSTING};
use crate::flood::{Flood, Rate};
use crate::hosts::Kind;
use crate::library::Library;
use crate::load::{Load, Outcome};
use crate::results::Row;
use crate::stats::Samples;
use crate::usage;

const RATE: &str = "rate ";
const MEMORY: &str = "memory";
const FLOOD: &str = "flood";

/// Up to how many SAs others are taken: their handshakes become slower with each.
const OTHERS_MOST: usize = 10_000;

/// Where strangers are the point: cookies as by default, and no limit for the one address of all who mean it.
const UNDER_FLOOD: &str = "block_threshold = 100000";

/// Handshakes of a round: some have more, and become slower the more they have, which is another figure.
const ROUND: usize = 250;

/// Strangers a second.
const STRANGERS: u64 = 50_000;

/// See the module.
#[derive(Default)]
pub(crate) struct Capacity {
    library: Option<Library>,
}

impl Scenario for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn cells(&self, _bench: &Bench) -> Vec<String> {
        let rates = ["x25519", HYBRID].map(|exchanges| format!("{RATE}{exchanges}"));
        let others = [MEMORY, FLOOD].map(str::to_owned);
        rates.into_iter().chain(others).collect()
    }

    fn measure(&mut self, bench: &Bench, cell: &str, step: &dyn Fn(&str)) -> Result<Measured, String> {
        if self.library.is_none() {
            self.library = Some(Library::load(&bench.tree)?);
        }
        let library = self.library.as_ref().ok_or("no plugins")?;
        match cell.strip_prefix(RATE) {
            Some(exchanges) => rate(bench, library, exchanges, step),
            None if cell == MEMORY => memory(bench, library, step),
            None => flood(bench, library, step),
        }
    }
}

fn load(proposal: &str, total: usize, slots: usize) -> Load {
    Load {
        proposal: proposal.to_owned(),
        total,
        slots,
        pace: Duration::ZERO,
        patience: Duration::from_secs(60),
        fragment_size: 1480,
        time: Duration::MAX,
    }
}

fn milliseconds(time: Duration, of: usize) -> f64 {
    time.as_secs_f64() * 1000.0 / of.max(1) as f64
}

/// Handshakes as fast as the responder takes them; each round has one that has just started.
fn rate(bench: &Bench, library: &Library, exchanges: &str, step: &dyn Fn(&str)) -> Result<Measured, String> {
    let rounds = bench.pick(3, 15);
    let offer = vec![proposal(exchanges)];
    let kinds = bench.responders.iter().copied();
    let kinds: Vec<Kind> = kinds.filter(|kind| offered_by(*kind, exchanges)).collect();
    let mut figures: Vec<Vec<(Outcome, Duration)>> = vec![Vec::new(); kinds.len()];
    for round in 1..=rounds {
        for (kind, figures) in kinds.iter().zip(&mut figures) {
            step(&format!("{kind}, round {round} of {rounds}"));
            let mut field = Field::new(bench, &library.registry, *kind, &offer, TRUSTING)?;
            let load = |total| load(&offer[0], total, 16);
            field.generator.run(bench, &load(20))?.all()?;
            let before = field.responder_time()?;
            let outcome = field.generator.run(bench, &load(ROUND))?.all()?;
            figures.push((outcome, field.responder_time()?.saturating_sub(before)));
        }
    }
    let rows = kinds.iter().zip(figures).map(|(kind, figures)| {
        let median = |of: &dyn Fn(&(Outcome, Duration)) -> f64| Samples::new(figures.iter().map(of)).median();
        let cost = median(&|(_, time)| milliseconds(*time, ROUND));
        Row::about([
            ("measured", "rate"),
            ("responder", &kind.to_string()),
            ("key exchanges", exchanges),
        ])
        .with("responder_cpu_ms", cost)
        .with(
            "initiator_cpu_ms",
            median(&|(it, _)| milliseconds(it.initiator_time, ROUND)),
        )
        .with("per_core_per_s", 1000.0 / cost)
        .with(
            "observed_per_s",
            median(&|(it, _)| ROUND as f64 / it.elapsed.as_secs_f64()),
        )
        .with(
            "responder_busy_percent",
            median(&|(it, time)| 100.0 * time.as_secs_f64() / it.elapsed.as_secs_f64()),
        )
        .with("handshakes", (rounds * ROUND) as f64)
    });
    let mut measured = Measured::from(rows.collect::<Vec<_>>());
    measured.notes.push(
        "handshakes per core are those in a second of the responder's time on a processor; those observed are also limited by \
         the initiators, and by what else the machine does"
            .into(),
    );
    Ok(measured)
}

/// Memory as SAs pile up, and what the last handshakes cost.
fn memory(bench: &Bench, library: &Library, step: &dyn Fn(&str)) -> Result<Measured, String> {
    let levels = bench.pick(&[500, 2_000][..], &[1_000, 10_000, 100_000][..]);
    let offer = vec![proposal("x25519")];
    let mut measured = Measured::default();
    for kind in &bench.responders {
        let mut field = Field::new(bench, &library.registry, *kind, &offer, TRUSTING)?;
        let load = |total| load(&offer[0], total, 16);
        // What is made once is not the SAs'.
        field.generator.run(bench, &load(50))?.all()?;
        let empty = usage::resident(field.daemon.pid())?;
        let mut made = 0;
        for level in levels {
            if *kind != Kind::Ours && *level > OTHERS_MOST {
                let note = format!("{kind} is measured up to {OTHERS_MOST} SAs");
                measured.notes.push(note);
                break;
            }
            step(&format!("{kind}, up to {level} SAs"));
            let more = level - made;
            let before = field.responder_time()?;
            let outcome = field.generator.run(bench, &load(more))?.all()?;
            let time = field.responder_time()?.saturating_sub(before);
            made = *level;
            let grown = usage::resident(field.daemon.pid())?.saturating_sub(empty);
            measured.rows.push(
                Row::about([("measured", "memory"), ("responder", &kind.to_string())])
                    .with("sas", *level as f64)
                    .with("memory_per_sa_kib", grown as f64 / 1024.0 / *level as f64)
                    .with("memory_mib", grown as f64 / 1_048_576.0)
                    .with("responder_cpu_ms", milliseconds(time, more))
                    .with("observed_per_s", more as f64 / outcome.elapsed.as_secs_f64()),
            );
        }
    }
    Ok(measured)
}

/// Handshakes of those who mean it, while strangers flood the responder.
fn flood(bench: &Bench, library: &Library, step: &dyn Fn(&str)) -> Result<Measured, String> {
    let total = bench.pick(100, 1_000);
    let offer = vec![proposal(HYBRID)];
    let mut measured = Measured::default();
    let kinds = bench.responders.iter().copied();
    for kind in kinds.filter(|kind| offered_by(*kind, HYBRID)) {
        for strangers in [0, STRANGERS] {
            let strangers_text = match strangers {
                0 => "no strangers",
                _ => "50,000 strangers a second",
            };
            step(&format!("{kind}, {strangers_text}"));
            let mut field = Field::new(bench, &library.registry, kind, &offer, UNDER_FLOOD)?;
            let mut load = load(&offer[0], total, total);
            load.pace = Duration::from_millis(20);
            load.patience = Duration::from_secs(30);
            let rate = Rate {
                per_second: strangers,
                most: strangers * 90,
                time: Duration::from_secs(90),
            };
            let message = field.generator.first_message(&load)?;
            let flood = match strangers {
                0 => None,
                _ => Some(Flood::start(&field.moon, MOON, &message, rate, bench.seed)?),
            };
            // It is at work before anybody else comes.
            while flood.as_ref().is_some_and(|flood| flood.sent() < STRANGERS / 2) {
                bench.check()?;
                std::thread::sleep(Duration::from_millis(5));
            }
            let before = field.responder_time()?;
            let outcome = field.generator.run(bench, &load)?;
            let time = field.responder_time()?.saturating_sub(before);
            let rate = flood.map_or(Ok(f64::NAN), Flood::finish)?;
            let latencies = outcome.latencies();
            measured.rows.push(
                Row::about([
                    ("measured", "flood"),
                    ("responder", &kind.to_string()),
                    ("key exchanges", HYBRID),
                    ("strangers", strangers_text),
                ])
                .with(
                    "completed_percent",
                    100.0 * outcome.established() as f64 / total as f64,
                )
                .with("latency_median_ms", latencies.median())
                .with("latency_p99_ms", latencies.percentile(99.0))
                .with("strangers_per_s", rate)
                .with(
                    "responder_busy_percent",
                    100.0 * time.as_secs_f64() / outcome.elapsed.as_secs_f64(),
                )
                .with("handshakes", total as f64),
            );
        }
    }
    measured.notes.push(format!(
        "handshakes begin every 20 ms from {CAROL} and fail after 30 s; strangers claim addresses of 198.18.0.0/15"
    ));
    Ok(measured)
}
