//! What strangers without a credential can make a responder do: send octets elsewhere, compute, write logs, turn clients away.
//!
//! Strangers and victims are namespaces of the run's own, and every stream is bounded in datagrams and in time.

mod kem_flood;
mod lock_out;
mod modp;
mod reflection;
mod refused;

use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use xtask::netns::Network;

use super::proposals::proposal;
use super::{Measured, Scenario};
use crate::bench::Bench;
use crate::field::Field;
use crate::hosts::{Kind, Options};
use crate::library::Library;
use crate::load::{Load, Outcome};
use crate::stats::Samples;

const REFLECTION: &str = "reflection";
const REFUSED: &str = "refused";
const KEM_FLOOD: &str = "kem-flood";
const LOCK_OUT: &str = "lock-out";
const MODP: &str = "modp";

/// The key exchanges with the longest messages: FrodoKEM-1344, and what strongSwan has instead.
pub(crate) const FRODO: &str = "x25519-ke1_frodoa5";
const ML_KEM: &str = "x25519-ke1_mlkem1024";

/// The time between the beginnings of two honest handshakes.
const PACE: Duration = Duration::from_millis(25);

/// When honest handshakes without strangers end, whatever came of them.
const LONGEST_IDLE: Duration = Duration::from_secs(20);

/// See the module.
#[derive(Default)]
pub(crate) struct Attacks {
    library: Option<Library>,
}

impl Scenario for Attacks {
    fn name(&self) -> &'static str {
        "attacks"
    }

    fn cells(&self, _bench: &Bench) -> Vec<String> {
        [REFLECTION, REFUSED, KEM_FLOOD, LOCK_OUT, MODP]
            .map(str::to_owned)
            .to_vec()
    }

    fn measure(&mut self, bench: &Bench, cell: &str, step: &dyn Fn(&str)) -> Result<Measured, String> {
        if self.library.is_none() {
            self.library = Some(Library::load(&bench.tree)?);
        }
        let library = self.library.as_ref().ok_or("no plugins")?;
        match cell {
            REFLECTION => reflection::measure(bench, library, step),
            REFUSED => refused::measure(bench, library, step),
            KEM_FLOOD => kem_flood::measure(bench, library, step),
            LOCK_OUT => lock_out::measure(bench, library, step),
            _ => modp::measure(bench, library, step),
        }
    }
}

/// The key exchanges with the longest messages that an implementation has.
fn longest(kind: Kind) -> &'static str {
    match kind {
        Kind::Ours => FRODO,
        Kind::StrongSwan { .. } => ML_KEM,
    }
}

/// A responder with these connections on hosts of its own.
fn field(
    bench: &Bench,
    library: &Library,
    kind: Kind,
    options: &Options,
    conf: &str,
) -> Result<Field, String> {
    let Network { moon, carol } = Network::new()?;
    let hosts = (Arc::new(moon), Arc::new(carol));
    Field::configured(bench, &library.registry, kind, options, conf, hosts)
}

/// Randomness of a cell.
fn random(bench: &Bench) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(bench.seed)
}

/// Handshakes of an honest client, one at a time and no faster than every `pace`.
fn honest(exchanges: &str, total: usize, pace: Duration) -> Load {
    Load {
        proposal: proposal(exchanges),
        total,
        slots: 1,
        pace,
        patience: Duration::from_secs(60),
        fragment_size: 1480,
        time: LONGEST_IDLE,
    }
}

/// Latencies of honest handshakes while there are no strangers.
fn idle(bench: &Bench, field: &mut Field, exchanges: &str, total: usize) -> Result<Samples, String> {
    let outcome = field
        .generator
        .run(bench, &honest(exchanges, total, PACE))?
        .all()?;
    if outcome.established() < total {
        return Err(format!(
            "without strangers, {} of {total} handshakes with {exchanges} were made within {} s",
            outcome.established(),
            LONGEST_IDLE.as_secs()
        ));
    }
    Ok(outcome.latencies())
}

/// Latencies in milliseconds. A handshake that was still under way counts with the time that it had taken so far.
fn waited(outcome: &Outcome) -> Samples {
    let latencies = outcome.handshakes.iter().filter_map(|it| it.latency);
    Samples::of_times(
        latencies.chain(outcome.unfinished.iter().copied()),
        Duration::from_millis(1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Handshake;

    #[test]
    fn a_handshake_that_is_under_way_counts_as_long_as_it_took() {
        let outcome = Outcome {
            handshakes: vec![Handshake {
                latency: Some(Duration::from_millis(2)),
                ..Handshake::default()
            }],
            unfinished: vec![Duration::from_secs(8)],
            ..Outcome::default()
        };
        assert_eq!(waited(&outcome).percentile(100.0), 8000.0);
        assert_eq!(outcome.latencies().percentile(100.0), 2.0);
    }
}
