//! `ipsec` and `stroke` without a starter: texts and exit codes.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // helpers are tests too

#[allow(dead_code, unreachable_pub)]
mod tree;

use control::stroke::Request;
use tree::{Tree, code, stderr, stdout};

#[test]
fn the_version_names_product_and_kernel() {
    let tree = Tree::new();
    for argument in ["version", "--version"] {
        let output = tree.ipsec(&[argument]);
        assert_eq!(code(&output), 0);
        let text = stdout(&output);
        let first = format!("Linux pqswan U{}/K", env!("CARGO_PKG_VERSION"));
        assert!(text.starts_with(&first), "{text}");
        assert!(
            text.ends_with("See 'ipsec --copyright' for copyright information.\n"),
            "{text}"
        );
    }
    let text = stdout(&tree.ipsec(&["--versioncode"]));
    assert!(
        text.starts_with(&format!("U{}/K", env!("CARGO_PKG_VERSION"))),
        "{text}"
    );
}

#[test]
fn the_installation_is_where_the_program_lies() {
    let tree = Tree::new();
    let directory = |argument| stdout(&tree.ipsec(&[argument])).trim_end().to_owned();
    assert_eq!(
        directory("--directory"),
        tree.path("usr/libexec/ipsec").to_str().unwrap()
    );
    assert_eq!(directory("--confdir"), tree.path("etc").to_str().unwrap());
    assert_eq!(directory("--piddir"), tree.path("var/run").to_str().unwrap());
    tree.write("etc/strongswan.conf", "charon {\n  piddir = /run/elsewhere\n}\n");
    assert_eq!(directory("--piddir"), "/run/elsewhere");
}

#[test]
fn an_unknown_command_is_named() {
    let output = Tree::new().ipsec(&["foo"]);
    assert_eq!(code(&output), 2);
    assert_eq!(
        stderr(&output),
        "unknown command `foo' (`ipsec --help' for list)\n"
    );
}

#[test]
fn help_goes_to_standard_output() {
    let output = Tree::new().ipsec(&["--help"]);
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).contains("statusall [NAME]"));
}

#[test]
fn nothing_runs_yet() {
    let tree = Tree::new();
    for (arguments, expected) in [
        (&["status"][..], 3),
        (&["statusall"], 3),
        (&["up", "net"], 7),
        (&["listalgs"], 7),
        (&["reload"], 7),
        (&["update"], 7),
        (&["stop"], 0),
        (&["up"], 2),
        (&["down"], 2),
    ] {
        assert_eq!(code(&tree.ipsec(arguments)), expected, "ipsec {arguments:?}");
    }
    let text = |command| stderr(&tree.ipsec(&[command]));
    assert_eq!(
        text("stop"),
        "Stopping pqswan IPsec failed: starter is not running\n"
    );
    assert_eq!(
        text("reload"),
        "Reloading pqswan IPsec failed: starter is not running\n"
    );
    assert_eq!(
        text("update"),
        "Updating pqswan IPsec failed: starter is not running\n"
    );
    assert_eq!(text("up"), "Usage: ipsec up <connection name>\n");
}

#[test]
fn a_stale_pid_file_is_a_dead_service() {
    let tree = Tree::new();
    // Process 1 runs, but is no starter.
    tree.write("var/run/starter.charon.pid", "1\n");
    assert_eq!(code(&tree.ipsec(&["status"])), 1);
    assert_eq!(code(&tree.ipsec(&["reload"])), 7);
    assert_eq!(code(&tree.ipsec(&["stop"])), 0);
    assert_eq!(code(&tree.ipsec(&["status"])), 3, "stop has removed the file");
}

#[test]
fn a_broken_strongswan_conf_is_told_with_its_place() {
    let tree = Tree::new();
    tree.write("etc/strongswan.conf", "charon {\n");
    let output = tree.ipsec(&["status"]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("etc/strongswan.conf"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn stroke_prints_what_the_daemon_says() {
    let tree = Tree::new();
    let requests = tree.serve(|_| "no config named 'net'\n".into());
    let output = tree.stroke(&["up", "net"]);
    assert_eq!(code(&output), 0, "the request was delivered");
    assert_eq!(stdout(&output), "no config named 'net'\n");
    assert_eq!(
        requests.recv().unwrap(),
        Request::Initiate {
            name: "net".into(),
            wait: true
        }
    );
    tree.write("var/run/charon.pid", "1\n");
    assert_eq!(stdout(&tree.ipsec(&["statusall"])), "no config named 'net'\n");
    assert_eq!(
        requests.recv().unwrap(),
        Request::Status {
            name: None,
            all: true
        }
    );
}

#[test]
fn stroke_without_a_daemon_says_where_it_looked() {
    let tree = Tree::new();
    let output = tree.stroke(&["status"]);
    assert_eq!(code(&output), 255);
    let uri = format!("unix://{}", tree.path("var/run/charon.ctl").display());
    let text = stderr(&output);
    assert!(
        text.starts_with(&format!("failed to connect to stroke socket '{uri}'")),
        "{text}"
    );
    tree.write(
        "etc/strongswan.conf",
        "charon {\n  plugins {\n    stroke {\n      socket = tcp://x\n    }\n  }\n}\n",
    );
    assert!(stderr(&tree.stroke(&["status"])).contains("'tcp://x'"));
}

#[test]
fn stroke_wants_to_be_used_rightly() {
    let output = Tree::new().stroke(&["up"]);
    assert_eq!(code(&output), 255);
    assert!(stderr(&output).starts_with("up needs one name\nusage: stroke COMMAND"));
}
