//! How long thousands of connections take to be loaded, loaded again, changed and given up, by either front end.

mod conf;
mod starter;

use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use xtask::netns::Namespace;
use xtask::peers::Peer;

use self::starter::Starter;
use super::{Measured, Scenario};
use crate::bench::Bench;
use crate::hosts::{Daemon, Kind, Options};
use crate::results::Row;
use crate::stats::Samples;

/// strongSwan's starter takes minutes for as many, because each connection is compared with all that are there.
const CONNECTIONS: u32 = 5000;
const FEW_CONNECTIONS: u32 = 1000;

/// Cells, by the file that the connections are in.
const IPSEC_CONF: &str = "ipsec.conf";
const SWANCTL_CONF: &str = "swanctl.conf";

/// See the module.
pub(crate) struct Reload;

/// What each step of a daemon took, by its name.
type Times = IndexMap<&'static str, Vec<Duration>>;

impl Scenario for Reload {
    fn name(&self) -> &'static str {
        "reload"
    }

    fn cells(&self, _bench: &Bench) -> Vec<String> {
        [IPSEC_CONF, SWANCTL_CONF].map(str::to_owned).into()
    }

    fn measure(&mut self, bench: &Bench, cell: &str, step: &dyn Fn(&str)) -> Result<Measured, String> {
        for kind in &bench.responders {
            // Not while time is measured.
            if let Kind::StrongSwan { suite, .. } = kind {
                step(&format!("fetching {kind}"));
                Peer::unpack_with_starter(suite)?;
            }
        }
        let rounds = match cell {
            IPSEC_CONF => 1,
            _ => bench.pick(1, 5),
        };
        let connections = bench.pick(FEW_CONNECTIONS, CONNECTIONS);
        let mut times: Vec<(Kind, Times)> = bench
            .responders
            .iter()
            .map(|kind| (*kind, Times::new()))
            .collect();
        // By turns, so that whatever else goes on meets all alike.
        for round in 1..=rounds {
            for (kind, times) in &mut times {
                let mut note = |name, took: Duration| times.entry(name).or_default().push(took);
                let mut next = |name: &str| {
                    step(&format!("{kind}, {name}, round {round} of {rounds}"));
                    bench.check()
                };
                match cell {
                    IPSEC_CONF => by_starter(bench, *kind, connections, &mut next, &mut note)?,
                    _ => by_swanctl(bench, *kind, connections, &mut next, &mut note)?,
                }
            }
        }
        let rows = times.iter().flat_map(|(kind, times)| {
            times.iter().map(|(step, times)| {
                let times = Samples::of_times(times.iter().copied(), Duration::from_millis(1));
                Row::about([("file", cell), ("step", *step), ("daemon", &kind.to_string())])
                    .with("connections", f64::from(connections))
                    .with("best_ms", times.percentile(0.0))
                    .with("median_ms", times.median())
                    .with("worst_ms", times.percentile(100.0))
                    .with("rounds", times.len() as f64)
            })
        });
        Ok(rows.collect::<Vec<_>>().into())
    }
}

/// Says what comes next, and fails once somebody has interrupted.
type Next<'a> = dyn FnMut(&str) -> Result<(), String> + 'a;
/// Keeps how long a step took.
type Note<'a> = dyn FnMut(&'static str, Duration) + 'a;

fn by_starter(
    bench: &Bench,
    kind: Kind,
    connections: u32,
    next: &mut Next<'_>,
    note: &mut Note<'_>,
) -> Result<(), String> {
    let all = connections as usize;
    let conf = conf::ipsec(connections, false);
    next("start")?;
    let began = Instant::now();
    let mut starter = Starter::start(bench, kind, &conf)?;
    starter.taken(all)?;
    note("start", began.elapsed());

    next("reload")?;
    let began = Instant::now();
    starter.reload()?;
    starter.taken(all)?;
    note("reload", began.elapsed());

    next("update of one")?;
    starter.write(&conf::ipsec(connections, true))?;
    let began = Instant::now();
    starter.update()?;
    starter.taken(1)?;
    note("update of one", began.elapsed());

    next("stop within a reload")?;
    starter.reload()?;
    starter.taken(all / 2)?;
    note("stop within a reload", starter.stop()?);
    Ok(())
}

fn by_swanctl(
    bench: &Bench,
    kind: Kind,
    connections: u32,
    next: &mut Next<'_>,
    note: &mut Note<'_>,
) -> Result<(), String> {
    let namespace = Arc::new(Namespace::new()?);
    let daemon = Daemon::start(bench, kind, &namespace, &Options::default())?;
    let conf = conf::swanctl(connections, false);
    let changed = conf::swanctl(connections, true);
    let none = conf::swanctl(0, false);
    for (name, conf) in [
        ("load", &conf),
        ("load the same", &conf),
        ("load changed CHILD_SAs", &changed),
        ("unload", &none),
    ] {
        next(name)?;
        daemon.write(conf)?;
        let began = Instant::now();
        let said = daemon.load(&[])?;
        note(name, began.elapsed());
        let expected = match name {
            "unload" => format!("no connections found, {connections} unloaded"),
            _ => format!("successfully loaded {connections} connections, 0 unloaded"),
        };
        if !said.contains(&expected) {
            let last = said.lines().next_back().unwrap_or_default();
            return Err(format!("{kind}: swanctl does not say '{expected}', but '{last}'"));
        }
    }
    Ok(())
}
