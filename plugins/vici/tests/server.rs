//! The plugin against a daemon made of closures: real sockets, real threads.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // helpers are tests too

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use charon_vici::hub::Hub;
use charon_vici::queue::MAX_WAITING;
use charon_vici::server::Vici;
use control::frame;
use control::packet::{Packet, PacketType};
use control::vici::Message;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{Control, Host, KernelNet, Listener, Reply, Running};

const PATIENCE: Duration = Duration::from_secs(20);

struct Submitted {
    verb: String,
    message: Vec<u8>,
    reply: Arc<dyn Reply>,
}

struct FakeHost {
    directory: PathBuf,
    commands: Mutex<Sender<Submitted>>,
    lines: Mutex<Sender<String>>,
}

impl Host for FakeHost {
    fn setting(&self, key: &str) -> Option<String> {
        (key == "charon.piddir").then(|| self.directory.display().to_string())
    }
    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        true
    }
    fn log(&self, _group: Group, _level: i8, message: &str) {
        let _ = self.lines.lock().unwrap().send(message.to_owned());
    }
    fn submit(&self, verb: &str, message: &[u8], reply: Arc<dyn Reply>) {
        let _ = self.commands.lock().unwrap().send(Submitted {
            verb: verb.to_owned(),
            message: message.to_owned(),
            reply,
        });
    }
    fn kernel_event(&self, _event: KernelEvent) {}
    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

struct Daemon {
    directory: tempfile::TempDir,
    commands: Receiver<Submitted>,
    lines: Receiver<String>,
    hub: Arc<Hub>,
    running: Option<Box<dyn Running>>,
}

impl Daemon {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (commands, submitted) = channel();
        let (lines, logged) = channel();
        let host = Arc::new(FakeHost {
            directory: directory.path().to_owned(),
            commands: Mutex::new(commands),
            lines: Mutex::new(lines),
        });
        let hub = Arc::new(Hub::default());
        let running = Vici::new(Arc::clone(&hub)).start(host).unwrap();
        Self {
            directory,
            commands: submitted,
            lines: logged,
            hub,
            running: Some(running),
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("charon.vici")
    }

    fn client(&self) -> Client {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }

    fn submitted(&self) -> Submitted {
        self.commands.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits for a log line.
    fn logged(&self, text: &str) {
        while !self.lines.recv_timeout(PATIENCE).unwrap().contains(text) {}
    }
}

struct Client(UnixStream);

impl Client {
    fn send(&mut self, kind: PacketType, name: &str, message: &[u8]) {
        let packet = Packet::new(kind, name, message.to_vec()).encode().unwrap();
        self.0.write_all(&frame::frame(&packet).unwrap()).unwrap();
    }

    fn receive(&mut self) -> Packet {
        Packet::decode(&frame::read(&mut self.0).unwrap().unwrap()).unwrap()
    }

    fn register(&mut self, event: &str) -> PacketType {
        self.send(PacketType::EventRegister, event, b"");
        self.receive().kind
    }
}

fn text(key: &str, value: &str) -> Vec<u8> {
    Message::new().value(key, value).encode().unwrap()
}

#[test]
fn a_command_is_answered_and_one_that_does_not_exist_refused() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    client.send(PacketType::CmdRequest, "version", &text("a", "b"));
    let command = daemon.submitted();
    assert_eq!(
        (command.verb.as_str(), command.message),
        ("version", text("a", "b"))
    );
    command.reply.done(&text("daemon", "charon"));
    let response = client.receive();
    assert_eq!(
        (response.kind, response.message),
        (PacketType::CmdResponse, text("daemon", "charon"))
    );

    client.send(PacketType::CmdRequest, "nonsense", b"");
    daemon.submitted().reply.done(&text("unknown", "yes"));
    assert_eq!(client.receive().kind, PacketType::CmdUnknown);
    // What belongs to another socket does not even reach the daemon.
    client.send(PacketType::CmdRequest, "stroke-add-conn", b"");
    assert_eq!(client.receive().kind, PacketType::CmdUnknown);
    daemon.logged("invalid request: stroke-add-conn");
}

#[test]
fn events_go_to_those_who_have_registered_as_often_as_they_have() {
    let daemon = Daemon::start();
    let (mut one, mut two) = (daemon.client(), daemon.client());
    assert_eq!(one.register("log"), PacketType::EventConfirm);
    assert_eq!(two.register("log"), PacketType::EventConfirm);
    assert_eq!(two.register("log"), PacketType::EventConfirm);
    assert_eq!(two.register("ike-updown"), PacketType::EventConfirm);
    assert_eq!(one.register("no-such-event"), PacketType::EventUnknown);
    assert_eq!(daemon.hub.wants(), ["ike-updown", "log"]);
    daemon.hub.event("log", b"line");
    daemon.hub.event("ike-updown", b"up");
    assert_eq!(
        one.receive(),
        Packet::new(PacketType::Event, "log", b"line".to_vec())
    );
    for expected in ["log", "log", "ike-updown"] {
        assert_eq!(two.receive().name, expected);
    }
    let unregister = |client: &mut Client| {
        client.send(PacketType::EventUnregister, "log", b"");
        client.receive().kind
    };
    assert_eq!(unregister(&mut one), PacketType::EventConfirm);
    assert_eq!(unregister(&mut one), PacketType::EventUnknown);
    drop(two);
    daemon.logged("disconnected");
    assert!(daemon.hub.wants().is_empty());
}

#[test]
fn events_of_a_command_come_before_its_answer_and_to_its_client_alone() {
    let daemon = Daemon::start();
    let (mut asking, mut other) = (daemon.client(), daemon.client());
    asking.register("list-sa");
    other.register("list-sa");
    asking.send(PacketType::CmdRequest, "list-sas", b"");
    let command = daemon.submitted();
    assert!(command.reply.event("list-sa", b"first"));
    assert!(command.reply.event("list-sa", b"second"));
    assert!(command.reply.event("control-log", b"nobody asked for it"));
    command.reply.done(b"");
    let received: Vec<_> = (0..3).map(|_| asking.receive()).collect();
    let kinds: Vec<_> = received.iter().map(|packet| packet.kind).collect();
    assert_eq!(
        kinds,
        [PacketType::Event, PacketType::Event, PacketType::CmdResponse]
    );
    assert_eq!(received[1].message, b"second");
    other.send(PacketType::CmdRequest, "stats", b"");
    daemon.submitted().reply.done(b"");
    assert_eq!(
        other.receive().kind,
        PacketType::CmdResponse,
        "no event came before"
    );
}

#[test]
fn requests_of_one_client_wait_for_each_other_and_not_for_those_of_others() {
    let daemon = Daemon::start();
    let (mut one, mut two) = (daemon.client(), daemon.client());
    one.send(PacketType::CmdRequest, "initiate", b"");
    one.send(PacketType::CmdRequest, "stats", b"");
    let initiate = daemon.submitted();
    two.send(PacketType::CmdRequest, "version", b"");
    let version = daemon.submitted();
    assert_eq!(version.verb, "version", "the first client's second request waits");
    version.reply.done(b"");
    assert_eq!(two.receive().kind, PacketType::CmdResponse);
    initiate.reply.done(&text("n", "1"));
    let stats = daemon.submitted();
    assert_eq!(stats.verb, "stats");
    stats.reply.done(&text("n", "2"));
    assert_eq!(one.receive().message, text("n", "1"));
    assert_eq!(one.receive().message, text("n", "2"));
}

#[test]
fn a_client_that_goes_is_not_told_any_more() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    client.register("control-log");
    client.send(PacketType::CmdRequest, "initiate", b"");
    let command = daemon.submitted();
    assert!(command.reply.event("control-log", b"line"));
    drop(client);
    daemon.logged("disconnected");
    assert!(!command.reply.event("control-log", b"line"));
    command.reply.done(b"");
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_nobody_waits_for_it() {
    let daemon = Daemon::start();
    let (mut stalled, mut other) = (daemon.client(), daemon.client());
    stalled.register("log");
    let line = vec![0; 256 << 10];
    for _ in 0..=MAX_WAITING / line.len() + 8 {
        daemon.hub.event("log", &line);
    }
    daemon.logged("does not read fast enough, closing its connection");
    assert_eq!(other.register("log"), PacketType::EventConfirm);
    daemon.hub.event("log", b"line");
    assert_eq!(other.receive().message, b"line");
}

#[test]
fn bad_packets_are_dropped_and_oversized_ones_end_the_connection() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    for packet in [
        &b"\x09"[..],
        b"\x01rest",
        b"\x05",
        b"\x00\x03a\nb",
        b"\x00\x05abc",
        b"\x00",
    ] {
        client.0.write_all(&frame::frame(packet).unwrap()).unwrap();
    }
    daemon.logged("unsupported vici operation: 9");
    daemon.logged("unsupported vici operation: 1");
    daemon.logged("sent no packet");
    // The connection goes on.
    assert_eq!(client.register("log"), PacketType::EventConfirm);
    client.0.write_all(&(512 * 1024 + 1_u32).to_be_bytes()).unwrap();
    daemon.logged("vici message length 524289 exceeds 524288 bytes limit, ignored");
    assert_eq!(client.0.read(&mut [0]).unwrap(), 0, "closed");
}

#[test]
fn the_socket_is_private_and_goes_with_the_daemon() {
    let mut daemon = Daemon::start();
    let mode = std::fs::metadata(daemon.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o770);
    let mut client = daemon.client();
    client.register("log");
    daemon.running.take().unwrap().stop();
    assert!(!daemon.socket().exists());
    assert_eq!(client.0.read(&mut [0]).unwrap(), 0, "closed");
}

const SAS: u32 = 100_000;

/// Serves `list-sas` of a hundred thousand SAs, page by page, and counts how many each client has been sent.
fn serve_listings(commands: &Receiver<Submitted>, sent: &Mutex<BTreeMap<String, u32>>) {
    let event = Message::new().section("gw", |sa| {
        sa.value("state", "ESTABLISHED").value("rest", "x".repeat(900))
    });
    let event = event.encode().unwrap();
    while let Ok(command) = commands.recv() {
        let request = Message::decode(&command.message).unwrap();
        let number = |key: &str| {
            request
                .get_str(key)
                .map_or(0, |text| text.parse::<u32>().unwrap())
        };
        let (page, after) = (number("page"), number("after"));
        assert!((1..1000).contains(&page), "{page}");
        let last = (after + page).min(SAS);
        let told = (after..last)
            .take_while(|_| command.reply.event("list-sa", &event))
            .count();
        let who = request.get_str("ike").unwrap_or_default().to_owned();
        *sent.lock().unwrap().entry(who).or_default() += told as u32;
        let answer = Message::new().value_if("next", (last < SAS).then_some(last));
        command.reply.done(&answer.encode().unwrap());
    }
}

#[test]
fn a_listing_waits_for_its_client_and_not_in_memory() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(4096).min(hard), hard).unwrap();
    let mut daemon = Daemon::start();
    let commands = std::mem::replace(&mut daemon.commands, channel().1);
    let sent = Arc::new(Mutex::new(BTreeMap::new()));
    let counted = Arc::clone(&sent);
    let served = std::thread::spawn(move || serve_listings(&commands, &counted));
    let ask = |client: &mut Client, name: &str| {
        assert_eq!(client.register("list-sa"), PacketType::EventConfirm);
        let request = Message::new()
            .value("ike", name)
            .value("page", 999_999)
            .value("after", 7);
        client.send(PacketType::CmdRequest, "list-sas", &request.encode().unwrap());
    };
    let mut clients: Vec<Client> = (0..1000).map(|_| daemon.client()).collect();
    for (number, client) in clients.iter_mut().enumerate().take(500) {
        ask(client, &format!("stalled-{number}"));
    }
    let mut reader = clients.pop().expect("the last");
    ask(&mut reader, "reader");
    for number in 0..SAS {
        let packet = reader.receive();
        assert_eq!(
            (packet.kind, packet.name.as_str()),
            (PacketType::Event, "list-sa"),
            "{number}"
        );
    }
    let answer = reader.receive();
    assert_eq!(
        (answer.kind, answer.message.as_slice()),
        (PacketType::CmdResponse, &b""[..])
    );
    // The others have got what fits into a socket's buffer and a page or two.
    let sent = sent.lock().unwrap().clone();
    let most = sent
        .iter()
        .filter(|(name, _)| *name != "reader")
        .map(|(_, sent)| *sent)
        .max();
    println!("the stalled ones have been sent at most {most:?} of {SAS} SAs");
    assert!(most.is_some_and(|most| most < 2000), "{most:?}");
    assert_eq!(sent.len(), 501);
    drop((clients, reader, daemon));
    assert!(served.join().is_ok());
}
