//! Octets that a responder sends to an address from which repeated requests claim to come.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;

use super::{longest, random};
use crate::bench::Bench;
use crate::field::{Field, MOON};
use crate::hosts::Kind;
use crate::library::Library;
use crate::results::Row;
use crate::scenarios::Measured;
use crate::scenarios::proposals::{offered_by, proposal};
use crate::strangers::{Approach, Offer, Strangers, claimed, receive};

/// How often a request is repeated.
const REPEATS: u64 = 50;

/// The time between two repetitions.
const PACE: Duration = Duration::from_millis(2);

/// The silence after which no more is expected, and the longest wait for it.
const QUIET: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(3);

/// Content of a large fragment in octets.
const FRAGMENT: usize = 1_300;

/// Port of the victims, which run no IKE daemon.
const PORT: u16 = 53;

/// What is repeated, and who is the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// IKE_SA_INIT, as from another address.
    Init,
    /// IKE_SA_INIT, as from another port of the same address.
    InitPort,
    /// A fragment of IKE_INTERMEDIATE with one octet of content, the first by number and the last to be sent.
    Fragment,
    /// The same, but the victim's address is claimed from the first IKE_INTERMEDIATE on, which a responder may follow.
    FragmentMoved,
    /// All fragments of IKE_INTERMEDIATE.
    Whole,
}

const VARIANTS: [Variant; 5] = [
    Variant::Init,
    Variant::InitPort,
    Variant::Fragment,
    Variant::FragmentMoved,
    Variant::Whole,
];

impl Variant {
    fn text(self) -> &'static str {
        match self {
            Self::Init => "IKE_SA_INIT, another address",
            Self::InitPort => "IKE_SA_INIT, another port",
            Self::Fragment => "one fragment",
            Self::FragmentMoved => "one fragment, victim since IKE_INTERMEDIATE",
            Self::Whole => "all fragments",
        }
    }
}

/// Payload of UDP.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    datagrams: u64,
    octets: u64,
}

impl Traffic {
    fn add(&mut self, octets: &[u8]) {
        self.datagrams += 1;
        self.octets += octets.len() as u64;
    }
}

pub(super) fn measure(bench: &Bench, library: &Library, step: &dyn Fn(&str)) -> Result<Measured, String> {
    let mut measured = Measured::default();
    for kind in &bench.responders {
        let exchanges = longest(*kind);
        if !offered_by(*kind, exchanges) {
            continue;
        }
        let offered = [proposal(exchanges)];
        let field = Field::new(bench, &library.registry, *kind, &offered, "")?;
        let strangers = Strangers::new(&field.moon, MOON)?;
        let offer = Offer::new(&library.registry, &offered[0])?;
        let mut random = random(bench);
        for (n, variant) in (1..).zip(VARIANTS) {
            bench.check()?;
            step(&format!("{kind}, {}", variant.text()));
            match reflect(&strangers, &offer, variant, n, &mut random) {
                Ok((sent, received)) => measured.rows.push(row(*kind, exchanges, variant, sent, received)),
                Err(error) => measured
                    .notes
                    .push(format!("{kind}, {}: {error}", variant.text())),
            }
        }
    }
    measured.notes.push(format!(
        "a request is repeated {REPEATS} times, one every {} ms; octets are those of the UDP payload to and from the victim's \
         address",
        PACE.as_millis()
    ));
    Ok(measured)
}

fn row(kind: Kind, exchanges: &str, variant: Variant, sent: Traffic, received: Traffic) -> Row {
    Row::about([
        ("measured", super::REFLECTION),
        ("responder", &kind.to_string()),
        ("key exchanges", exchanges),
        ("repeated", variant.text()),
    ])
    .with("claimed_octets", sent.octets as f64)
    .with("reflected_octets", received.octets as f64)
    .with("claimed_packets", sent.datagrams as f64)
    .with("reflected_packets", received.datagrams as f64)
    .with("reflected_ratio", received.octets as f64 / sent.octets as f64)
}

/// Repeats a request of the n-th stranger, and returns what went out in the name of the victim and what the victim received.
fn reflect(
    strangers: &Strangers,
    offer: &std::sync::Arc<Offer>,
    variant: Variant,
    n: u32,
    random: &mut ChaCha8Rng,
) -> Result<(Traffic, Traffic), String> {
    let own = SocketAddrV4::new(claimed(n), 500);
    let address = match variant {
        Variant::InitPort => claimed(n),
        _ => Ipv4Addr::new(198, 19, 0, n as u8),
    };
    let victim = SocketAddrV4::new(address, PORT);
    let socket = strangers.listen(victim)?;
    let (mut sent, mut received) = (Traffic::default(), Traffic::default());
    let mut approach = Approach::new(offer, random)?;
    strangers.open(own, &mut approach)?;
    let repeated = match variant {
        Variant::Init | Variant::InitPort => vec![approach.request().to_vec()],
        Variant::Fragment | Variant::FragmentMoved | Variant::Whole => {
            let mut fragments = approach.intermediate(offer.additional()?, 1, FRAGMENT)?;
            // The one that is repeated completes the message.
            fragments.rotate_left(1);
            let from = match variant {
                Variant::FragmentMoved => victim,
                _ => own,
            };
            for fragment in &fragments {
                strangers.send(from, fragment)?;
                if from == victim {
                    sent.add(fragment);
                }
            }
            // A responder need not answer at an address that has proved nothing; it has answered IKE_SA_INIT at the other.
            if from == victim {
                hear(&socket, true, &mut received)?;
            } else if !answered(strangers)? {
                return Err("IKE_INTERMEDIATE was not answered".into());
            }
            match variant {
                Variant::Whole => fragments,
                _ => fragments.split_off(fragments.len() - 1),
            }
        }
    };
    for _ in 0..REPEATS {
        for datagram in &repeated {
            strangers.send(victim, datagram)?;
            sent.add(datagram);
        }
        std::thread::sleep(PACE);
        drain(&socket, Duration::ZERO, &mut received)?;
    }
    hear(&socket, false, &mut received)?;
    Ok((sent, received))
}

/// Counts what comes in until there is silence, and waits for the first datagram if one is expected.
fn hear(socket: &UdpSocket, expected: bool, received: &mut Traffic) -> Result<(), String> {
    let (began, before) = (Instant::now(), received.datagrams);
    loop {
        let heard = drain(socket, QUIET, received)?;
        let done = !heard && (received.datagrams > before || !expected);
        if done || began.elapsed() > LONGEST {
            return Ok(());
        }
    }
}

/// Counts what is there, or comes in within `patience`. Returns whether there was anything.
fn drain(socket: &UdpSocket, patience: Duration, received: &mut Traffic) -> Result<bool, String> {
    let Some(octets) = receive(socket, patience)? else {
        return Ok(false);
    };
    received.add(&octets);
    while let Some(octets) = receive(socket, Duration::ZERO)? {
        received.add(&octets);
    }
    Ok(true)
}

/// Whether the strangers' own IKE port gets an answer.
fn answered(strangers: &Strangers) -> Result<bool, String> {
    let began = Instant::now();
    let mut heard = false;
    loop {
        match strangers.receive(QUIET)? {
            Some(_) => heard = true,
            None if heard || began.elapsed() > LONGEST => return Ok(heard),
            None => {}
        }
        if began.elapsed() > LONGEST + QUIET {
            return Ok(heard);
        }
    }
}
