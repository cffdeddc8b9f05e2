//! Honest handshakes while strangers make the responder compute the most expensive key exchange that it has.
//!
//! Each stranger has a real address, returns its cookie, and goes as far as IKE_INTERMEDIATE. None authenticates.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use iana::ExchangeType;
use rand_chacha::ChaCha8Rng;
use wire::payload::Payload;

use super::{FRODO, ML_KEM, PACE, honest, idle, random, waited};
use crate::bench::Bench;
use crate::field::{Field, MOON};
use crate::hosts::Kind;
use crate::library::Library;
use crate::load::Outcome;
use crate::results::Row;
use crate::scenarios::Measured;
use crate::scenarios::proposals::{HYBRID, offered_by, proposal};
use crate::stats::Samples;
use crate::strangers::{Answer, Approach, Offer, Strangers, claimed};

/// Addresses of the strangers, all in one network.
const ADDRESSES: u64 = 2_000;

/// IKE_SAs that strangers begin in a second. The second rate is more than one processor answers with FrodoKEM-1344.
const RATES: [u64; 2] = [43, 500];

/// Content of a fragment in octets.
const FRAGMENT: usize = 1_300;

/// Where the exchange type is in a message.
const EXCHANGE: usize = 18;

pub(super) fn measure(bench: &Bench, library: &Library, step: &dyn Fn(&str)) -> Result<Measured, String> {
    let idle_total = bench.pick(30, 200);
    let lead = Duration::from_millis(bench.pick(500, 2_000));
    let time = Duration::from_secs(bench.pick(2, 8));
    let mut measured = Measured::default();
    for kind in &bench.responders {
        for exchanges in floods(*kind, bench.quick) {
            if !offered_by(*kind, HYBRID) || !offered_by(*kind, exchanges) {
                continue;
            }
            for rate in RATES {
                bench.check()?;
                step(&format!("{kind}, {exchanges}, {rate} a second"));
                let offered = [HYBRID, exchanges].map(proposal);
                let mut field = Field::new(bench, &library.registry, *kind, &offered, "")?;
                let clients = [HYBRID, exchanges];
                let mut without = Vec::new();
                for client in clients {
                    without.push(idle(bench, &mut field, client, idle_total)?);
                }
                let strangers = Strangers::new(&field.moon, MOON)?;
                let offer = Offer::new(&library.registry, &offered[1])?;
                let longest = lead + 2 * time;
                let most = rate * longest.as_secs().max(1);
                let flood = Flood::start(strangers, offer, (rate, most, longest), random(bench))?;
                // It is at work before the client comes.
                std::thread::sleep(lead);
                let mut rows = Vec::new();
                for (client, idle) in clients.into_iter().zip(&without) {
                    let before = field.responder_time()?;
                    let mut load = honest(client, usize::MAX, PACE);
                    load.time = time;
                    let outcome = field.generator.run(bench, &load)?;
                    let busy = field.responder_time()?.saturating_sub(before);
                    rows.push(row((*kind, exchanges, rate), client, idle, &outcome, busy));
                }
                let counts = flood.finish()?;
                measured
                    .rows
                    .extend(rows.into_iter().map(|row| counts.add_to(row)));
            }
        }
    }
    measured.notes.push(format!(
        "honest handshakes begin one at a time, at most every {} ms, with one key exchange after the other for {} s each; those under \
         way at the end count with the time that they had taken; strangers have {ADDRESSES} addresses",
        PACE.as_millis(),
        time.as_secs()
    ));
    Ok(measured)
}

/// What strangers use against an implementation.
fn floods(kind: Kind, quick: bool) -> &'static [&'static str] {
    match kind {
        Kind::Ours if quick => &[FRODO],
        Kind::Ours => &[FRODO, ML_KEM],
        Kind::StrongSwan { .. } => &[ML_KEM],
    }
}

fn row(
    (kind, exchanges, rate): (Kind, &str, u64),
    client: &str,
    idle: &Samples,
    outcome: &Outcome,
    busy: Duration,
) -> Row {
    let waited = waited(outcome);
    let begun = outcome.handshakes.len() + outcome.unfinished.len();
    Row::about([
        ("measured", super::KEM_FLOOD),
        ("responder", &kind.to_string()),
        ("strangers' key exchanges", exchanges),
        ("strangers a second", &rate.to_string()),
        ("client's key exchanges", client),
    ])
    .with("idle_median_ms", idle.median())
    .with("idle_worst_ms", idle.percentile(100.0))
    .with("flooded_median_ms", waited.median())
    .with("flooded_worst_ms", waited.percentile(100.0))
    .with("median_ratio", waited.median() / idle.median())
    .with(
        "completed_percent",
        100.0 * outcome.established() as f64 / begun as f64,
    )
    .with("handshakes", begun as f64)
    .with(
        "responder_busy_percent",
        100.0 * busy.as_secs_f64() / outcome.elapsed.as_secs_f64(),
    )
}

/// How far the strangers came.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    begun: u64,
    cookies: u64,
    accepted: u64,
    answered: u64,
}

impl Counts {
    fn add_to(self, row: Row) -> Row {
        row.with("strangers_begun", self.begun as f64)
            .with("strangers_cookies", self.cookies as f64)
            .with("strangers_accepted", self.accepted as f64)
            .with("strangers_answered", self.answered as f64)
    }
}

/// Strangers at work. They end with this.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Counts, String>>>,
}

impl Flood {
    /// Begins so many IKE_SAs a second, up to so many in all and for no longer than the time.
    fn start(
        strangers: Strangers,
        offer: Arc<Offer>,
        bounds: (u64, u64, Duration),
        random: ChaCha8Rng,
    ) -> Result<Self, String> {
        // A responder does not see that strangers share it.
        let public = offer.additional()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || run(&strangers, &offer, &public, bounds, random, &stopped));
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// If it failed.
    fn finish(mut self) -> Result<Counts, String> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err("the strangers' thread panicked".into()),
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    strangers: &Strangers,
    offer: &Arc<Offer>,
    public: &Payload,
    (rate, most, time): (u64, u64, Duration),
    mut random: ChaCha8Rng,
    stop: &AtomicBool,
) -> Result<Counts, String> {
    let mut counts = Counts::default();
    // By the SPI, with whether IKE_INTERMEDIATE has been sent.
    let mut approaches: BTreeMap<u64, (SocketAddrV4, Approach, bool)> = BTreeMap::new();
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) && began.elapsed() < time {
        let due = ((began.elapsed().as_secs_f64() * rate as f64) as u64).min(most);
        while counts.begun < due {
            let from = SocketAddrV4::new(claimed((counts.begun % ADDRESSES) as u32 + 1), 500);
            let approach = Approach::new(offer, &mut random)?;
            strangers.send(from, approach.request())?;
            approaches.insert(approach.spi(), (from, approach, false));
            counts.begun += 1;
        }
        let mut patience = Duration::from_millis(1);
        while let Some(octets) = strangers.receive(patience)? {
            patience = Duration::ZERO;
            let spi = octets.first_chunk().map_or(0, |spi| u64::from_be_bytes(*spi));
            if octets.get(EXCHANGE) == Some(&ExchangeType::IKE_INTERMEDIATE.0) {
                // Its first fragment; the others find nothing.
                counts.answered += u64::from(approaches.remove(&spi).is_some());
                continue;
            }
            let Some((from, approach, sent)) = approaches.get_mut(&spi) else {
                continue;
            };
            match approach.answered(&octets) {
                Some(Answer::Cookie) => {
                    counts.cookies += 1;
                    strangers.send(*from, approach.request())?;
                }
                Some(Answer::Accepted) if !*sent => {
                    counts.accepted += 1;
                    *sent = true;
                    for fragment in approach.intermediate(public.clone(), FRAGMENT, FRAGMENT)? {
                        strangers.send(*from, &fragment)?;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(counts)
}
