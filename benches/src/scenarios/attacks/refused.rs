//! What an IKE_SA_INIT costs a responder that has to refuse it, by the number of its connections.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use super::{field, random};
use crate::bench::Bench;
use crate::field::{Field, MOON};
use crate::hosts::Options;
use crate::library::Library;
use crate::results::Row;
use crate::scenarios::Measured;
use crate::strangers::{Answer, Approach, Offer, Strangers, claimed};

/// A proposal that no connection has; its IKE_SA_INIT has 148 octets.
const PROPOSAL: &str = "3des-sha1-x25519";
const X25519: usize = 32;

/// Datagrams that are sent without a pause. The responder's socket has room for them.
const BURST: u64 = 64;

/// The time that a burst may take the responder.
const BURST_TIME: Duration = Duration::from_millis(500);

/// How often it is looked whether the responder is done: it is after so many looks in which it used less than this processor time.
/// The kernel brings the counter of a running thread up to date no more often than every 10 ms.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS: u32 = 6;
const IDLE: Duration = Duration::from_micros(50);

/// The log of both implementations as it is without configuration.
const LOG_LEVEL: i8 = 1;

/// What came of a stream.
#[derive(Debug, Default)]
struct Stream {
    datagrams: u64,
    answers: u64,
    cookies: u64,
    refused: u64,
    octets: u64,
    time: Duration,
    log: u64,
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Each datagram claims another address.
    Claimed,
    /// One address, which returns the cookies that it gets.
    Real,
}

impl Source {
    fn text(self) -> &'static str {
        match self {
            Self::Claimed => "claimed addresses",
            Self::Real => "one address, returns cookies",
        }
    }
}

pub(super) fn measure(bench: &Bench, library: &Library, step: &dyn Fn(&str)) -> Result<Measured, String> {
    let mut measured = Measured::default();
    let counts = bench.pick(&[1, 1_000][..], &[1, 100, 1_000][..]);
    let time = bench.pick(Duration::from_millis(1_500), Duration::from_secs(8));
    let most = bench.pick(1_024, 4_096);
    let options = Options {
        log_level: LOG_LEVEL,
        ..Options::default()
    };
    for count in counts {
        for kind in &bench.responders {
            for source in [Source::Claimed, Source::Real] {
                bench.check()?;
                step(&format!("{kind}, {count} connections, {}", source.text()));
                let field = field(bench, library, *kind, &options, &conf(*count))?;
                let strangers = Strangers::new(&field.moon, MOON)?;
                let ends = (&field, &strangers);
                let offer = Offer::new(&library.registry, PROPOSAL)?;
                let mut random = random(bench);
                // What is made once is not the datagrams'.
                stream(bench, ends, &offer, source, (BURST, time), &mut random)?;
                let stream = stream(bench, ends, &offer, source, (most, time), &mut random)?;
                let each = |figure: f64| figure / stream.datagrams as f64;
                measured.rows.push(
                    Row::about([
                        ("measured", super::REFUSED),
                        ("responder", &kind.to_string()),
                        ("connections", &count.to_string()),
                        ("source", source.text()),
                    ])
                    .with("responder_us", each(stream.time.as_secs_f64() * 1e6))
                    .with("log_octets", each(stream.log as f64))
                    .with("datagram_octets", each(stream.octets as f64))
                    .with("answered_percent", 100.0 * each(stream.answers as f64))
                    .with("cookies_percent", 100.0 * each(stream.cookies as f64))
                    .with("refused_percent", 100.0 * each(stream.refused as f64))
                    .with("datagrams", stream.datagrams as f64),
                );
            }
        }
    }
    measured.notes.push(format!(
        "figures are for one datagram, cookies that are returned included; the log is on at level {LOG_LEVEL}, the default, and its time is part of the responder's; {BURST} \
         datagrams at a time, the next when the responder is idle; connections accept any address and differ in identities and \
         in one of 24 proposals; lines that a responder drops \
         because its log is too slow are not counted"
    ));
    Ok(measured)
}

/// Connections between any addresses. None has the proposal of the requests.
fn conf(count: usize) -> String {
    let mut conf = String::from("connections {\n");
    for n in 0..count {
        let _ = write!(
            conf,
            " gw{n} {{\n  version = 2\n  local_addrs = %any\n  remote_addrs = %any\n  proposals = {}\n  local {{\n   auth = psk\n   id = \
             gw.pqswan.example\n  }}\n  remote {{\n   auth = psk\n   id = rw-{n}.pqswan.example\n  }}\n  children {{\n   net {{\n    \
             local_ts = 10.1.0.0/16\n   }}\n  }}\n }}\n",
            proposal(n)
        );
    }
    conf + "}\n"
}

/// The n-th of 24 proposals.
fn proposal(n: usize) -> String {
    let encryption = ["aes128gcm16", "aes256gcm16"][n % 2];
    let prf = ["sha256", "sha384", "sha512"][n / 2 % 3];
    let exchange = ["x25519", "ecp256", "ecp384", "modp3072"][n / 6 % 4];
    format!("{encryption}-{prf}-{exchange}")
}

/// Sends up to so many datagrams for no longer than the time.
fn stream(
    bench: &Bench,
    (field, strangers): (&Field, &Strangers),
    offer: &Arc<Offer>,
    source: Source,
    (most, time): (u64, Duration),
    random: &mut ChaCha8Rng,
) -> Result<Stream, String> {
    let mut stream = Stream::default();
    let mut waiting: BTreeMap<u64, (SocketAddrV4, Approach)> = BTreeMap::new();
    let began = Instant::now();
    let log = settled_log(field)?;
    let before = field.responder_time()?;
    let mut busy = before;
    while stream.datagrams < most && began.elapsed() < time {
        bench.check()?;
        waiting.clear();
        for _ in 0..BURST {
            let address = match source {
                Source::Claimed => claimed(random.next_u32()),
                Source::Real => claimed(1),
            };
            let from = SocketAddrV4::new(address, 500);
            let approach = Approach::random(offer, random, X25519);
            strangers.send(from, approach.request())?;
            stream.sent(approach.request());
            waiting.insert(approach.spi(), (from, approach));
        }
        let burst = Instant::now();
        let mut quiet = 0;
        while quiet < LOOKS && burst.elapsed() < BURST_TIME {
            std::thread::sleep(LOOK);
            let heard = stream.answers_to(strangers, &mut waiting, source)?;
            let now = field.responder_time()?;
            let idle = now.saturating_sub(busy) < IDLE && !heard;
            quiet = if idle { quiet + 1 } else { 0 };
            busy = now;
        }
    }
    stream.time = field.responder_time()?.saturating_sub(before);
    stream.log = settled_log(field)?.saturating_sub(log);
    Ok(stream)
}

impl Stream {
    fn sent(&mut self, request: &[u8]) {
        self.datagrams += 1;
        self.octets += request.len() as u64;
    }

    /// Counts answers, and returns cookies. Whether there was an answer.
    fn answers_to(
        &mut self,
        strangers: &Strangers,
        waiting: &mut BTreeMap<u64, (SocketAddrV4, Approach)>,
        source: Source,
    ) -> Result<bool, String> {
        let mut heard = false;
        while let Some(octets) = strangers.receive(Duration::ZERO)? {
            let spi = octets.first_chunk().map_or(0, |spi| u64::from_be_bytes(*spi));
            let Some((from, approach)) = waiting.get_mut(&spi) else {
                continue;
            };
            heard = true;
            self.answers += 1;
            match approach.answered(&octets) {
                Some(Answer::Cookie) => {
                    self.cookies += 1;
                    if source == Source::Real {
                        strangers.send(*from, approach.request())?;
                        self.sent(approach.request());
                    }
                }
                Some(Answer::Refused(_)) => self.refused += 1,
                Some(Answer::Accepted) | None => {}
            }
        }
        Ok(heard)
    }
}

/// The length of the log once it has stopped growing.
fn settled_log(field: &Field) -> Result<u64, String> {
    let mut len = field.daemon.log_octets()?;
    // A responder that goes on writing is not waited for.
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(50));
        let now = field.daemon.log_octets()?;
        if now == len {
            break;
        }
        len = now;
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn connections_have_24_proposals() {
        let proposals: BTreeSet<String> = (0..1_000).map(proposal).collect();
        assert_eq!(proposals.len(), 24);
        let conf = conf(1_000);
        assert!(conf.contains("rw-999.") && !conf.contains("3des"));
    }
}
