//! What is measured. A scenario has cells, each measured at a stretch and kept by itself.

pub(crate) mod attacks;
pub(crate) mod capacity;
pub(crate) mod handshake;
pub(crate) mod kem;
pub(crate) mod network;
mod pair;
mod proposals;
pub(crate) mod reload;
pub(crate) mod startup;
pub(crate) mod tunnel;

pub(crate) use self::attacks::FRODO;
pub(crate) use self::proposals::HYBRID;
use crate::bench::Bench;
use crate::results::Row;

/// What a cell gave.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// The figures.
    pub(crate) rows: Vec<Row>,
    /// What a reader has to know of them.
    pub(crate) notes: Vec<String>,
}

impl From<Vec<Row>> for Measured {
    fn from(rows: Vec<Row>) -> Self {
        Self {
            rows,
            notes: Vec::new(),
        }
    }
}

/// One kind of measurement.
pub(crate) trait Scenario {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// The names of its cells, in the order in which they are measured.
    fn cells(&self, bench: &Bench) -> Vec<String>;

    /// Measures one. `step` tells whoever watches what goes on.
    ///
    /// # Errors
    ///
    /// If it could not be measured, with what to do about it.
    fn measure(&mut self, bench: &Bench, cell: &str, step: &dyn Fn(&str)) -> Result<Measured, String>;
}

/// All scenarios, in the order in which they run.
pub(crate) fn all() -> Vec<Box<dyn Scenario>> {
    vec![
        Box::new(kem::KemScenario::default()),
        Box::new(startup::Startup),
        Box::new(reload::Reload),
        Box::new(handshake::HandshakeScenario::default()),
        Box::new(capacity::Capacity::default()),
        Box::new(tunnel::Tunnel),
        Box::new(network::NetworkScenario::default()),
        Box::new(attacks::Attacks::default()),
    ]
}
