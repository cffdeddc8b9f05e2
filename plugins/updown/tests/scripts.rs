//! Scripts, run for real.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use charon_updown::worker::Worker;
use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{Host, KernelNet, Listener, Reply};

struct Daemon(Mutex<Sender<(i8, String)>>);

impl Host for Daemon {
    fn setting(&self, _key: &str) -> Option<String> {
        None
    }

    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        true
    }

    fn log(&self, group: Group, level: i8, message: &str) {
        assert_eq!(group, Group::Chd);
        // The test may have ended.
        let _ = self
            .0
            .lock()
            .expect("no panic before")
            .send((level, message.to_owned()));
    }

    fn submit(&self, verb: &str, message: &[u8], reply: Arc<dyn Reply>) {
        let id = String::from_utf8_lossy(&message[6..]);
        self.log(Group::Chd, 1, &format!("{verb} {id}"));
        reply.done(&[]);
    }

    fn kernel_event(&self, _event: KernelEvent) {}

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

fn worker(timeout: Duration) -> (Worker, Receiver<(i8, String)>) {
    let (sender, lines) = channel();
    (
        Worker::start(Arc::new(Daemon(Mutex::new(sender))), Some(timeout)).expect("a thread"),
        lines,
    )
}

fn event(script: &str, variables: &[(&str, &str)]) -> Vec<u8> {
    let mut message = Vec::new();
    for (name, value) in [("verb", "up"), ("script", script)].iter().chain(variables) {
        message.extend([3, name.len() as u8]);
        message.extend(name.as_bytes());
        message.extend((value.len() as u16).to_be_bytes());
        message.extend(value.as_bytes());
    }
    message
}

/// The lines of some runs, up to the last one's end.
fn lines(lines: &Receiver<(i8, String)>, runs: usize) -> Vec<(i8, String)> {
    let mut all = Vec::new();
    let mut ended = 0;
    while ended < runs {
        let line = lines.recv_timeout(Duration::from_secs(30)).expect("a line");
        ended += usize::from(line.1.contains("ended with"));
        all.push(line);
    }
    all
}

fn texts(all: &[(i8, String)]) -> Vec<&str> {
    all.iter().map(|(_, text)| text.as_str()).collect()
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn output_of_both_kinds_is_logged_line_by_line_and_the_exit_code_at_level_2() {
    let (worker, log) = worker(LONG);
    worker.event(
        "updown",
        &event("echo one; echo two >&2; printf three; exit 7", &[]),
    );
    let all = lines(&log, 1);
    assert_eq!(texts(&all[..3]), ["updown: one", "updown: two", "updown: three"]);
    assert!(all[..3].iter().all(|(level, _)| *level == 1));
    assert_eq!(all[3].0, 2);
    assert!(all[3].1.ends_with("ended with exit status: 7"), "{}", all[3].1);
}

#[test]
fn the_environment_is_what_the_event_says_and_nothing_else() {
    let (worker, log) = worker(LONG);
    let variables = [("PLUTO_VERB", "up-client"), ("PLUTO_PEER_ID", "a\nb; $(reboot)")];
    // The shell itself may add PWD, SHLVL, OLDPWD and _.
    worker.event(
        "updown",
        &event(
            "env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD= | sort",
            &variables,
        ),
    );
    let all = lines(&log, 1);
    let mut expected = vec![
        "updown: PLUTO_PEER_ID=a",
        "updown: PLUTO_VERB=up-client",
        "updown: b; $(reboot)",
    ];
    let path = format!("updown: PATH={}", std::env::var("PATH").expect("a path"));
    expected.push(&path);
    let mut got = texts(&all[..all.len() - 1]);
    got.sort_unstable();
    expected.sort_unstable();
    assert_eq!(got, expected);
}

#[test]
fn scripts_run_one_after_the_other_in_order() {
    let (worker, log) = worker(LONG);
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    // The first blocks in opening the pipe until the test does.
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    worker.event(
        "updown",
        &event(&format!("cat {}; echo first", pipe.display()), &[]),
    );
    for number in 2..5 {
        worker.event("updown", &event(&format!("echo {number}"), &[]));
    }
    assert!(log.try_recv().is_err(), "nothing overtakes it");
    std::fs::write(&pipe, "go\n").expect("opened");
    let all = lines(&log, 4);
    let said: Vec<_> = texts(&all)
        .into_iter()
        .filter(|text| text.starts_with("updown:"))
        .collect();
    assert_eq!(
        said,
        [
            "updown: go",
            "updown: first",
            "updown: 2",
            "updown: 3",
            "updown: 4"
        ]
    );
}

#[test]
fn a_script_waits_for_none_of_another_reqid_and_its_end_is_reported() {
    let (worker, log) = worker(LONG);
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let ask = |script: &str, id: &str, reqid: &str| {
        let mut message = vec![3, 2, b'i', b'd', 0, id.len() as u8];
        message.extend(id.as_bytes());
        message.extend(event(script, &[("PLUTO_REQID", reqid)]));
        worker.event("script", &message);
    };
    ask(&format!("cat {}", pipe.display()), "1", "7");
    ask("echo second", "2", "7");
    ask("echo other", "3", "8");
    let next = || log.recv_timeout(Duration::from_secs(30)).expect("a line").1;
    assert_eq!(next(), "updown: other");
    assert!(next().contains("ended with exit status: 0"));
    assert_eq!(next(), "script-done 3");
    std::fs::write(&pipe, "first\n").expect("opened");
    let rest: Vec<String> = (0..6)
        .map(|_| next())
        .filter(|line| !line.contains("ended with"))
        .collect();
    assert_eq!(
        rest,
        [
            "updown: first",
            "script-done 1",
            "updown: second",
            "script-done 2"
        ]
    );
}

#[test]
fn a_script_that_hangs_is_killed_with_its_children() {
    let (worker, log) = worker(Duration::from_millis(200));
    worker.event("updown", &event("echo before; sleep 1000 | cat", &[]));
    let all = lines(&log, 1);
    assert_eq!(all[0].1, "updown: before");
    assert!(
        all[1].1.contains("has not ended after 0.2 s, killing it"),
        "{}",
        all[1].1
    );
    assert_eq!(all[1].0, 1);
    assert!(all[2].1.contains("signal: 9"), "{}", all[2].1);
}

#[test]
fn what_a_script_leaves_in_the_background_holds_nothing_up() {
    let (worker, log) = worker(LONG);
    worker.event("updown", &event("sleep 20 & echo $!", &[]));
    let all = lines(&log, 1);
    let pid: i32 = all[0]
        .1
        .trim_start_matches("updown: ")
        .parse()
        .expect("a process");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)
        .expect("still running");
}

#[test]
fn long_lines_come_in_pieces_and_floods_end() {
    let (worker, log) = worker(LONG);
    worker.event(
        "updown",
        &event("head -c 2500 /dev/zero | tr '\\0' x; echo; seq 1 5000", &[]),
    );
    let all = lines(&log, 1);
    let lens: Vec<_> = all
        .iter()
        .take(3)
        .map(|(_, text)| text.len() - "updown: ".len())
        .collect();
    assert_eq!(lens, [1024, 1024, 452]);
    assert_eq!(all.len(), 1000 + 2);
    assert!(all[1000].1.contains("more than is logged"));
}

#[test]
fn what_waits_is_still_run_when_the_daemon_ends() {
    let (worker, log) = worker(LONG);
    for number in 0..3 {
        worker.event("updown", &event(&format!("echo {number}"), &[]));
    }
    drop(worker);
    assert_eq!(lines(&log, 3).len(), 6);
}

#[test]
fn a_message_that_is_none_is_said_and_forgotten() {
    let (worker, log) = worker(LONG);
    worker.event("updown", &[9, 9]);
    worker.event("child-updown", &event("echo never", &[]));
    worker.event("updown", &event("echo still here", &[]));
    let all = lines(&log, 1);
    assert!(all[0].1.contains("not understood"), "{}", all[0].1);
    assert_eq!(all[1].1, "updown: still here");
    assert_eq!(worker.wants(), ["script", "updown"]);
}
