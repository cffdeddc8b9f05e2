//! The starter with a charon that only pretends. Needs root, as the starter does.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // helpers are tests too

#[allow(dead_code, unreachable_pub)]
mod tree;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use charon_cli::process::Process;
use control::stroke::Request;
use tree::{PATIENCE, Tree, code, stderr, stdout};

const CONF: &str = "\
conn a
    left = 10.0.0.1
    right = 10.0.0.2
    auto = start

conn b
    left = 10.0.0.1
    right = 10.0.0.3
    auto = add
";

/// None, and says so, where the starter would refuse to run.
fn tree() -> Option<Tree> {
    if nix::unistd::geteuid().is_root() {
        let tree = Tree::new();
        tree.write("etc/ipsec.conf", CONF);
        return Some(tree);
    }
    eprintln!("skipped: needs root");
    assert!(std::env::var_os("CI").is_none(), "CI has to run this as root");
    None
}

fn summary(request: &Request) -> String {
    match request {
        Request::AddConnection(connection) => format!("add {}", connection.name),
        Request::DeleteConnection { name } => format!("delete {name}"),
        Request::Initiate { name, wait: false } => format!("start {name}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_daemon_lives_from_start_to_stop() {
    let Some(tree) = tree() else { return };
    let requests = tree.serve(|_| String::new());
    let next = || summary(&requests.recv_timeout(PATIENCE).expect("a request"));

    let output = tree.ipsec(&["start"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        stderr(&output),
        format!("Starting pqswan {version} IPsec [starter]...\n")
    );
    // It returned only when charon had everything.
    assert_eq!([next(), next(), next()], ["add a", "add b", "start a"]);
    let arguments = std::fs::read_to_string(tree.path("var/run/arguments")).unwrap();
    assert!(arguments.starts_with("--use-syslog --ready-fd "), "{arguments}");

    let output = tree.ipsec(&["start"]);
    assert_eq!(code(&output), 0);
    assert!(
        stderr(&output).contains("starter is already running ("),
        "{}",
        stderr(&output)
    );
    assert_eq!(code(&tree.ipsec(&["status"])), 0);
    assert_eq!(next(), "Status { name: None, all: false }");
    // As strongSwan's, which asks whether it could signal the starter.
    tree.open_to_all();
    let nobody = tree
        .command("usr/sbin/ipsec", &["status"])
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    assert_eq!(code(&nobody), 1, "{}", stderr(&nobody));
    assert!(stderr(&nobody).contains("failed to connect to stroke socket"));

    tree.write("etc/ipsec.conf", &CONF.replace("10.0.0.3", "10.0.0.4"));
    let output = tree.ipsec(&["update"]);
    assert_eq!(
        (code(&output), stderr(&output).as_str()),
        (0, "Updating pqswan IPsec configuration...\n")
    );
    assert_eq!(next(), "add b", "charon puts it in the place of the old one");

    assert_eq!(code(&tree.ipsec(&["reload"])), 0);
    assert_eq!([next(), next(), next()], ["add a", "add b", "start a"]);

    let charon = Process::of_pid_file(&tree.path("var/run/charon.pid"), "charon").expect("charon runs");
    let output = tree.ipsec(&["stop"]);
    assert_eq!(
        (code(&output), stderr(&output).as_str()),
        (0, "Stopping pqswan IPsec...\n")
    );
    assert!(charon.has_ended(), "stop returns when everything has stopped");
    for file in ["charon.pid", "starter.charon.pid"] {
        assert!(!tree.path("var/run").join(file).exists(), "{file} is left");
    }
    assert_eq!(code(&tree.ipsec(&["status"])), 3);
}

#[test]
fn a_charon_that_died_comes_back_with_its_connections() {
    let Some(tree) = tree() else { return };
    let requests = tree.serve(|_| String::new());
    assert_eq!(code(&tree.ipsec(&["start"])), 0);
    let first = tree.pid("charon.pid");
    let three = || {
        (0..3)
            .map(|_| summary(&requests.recv_timeout(PATIENCE).unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(three(), ["add a", "add b", "start a"]);
    let died = Instant::now();
    Process::open(first).unwrap().kill();
    assert_eq!(three(), ["add a", "add b", "start a"]);
    assert!(
        died.elapsed().as_millis() >= 4_900,
        "after five seconds, not at once"
    );
    assert_ne!(tree.pid("charon.pid"), first);
    assert_eq!(code(&tree.ipsec(&["stop"])), 0);
}

#[test]
fn what_a_charon_that_died_had_of_swanctl_is_not_forgotten_in_silence() {
    let Some(tree) = tree() else { return };
    std::fs::create_dir_all(tree.path("etc/swanctl")).unwrap();
    tree.write("etc/swanctl/swanctl.conf", "connections {\n gw {\n }\n}\n");
    let _requests = tree.serve(|_| String::new());
    let mut starter = tree
        .command("usr/sbin/ipsec", &["start", "--nofork", "--nolog"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(starter.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(lines.any(|line| line.contains("started after")));
    Process::open(tree.pid("charon.pid")).unwrap().kill();
    let warning = "connections of swanctl.conf are not loaded again: have charon.start-scripts run";
    assert!(lines.any(|line| line.contains(warning)));
    assert_eq!(code(&tree.ipsec(&["stop"])), 0);
    assert!(lines.any(|line| line == "ipsec starter stopped"));
    starter.wait().unwrap();
}

#[test]
fn what_charon_refuses_is_on_the_console_of_who_asked() {
    let Some(tree) = tree() else { return };
    let requests = tree.serve(|request| match request {
        Request::AddConnection(connection) if format!("{connection:?}").contains("10.0.0.3") => {
            "connection 'b' of ipsec.conf:6 refused: no such algorithm\n".into()
        }
        _ => String::new(),
    });
    let next = || summary(&requests.recv_timeout(PATIENCE).expect("a request"));
    let refusal = "connection 'b' of ipsec.conf:6 refused: no such algorithm\n";
    let output = tree.ipsec(&["start"]);
    assert_eq!(code(&output), 0, "the other connection is loaded");
    assert!(stderr(&output).ends_with(refusal), "{}", stderr(&output));
    assert_eq!([next(), next(), next()], ["add a", "add b", "start a"]);
    for (command, requests) in [
        ("update", vec!["add b"]),
        ("reload", vec!["add a", "add b", "start a"]),
    ] {
        let output = tree.ipsec(&[command]);
        assert_eq!(code(&output), 0, "strongSwan's scripts bear nothing else");
        assert_eq!(stderr(&output).matches(refusal).count(), 1, "{}", stderr(&output));
        requests.iter().for_each(|request| assert_eq!(next(), *request));
    }
    tree.write("etc/ipsec.conf", &CONF.replace("10.0.0.3", "10.0.0.4"));
    let output = tree.ipsec(&["update"]);
    assert_eq!(stderr(&output), "Updating pqswan IPsec configuration...\n");
    assert_eq!(code(&tree.ipsec(&["stop"])), 0);
    assert!(!tree.path("var/run/starter.charon.ctl").exists());
}

#[test]
fn a_file_that_cannot_be_used_keeps_the_old_connections() {
    let Some(tree) = tree() else { return };
    let requests = tree.serve(|request| match request {
        Request::AddConnection(connection) if connection.name == "b" => "bad news of b\n".into(),
        _ => String::new(),
    });
    let next = || summary(&requests.recv_timeout(PATIENCE).expect("a request"));
    let mut starter = tree
        .command("usr/sbin/ipsec", &["start", "--nofork", "--nolog"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(starter.stderr.take().unwrap()).lines();
    let mut until = |wanted: &str| {
        let found = lines
            .by_ref()
            .map(Result::unwrap)
            .any(|line| line.contains(wanted));
        assert!(found, "the starter ended without saying '{wanted}'");
    };
    until("started after");
    assert_eq!([next(), next(), next()], ["add a", "add b", "start a"]);
    until("bad news of b");

    tree.write("etc/ipsec.conf", "conn a\n    also = a\nnonsense\n");
    let output = tree.ipsec(&["update"]);
    assert_eq!(code(&output), 0, "strongSwan's scripts bear nothing else");
    let text = stderr(&output);
    assert!(
        text.contains("etc/ipsec.conf:") && text.contains("keeping old one"),
        "{text}"
    );
    until("can't reload config file due to errors -- keeping old one");
    // Charon's log has it, too.
    assert!(next().contains("etc/ipsec.conf:"));
    assert!(next().contains("keeping old one"));
    tree.write("etc/ipsec.conf", &CONF.replace("10.0.0.2", "10.0.0.5"));
    assert_eq!(code(&tree.ipsec(&["update"])), 0);
    assert_eq!(
        [next(), next(), next()],
        ["add a", "add b", "start a"],
        "b was refused, and may not be any more"
    );
    let typo = CONF.replace("right = 10.0.0.2", "right = 10.0.0.2\n    rekey = maybe");
    tree.write("etc/ipsec.conf", &typo);
    let output = tree.ipsec(&["reload"]);
    assert_eq!(code(&output), 0);
    let text = stderr(&output);
    assert!(
        text.contains("rekey=maybe") && text.contains("ignored conn 'a'"),
        "{text}"
    );
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "add b") {
        seen.push(next());
    }
    assert!(!seen.iter().any(|step| step.starts_with("delete")), "{seen:?}");

    assert_eq!(code(&tree.ipsec(&["stop"])), 0);
    until("charon stopped after");
    until("ipsec starter stopped");
    assert!(starter.wait().unwrap().success());
}

/// Opened once charon may answer.
static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

#[test]
fn a_stop_is_heard_while_connections_are_handed_over() {
    let Some(tree) = tree() else { return };
    let requests = tree.serve(|request| {
        if summary(request) == "add b" {
            let open = GATE.1.wait_while(GATE.0.lock().unwrap(), |open| !*open);
            drop(open.unwrap());
        }
        String::new()
    });
    let mut starter = tree
        .command("usr/sbin/ipsec", &["start", "--nofork", "--nolog"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(summary(&requests.recv_timeout(PATIENCE).unwrap()), "add a");
    let output = tree.ipsec(&["stop"]);
    assert_eq!(
        (code(&output), stderr(&output).as_str()),
        (0, "Stopping pqswan IPsec...\n")
    );
    assert!(starter.wait().unwrap().success());
    let mut said = String::new();
    starter.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("charon stopped after"), "{said}");
    assert!(
        !said.contains("it lacks connections now"),
        "it did not wait for charon: {said}"
    );
    *GATE.0.lock().unwrap() = true;
    GATE.1.notify_all();
}

#[test]
fn a_charon_that_cannot_start_is_told() {
    let Some(tree) = tree() else { return };
    tree.write("var/run/refuse", "");
    let output = tree.ipsec(&["start", "--nofork", "--nolog"]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("charon has quit: initialization failed\n"),
        "{}",
        stderr(&output)
    );
    let output = tree.ipsec(&["start"]);
    assert_eq!(code(&output), 1, "in the background too");
    let text = stderr(&output);
    assert!(
        text.ends_with("pqswan could not be started, see the log\n"),
        "{text}"
    );
    assert!(!tree.path("var/run/starter.charon.pid").exists());
}

#[test]
fn a_file_that_cannot_be_read_keeps_the_daemon_from_starting() {
    let Some(tree) = tree() else { return };
    std::fs::remove_file(tree.path("etc/ipsec.conf")).unwrap();
    let output = tree.ipsec(&["start"]);
    assert_eq!(code(&output), 2);
    let text = stderr(&output);
    assert!(
        text.contains("etc/ipsec.conf") && text.contains("unable to start pqswan -- fatal errors in config"),
        "{text}"
    );
}

#[test]
fn a_charon_that_runs_already_is_taken_over() {
    let Some(tree) = tree() else { return };
    let requests = tree.serve(|_| String::new());
    let fd = std::fs::File::create(tree.path("ready")).unwrap();
    let charon = tree
        .command("usr/libexec/ipsec/charon", &["--ready-fd", "1"])
        .stdout(fd)
        .stderr(Stdio::null())
        .spawn();
    let mut charon = charon.unwrap();
    while std::fs::metadata(tree.path("ready")).unwrap().len() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(code(&tree.ipsec(&["start"])), 0);
    assert_eq!(summary(&requests.recv_timeout(PATIENCE).unwrap()), "add a");
    // This process is the parent, so only it can see charon off; until then the starter has to wait.
    let reaper = std::thread::spawn(move || charon.wait());
    assert_eq!(code(&tree.ipsec(&["stop"])), 0);
    assert!(reaper.join().unwrap().unwrap().success());
}

#[test]
fn a_configuration_can_be_tested() {
    let Some(tree) = tree() else { return };
    let test = |tree: &Tree| {
        tree.command("usr/libexec/ipsec/starter", &["--conftest"])
            .output()
            .unwrap()
    };
    let output = test(&tree);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, "config OK\n"));
    tree.write("etc/ipsec.conf", "conn a\n    lefft = 1\n");
    let output = test(&tree);
    assert_eq!(
        (code(&output), stdout(&output).as_str()),
        (2, "config invalid!\n")
    );
    assert!(stderr(&output).contains("lefft"), "{}", stderr(&output));
}
