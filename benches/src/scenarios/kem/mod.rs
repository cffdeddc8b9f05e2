//! Key exchanges through the plugin boundary, beside the bare calls of the libraries behind it.
//!
//! Both are called by turns, so that whatever else the machine does meets both alike.

mod bare;

use std::time::{Duration, Instant};

use plugin_api::KeyExchange;

use self::bare::{Bare, Visit};
use super::{Measured, Scenario};
use crate::bench::Bench;
use crate::library::{Library, Method};
use crate::results::Row;
use crate::stats::Samples;

/// Those of the quick run, one of each family.
const QUICK: [&str; 7] = [
    "CURVE_25519",
    "ML_KEM_768",
    "KYBER_L3",
    "NTRU_HPS_L3",
    "SABER_L3",
    "FRODO_AES_L3",
    "SNTRUP_761",
];

/// The methods that are no KEM and still worth a comparison.
const GROUPS: [&str; 1] = ["CURVE_25519"];
const FAMILIES: [&str; 8] = [
    "ML_KEM_", "KYBER_", "NTRU_", "SABER_", "FRODO_", "BIKE_", "HQC_", "SIKE_",
];

const OPERATIONS: [&str; 3] = ["key pair", "encapsulation", "decapsulation"];

/// Bounds of the number of rounds, whatever a method takes.
const ROUNDS: (usize, usize) = (15, 20_000);

/// See the module.
#[derive(Default)]
pub(crate) struct KemScenario {
    library: Option<Library>,
}

impl KemScenario {
    fn library(&mut self, bench: &Bench) -> Result<&Library, String> {
        if self.library.is_none() {
            self.library = Some(Library::load(&bench.tree)?);
        }
        self.library.as_ref().ok_or_else(|| "no plugins".into())
    }
}

impl Scenario for KemScenario {
    fn name(&self) -> &'static str {
        "kem"
    }

    fn cells(&self, bench: &Bench) -> Vec<String> {
        if bench.quick {
            return QUICK.map(str::to_owned).to_vec();
        }
        // Loaded once more when the first cell is measured; it takes milliseconds.
        let methods = Library::load(&bench.tree).map(|library| library.methods);
        let mut names: Vec<String> = Vec::new();
        for method in methods.unwrap_or_default() {
            let kem = FAMILIES.iter().any(|family| method.name.starts_with(family))
                || GROUPS.contains(&method.name.as_str())
                || method.name.starts_with("SNTRUP");
            if kem && !names.contains(&method.name) {
                names.push(method.name);
            }
        }
        names
    }

    fn measure(&mut self, bench: &Bench, cell: &str, step: &dyn Fn(&str)) -> Result<Measured, String> {
        let budget = Duration::from_millis(bench.pick(400, 4_000));
        let library = self.library(bench)?;
        let mut measured = Measured::default();
        for method in library.methods.iter().filter(|method| method.name == cell) {
            bench.check()?;
            step(&format!("{} of {}", method.name, method.plugin));
            let compared = bare::visit(&method.plugin, &method.name, Compare { method, budget });
            let rows = match compared {
                Some(rows) => rows?,
                None => {
                    let plugin = &method.plugin;
                    let note = format!(
                        "the library behind {plugin} is linked into its plugin only: nothing to compare with"
                    );
                    measured.notes.push(note);
                    let times = alone(&*method.exchange, budget)
                        .map_err(|error| format!("{cell} of {plugin}: {error}"))?;
                    times.rows(method, "")
                }
            };
            measured.rows.extend(rows);
        }
        if measured.rows.is_empty() {
            return Err(format!(
                "no plugin has {cell}; the log of charon says why one was not loaded"
            ));
        }
        Ok(measured)
    }
}

/// Times of the three operations, through the plugin and bare, and what is on the wire.
#[derive(Default)]
struct Times {
    plugin: [Vec<Duration>; 3],
    bare: [Vec<Duration>; 3],
    octets: [usize; 3],
}

impl Times {
    fn rows(self, method: &Method, library: &str) -> Vec<Row> {
        let nanosecond = Duration::from_nanos(1);
        let columns = self.plugin.into_iter().zip(self.bare);
        let rows = columns.zip(OPERATIONS.into_iter().zip(self.octets));
        rows.map(|((plugin, bare), (operation, octets))| {
            // Of the rounds, each of which has both: what else the machine does in a round meets both.
            let pairs = plugin.iter().zip(&bare);
            let differences = pairs.map(|(plugin, bare)| plugin.as_nanos() as f64 - bare.as_nanos() as f64);
            let difference = Samples::new(differences).median();
            let plugin = Samples::of_times(plugin, nanosecond);
            let bare = Samples::of_times(bare, nanosecond);
            Row::about([
                ("method", &method.name),
                ("plugin", &method.plugin),
                ("library", library),
                ("operation", operation),
            ])
            .with("plugin_median_ns", plugin.median())
            .with("plugin_p99_ns", plugin.percentile(99.0))
            .with("bare_median_ns", bare.median())
            .with("bare_p99_ns", bare.percentile(99.0))
            .with("difference_ns", difference)
            .with("sent_octets", octets as f64)
            .with("rounds", plugin.len() as f64)
        })
        .collect()
    }
}

/// How long something takes, with what comes of it, which is not yet dropped.
fn timed<T>(times: &mut Vec<Duration>, run: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = std::hint::black_box(run());
    times.push(began.elapsed());
    result
}

/// One exchange through the plugin.
fn plugin_round(exchange: &dyn KeyExchange, times: &mut Times) -> Result<(), String> {
    let failed = |error: plugin_api::PluginError| error.to_string();
    let (public, pending) = timed(&mut times.plugin[0], || exchange.initiate()).map_err(failed)?;
    let (answer, shared) = timed(&mut times.plugin[1], || exchange.respond(&public)).map_err(failed)?;
    let finished = timed(&mut times.plugin[2], || pending.finish(&answer)).map_err(failed)?;
    if shared != finished {
        return Err("both ends have different secrets".into());
    }
    times.octets = [public.len(), answer.len(), 0];
    Ok(())
}

/// One exchange by the library alone.
fn bare_round<B: Bare>(bare: &B, times: &mut Times) -> Result<(), String> {
    let failed = || "the library failed".to_owned();
    let (public, secret) = timed(&mut times.bare[0], || bare.initiate()).ok_or_else(failed)?;
    let (answer, _) = timed(&mut times.bare[1], || bare.respond(public.as_ref())).ok_or_else(failed)?;
    timed(&mut times.bare[2], || bare.finish(secret, answer.as_ref()))
        .map(drop)
        .ok_or_else(failed)
}

/// Rounds until the time is up, within bounds, after one that only warms up.
fn rounds(
    budget: Duration,
    mut round: impl FnMut(usize, &mut Times) -> Result<(), String>,
) -> Result<Times, String> {
    round(0, &mut Times::default())?;
    let (mut times, began) = (Times::default(), Instant::now());
    for number in 0..ROUNDS.1 {
        if number >= ROUNDS.0 && began.elapsed() >= budget {
            break;
        }
        round(number, &mut times)?;
    }
    Ok(times)
}

fn alone(exchange: &dyn KeyExchange, budget: Duration) -> Result<Times, String> {
    rounds(budget, |_, times| plugin_round(exchange, times))
}

struct Compare<'a> {
    method: &'a Method,
    budget: Duration,
}

impl Visit for Compare<'_> {
    type Output = Result<Vec<Row>, String>;

    fn with<B: Bare>(self, library: &str, bare: &B) -> Self::Output {
        let exchange = &*self.method.exchange;
        let times = rounds(self.budget, |number, times| {
            // Who comes second may find caches that are warm.
            if number % 2 == 0 {
                plugin_round(exchange, times)?;
                bare_round(bare, times)
            } else {
                bare_round(bare, times)?;
                plugin_round(exchange, times)
            }
        });
        let named = |error| format!("{} of {}: {error}", self.method.name, self.method.plugin);
        Ok(times.map_err(named)?.rows(self.method, library))
    }
}
