//! Handshakes over bad networks: who gets through, and when.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use xtask::netns::Namespace;

use super::proposals::{HYBRID, TUNNEL2, proposal};
use super::{Measured, Scenario};
use crate::bench::Bench;
use crate::field::{Field, TRUSTING};
use crate::hosts::Kind;
use crate::library::Library;
use crate::load::{Generator, Load, Outcome};
use crate::relay::{Conditions, Relay};
use crate::results::Row;
use crate::stats::Samples;
use crate::tun;

const DEVICE: &str = "wan0";

/// Bits of the number of an initiator within its generator.
const PEERS: u32 = 18;

/// What is tried, all at once: who waits for a packet leaves the processor to others.
fn exchanges(quick: bool) -> Vec<String> {
    let additional = |keyword: &str| format!("x25519-ke1_{keyword}");
    if quick {
        return vec![
            "x25519".into(),
            HYBRID.into(),
            additional("kyber3"),
            TUNNEL2.into(),
        ];
    }
    let kems = [
        "mlkem768",
        "kyber3",
        "ntrup3",
        "saber3",
        "frodoa3",
        "bike3",
        "hqc3",
        "sike1",
        "sntrup761",
    ];
    let kems = kems.map(additional);
    ["x25519".to_owned()]
        .into_iter()
        .chain(kems)
        .chain([TUNNEL2.to_owned()])
        .collect()
}

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    delay: u64,
    loss: u32,
    mtu: usize,
}

impl Network {
    fn all(quick: bool) -> Vec<Self> {
        let (delays, losses, mtus) = if quick {
            (&[0, 50][..], &[0, 5][..], &[1280][..])
        } else {
            (&[0, 10, 50, 150][..], &[0, 1, 5, 10][..], &[1280, 1480, 1500][..])
        };
        let mut all = Vec::new();
        for mtu in mtus {
            for delay in delays {
                for loss in losses {
                    all.push(Self {
                        delay: *delay,
                        loss: *loss,
                        mtu: *mtu,
                    });
                }
            }
        }
        all
    }

    fn name(self) -> String {
        format!("delay {} ms, loss {} %, MTU {}", self.delay, self.loss, self.mtu)
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct NetworkScenario {
    library: Option<Library>,
}

impl Scenario for NetworkScenario {
    fn name(&self) -> &'static str {
        "network"
    }

    fn cells(&self, bench: &Bench) -> Vec<String> {
        Network::all(bench.quick).into_iter().map(Network::name).collect()
    }

    fn measure(&mut self, bench: &Bench, cell: &str, step: &dyn Fn(&str)) -> Result<Measured, String> {
        if self.library.is_none() {
            self.library = Some(Library::load(&bench.tree)?);
        }
        let library = self.library.as_ref().ok_or("no plugins")?;
        let networks = Network::all(bench.quick);
        let network = networks.into_iter().find(|network| network.name() == cell);
        let network = network.ok_or_else(|| format!("there is no cell {cell}"))?;
        handshakes(bench, library, network, step)
    }
}

fn handshakes(
    bench: &Bench,
    library: &Library,
    network: Network,
    step: &dyn Fn(&str),
) -> Result<Measured, String> {
    let exchanges = exchanges(bench.quick);
    let proposals: Vec<String> = exchanges.iter().map(|exchanges| proposal(exchanges)).collect();
    let each = bench.pick(10, 100);
    let (moon, carol) = (Arc::new(Namespace::new()?), Arc::new(Namespace::new()?));
    let device = |namespace: &Namespace, address: Ipv4Addr| {
        tun::open(namespace, DEVICE, &format!("{address}/24"), network.mtu)
    };
    let devices = [
        device(&moon, crate::field::MOON)?,
        device(&carol, crate::field::CAROL)?,
    ];
    // Where the responder's network is; its kernel-libipsec needs an address of it for routes.
    moon.ip("addr add 10.1.0.2/16 dev lo")?;
    // The first address is the field's own.
    let addresses: Vec<Ipv4Addr> = (1..=exchanges.len() as u32)
        .map(|index| Ipv4Addr::from(u32::from(crate::field::CAROL) + index))
        .collect();
    for address in &addresses {
        carol.ip(&format!("addr add {address}/24 dev {DEVICE}"))?;
    }
    let conditions = Conditions {
        delay: Duration::from_millis(network.delay),
        loss: network.loss,
    };
    let relay = Relay::start(devices, conditions, bench.seed);
    let settings = format!("{TRUSTING}\n fragment_size = {}", network.mtu);
    let field = Field::on(
        bench,
        &library.registry,
        Kind::Ours,
        &proposals,
        &settings,
        (moon, carol),
    )?;
    // A thread and an address for each, so that who waits for a slow key exchange is only who asked for it.
    let mut generators = Vec::new();
    for (index, address) in (0_u32..).zip(&addresses) {
        let numbered = (bench.seed + u64::from(index), (index + 1) << PEERS);
        generators.push(Generator::new(
            &library.registry,
            &field.carol,
            *address,
            crate::field::MOON,
            numbered,
        )?);
    }
    let interval = Duration::from_millis(20) * exchanges.len() as u32;
    let load = |proposal: &String| Load {
        total: each,
        slots: each,
        pace: interval,
        // The responder forgets who is half open after that time.
        patience: Duration::from_secs(30),
        fragment_size: network.mtu,
        time: Duration::MAX,
        proposal: proposal.clone(),
    };
    step(&format!("{} handshakes", each * exchanges.len()));
    let run = |(generator, proposal): (&mut Generator, &String)| -> Result<Outcome, String> {
        // A daemon that has just started has other things to do first.
        let first = Load {
            total: 1,
            ..load(proposal)
        };
        generator.run(bench, &first)?;
        generator.run(bench, &load(proposal))
    };
    let outcomes: Result<Vec<Outcome>, String> = std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = generators
            .iter_mut()
            .zip(&proposals)
            .map(|it| scope.spawn(move || run(it)))
            .collect();
        let panicked = |_| "a load generator panicked".to_owned();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(panicked)?)
            .collect()
    });
    let outcomes = outcomes?;
    drop(relay);
    let rows = exchanges.iter().zip(&outcomes).map(|(exchanges, outcome)| {
        let latencies = outcome.latencies();
        let total = outcome.handshakes.len().max(1) as f64;
        let established = outcome.handshakes.iter().filter(|it| it.latency.is_some());
        let packets = Samples::new(established.map(|it| it.packets as f64));
        Row::about([
            ("key exchanges", exchanges.as_str()),
            ("delay", &format!("{} ms", network.delay)),
            ("loss", &format!("{} %", network.loss)),
            ("MTU", &network.mtu.to_string()),
        ])
        .with("established_percent", 100.0 * latencies.len() as f64 / total)
        .with("p50_ms", latencies.percentile(50.0))
        .with("p95_ms", latencies.percentile(95.0))
        .with("p99_ms", latencies.percentile(99.0))
        .with("median_packets", packets.median())
        .with("handshakes", total)
    });
    Ok(rows.collect::<Vec<_>>().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_has_every_delay_with_every_loss_and_size() {
        let all = Network::all(false);
        assert_eq!(all.len(), 4 * 4 * 3);
        let mut names: Vec<String> = all.iter().map(|network| network.name()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len());
    }
}
