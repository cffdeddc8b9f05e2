//! Traffic through the data planes: ours, strongSwan's kernel-libipsec, WireGuard's in user space, and the bare cable.

mod iperf;
mod wireguard;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Pid;
use xtask::netns::{Namespace, Network};

use self::iperf::{Flow, Traffic};
use self::wireguard::Wireguard;
use super::pair::Pair;
use super::proposals::proposal;
use super::{Measured, Scenario};
use crate::bench::Bench;
use crate::field::TRUSTING;
use crate::results::Row;
use crate::stats::Samples;
use crate::usage;

const TCP: &str = "tcp";
const UDP: &str = "udp";
const REKEY: &str = "rekey during tcp";

/// Networks behind the hosts.
const INNER: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(10, 1, 0, 2), Ipv4Addr::new(10, 3, 0, 1));
const OUTER: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(192, 168, 0, 2), Ipv4Addr::new(192, 168, 0, 3));

/// See the module.
pub(crate) struct Tunnel;

/// Two hosts and what is between them.
enum Plane {
    Cable(Arc<Namespace>, Arc<Namespace>),
    Daemons(Box<Pair>),
    Wireguard(Wireguard),
}

impl Plane {
    /// The hosts, moon and carol, and their addresses.
    fn hosts(&self) -> (&Namespace, &Namespace, (Ipv4Addr, Ipv4Addr)) {
        match self {
            Self::Cable(moon, carol) => (moon, carol, OUTER),
            Self::Daemons(pair) => (&pair.moon.namespace, &pair.carol.namespace, INNER),
            Self::Wireguard(it) => (&it.network.moon, &it.network.carol, INNER),
        }
    }

    fn pids(&self) -> Option<[Pid; 2]> {
        match self {
            Self::Cable(..) => None,
            Self::Daemons(pair) => Some([pair.moon.pid(), pair.carol.pid()]),
            Self::Wireguard(it) => Some(it.pids()),
        }
    }
}

/// Data planes with their names, and what could not be had.
type Planes = (Vec<(String, Plane)>, Vec<String>);

/// All data planes that can be had here, up.
fn planes(bench: &Bench, step: &dyn Fn(&str)) -> Result<Planes, String> {
    let (mut planes, mut notes) = (Vec::new(), Vec::new());
    for kind in &bench.responders {
        step(&format!("starting two of {kind}"));
        let mut pair = Pair::new(bench, *kind, &proposal("x25519"), TRUSTING)?;
        pair.up()?;
        planes.push((kind.to_string(), Plane::Daemons(Box::new(pair))));
    }
    match Wireguard::start() {
        Ok(it) => {
            notes.push(format!("wireguard-go is {}", it.version));
            planes.push(("wireguard-go".to_owned(), Plane::Wireguard(it)));
        }
        Err(error) => notes.push(format!("wireguard-go is left out: {error}")),
    }
    notes.push("boringtun-cli is no package of Debian, and left out".to_owned());
    let Network { moon, carol } = Network::new()?;
    let cable = Plane::Cable(Arc::new(moon), Arc::new(carol));
    planes.push(("veth".to_owned(), cable));
    Ok((planes, notes))
}

impl Scenario for Tunnel {
    fn name(&self) -> &'static str {
        "tunnel"
    }

    fn cells(&self, _bench: &Bench) -> Vec<String> {
        [TCP, UDP, REKEY].map(str::to_owned).to_vec()
    }

    fn measure(&mut self, bench: &Bench, cell: &str, step: &dyn Fn(&str)) -> Result<Measured, String> {
        let (mut planes, notes) = planes(bench, step)?;
        let traffic = Traffic {
            udp: cell == UDP,
            time: Duration::from_secs(match cell {
                REKEY => bench.pick(4, 20),
                _ => bench.pick(2, 10),
            }),
        };
        if cell == REKEY {
            planes.retain(|(_, plane)| matches!(plane, Plane::Daemons(_)));
        }
        let rounds = bench.pick(2, 3);
        let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); planes.len()];
        for round in 1..=rounds {
            for ((name, plane), figures) in planes.iter_mut().zip(&mut figures) {
                bench.check()?;
                step(&format!("{name}, round {round} of {rounds}"));
                let one = one(plane, traffic, cell == REKEY);
                figures.push(one.map_err(|error| format!("{name}: {error}"))?);
            }
        }
        let rows = planes
            .iter()
            .zip(figures)
            .map(|((name, _), figures)| row(cell, name, &figures));
        Ok(Measured {
            rows: rows.collect(),
            notes,
        })
    }
}

/// What one flow took.
#[derive(Clone, Debug)]
struct Figures {
    flow: Flow,
    /// Of the data plane at the sender and at the receiver.
    busy: Option<[f64; 2]>,
}

fn one(plane: &mut Plane, traffic: Traffic, rekey: bool) -> Result<Figures, String> {
    let pids = plane.pids();
    let times = || -> Result<Option<[Duration; 2]>, String> {
        pids.map(|[moon, carol]| Ok([usage::processor_time(carol)?, usage::processor_time(moon)?]))
            .transpose()
    };
    let (moon, carol, addresses) = plane.hosts();
    let running = iperf::start(moon, carol, addresses, traffic)?;
    let before = times()?;
    if rekey && let Plane::Daemons(pair) = plane {
        // Once a second, but not while the flow begins or ends.
        for _ in 1..traffic.time.as_secs() {
            std::thread::sleep(Duration::from_secs(1));
            pair.rekey()?;
        }
    }
    let flow = running.finish()?;
    let used = before.zip(times()?);
    let busy = used.map(|(before, after)| {
        let busy =
            |at: usize| 100.0 * after[at].saturating_sub(before[at]).as_secs_f64() / flow.seconds.max(1e-9);
        [busy(0), busy(1)]
    });
    Ok(Figures { flow, busy })
}

fn row(cell: &str, name: &str, figures: &[Figures]) -> Row {
    let median = |of: &dyn Fn(&Figures) -> f64| Samples::new(figures.iter().map(of)).median();
    let rate = median(&|it| it.flow.mbit_s);
    let busy = |at: usize| median(&|it| it.busy.map_or(f64::NAN, |busy| busy[at]));
    Row::about([("traffic", cell), ("data plane", name)])
        .with("throughput_mbit_s", rate)
        .with(
            "packets_per_s",
            median(&|it| it.flow.packets_per_s.unwrap_or(f64::NAN)),
        )
        .with(
            "lost_percent",
            median(&|it| it.flow.lost_percent.unwrap_or(f64::NAN)),
        )
        .with(
            "retransmits",
            median(&|it| it.flow.retransmits.unwrap_or(f64::NAN)),
        )
        .with("slowest_interval_mbit_s", median(&|it| it.flow.slowest_mbit_s))
        .with("sender_cpu_percent", busy(0))
        .with("receiver_cpu_percent", busy(1))
        .with("rounds", figures.len() as f64)
}
