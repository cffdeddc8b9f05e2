use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, UNIX_EPOCH};

use config::settings::Settings;
use ike::LogLine;
use plugin_api::log::Group;

use super::format::{Precision, Style, append};
use super::sinks::Sink;
use super::targets::Legacy;
use super::{Logger, Pause, Record, targets};
use crate::program::Program;

fn record(text: &str) -> Record {
    let line = LogLine {
        group: Group::Ike,
        level: 1,
        sa: Some((1, Arc::from("Tunnel1"))),
        text: text.to_owned(),
    };
    Record {
        time: UNIX_EPOCH + Duration::from_millis(1_606_000_000_042),
        thread: 8,
        line,
    }
}

fn formatted(style: &Style, record: &Record) -> String {
    let mut out = String::new();
    append(&mut out, style, record);
    out
}

#[test]
fn a_line_has_thread_and_group_before_its_text() {
    let line = formatted(
        &Style::default(),
        &record("initiating IKE_SA Tunnel2[1] to 192.168.0.2"),
    );
    assert_eq!(line, "08[IKE] initiating IKE_SA Tunnel2[1] to 192.168.0.2\n");
}

#[test]
fn level_and_ike_sa_are_added_on_request() {
    let style = Style {
        ike_name: true,
        log_level: true,
        ..Style::default()
    };
    assert_eq!(formatted(&style, &record("text")), "08[IKE1] <Tunnel1|1> text\n");
    let mut unnamed = record("text");
    unnamed.line.sa = Some((7, Arc::from("(unnamed)")));
    assert_eq!(formatted(&style, &unnamed), "08[IKE1] <7> text\n");
}

#[test]
fn the_time_follows_its_format_with_milliseconds_behind_it() {
    let style = Style {
        time_format: Some("at %S".into()),
        precision: Precision::Milliseconds,
        ..Style::default()
    };
    assert_eq!(formatted(&style, &record("text")), "at 40.042 08[IKE] text\n");
    let style = Style {
        precision: Precision::Microseconds,
        ..style
    };
    assert_eq!(formatted(&style, &record("text")), "at 40.042000 08[IKE] text\n");
}

#[test]
fn a_line_of_json_has_the_keys_of_the_event() {
    let style = Style {
        time_format: Some("%S".into()),
        json: true,
        ..Style::default()
    };
    let line = formatted(&style, &record("say \"one\"\ntwo"));
    let lines: Vec<serde_json::Value> = line
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let expected = |msg: &str| {
        serde_json::json!({
            "time": "40", "thread": 8, "group": "IKE", "level": 1, "ikesa-uniqueid": "1", "ikesa-name": "Tunnel1", "msg": msg,
        })
    };
    assert_eq!(lines, [expected("say \"one\""), expected("two")]);
}

#[test]
fn the_journal_gets_a_datagram_of_fields_for_each_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let journal = UnixDatagram::bind(&path).expect("a socket");
    let text = format!("charon {{ journal {{ path = {}\n ike = 0\n }} }}", path.display());
    let settings = Settings::parse(&text, "test.conf").expect("settings");
    let (sinks, problems) = targets::open(&settings, &Legacy::default(), None);
    assert!(problems.is_empty() && sinks.len() == 1, "{problems:?}");
    let logger = Logger::start().expect("a logger");
    logger.set_sinks(sinks);
    let mut audit = record("one\ntwo\u{7}").line;
    logger.write(audit.clone());
    audit.level = 0;
    logger.write(audit);
    logger.flush();
    let mut buffer = [0; 1024];
    let mut next = || {
        let octets = journal.recv(&mut buffer).expect("a datagram");
        String::from_utf8_lossy(&buffer[..octets]).into_owned()
    };
    let thread = super::thread_number();
    let fields = |message: &str| {
        format!(
            "MESSAGE={message}\nPRIORITY=5\nSYSLOG_IDENTIFIER=charon\nLEVEL=0\nGROUP=IKE\nTHREAD={thread}\n\
             IKE_SA_UNIQUE_ID=1\nIKE_SA_NAME=Tunnel1\n"
        )
    };
    assert_eq!(next(), fields("one"));
    assert_eq!(next(), fields("two\\u{7}"));
}

#[test]
fn a_journal_that_is_not_there_is_named() {
    let settings =
        Settings::parse("charon { journal { path = /nowhere/socket\n } }", "test.conf").expect("settings");
    let (sinks, problems) = targets::open(&settings, &Legacy::default(), None);
    assert!(problems[0].starts_with("charon.journal: cannot connect to '/nowhere/socket' for the log: "));
    assert!(!sinks.is_empty(), "a daemon must not be mute");
}

#[test]
fn a_wrong_time_format_does_not_silence_the_log() {
    let style = Style {
        time_format: Some("%".into()),
        ..Style::default()
    };
    assert_eq!(formatted(&style, &record("text")), "% 08[IKE] text\n");
}

#[test]
fn every_line_of_a_text_gets_the_prefix() {
    assert_eq!(
        formatted(&Style::default(), &record("one\ntwo")),
        "08[IKE] one\n08[IKE] two\n"
    );
}

#[test]
fn control_characters_are_escaped() {
    let line = formatted(&Style::default(), &record("a\x1b[2Jb\tc\u{9b}d"));
    assert_eq!(line, "08[IKE] a\\u{1b}[2Jb\\tc\\u{9b}d\n");
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_sink_takes_the_lines_of_its_levels() {
    let (quiet, loud) = (Shared::default(), Shared::default());
    let logger = Logger::start().unwrap();
    let mut levels = [1; Group::ALL.len()];
    levels[Group::Net as usize] = 3;
    logger.set_sinks(vec![
        Sink::stream(
            Box::new(quiet.clone()),
            [0; Group::ALL.len()],
            Style::default(),
            false,
        ),
        Sink::stream(Box::new(loud.clone()), levels, Style::default(), false),
    ]);
    logger.log(Group::Net, 3, "raw");
    logger.log(Group::Ike, 2, "nobody wants this");
    logger.log(Group::Ike, 0, "audit");
    logger.flush();
    let text = |shared: &Shared| String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        text(&quiet).lines().map(|line| &line[2..]).collect::<Vec<_>>(),
        ["[IKE] audit"]
    );
    assert_eq!(
        text(&loud).lines().map(|line| &line[2..]).collect::<Vec<_>>(),
        ["[NET] raw", "[IKE] audit"]
    );
    assert_eq!(logger.level(Group::Net), 3);
}

#[test]
fn the_observer_gets_lines_of_level_0_and_1_while_somebody_listens() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let logger = Logger::start().unwrap();
    let into = Arc::clone(&seen);
    logger.set_observer(Box::new(move |record| {
        into.lock().unwrap().push(record.line.text.clone())
    }));
    logger.log(Group::Ike, 1, "before");
    logger.observe(true);
    logger.log(Group::Ike, 1, "during");
    logger.log(Group::Ike, 2, "too detailed");
    logger.observe(false);
    logger.log(Group::Ike, 1, "after");
    assert_eq!(*seen.lock().unwrap(), ["during"]);
}

#[test]
fn lines_gather_until_somebody_is_in_a_hurry() {
    let pause = Pause::default();
    assert!(!pause.wait());
    pause.end();
    pause.end();
    assert!(pause.wait());
    assert!(!pause.wait(), "that hurry is over");
}

/// Takes a line only with a permit.
struct Slow(mpsc::Receiver<()>, Shared);

impl Write for Slow {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        self.1.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A logger with a reader that takes lines as it is permitted to, and what it has taken.
fn slow() -> (Arc<Logger>, mpsc::Sender<()>, Shared) {
    let (permits, permitted) = mpsc::channel();
    let (logger, taken) = (Logger::start().unwrap(), Shared::default());
    let stream = Box::new(Slow(permitted, taken.clone()));
    logger.set_sinks(vec![Sink::stream(
        stream,
        [1; Group::ALL.len()],
        Style::default(),
        true,
    )]);
    (logger, permits, taken)
}

#[test]
fn what_follows_lines_is_done_once_they_are_written() {
    let (logger, permits, taken) = slow();
    let (done, wait) = mpsc::channel();
    let then = |logger: &Logger, name: &'static str| {
        let (done, taken) = (done.clone(), taken.clone());
        logger.then(Box::new(move || {
            let lines = taken
                .0
                .lock()
                .unwrap()
                .iter()
                .filter(|octet| **octet == b'\n')
                .count();
            done.send((name, lines)).unwrap();
        }));
    };
    then(&logger, "nothing to wait for");
    assert_eq!(wait.try_recv(), Ok(("nothing to wait for", 0)));
    logger.log(Group::Cfg, 1, "one");
    then(&logger, "after one");
    logger.log(Group::Cfg, 1, "two");
    logger.log(Group::Cfg, 1, "three");
    then(&logger, "after three");
    assert!(wait.try_recv().is_err(), "no line may be written yet");
    assert!(logger.deadline().is_some());
    permits.send(()).unwrap();
    assert_eq!(wait.recv(), Ok(("after one", 1)));
    permits.send(()).unwrap();
    permits.send(()).unwrap();
    assert_eq!(wait.recv(), Ok(("after three", 3)));
    assert_eq!(logger.deadline(), None);
}

#[test]
fn a_reader_that_stalls_holds_up_nothing_that_follows_for_long() {
    let (logger, permits, _) = slow();
    let (done, wait) = mpsc::channel();
    let then = |name: &'static str| {
        let done = done.clone();
        logger.then(Box::new(move || done.send(name).unwrap()));
    };
    logger.log(Group::Cfg, 1, "one");
    then("first");
    assert!(wait.try_recv().is_err());
    logger.give_up();
    assert_eq!(wait.try_recv(), Ok("first"));
    then("second");
    assert_eq!(
        wait.try_recv(),
        Ok("second"),
        "nobody waits again before lines are taken"
    );
    // The reader wakes up.
    permits.send(()).unwrap();
    logger.flush();
    logger.log(Group::Cfg, 1, "two");
    then("third");
    assert!(wait.try_recv().is_err(), "lines are taken again");
    permits.send(()).unwrap();
    assert_eq!(wait.recv(), Ok("third"));
    assert!(wait.try_recv().is_err(), "each is done once");
}

#[test]
fn a_full_queue_holds_up_nothing() {
    let (logger, _permits, _) = slow();
    let (done, wait) = mpsc::channel();
    for _ in 0..super::QUEUED_LINES + 2 {
        logger.log(Group::Cfg, 1, "a line");
    }
    logger.then(Box::new(move || done.send(()).unwrap()));
    assert_eq!(wait.try_recv(), Ok(()));
}

#[test]
fn a_silent_journal_is_not_connected_to_and_nothing_takes_its_place() {
    let open = |text: &str, program| {
        let settings = Settings::parse(text, "strongswan.conf").expect("it parses");
        let legacy = Legacy {
            program,
            ..Legacy::default()
        };
        let (sinks, problems) = targets::open(&settings, &legacy, None);
        (sinks.len(), problems)
    };
    let silent = "charon { journal {\n default = -1\n path = /nowhere/journal\n } }";
    for program in [Program::Charon, Program::Systemd] {
        assert_eq!(open(silent, program), (0, Vec::new()));
    }
    let (_, problems) = open(
        "charon { journal { path = /nowhere/journal\n } }",
        Program::Charon,
    );
    assert!(problems[0].starts_with("charon.journal: cannot connect to '/nowhere/journal'"));
    let (sinks, problems) = open("charon { journal { } }", Program::Systemd);
    assert!(sinks > 0 && problems.is_empty(), "a service without a journal");
}
