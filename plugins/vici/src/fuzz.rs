//! A million packets to the connection handling, whole and cut, in pieces of any size: nothing panics, nothing stays, and
//! every packet that wants an answer gets one.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context as Waiting, Poll, Waker};
use std::time::Duration;

use control::packet::{Packet, PacketType};
use control::vici::{Element, MAX_DEPTH, Message};
use control::{Error, frame};
use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{Host, KernelNet, Listener, Reply};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::{Context, serve};
use crate::hub::Hub;

const PACKETS: u32 = 1_000_000;
const PER_CONNECTION: u32 = 50;

const NAMES: [&str; 14] = [
    "list-sas",
    "list-conns",
    "version",
    "initiate",
    "unknown",
    "stroke-add-conn",
    "log",
    "list-sa",
    "ike-updown",
    "control-log",
    "no-such-event",
    "a",
    "",
    "\u{fc}\u{20ac}",
];

struct Random(ChaCha8Rng);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next_u64() as usize % bound
    }

    fn octets(&mut self, len: usize) -> Vec<u8> {
        let mut octets = vec![0; len];
        self.0.fill_bytes(&mut octets);
        octets
    }

    /// A message, or something like it.
    fn message(&mut self) -> Vec<u8> {
        let message = match self.below(6) {
            0 => Message::new(),
            1 => Message::new()
                .value("page", "4294967296")
                .value("after", "x")
                .value("ike", "gw"),
            2 => Message::new()
                .list("page", ["1"])
                .section("after", |it| it.value("page", 1)),
            3 => {
                let deep =
                    (0..MAX_DEPTH + 1).fold(Vec::new(), |inner, _| vec![Element::Section("s".into(), inner)]);
                Message::from(deep)
            }
            4 => return self.some_octets(40),
            _ => Message::new().octets("blob", self.some_octets(3_000)),
        };
        message.encode().unwrap_or_default()
    }

    fn some_octets(&mut self, below: usize) -> Vec<u8> {
        let len = self.below(below);
        self.octets(len)
    }

    /// A packet, its length before it; perhaps not what it says.
    fn packet(&mut self) -> Vec<u8> {
        let kind = [0, 0, 0, 3, 3, 4, self.below(256) as u8][self.below(7)];
        let mut octets = vec![kind];
        let name = match self.below(12) {
            0 => self.some_octets(256),
            1 => vec![b'n'; 255],
            _ => NAMES[self.below(NAMES.len())].as_bytes().to_vec(),
        };
        // Now and then the name has another length than it says.
        octets.push(if self.below(20) == 0 {
            self.below(256) as u8
        } else {
            name.len() as u8
        });
        octets.extend(name);
        if kind == 0 || self.below(10) == 0 {
            octets.extend(self.message());
        }
        match self.below(12) {
            0 => octets.truncate(self.below(octets.len() + 1)),
            1 => {
                let at = self.below(octets.len());
                octets[at] = self.below(256) as u8;
            }
            _ => {}
        }
        frame::frame(&octets).expect("it is short")
    }

    /// What ends a connection: the end of a stream, within a packet too, and a length over the limit.
    fn end(&mut self) -> Vec<u8> {
        match self.below(4) {
            0 => self.octets(self.0.clone().next_u64() as usize % 4),
            1 => [&(1_000_u32.to_be_bytes())[..], &self.octets(20)].concat(),
            2 => (frame::MAX_LEN as u32 + 1 + self.below(1 << 30) as u32)
                .to_be_bytes()
                .to_vec(),
            _ => Vec::new(),
        }
    }
}

/// Answers at once, anything.
struct FakeHost {
    random: Mutex<Random>,
    hub: Arc<Hub>,
}

impl Host for FakeHost {
    fn setting(&self, _: &str) -> Option<String> {
        None
    }
    fn log_enabled(&self, _: Group, _: i8) -> bool {
        true
    }
    fn log(&self, _: Group, _: i8, message: &str) {
        assert!(!message.is_empty());
    }
    fn submit(&self, verb: &str, message: &[u8], reply: Arc<dyn Reply>) {
        assert!(!verb.starts_with("stroke-"));
        let mut random = lock(&self.random);
        if ["list-sas", "list-conns"].contains(&verb)
            && let Ok(request) = Message::decode(message)
        {
            let pages = request.elements.iter().filter(|it| it.name() == "page").count();
            assert_eq!(
                (pages, request.get_str("page")),
                (1, Some("64")),
                "a client chooses no pages"
            );
        }
        for _ in 0..random.below(3) {
            reply.event(NAMES[random.below(NAMES.len())], b"");
        }
        if random.below(8) == 0 {
            self.hub.event(
                "log",
                &Message::new().value("msg", "a line").encode().expect("short"),
            );
        }
        let answer = match random.below(8) {
            0 => Message::new().value("unknown", "yes"),
            1 | 2 => Message::new().value("next", 7),
            _ => Message::new().value("success", "yes"),
        };
        reply.done(&answer.encode().expect("short"));
    }
    fn kernel_event(&self, _: KernelEvent) {}
    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

/// The client's end of a connection, without a socket.
#[derive(Default)]
struct Wire {
    /// Pieces as they are read, then the end.
    pieces: VecDeque<Vec<u8>>,
    /// Answers that have to be there before the last piece comes.
    expected: usize,
    answers: usize,
    written: Vec<u8>,
    reader: Option<Waker>,
}

#[derive(Clone)]
struct End(Arc<Mutex<Wire>>);

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Waiting<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = lock(&self.0);
        if wire.pieces.len() <= 1 && wire.answers < wire.expected {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(mut piece) = wire.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                wire.pieces.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, _: &mut Waiting<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = lock(&self.0);
        // Any part is taken, and what is whole is looked at.
        let taken = octets.len().min(1 + wire.written.len() % 97 + octets.len() / 2);
        wire.written.extend(&octets[..taken]);
        while let Some((prefix, rest)) = wire.written.split_first_chunk::<4>() {
            let len = frame::check_length(*prefix).expect("a length within the limit");
            let Some(packet) = rest.get(..len) else { break };
            let packet = Packet::decode(packet).expect("a packet");
            match packet.kind {
                PacketType::Event => {}
                PacketType::CmdResponse
                | PacketType::CmdUnknown
                | PacketType::EventConfirm
                | PacketType::EventUnknown => wire.answers += 1,
                kind => panic!("{kind:?} is nothing that clients get"),
            }
            wire.written.drain(..4 + len);
        }
        if let Some(reader) = wire.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Waiting<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Waiting<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics under it")
}

/// Whether a packet, its length before it, is answered.
fn is_answered(framed: &[u8]) -> bool {
    use PacketType as P;
    match Packet::decode(&framed[4..]) {
        Ok(packet) => [P::CmdRequest, P::EventRegister, P::EventUnregister].contains(&packet.kind),
        Err(Error::TooLong(_)) => unreachable!("those made here are short"),
        Err(_) => false,
    }
}

/// Cuts octets anywhere.
fn pieces(random: &mut Random, octets: &[u8]) -> VecDeque<Vec<u8>> {
    let mut pieces = VecDeque::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let most = [3, 30, 3_000][random.below(3)];
        let len = 1 + random.below(most);
        let (piece, more) = rest.split_at(len.min(rest.len()));
        pieces.push_back(piece.to_vec());
        rest = more;
    }
    pieces
}

/// The resident memory of this process in KiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number") * 4
}

#[test]
fn no_packet_panics_stays_or_goes_unanswered() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let hub = Arc::new(Hub::default());
    let mut random = Random(ChaCha8Rng::seed_from_u64(7));
    let host: Arc<dyn Host> = Arc::new(FakeHost {
        random: Mutex::new(Random(ChaCha8Rng::seed_from_u64(8))),
        hub: Arc::clone(&hub),
    });
    let (mut answered, mut first) = (0, 0);
    for connection in 0..PACKETS / PER_CONNECTION {
        let packets: Vec<_> = (0..PER_CONNECTION).map(|_| random.packet()).collect();
        let expected = packets.iter().filter(|packet| is_answered(packet)).count();
        let mut cut = pieces(&mut random, &packets.concat());
        cut.push_back(random.end());
        let end = End(Arc::new(Mutex::new(Wire {
            pieces: cut,
            expected,
            ..Wire::default()
        })));
        let context = Context {
            id: u64::from(connection),
            host: Arc::clone(&host),
            hub: Arc::clone(&hub),
        };
        runtime.block_on(async {
            let served = serve(context, end.clone(), end.clone());
            let limit = tokio::time::timeout(Duration::from_secs(60), served);
            assert!(limit.await.is_ok(), "connection {connection} has no end");
            // Lets what was woken in vain pass by.
            poll_fn(|_| Poll::Ready(())).await;
        });
        let wire = lock(&end.0);
        assert_eq!(wire.answers, expected, "connection {connection}");
        assert!(wire.written.is_empty(), "half a packet was written");
        assert!(hub.is_empty(), "connection {connection} is remembered");
        answered += expected;
        if connection == PACKETS / PER_CONNECTION / 10 {
            first = resident();
        }
    }
    let grown = resident().saturating_sub(first);
    println!("{PACKETS} packets, {answered} answered, {grown} KiB more than after the first tenth");
    assert!(answered > PACKETS as usize / 2);
    assert!(grown < 16 << 10, "{grown} KiB");
}
