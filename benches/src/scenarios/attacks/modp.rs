//! What an IKE_SA_INIT costs a responder whose default proposals let strangers choose the group.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iana::NotifyType;
use rand_chacha::ChaCha8Rng;

use super::{field, random};
use crate::bench::Bench;
use crate::field::{Field, MOON, TRUSTING};
use crate::hosts::Options;
use crate::library::Library;
use crate::load;
use crate::results::Row;
use crate::scenarios::Measured;
use crate::strangers::{Answer, Approach, Offer, Strangers, claimed};

/// Algorithms that both implementations have in their defaults, and the group with the length of its public value in octets.
const ALGORITHMS: &str = "aes128-sha256";
const GROUPS: [(&str, usize); 4] = [
    ("x25519", 32),
    ("modp3072", 384),
    ("modp4096", 512),
    ("modp8192", 1_024),
];

/// What the responder is configured with: a proposal, and the defaults.
const CONFIGURED: [&str; 2] = ["aes256gcm16-sha512-x25519", "default"];

/// The time that a request may take, and what it may take once a responder has left some unanswered.
const PATIENCE: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(100);
const SOME: u64 = 3;

/// The time after an answer until the responder's work is done.
const REST: Duration = Duration::from_millis(20);

/// What came of requests.
#[derive(Debug, Default)]
struct Outcome {
    requests: u64,
    accepted: u64,
    /// Refused with the demand for another group.
    other_group: u64,
    refused: u64,
    octets: u64,
    time: Duration,
}

pub(super) fn measure(bench: &Bench, library: &Library, step: &dyn Fn(&str)) -> Result<Measured, String> {
    let requests = bench.pick(12, 50);
    let conf = load::gateway(&CONFIGURED.map(str::to_owned));
    let options = Options {
        settings: TRUSTING.to_owned(),
        ..Options::default()
    };
    let mut measured = Measured::default();
    for kind in &bench.responders {
        let field = field(bench, library, *kind, &options, &conf)?;
        let strangers = Strangers::new(&field.moon, MOON)?;
        let mut random = random(bench);
        for (group, len) in GROUPS {
            bench.check()?;
            step(&format!("{kind}, {group}"));
            let offer = Offer::new(&library.registry, &format!("{ALGORITHMS}-{group}"))?;
            let mut run = |requests| ask((&field, &strangers), (&offer, len), requests, &mut random);
            run(2)?;
            let outcome = run(requests)?;
            let each = |figure: f64| figure / outcome.requests as f64;
            measured.rows.push(
                Row::about([
                    ("measured", super::MODP),
                    ("responder", &kind.to_string()),
                    ("group", group),
                ])
                .with("responder_us", each(outcome.time.as_secs_f64() * 1e6))
                .with("request_octets", each(outcome.octets as f64))
                .with("accepted_percent", 100.0 * each(outcome.accepted as f64))
                .with("other_group_percent", 100.0 * each(outcome.other_group as f64))
                .with("refused_percent", 100.0 * each(outcome.refused as f64))
                .with("requests", outcome.requests as f64),
            );
        }
    }
    measured.notes.push(format!(
        "the responder has the proposals {}; requests offer {ALGORITHMS} and one group, with a random public value; one at a time, \
         no cookies",
        CONFIGURED.join(" and ")
    ));
    Ok(measured)
}

/// Sends requests, each once the one before is answered.
fn ask(
    (field, strangers): (&Field, &Strangers),
    (offer, len): (&Arc<Offer>, usize),
    requests: u32,
    random: &mut ChaCha8Rng,
) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let before = field.responder_time()?;
    for n in 1..=requests {
        let mut approach = Approach::random(offer, random, len);
        strangers.send(SocketAddrV4::new(claimed(n), 500), approach.request())?;
        outcome.requests += 1;
        outcome.octets += approach.request().len() as u64;
        let unanswered = u64::from(n) - 1 - outcome.accepted - outcome.other_group - outcome.refused;
        let patience = if unanswered < SOME { PATIENCE } else { SHORT };
        let began = Instant::now();
        while began.elapsed() < patience {
            let heard = strangers.receive(Duration::from_millis(10))?;
            match heard.and_then(|octets| approach.answered(&octets)) {
                None | Some(Answer::Cookie) => continue,
                Some(Answer::Accepted) => outcome.accepted += 1,
                Some(Answer::Refused(NotifyType::INVALID_KE_PAYLOAD)) => outcome.other_group += 1,
                Some(Answer::Refused(_)) => outcome.refused += 1,
            }
            break;
        }
        std::thread::sleep(REST);
    }
    outcome.time = field.responder_time()?.saturating_sub(before);
    Ok(outcome)
}
