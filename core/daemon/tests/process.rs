//! charon as a process of its own, in a network namespace of its own.

use std::fs;
use std::io::{PipeReader, Read};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
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

impl Drop for Charon {
    /// A test that fails leaves no daemon behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
        self.configure(load, settings, "");
        self.spawn(env!("CARGO_BIN_EXE_charon"), None)
    }

    /// Writes strongswan.conf: the section charon with `load` and `settings`, and what is outside of it.
    fn configure(&self, load: &str, settings: &str, outside: &str) {
        let directory = self.directory.path().display();
        let conf = format!(
            "charon {{\n piddir = {directory}\n load = {load}\n {settings}\n plugins {{ stroke {{ secrets_file = \
             {directory}/ipsec.secrets }} }}\n filelog {{ log {{ path = {directory}/charon.log\n flush_line = yes }} }}\n}}\n{outside}\n"
        );
        fs::write(self.path("strongswan.conf"), conf).expect("strongswan.conf");
        fs::write(self.path("ipsec.secrets"), ": PSK \"secret\"\n").expect("ipsec.secrets");
    }

    /// Starts a program, whose supervisor is at `notify`.
    fn spawn(&self, program: &str, notify: Option<&Path>) -> Charon {
        let (ready, announce) = std::io::pipe().expect("a pipe");
        fcntl(&announce, FcntlArg::F_SETFD(FdFlag::empty())).expect("a descriptor to inherit");
        let child = Command::new(program)
            .args(["--ready-fd", &announce.as_raw_fd().to_string()])
            .env("STRONGSWAN_CONF", self.path("strongswan.conf"))
            .envs(notify.map(|path| ("NOTIFY_SOCKET", path)))
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
        if let Some(stderr) = &mut self.child.stderr {
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
fn all_that_is_missing_is_named_at_once_with_what_provides_it() {
    let Some(world) = World::new() else { return };
    let (code, errors) = world
        .start("kernel-netlink socket-default", "")
        .wait_for_failure();
    assert_eq!(code, Some(66));
    for text in [
        "HASHER:HASH_SHA1 (sha1), RNG:RNG_STRONG (random), NONCE_GEN (nonce); ",
        "add sha1 random nonce to charon.load",
        "strongswan.conf:3",
        "charon.load_extra",
    ] {
        assert!(errors.contains(text), "{errors}");
    }
    let (_, errors) = world
        .start(
            "ignored",
            "load_modular = yes\n plugins { random { load = yes\n } }",
        )
        .wait_for_failure();
    let text = "charon.plugins.sha1.load = yes and charon.plugins.nonce.load = yes";
    assert!(errors.contains(text), "{errors}");
}

#[test]
fn either_way_to_the_kernel_brings_the_other_where_it_is_needed() {
    let Some(world) = World::new() else { return };
    for named in ["kernel-netlink", "kernel-libipsec"] {
        let list = format!("random nonce sha1 {named} socket-default");
        let mut charon = world.start(&list, "");
        assert!(charon.wait_until_up(), "{}", world.log());
        charon.signal(Signal::SIGTERM);
        assert_eq!(charon.wait().0.code(), Some(0));
        let log = world.log();
        fs::remove_file(world.path("charon.log")).expect("the log");
        let lines = lines_without_thread(&log);
        let shown = format!("[LIB] loaded plugins: charon {list}");
        assert!(lines.contains(&shown.as_str()), "{log}");
        let by_libipsec = lines
            .iter()
            .any(|line| line.starts_with("[KNL] IPsec by plugin 'kernel-libipsec', "));
        let routes = "[LIB] plugin 'kernel-netlink' is loaded too, because no plugin of the list can provide CUSTOM:kernel-net";
        match named {
            "kernel-libipsec" => assert!(by_libipsec && lines.contains(&routes), "{log}"),
            // Whether this kernel has ESP is not known here.
            _ => assert_eq!(
                by_libipsec,
                log.contains("plugin 'kernel-libipsec' is loaded too"),
                "{log}"
            ),
        }
    }
}

#[test]
fn names_of_strongswans_plugins_are_understood_and_shown() {
    let Some(world) = World::new() else { return };
    let list = "x509 pem openssl nonce kdf xauth-generic kernel-pfkey socket-default";
    let mut charon = world.start(list, "");
    assert!(charon.wait_until_up(), "{}", world.log());
    charon.signal(Signal::SIGTERM);
    assert_eq!(charon.wait().0.code(), Some(0));
    let log = world.log();
    for line in [
        "plugin 'x509': built in, the daemon reads certificates and CRLs itself",
        "plugin 'xauth-generic': not available, XAuth belongs to IKEv1, which the daemon does not speak",
        "plugin 'kernel-pfkey': provided by kernel-netlink",
        &format!("loaded plugins: charon {list}"),
    ] {
        assert!(log.contains(&format!("[LIB] {line}\n")), "{line}:\n{log}");
    }
    let openssl = log
        .lines()
        .find(|line| line.contains("plugin 'openssl': provided by "));
    assert!(
        openssl.is_some_and(|line| line.contains("sha1, md5, random")),
        "{log}"
    );
}

#[test]
fn unknown_plugins_have_a_suggestion_and_what_nothing_stands_for_cannot_be_demanded() {
    let Some(world) = World::new() else { return };
    let mut charon = world.start(&format!("opnssl {PLUGINS}"), "");
    assert!(charon.wait_until_up(), "{}", world.log());
    charon.signal(Signal::SIGTERM);
    assert_eq!(charon.wait().0.code(), Some(0));
    let log = world.log();
    assert!(log.contains("plugin 'opnssl': failed to load - "), "{log}");
    assert!(log.contains(", did you mean 'openssl'?"), "{log}");
    assert!(
        log.contains(&format!("loaded plugins: charon {PLUGINS}")),
        "{log}"
    );
    let (code, errors) = world.start(&format!("{PLUGINS} eap-tls!"), "").wait_for_failure();
    assert_eq!(code, Some(66));
    assert!(
        errors.contains("loading critical plugin 'eap-tls' failed: EAP is not supported"),
        "{errors}"
    );
}

#[test]
fn unknown_keys_are_named_at_the_start_and_by_a_reload() {
    let Some(world) = World::new() else { return };
    let mut charon = world.start(PLUGINS, "prot = 500\n cache_crls = yes");
    assert!(charon.wait_until_up(), "{}", world.log());
    let log = world.log();
    let file = world.path("strongswan.conf");
    let file = file.display();
    for line in [
        format!("[CFG] {file}:4: unknown key 'charon.prot', did you mean 'port'?"),
        format!("[CFG] {file}:5: charon.cache_crls has no effect: no peer is authenticated by certificate"),
    ] {
        assert!(log.contains(&line), "{line}:\n{log}");
    }
    world.configure(PLUGINS, "send_vendor_idd = yes", "");
    charon.signal(Signal::SIGHUP);
    wait_for_line(
        &world.path("charon.log"),
        "unknown key 'charon.send_vendor_idd', did you mean 'send_vendor_id'?",
    );
    charon.signal(Signal::SIGTERM);
    assert_eq!(charon.wait().0.code(), Some(0));
}

#[test]
fn settings_that_keep_peers_out_refuse_the_start_and_a_missing_file_too() {
    let Some(world) = World::new() else { return };
    let whitelist = "plugins { whitelist { enable = yes } }";
    let (code, errors) = world.start(PLUGINS, whitelist).wait_for_failure();
    assert_eq!(code, Some(64));
    assert!(
        errors.contains("charon.plugins.whitelist.enable cannot be followed"),
        "{errors}"
    );
    fs::remove_file(world.path("strongswan.conf")).expect("strongswan.conf");
    let (code, errors) = world.spawn(env!("CARGO_BIN_EXE_charon"), None).wait_for_failure();
    assert_eq!(code, Some(64));
    assert!(
        errors.contains("there is no file '") && errors.contains("STRONGSWAN_CONF"),
        "{errors}"
    );
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named_where_the_daemon_was_started() {
    let Some(world) = World::new() else { return };
    let mut charon = world.start(PLUGINS, "filelog { other { path = /nowhere/charon.log } }");
    assert!(charon.wait_until_up(), "{}", world.log());
    charon.signal(Signal::SIGTERM);
    let (status, errors) = charon.wait();
    assert_eq!(status.code(), Some(0));
    let line = "charon.filelog.other: cannot open '/nowhere/charon.log' for the log: ";
    assert!(errors.contains(&format!("charon: {line}")), "{errors}");
    assert!(world.log().contains(&format!("[DMN] {line}")), "{}", world.log());
}

#[test]
fn a_service_has_its_section_and_tells_systemd_when_it_is_ready() {
    let Some(world) = World::new() else { return };
    let bound = |name: &str| UnixDatagram::bind(world.path(name)).expect("a socket");
    let (notify, journal) = (bound("notify"), bound("journal"));
    let section = format!(
        "charon-systemd {{\n threads = 7\n journal {{ path = {}\n default = 0\n dmn = 1\n }} }}",
        world.path("journal").display()
    );
    world.configure(PLUGINS, "threads = 3", &section);
    let charon = world.spawn(env!("CARGO_BIN_EXE_charon-systemd"), Some(&world.path("notify")));
    let received = |socket: &UnixDatagram| {
        let mut octets = [0; 2048];
        let len = socket.recv(&mut octets).expect("a datagram");
        String::from_utf8_lossy(&octets[..len]).into_owned()
    };
    let ready = received(&notify);
    assert!(
        ready.starts_with("READY=1\nSTATUS=charon-systemd running, pqswan "),
        "{ready}"
    );
    assert!(world.path("charon.pid").exists(), "it is up by then");
    let line = received(&journal);
    assert!(
        line.starts_with("MESSAGE=Starting IKE charon-systemd daemon "),
        "{line}"
    );
    assert!(line.contains("\nSYSLOG_IDENTIFIER=charon-systemd\n"), "{line}");
    let log = world.log();
    assert!(log.contains("[JOB] spawning 7 worker threads"), "{log}");
    assert!(
        log.contains(&format!("loaded plugins: charon-systemd {PLUGINS}")),
        "{log}"
    );
    charon.signal(Signal::SIGHUP);
    wait_for_line(
        &world.path("charon.log"),
        "signal of type SIGHUP received. Reloading configuration",
    );
    charon.signal(Signal::SIGTERM);
    assert_eq!(received(&notify), "STOPPING=1\n");
    assert_eq!(charon.wait().0.code(), Some(0));
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
