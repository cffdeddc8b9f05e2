//! How long a daemon takes from being executed until it answers, with more and more plugins.

use std::sync::Arc;
use std::time::Duration;

use daemon::plugins::DEFAULT_LOAD;
use xtask::netns::Namespace;

use super::{Measured, Scenario};
use crate::bench::Bench;
use crate::hosts::{Daemon, Kind, Options};
use crate::results::Row;
use crate::stats::Samples;
use crate::usage;

/// What a daemon cannot do without, and vici, by which it answers.
const LEAST: &str = "sha1 random nonce kernel-netlink kernel-libipsec socket-default vici";
/// And what a usual handshake needs.
const USUAL: &str = "aws-lc sha1 random nonce ml kernel-netlink kernel-libipsec socket-default vici updown";

/// See the module.
pub(crate) struct Startup;

fn lists(kind: Kind) -> Vec<(&'static str, Option<String>)> {
    match kind {
        Kind::Ours => vec![
            ("least", Some(LEAST.into())),
            ("usual", Some(USUAL.into())),
            ("default", Some(DEFAULT_LOAD.into())),
            ("default and sike", None),
        ],
        Kind::StrongSwan { .. } => vec![("default", None)],
    }
}

impl Scenario for Startup {
    fn name(&self) -> &'static str {
        "startup"
    }

    fn cells(&self, _bench: &Bench) -> Vec<String> {
        vec!["ready".into()]
    }

    fn measure(&mut self, bench: &Bench, _cell: &str, step: &dyn Fn(&str)) -> Result<Measured, String> {
        let rounds = bench.pick(7, 40);
        let of = |kind: Kind| {
            lists(kind)
                .into_iter()
                .map(move |(name, load)| (kind, name, load))
        };
        let variants: Vec<_> = bench.responders.iter().copied().flat_map(of).collect();
        let mut times: Vec<Vec<(Duration, Duration)>> = vec![Vec::new(); variants.len()];
        // By turns, so that whatever else goes on meets all alike; the first round reads files into memory.
        for round in 0..=rounds {
            for ((kind, name, load), times) in variants.iter().zip(&mut times) {
                bench.check()?;
                step(&format!("{kind}, {name}, round {round} of {rounds}"));
                let namespace = Arc::new(Namespace::new()?);
                let options = Options {
                    load: load.clone(),
                    ..Options::default()
                };
                let daemon = Daemon::start(bench, *kind, &namespace, &options)?;
                if round > 0 {
                    times.push((daemon.ready, usage::processor_time(daemon.pid())?));
                }
            }
        }
        let rows = variants.iter().zip(times).map(|((kind, name, load), times)| {
            let millisecond = Duration::from_millis(1);
            let used = Samples::of_times(times.iter().map(|(_, used)| *used), millisecond);
            let times = Samples::of_times(times.iter().map(|(ready, _)| *ready), millisecond);
            let plugins = load
                .as_ref()
                .map_or(f64::NAN, |load| load.split_whitespace().count() as f64);
            Row::about([("daemon", &kind.to_string()), ("load list", name)])
                .with("plugins", plugins)
                .with("best_ms", times.percentile(0.0))
                .with("median_ms", times.median())
                .with("p99_ms", times.percentile(99.0))
                .with("median_cpu_ms", used.median())
                .with("rounds", times.len() as f64)
        });
        Ok(rows.collect::<Vec<_>>().into())
    }
}
