//! One handshake after the other: latency, time on a processor at both ends, and what goes over the wire.

use std::time::{Duration, Instant};

use super::pair::Pair;
use super::proposals::{self, HYBRID, proposal};
use super::{Measured, Scenario};
use crate::bench::Bench;
use crate::field::{Field, TRUSTING};
use crate::library::Library;
use crate::load::{Handshake, Load};
use crate::results::Row;
use crate::stats::Samples;
use crate::usage;

/// What cells of two daemons are called, before their key exchanges.
const DAEMONS: &str = "daemons ";

const MILLISECOND: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Default)]
pub(crate) struct HandshakeScenario {
    library: Option<Library>,
}

impl Scenario for HandshakeScenario {
    fn name(&self) -> &'static str {
        "handshake"
    }

    fn cells(&self, bench: &Bench) -> Vec<String> {
        let daemons = [HYBRID, "x25519"].map(|exchanges| format!("{DAEMONS}{exchanges}"));
        proposals::all(bench.quick).into_iter().chain(daemons).collect()
    }

    fn measure(&mut self, bench: &Bench, cell: &str, step: &dyn Fn(&str)) -> Result<Measured, String> {
        if let Some(exchanges) = cell.strip_prefix(DAEMONS) {
            return daemons(bench, exchanges, step);
        }
        if self.library.is_none() {
            self.library = Some(Library::load(&bench.tree)?);
        }
        let library = self.library.as_ref().ok_or("no plugins")?;
        generated(bench, library, cell, step)
    }
}

/// The load generator, one handshake at a time, with each responder that has the key exchanges.
fn generated(
    bench: &Bench,
    library: &Library,
    exchanges: &str,
    step: &dyn Fn(&str),
) -> Result<Measured, String> {
    let offer = vec![proposal(exchanges)];
    let kinds = bench.responders.iter().copied();
    let kinds: Vec<_> = kinds
        .filter(|kind| proposals::offered_by(*kind, exchanges))
        .collect();
    let mut fields = Vec::new();
    for kind in &kinds {
        step(&format!("starting {kind}"));
        fields.push(Field::new(bench, &library.registry, *kind, &offer, TRUSTING)?);
    }
    let load = |total| Load {
        proposal: proposal(exchanges),
        total,
        slots: 1,
        pace: Duration::ZERO,
        patience: Duration::from_secs(60),
        fragment_size: 1480,
        time: Duration::MAX,
    };
    // Both take their turns, so that whatever else goes on meets both alike.
    let (rounds, each) = bench.pick((4, 8), (20, 15));
    let mut figures = vec![(Vec::<Handshake>::new(), Duration::ZERO, Duration::ZERO); kinds.len()];
    for field in &mut fields {
        field.generator.run(bench, &load(3))?.all()?;
    }
    for round in 1..=rounds {
        for (field, (handshakes, initiator, responder)) in fields.iter_mut().zip(&mut figures) {
            step(&format!("{}, round {round} of {rounds}", field.daemon.kind));
            let before = field.responder_time()?;
            let outcome = field.generator.run(bench, &load(each))?.all()?;
            *responder += field.responder_time()?.saturating_sub(before);
            *initiator += outcome.initiator_time;
            handshakes.extend(outcome.handshakes);
        }
    }
    let rows = kinds
        .iter()
        .zip(figures)
        .map(|(kind, (handshakes, initiator, responder))| {
            let count = handshakes.len() as f64;
            let latencies = handshakes.iter().filter_map(|it| it.latency);
            let latencies = Samples::of_times(latencies, MILLISECOND);
            let middle = |of: fn(&Handshake) -> usize| {
                Samples::new(handshakes.iter().map(|it| of(it) as f64)).median()
            };
            Row::about([
                ("initiator", "generator"),
                ("responder", &kind.to_string()),
                ("key exchanges", exchanges),
            ])
            .with("latency_median_ms", latencies.median())
            .with("latency_p99_ms", latencies.percentile(99.0))
            .with("initiator_cpu_ms", initiator.as_secs_f64() * 1000.0 / count)
            .with("responder_cpu_ms", responder.as_secs_f64() * 1000.0 / count)
            .with("sent_packets", middle(|it| it.packets))
            .with("sent_octets", middle(|it| it.octets))
            .with("sent_fragments", middle(|it| it.fragments))
            .with("handshakes", count)
        });
    Ok(rows.collect::<Vec<_>>().into())
}

/// Two daemons of each kind, told by vici.
fn daemons(bench: &Bench, exchanges: &str, step: &dyn Fn(&str)) -> Result<Measured, String> {
    let kinds = bench.responders.iter().copied();
    let kinds: Vec<_> = kinds
        .filter(|kind| proposals::offered_by(*kind, exchanges))
        .collect();
    let mut pairs = Vec::new();
    for kind in &kinds {
        step(&format!("starting two of {kind}"));
        pairs.push(Pair::new(bench, *kind, &proposal(exchanges), TRUSTING)?);
    }
    let total = bench.pick(40, 400);
    let mut latencies = vec![Vec::new(); pairs.len()];
    let mut times = vec![[Duration::ZERO; 2]; pairs.len()];
    // The first two only warm up.
    for number in 0..total + 2 {
        bench.check()?;
        step(&format!("{number} of {total}"));
        for ((pair, latencies), times) in pairs.iter_mut().zip(&mut latencies).zip(&mut times) {
            let time = |pair: &Pair| -> Result<[Duration; 2], String> {
                Ok([
                    usage::processor_time(pair.carol.pid())?,
                    usage::processor_time(pair.moon.pid())?,
                ])
            };
            let before = time(pair)?;
            let began = Instant::now();
            pair.up()?;
            let latency = began.elapsed();
            let after = time(pair)?;
            if number >= 2 {
                latencies.push(latency);
                for (sum, (after, before)) in times.iter_mut().zip(after.into_iter().zip(before)) {
                    *sum += after.saturating_sub(before);
                }
            }
            pair.down()?;
        }
    }
    let rows = kinds
        .iter()
        .zip(latencies)
        .zip(times)
        .map(|((kind, latencies), times)| {
            let count = latencies.len() as f64;
            let latencies = Samples::of_times(latencies, MILLISECOND);
            Row::about([
                ("initiator", kind.to_string().as_str()),
                ("responder", &kind.to_string()),
                ("key exchanges", exchanges),
            ])
            .with("latency_median_ms", latencies.median())
            .with("latency_p99_ms", latencies.percentile(99.0))
            .with("initiator_cpu_ms", times[0].as_secs_f64() * 1000.0 / count)
            .with("responder_cpu_ms", times[1].as_secs_f64() * 1000.0 / count)
            .with("handshakes", count)
        });
    Ok(rows.collect::<Vec<_>>().into())
}
