//! The plugin against a daemon made of closures: real sockets, real threads.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // helpers are tests too

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use charon_stroke::server::Stroke;
use control::frame;
use control::stroke::{Connection, Listing, Request};
use control::vici::Message;
use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{Control, Host, KernelNet, Reply, Running};

struct Submitted {
    verb: String,
    message: Message,
    reply: Arc<dyn Reply>,
}

struct FakeHost {
    directory: PathBuf,
    commands: Mutex<Sender<Submitted>>,
    lines: Mutex<Sender<String>>,
}

impl Host for FakeHost {
    fn setting(&self, key: &str) -> Option<String> {
        match key {
            "charon.piddir" => Some(self.directory.display().to_string()),
            "charon.plugins.stroke.max_concurrent" => Some("2".into()),
            _ => None,
        }
    }
    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        true
    }
    fn log(&self, _group: Group, _level: i8, message: &str) {
        let _ = self.lines.lock().unwrap().send(message.to_owned());
    }
    fn submit(&self, verb: &str, message: &[u8], reply: Arc<dyn Reply>) {
        let message = Message::decode(message).unwrap();
        let _ = self.commands.lock().unwrap().send(Submitted {
            verb: verb.to_owned(),
            message,
            reply,
        });
    }
    fn kernel_event(&self, _event: KernelEvent) {}
    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

struct World {
    directory: tempfile::TempDir,
    commands: Receiver<Submitted>,
    lines: Receiver<String>,
    running: Option<Box<dyn Running>>,
}

const PATIENCE: Duration = Duration::from_secs(20);

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (commands, commands_out) = channel();
        let (lines, lines_out) = channel();
        let host = FakeHost {
            directory: directory.path().join("run"),
            commands: Mutex::new(commands),
            lines: Mutex::new(lines),
        };
        let running = Stroke.start(Arc::new(host)).unwrap();
        Self {
            directory,
            commands: commands_out,
            lines: lines_out,
            running: Some(running),
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("run/charon.ctl")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn send(&self, request: &Request) -> UnixStream {
        let mut stream = self.connect();
        stream
            .write_all(&frame::frame(&request.encode().unwrap()).unwrap())
            .unwrap();
        stream
    }

    fn command(&self) -> Submitted {
        self.commands
            .recv_timeout(PATIENCE)
            .expect("a command for the daemon")
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a log line")
    }
}

fn text(mut stream: UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn done(command: &Submitted, message: Message) {
    command.reply.done(&message.encode().unwrap());
}

fn control_log(message: &str) -> Vec<u8> {
    Message::new()
        .value("group", "IKE")
        .value("level", 1)
        .value("msg", message)
        .encode()
        .unwrap()
}

#[test]
fn up_streams_the_log_and_ends_with_the_daemons_words() {
    let world = World::new();
    let stream = world.send(&Request::Initiate {
        name: "Tunnel1".into(),
        wait: true,
    });
    let command = world.command();
    assert_eq!(command.verb, "initiate");
    let expected = Message::new()
        .value("name", "Tunnel1")
        .flag("stroke", true)
        .value("loglevel", 1);
    assert_eq!(command.message, expected);
    assert!(command.reply.event(
        "control-log",
        &control_log("initiating IKE_SA Tunnel1[1] to 192.168.0.2")
    ));
    assert!(
        command
            .reply
            .event("control-log", &control_log("bad \u{1b}[31m peer"))
    );
    let words = "connection 'Tunnel1' established successfully";
    done(
        &command,
        Message::new().flag("success", true).list("text", [words]),
    );
    let expected = format!("initiating IKE_SA Tunnel1[1] to 192.168.0.2\nbad \\u{{1b}}[31m peer\n{words}\n");
    assert_eq!(text(stream), expected);
}

#[test]
fn down_of_nothing_prints_nothing() {
    let world = World::new();
    let stream = world.send(&Request::Terminate {
        target: "net{*}".parse().unwrap(),
        wait: true,
    });
    let command = world.command();
    assert_eq!(command.message.get_str("name"), Some("net{*}"));
    let answer = Message::new()
        .flag("success", false)
        .value("errmsg", "no matching SAs")
        .list("text", [""; 0]);
    done(&command, answer);
    assert_eq!(text(stream), "");
}

#[test]
fn not_waiting_is_said_to_the_daemon() {
    let world = World::new();
    let stream = world.send(&Request::Initiate {
        name: "net".into(),
        wait: false,
    });
    let command = world.command();
    assert_eq!(command.message.get_int("timeout"), Some(-1));
    done(&command, Message::new().flag("success", true));
    assert_eq!(text(stream), "");
}

#[test]
fn connections_reach_the_daemon_whole_and_refusals_come_back() {
    let world = World::new();
    let connection = Connection {
        name: "net".into(),
        source: "ipsec.conf:3".into(),
        uniqueids: "no".into(),
        settings: vec![("left".into(), "10.0.0.1".into()), ("ike".into(), "x!".into())],
        places: vec![("ike".into(), "ipsec.conf:5".into())],
    };
    let stream = world.send(&Request::AddConnection(connection.clone()));
    let command = world.command();
    assert_eq!(
        (command.verb.as_str(), &command.message),
        ("stroke-add-conn", &connection.to_message())
    );
    done(
        &command,
        Message::new().flag("success", false).value("errmsg", "bad ike"),
    );
    assert_eq!(text(stream), "bad ike\n");
}

#[test]
fn statusall_asks_for_everything_in_order() {
    let world = World::new();
    let stream = world.send(&Request::Status {
        name: Some("net".into()),
        all: true,
    });
    for verb in [
        "stats",
        "version",
        "get-pools",
        "list-conns",
        "list-policies",
        "list-sas",
    ] {
        let command = world.command();
        assert_eq!(command.verb, verb);
        if verb == "list-sas" {
            let sa = |name: &str| {
                Message::new().section(name, |s| s.value("uniqueid", 1).section("child-sas", |s| s))
            };
            assert!(command.reply.event("list-sa", &sa("other").encode().unwrap()));
        }
        done(&command, Message::new());
    }
    let text = text(stream);
    let tail = "Connections:\nSecurity Associations (0 up, 0 connecting):\n  no match\n";
    assert!(
        text.starts_with("Status of IKE charon daemon (") && text.ends_with(tail),
        "{text}"
    );
}

#[test]
fn a_command_that_the_daemon_lacks_is_said_plainly() {
    let world = World::new();
    let stream = world.send(&Request::Route { name: "net".into() });
    assert_eq!(world.line(), "received stroke: route 'net'");
    let answer = Message::new()
        .flag("success", false)
        .value("errmsg", "unknown command")
        .flag("unknown", true);
    done(&world.command(), answer);
    assert_eq!(text(stream), "this daemon has no command 'install'\n");
}

#[test]
fn the_daemon_learns_that_a_client_has_gone() {
    let world = World::new();
    let stream = world.send(&Request::Initiate {
        name: "net".into(),
        wait: true,
    });
    let command = world.command();
    assert!(command.reply.event("control-log", &control_log("one")));
    drop(stream);
    // The only sign is the next event; the plugin learns of the closed socket by itself.
    let give_up = std::time::Instant::now() + PATIENCE;
    while command.reply.event("control-log", &control_log("two")) {
        assert!(
            std::time::Instant::now() < give_up,
            "the daemon streams to nobody"
        );
        std::thread::yield_now();
    }
    done(&command, Message::new());
}

#[test]
fn garbage_closes_the_connection_with_a_log_line() {
    let world = World::new();
    let mut stream = world.connect();
    stream
        .write_all(&frame::frame(b"\x00\x05hello").unwrap())
        .unwrap();
    assert_eq!(
        world.line(),
        "invalid stroke request: there is no request 'hello'"
    );
    assert_eq!(text(stream), "");
    let mut stream = world.connect();
    stream.write_all(&[0xff; 4]).unwrap();
    let line = world.line();
    assert!(
        line.contains("message length 4294967295 exceeds 524288 bytes limit"),
        "{line}"
    );
    assert_eq!(text(stream), "");
}

#[test]
fn only_so_many_requests_are_in_work() {
    let world = World::new();
    let list = Request::List {
        what: vec![Listing::Algorithms],
        utc: false,
    };
    let streams: Vec<_> = (0..3).map(|_| world.send(&list)).collect();
    let first = world.command();
    let second = world.command();
    assert!(
        world.commands.recv_timeout(Duration::from_millis(100)).is_err(),
        "the third waits for a place"
    );
    done(&first, Message::new());
    let third = world.command();
    done(&second, Message::new());
    done(&third, Message::new());
    for stream in streams {
        assert!(text(stream).starts_with("\nList of registered IKE algorithms:\n"));
    }
}

#[test]
fn the_socket_is_for_owner_and_group_and_goes_with_the_plugin() {
    let mut world = World::new();
    let socket = world.socket();
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o770);
    let waiting = world.send(&Request::Version);
    let _command = world.command();
    world.running.take().unwrap().stop();
    assert!(!Path::new(&socket).exists());
    assert_eq!(text(waiting), "", "a client that still waits sees the end");
}
