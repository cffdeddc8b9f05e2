//! charon as a process of its own, in a network namespace of its own.

use std::fs;
use std::io::{PipeReader, Read};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

/// What a daemon needs at the least.
const PLUGINS: &str = "random nonce sha1 kernel-netlink kernel-libipsec socket-default";

struct World {
    directory: TempDir,
}

struct Charon {
    child: Child,
    ready: PipeReader,
}

impl World {
    /// A folder, and a network namespace for this thread and what it starts; nothing without the rights to make one.
    fn new() -> Option<Self> {
        if !geteuid().is_root() {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "these tests need root"
            );
            eprintln!("skipped: network namespaces need root");
            return None;
        }
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        Some(Self {
            directory: TempDir::new().expect("a folder"),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("charon.log")).unwrap_or_default()
    }

    /// Starts charon with `load` and further settings of the section charon.
    fn start(&self, load: &str, settings: &str) -> Charon {
        let directory = self.directory.path().display();
        let conf = format!(
            "charon {{\n piddir = {directory}\n load = {load}\n {settings}\n plugins {{ stroke {{ secrets_file = \
             {directory}/ipsec.secrets }} }}\n filelog {{ log {{ path = {directory}/charon.log\n flush_line = yes }} }}\n}}\n"
        );
        fs::write(self.path("strongswan.conf"), conf).expect("strongswan.conf");
        fs::write(self.path("ipsec.secrets"), ": PSK \"secret\"\n").expect("ipsec.secrets");
        let (ready, announce) = std::io::pipe().expect("a pipe");
        fcntl(&announce, FcntlArg::F_SETFD(FdFlag::empty())).expect("a descriptor to inherit");
        let child = Command::new(env!("CARGO_BIN_EXE_charon"))
            .args(["--ready-fd", &announce.as_raw_fd().to_string()])
            .env("STRONGSWAN_CONF", self.path("strongswan.conf"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("charon");
        Charon { child, ready }
    }
}

impl Charon {
    fn wait_until_up(&mut self) -> bool {
        self.ready.read(&mut [0; 1]).is_ok_and(|len| len == 1)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().expect("a pid")), signal).expect("a signal");
    }

    /// Waits for a start that fails, and returns how and why.
    fn wait_for_failure(mut self) -> (Option<i32>, String) {
        let up = self.wait_until_up();
        if up {
            self.signal(Signal::SIGKILL);
        }
        let (status, errors) = self.wait();
        assert!(!up, "it is up: {errors}");
        (status.code(), errors)
    }

    fn wait(mut self) -> (ExitStatus, String) {
        let mut errors = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut errors);
        }
        (self.child.wait().expect("an exit status"), errors)
    }
}

fn lines_without_thread(log: &str) -> Vec<&str> {
    log.lines()
        .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit()))
        .collect()
}

#[test]
fn charon_starts_says_what_it_loaded_and_ends_on_sigterm() {
    let Some(world) = World::new() else { return };
    let mut charon = world.start(PLUGINS, "");
    assert!(charon.wait_until_up(), "{}", world.log());
    let pid = fs::read_to_string(world.path("charon.pid")).expect("a pid file");
    assert_eq!(pid, format!("{}\n", charon.child.id()));
    charon.signal(Signal::SIGTERM);
    let (status, errors) = charon.wait();
    assert_eq!(status.code(), Some(0), "{errors}");
    assert!(!world.path("charon.pid").exists(), "the pid file is removed");
    let log = world.log();
    let lines = lines_without_thread(&log);
    assert!(
        lines[0].starts_with("[DMN] Starting IKE charon daemon (pqswan "),
        "{log}"
    );
    let loaded = lines
        .iter()
        .find(|line| line.starts_with("[LIB] loaded plugins: charon "))
        .expect("what is loaded");
    assert!(loaded.contains("sha1"), "{log}");
    assert!(lines.contains(&"[JOB] spawning 16 worker threads"), "{log}");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("[CFG] loading secrets from ")),
        "{log}"
    );
    // The last but for what the kernel tells of the device that goes with it.
    let last = lines.iter().rfind(|line| !line.starts_with("[KNL] "));
    assert_eq!(last, Some(&"[DMN] SIGTERM received, shutting down"));
}

#[test]
fn sighup_reloads_settings_and_a_broken_file_changes_nothing() {
    let Some(world) = World::new() else { return };
    let mut charon = world.start(PLUGINS, "");
    assert!(charon.wait_until_up(), "{}", world.log());
    fs::write(world.path("strongswan.conf"), "charon { filelog {").expect("a broken file");
    charon.signal(Signal::SIGHUP);
    wait_for_line(&world.path("charon.log"), "the settings stay as they were");
    charon.signal(Signal::SIGINT);
    let (status, errors) = charon.wait();
    assert_eq!(status.code(), Some(0), "{errors}");
    assert!(
        world.log().contains("SIGINT received, shutting down"),
        "{}",
        world.log()
    );
}

#[test]
fn a_second_daemon_is_refused() {
    let Some(world) = World::new() else { return };
    let mut first = world.start(PLUGINS, "");
    assert!(first.wait_until_up(), "{}", world.log());
    let (code, errors) = world.start(PLUGINS, "").wait_for_failure();
    assert_eq!(code, Some(66));
    assert!(errors.contains("charon already running ('"), "{errors}");
    first.signal(Signal::SIGTERM);
    assert_eq!(first.wait().0.code(), Some(0));
}

#[test]
fn a_taken_port_is_named_with_the_option_to_change() {
    let Some(world) = World::new() else { return };
    let _taken = UdpSocket::bind("0.0.0.0:4500").expect("the port");
    let (code, errors) = world.start(PLUGINS, "").wait_for_failure();
    assert_eq!(code, Some(66));
    for text in ["UDP port 4500", "charon.port_nat_t"] {
        assert!(errors.contains(text) && world.log().contains(text), "{errors}");
    }
    assert!(!world.path("charon.pid").exists());
}

#[test]
fn a_missing_critical_plugin_ends_the_start() {
    let Some(world) = World::new() else { return };
    let (code, errors) = world.start("no-such-plugin! random", "").wait_for_failure();
    assert_eq!(code, Some(66));
    assert!(errors.contains("no-such-plugin"), "{errors}");
}

#[test]
fn without_a_kernel_back_end_nothing_is_started() {
    let Some(world) = World::new() else { return };
    let (code, errors) = world
        .start("random nonce sha1 socket-default", "")
        .wait_for_failure();
    assert_eq!(code, Some(66));
    assert!(
        errors.contains("kernel-ipsec") && errors.contains("charon.load"),
        "{errors}"
    );
}

#[test]
fn unknown_options_end_in_1_and_help_in_0() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_charon"))
            .args(arguments)
            .output()
            .expect("charon")
    };
    assert_eq!(run(&["--frobnicate"]).status.code(), Some(1));
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    let version = run(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&version.stdout).contains("pqswan"));
}

/// Waits for the log to grow by a line, by watching its folder.
fn wait_for_line(path: &Path, text: &str) {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    let watch = Inotify::init(InitFlags::IN_CLOEXEC).expect("inotify");
    watch.add_watch(path, AddWatchFlags::IN_MODIFY).expect("a watch");
    while !fs::read_to_string(path).is_ok_and(|log| log.contains(text)) {
        watch.read_events().expect("the log to grow");
    }
}
