use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use control::vici::Element;
use tempfile::TempDir;

use super::*;
use crate::swanctl::dump::{self, Format};

mod conns;
mod creds;
mod items;

/// Answers what it was told to, and yes to everything else.
#[derive(Default)]
struct Fake {
    calls: Vec<(String, Message)>,
    answers: VecDeque<(&'static str, Message)>,
}

impl Daemon for Fake {
    fn call(&mut self, command: &str, request: &Message) -> Result<Message, client::Error> {
        request.encode().map_err(client::Error::Unsendable)?;
        self.calls.push((command.to_owned(), request.clone()));
        let planned = self.answers.iter().position(|(of, _)| *of == command);
        let planned = planned.and_then(|index| self.answers.remove(index));
        Ok(planned.map_or_else(|| Message::new().flag("success", true), |(_, answer)| answer))
    }
}

/// A directory like /etc/swanctl, a daemon, and what somebody types.
struct Bench {
    directory: TempDir,
    daemon: Fake,
    options: Options,
    format: Format,
    typed: VecDeque<&'static str>,
    asked: Vec<String>,
}

impl Bench {
    fn new(conf: &str) -> Self {
        let bench = Self {
            directory: tempfile::tempdir().expect("a directory"),
            daemon: Fake::default(),
            options: Options::default(),
            format: Format::Text,
            typed: VecDeque::new(),
            asked: Vec::new(),
        };
        bench.file("swanctl.conf", conf);
        bench
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(&path, content).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("closed");
    }

    fn answer(&mut self, command: &'static str, answer: Message) {
        self.daemon.answers.push_back((command, answer));
    }

    fn refuse(&mut self, command: &'static str, reason: &str) {
        let answer = Message::new().flag("success", false).value("errmsg", reason);
        self.answer(command, answer);
    }

    /// The exit code, and what was written to stdout and stderr, without the directory.
    fn run(&mut self, what: What) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (typed, asked) = (&mut self.typed, &mut self.asked);
        let base = self.directory.path().to_owned();
        let mut loader = Loader {
            daemon: &mut self.daemon,
            out: &mut out,
            err: &mut err,
            format: self.format,
            ask: &mut |question| {
                asked.push(question.to_owned());
                let typed = typed.pop_front()?;
                Some(SharedSecret::new(typed.as_bytes().to_vec()))
            },
            settings: Settings::default(),
            base: base.clone(),
            options: &self.options,
            failures: 0,
        };
        let code = match load(&mut loader, what) {
            Ok(()) => 0,
            Err(failure) => failure.report(&mut io::sink()),
        };
        let shown = |octets| {
            let text = String::from_utf8(octets).expect("text");
            text.replace(&format!("{}/", base.display()), "")
        };
        (code, shown(out), shown(err))
    }

    /// The requests of a command, one a line.
    fn calls(&self, command: &str) -> Vec<String> {
        let calls = self.daemon.calls.iter().filter(|(name, _)| name == command);
        let shown = |(_, request): &(String, Message)| {
            let mut out = Vec::new();
            dump::raw("", request, &mut out).expect("written");
            String::from_utf8_lossy(&out).trim().to_owned()
        };
        calls.map(shown).collect()
    }

    /// The commands in their order.
    fn commands(&self) -> Vec<&str> {
        self.daemon.calls.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// Every kind of section and key.
const FULL: &str = include_str!("tests/swanctl.conf");

#[test]
fn everything_is_loaded_in_the_order_that_it_is_needed() {
    let mut bench = Bench::new(FULL);
    bench.file("x509/moon.pem", "moon");
    bench.file("x509ca/ca.pem", "ca");
    bench.file("private/moon.pem", "key");
    bench.answer(
        "load-token",
        Message::new().flag("success", true).value("id", "aa55"),
    );
    let (code, out, err) = bench.run(What::All);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "loaded certificate from 'x509/moon.pem'\n\
         loaded certificate from 'x509ca/ca.pem'\n\
         loaded private key from 'private/moon.pem'\n\
         loaded key token-1 from token [keyid: aa55]\n\
         loaded ike secret 'ike-1'\n\
         loaded eap secret 'eap-carol'\n\
         loaded xauth secret 'xauth-dave'\n\
         loaded ntlm secret 'ntlm-carol'\n\
         loaded ppk secret 'ppk-1'\n\
         loaded authority 'strongswan'\n\
         successfully loaded 1 authorities, 0 unloaded\n\
         loaded pool 'rw_pool'\n\
         successfully loaded 1 pools, 0 unloaded\n\
         loaded connection 'host-host'\n\
         loaded connection 'rw'\n\
         successfully loaded 2 connections, 0 unloaded\n"
    );
    assert_eq!(
        bench.commands(),
        [
            "get-keys",
            "load-cert",
            "load-cert",
            "load-key",
            "load-token",
            "get-shared",
            "load-shared",
            "load-shared",
            "load-shared",
            "load-shared",
            "load-shared",
            "get-authorities",
            "load-authority",
            "get-pools",
            "load-pool",
            "get-conns",
            "load-conn",
            "load-conn",
        ]
    );
}

#[test]
fn the_first_kind_that_fails_is_the_last() {
    let mut bench = Bench::new(FULL);
    bench.file("x509ca/ca.pem", "ca");
    bench.file("x509/moon.pem", "moon");
    bench.refuse("load-authority", "parsing X509 certificate failed");
    let (code, _, err) = bench.run(What::All);
    assert_eq!(code, 22);
    assert!(err.starts_with("loading authority 'strongswan' failed: parsing X509 certificate failed"));
    assert!(
        err.ends_with("loaded 0 of 1 authorities, 1 failed to load, 0 unloaded\n"),
        "{err}"
    );
    assert!(bench.calls("load-pool").is_empty() && bench.calls("load-conn").is_empty());
}

#[test]
fn a_certificate_that_is_none_keeps_nothing_else_from_being_loaded() {
    let mut bench = Bench::new("pools { p { addrs = 10.3.0.0/24\n } }\n");
    bench.file("x509/moon.pem", "moon");
    bench.refuse("load-cert", "parsing X509 certificate failed");
    let (code, out, err) = bench.run(What::All);
    assert_eq!(code, 22);
    assert_eq!(
        err,
        "loading 'x509/moon.pem' failed: parsing X509 certificate failed\n"
    );
    assert!(out.contains("loaded pool 'p'"), "{out}");
}

#[test]
fn a_file_that_does_not_parse_names_the_line_and_nothing_is_loaded() {
    let mut bench = Bench::new("connections {\n  a {\n");
    let (code, out, err) = bench.run(What::All);
    assert_eq!((code, out.as_str()), (22, ""));
    assert_eq!(
        err,
        "parsing 'swanctl.conf' failed: swanctl.conf:3: section is not closed, expected '}'\n"
    );
    assert!(bench.daemon.calls.is_empty());
}

#[test]
fn another_file_is_read_if_one_is_named() {
    let mut bench = Bench::new("broken");
    bench.file("other.conf", "pools { p { addrs = 10.3.0.0/24\n } }\n");
    bench.options.file = Some(bench.directory.path().join("other.conf"));
    assert_eq!(bench.run(What::Pools).0, 0);
    bench.options.file = Some(bench.directory.path().join("missing.conf"));
    let (code, _, err) = bench.run(What::Pools);
    assert_eq!(code, 22);
    assert_eq!(err, "parsing 'missing.conf' failed: there is no such file\n");
}

#[test]
fn includes_are_read_and_their_mistakes_named_there() {
    let mut bench = Bench::new("include conf.d/*.conf\n");
    bench.file("conf.d/a.conf", "connections { a { } }\n");
    bench.file("conf.d/b.conf", "connections {\n b {\n  dpd = 1\n } }\n");
    bench.refuse("load-conn", "unknown option: dpd, config discarded");
    bench
        .daemon
        .answers
        .push_front(("load-conn", Message::new().flag("success", true)));
    let (code, out, err) = bench.run(What::Conns);
    assert_eq!((code, out.as_str()), (22, "loaded connection 'a'\n"));
    assert_eq!(
        err,
        "loading connection 'b' failed: unknown option: dpd, config discarded (conf.d/b.conf:3)\n\
         loaded 1 of 2 connections, 1 failed to load, 0 unloaded\n"
    );
}

#[test]
fn a_misspelt_section_at_the_top_is_said() {
    let mut bench = Bench::new("\nconnection {\n a { }\n}\nconn-base {\n}\n");
    let (code, out, err) = bench.run(What::Conns);
    assert_eq!(code, 0);
    assert_eq!(out, "no connections found, 0 unloaded\n");
    assert_eq!(
        err,
        "swanctl.conf:2: section 'connection' is not used, did you mean 'connections'?\n"
    );
}

#[test]
fn answers_are_shown_as_they_are_if_asked_for() {
    for (format, expected) in [
        (Format::Raw, "load-pool reply {success=yes}\n"),
        (Format::Pretty, "load-pool reply {\n  success = yes\n}\n"),
        (Format::Json, "{\"success\":\"yes\"}\n"),
    ] {
        let mut bench = Bench::new("pools { p { addrs = 10.3.0.0/24\n } }\n");
        bench.format = format;
        assert_eq!(bench.run(What::Pools), (0, expected.to_owned(), String::new()));
    }
}

#[test]
fn a_daemon_that_goes_away_ends_it() {
    struct Gone;
    impl Daemon for Gone {
        fn call(&mut self, _: &str, _: &Message) -> Result<Message, client::Error> {
            Err(io::Error::from(io::ErrorKind::ConnectionReset).into())
        }
    }
    let bench = Bench::new(FULL);
    let mut loader = Loader {
        daemon: &mut Gone,
        out: &mut io::sink(),
        err: &mut io::sink(),
        format: Format::Text,
        ask: &mut |_| None,
        settings: Settings::default(),
        base: bench.directory.path().to_owned(),
        options: &bench.options,
        failures: 0,
    };
    let failure = load(&mut loader, What::All).expect_err("it is gone");
    let mut said = Vec::new();
    assert_eq!(failure.report(&mut said), 1);
    assert!(said.starts_with(b"talking to the daemon failed: "));
}
