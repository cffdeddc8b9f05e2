//! A client whose address strangers claimed in IKE_SA_INITs that they do not go on with.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::{honest, idle, random, waited};
use crate::bench::Bench;
use crate::field::{CAROL, Field, MOON};
use crate::library::Library;
use crate::results::Row;
use crate::scenarios::Measured;
use crate::scenarios::proposals::{HYBRID, offered_by, proposal};
use crate::stats::Samples;
use crate::strangers::{Approach, Offer, Strangers};

/// IKE_SA_INITs in the client's name before each of its handshakes.
const CLAIMS: u64 = 5;

/// How long a handshake may take; the first retransmission is after four seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time that the responder has for what strangers sent.
const LEAD: Duration = Duration::from_millis(100);

/// The time after which no further handshake begins.
const LONGEST: Duration = Duration::from_secs(12);

pub(super) fn measure(bench: &Bench, library: &Library, step: &dyn Fn(&str)) -> Result<Measured, String> {
    let rounds = bench.pick(10, 30);
    let mut measured = Measured::default();
    for kind in &bench.responders {
        if !offered_by(*kind, HYBRID) {
            continue;
        }
        step(&kind.to_string());
        let offered = [proposal(HYBRID)];
        let mut field = Field::new(bench, &library.registry, *kind, &offered, "")?;
        let idle = idle(bench, &mut field, HYBRID, rounds)?;
        let strangers = Strangers::new(&field.moon, MOON)?;
        let offer = Offer::new(&library.registry, &offered[0])?;
        let mut random = random(bench);
        let client = SocketAddrV4::new(CAROL, 500);
        let (mut latencies, mut established, mut tried) = (Vec::new(), 0, 0);
        let began = Instant::now();
        while tried < rounds && began.elapsed() < LONGEST {
            bench.check()?;
            for _ in 0..CLAIMS {
                strangers.send(client, Approach::new(&offer, &mut random)?.request())?;
            }
            std::thread::sleep(LEAD);
            let mut load = honest(HYBRID, 1, Duration::ZERO);
            load.time = PATIENCE;
            let outcome = field.generator.run(bench, &load)?;
            tried += 1;
            established += outcome.established();
            // One that was refused has no latency, and is missing among those that completed.
            latencies.extend(Some(waited(&outcome).median()).filter(|it| it.is_finite()));
        }
        let latencies = Samples::new(latencies);
        measured.rows.push(
            Row::about([("measured", super::LOCK_OUT), ("responder", &kind.to_string())])
                .with("idle_median_ms", idle.median())
                .with("idle_worst_ms", idle.percentile(100.0))
                .with("claimed_median_ms", latencies.median())
                .with("claimed_worst_ms", latencies.percentile(100.0))
                .with("median_ratio", latencies.median() / idle.median())
                .with("completed_percent", 100.0 * established as f64 / tried as f64)
                .with("handshakes", tried as f64),
        );
    }
    measured.notes.push(format!(
        "before each handshake, strangers send {CLAIMS} IKE_SA_INITs in the client's name; a handshake ends after {} s at the latest, \
         and counts with that time",
        PATIENCE.as_secs()
    ));
    Ok(measured)
}
