//! What the daemon and its scripts may do, as the kernel tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use daemon::plugins::DEFAULT_LOAD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Uid, User};
use xtask::host::{Host, PATIENCE};
use xtask::watch;

use super::operation::traces;
use super::pair::{Pair, ask, hosts, start};

/// CAP_NET_ADMIN.
const ADMIN: &str = "0000000000001000";
/// CAP_NET_ADMIN, CAP_NET_BIND_SERVICE and CAP_NET_RAW.
const THREE: &str = "0000000000003400";

/// Lines of a status that tests look at.
const SHOWN: [&str; 8] = [
    "Name",
    "Uid",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
];

type Status = BTreeMap<String, String>;

fn status(text: &str) -> Status {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let shown = lines.filter(|(key, _)| SHOWN.contains(key));
    shown
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Values that all threads, or a script, must have.
fn promised(user: Uid, own: &str) -> Status {
    let sets = format!(
        "Uid:{user}\t{user}\t{user}\t{user}\nCapInh:{ADMIN}\nCapPrm:{own}\nCapEff:{own}\nCapBnd:{ADMIN}\nCapAmb:{ADMIN}\n\
         NoNewPrivs:1"
    );
    status(&sets)
}

fn threads(host: &Host) -> Vec<Status> {
    let pid = host.pid("charon").expect("a daemon");
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    // A thread that attends to a script may end before its status is read.
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    statuses.map(|text| status(&text)).collect()
}

/// Every thread has what was promised, there are at least so many, and those named here are among them. A thread has its name
/// only once it has run.
fn expect_threads(host: &Host, user: Uid, count: usize, names: &[&str]) {
    let threads = threads(host);
    assert!(threads.len() >= count, "{threads:?}");
    let mut found = BTreeSet::new();
    for mut thread in threads {
        let name = thread.remove("Name").expect("a name");
        assert_eq!(thread, promised(user, THREE), "thread '{name}'");
        found.insert(name);
    }
    for name in names {
        assert!(found.contains(*name), "no thread '{name}' among {found:?}");
    }
}

/// The status that a script printed, line by line behind `prefix` in the log.
fn printed(host: &Host, prefix: &str) -> Status {
    let log = host.read("charon.log");
    let lines = log.lines().filter_map(|line| Some(line.split_once(prefix)?.1));
    // The log shows a tab as an escape.
    status(&lines.collect::<Vec<_>>().join("\n").replace("\\t", "\t"))
}

fn expect_script(status: &Status, user: Uid) {
    let mut status = status.clone();
    status.remove("Name");
    assert_eq!(status, promised(user, ADMIN));
}

fn nobody() -> Uid {
    User::from_name("nobody")
        .expect("a database")
        .expect("nobody")
        .uid
}

/// A folder that everyone may write to, in that of a host that everyone may enter.
fn open_folder(host: &Host) -> PathBuf {
    let folder = host.path("open");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(host.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// A program for the plugin resolve that leaves its status behind.
fn resolvconf(folder: &Path) -> PathBuf {
    let program = folder.join("resolvconf");
    let said = folder.join("said").display().to_string();
    let script =
        format!("#!/bin/sh\ncat > /dev/null\ncat /proc/self/status > {said}.new && mv {said}.new {said}\n");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

const SHOW: &str = "cat /proc/self/status";

/// moon gives carol an address and a DNS server; carol has a script for everything, and `load`.
fn configured(load: &str, account: &str) -> Option<Pair> {
    let pair = hosts()?;
    let both = "conn %default\n    keyexchange=ikev2\n    ike=aes256gcm16-sha512-x25519-ke1_kyber3!\n    \
                esp=aes256gcm16-sha512-x25519-ke1_kyber3!\n    authby=psk\n    keyingtries=1\n\n";
    let moon = "conn rw\n    left=192.168.0.2\n    leftid=moon.strongswan.org\n    leftsubnet=10.1.0.0/16\n    right=%any\n    \
                rightsourceip=10.3.0.0/24\n    auto=add\n";
    // Making a device takes the capability that a firewall takes.
    let carol = format!(
        "conn home\n    left=192.168.0.3\n    leftid=carol.strongswan.org\n    leftsourceip=%config\n    right=192.168.0.2\n    \
         rightid=moon.strongswan.org\n    rightsubnet=10.1.0.0/16\n    leftupdown=\"{SHOW}; ip link add made-$PLUTO_VERB type \
         bridge && echo made a device\"\n    auto=add\n"
    );
    pair.moon.write("ipsec.conf", &format!("{both}{moon}")).unwrap();
    pair.carol.write("ipsec.conf", &format!("{both}{carol}")).unwrap();
    pair.moon.set("charon {\n dns1 = 10.1.0.1\n}").unwrap();
    let folder = open_folder(&pair.carol);
    let program = resolvconf(&folder).display().to_string();
    // A file that is not there has the plugin take the program.
    let settings = format!(
        "charon {{\n load = {load}\n {account}\n start-scripts {{\n  first = {SHOW}\n }}\n stop-scripts {{\n  last = {SHOW}\n }}\n \
         plugins {{\n  resolve {{\n   resolvconf {{\n    path = {program}\n   }}\n  }}\n }}\n}}"
    );
    pair.carol.set(&settings).unwrap();
    pair.carol.namespace.ip("addr del 10.3.0.1/16 dev eth1").unwrap();
    pair.start();
    Some(pair)
}

fn everything_has_what_it_needs(load: &str, account: &str, user: Uid, names: &[&str]) {
    let Some(pair) = configured(load, account) else {
        return;
    };
    // All of these have done something once a tunnel is up; besides there are those of metrics and of the crypto pool.
    let always = [
        "charon",
        "log",
        "netlink-monitor",
        "receive",
        "resolve",
        "stroke",
        "updown",
        "vici",
    ];
    let names = [&always[..], names].concat();
    let count = names.len() + 2;
    expect_threads(&pair.carol, user, count, &[]);
    pair.expect(
        &ask(&pair.carol, "ipsec up home"),
        "connection 'home' established successfully",
    );
    pair.expect_logged(&pair.carol, 0, "updown: made a device");
    let folder = pair.carol.path("open");
    let said = || fs::read_to_string(folder.join("said")).ok();
    let said = watch::until(&[&folder], PATIENCE, "the program's status", said);
    expect_script(&status(&said.unwrap()), user);
    expect_script(&printed(&pair.carol, "updown: "), user);
    pair.expect_logged(&pair.carol, 0, "first: NoNewPrivs");
    expect_script(&printed(&pair.carol, "first: "), user);
    pair.ping();
    ask(&pair.carol, "swanctl --stats");
    expect_threads(&pair.carol, user, count, &names);
    ask(&pair.carol, "ipsec stop");
    expect_script(&printed(&pair.carol, "last: "), user);
}

fn default_load() -> String {
    format!("{DEFAULT_LOAD} metrics")
}

/// The data path in threads of the daemon, wherever the kernel has ESP too.
fn libipsec_load() -> String {
    default_load().replace("kernel-netlink kernel-libipsec", "kernel-libipsec kernel-netlink")
}

const LIBIPSEC: [&str; 2] = ["libipsec-out", "libipsec-timer"];
const NOBODY: &str = "user = nobody";

#[test]
fn every_thread_and_every_script_has_what_it_needs_as_root() {
    everything_has_what_it_needs(&default_load(), "", Uid::from_raw(0), &[]);
}

#[test]
fn every_thread_and_every_script_has_what_it_needs_as_root_with_libipsec() {
    everything_has_what_it_needs(&libipsec_load(), "", Uid::from_raw(0), &LIBIPSEC);
}

#[test]
fn every_thread_and_every_script_has_what_it_needs_as_nobody() {
    everything_has_what_it_needs(&default_load(), NOBODY, nobody(), &[]);
}

#[test]
fn every_thread_and_every_script_has_what_it_needs_as_nobody_with_libipsec() {
    everything_has_what_it_needs(&libipsec_load(), NOBODY, nobody(), &LIBIPSEC);
}

#[test]
fn with_a_group_only_the_user_stays_and_its_rights_go() {
    everything_has_what_it_needs(&default_load(), "group = nogroup", Uid::from_raw(0), &[]);
}

/// Changing the user makes a process one that may be dumped and debugged again.
#[test]
fn core_dumps_and_debuggers_stay_locked_out_after_the_change_of_user() {
    let Some(pair) = hosts() else { return };
    pair.carol.set("charon {\n user = nobody\n}").unwrap();
    start(&pair.carol);
    let pid = pair.carol.pid("charon").expect("a daemon");
    // The kernel gives files of a process that may not be dumped to root, whoever the process is.
    for file in ["environ", "mem", "task"] {
        let owner = fs::metadata(format!("/proc/{pid}/{file}")).unwrap().uid();
        let expected = if file == "task" { nobody().as_raw() } else { 0 };
        assert_eq!(owner, expected, "{file}");
    }
}

/// The folder for pid files is root's, as /run is.
#[test]
fn files_and_sockets_are_made_for_the_account_where_it_may_not_make_any() {
    let Some(pair) = hosts() else { return };
    open_folder(&pair.carol);
    pair.carol.set("charon {\n user = nobody\n}").unwrap();
    start(&pair.carol);
    for name in [
        "run/charon.pid",
        "run/charon.ctl",
        "run/charon.vici",
        "charon.log",
    ] {
        let owner = fs::metadata(pair.carol.path(name)).unwrap().uid();
        assert_eq!(owner, nobody().as_raw(), "{name}");
    }
    for (what, file) in [("read", "ipsec.secrets"), ("read", "host.conf")] {
        let text = format!(
            "user 'nobody' (charon.user) may not {what} '{}' when it is reloaded",
            pair.carol.path(file).display()
        );
        pair.expect_logged(&pair.carol, 0, &text);
    }
    // It fails, and the log tells why.
    pair.carol.run("ipsec rereadsecrets").unwrap();
    pair.expect_logged(
        &pair.carol,
        0,
        &format!(
            "Permission denied (os error 13); the daemon runs as uid {} without CAP_DAC_OVERRIDE",
            nobody()
        ),
    );
    ask(&pair.carol, "ipsec stop");
    assert_eq!(
        pair.carol.read("run/charon.pid"),
        "",
        "it names no process any more"
    );
    start(&pair.carol);
}

#[test]
fn a_reload_that_may_not_read_everything_changes_nothing_and_says_what_to_do() {
    let Some(pair) = hosts() else { return };
    open_folder(&pair.carol);
    let hidden = pair.carol.path("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::write(hidden.join("more.conf"), "charon { retransmit_tries = 3 }").unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o700)).unwrap();
    pair.carol
        .set("charon {\n user = nobody\n}\ninclude hidden/*.conf")
        .unwrap();
    start(&pair.carol);
    let denied = |text: &str| {
        let before = pair.carol.read("charon.log").len();
        kill(pair.carol.pid("charon").expect("a daemon"), Signal::SIGHUP).unwrap();
        pair.expect_logged(&pair.carol, before, text);
        pair.expect_logged(&pair.carol, before, "; the settings stay as they were");
    };
    for file in ["host.conf", "strongswan.conf"] {
        denied(&format!(
            "{file}': Permission denied; the daemon runs as uid {} without CAP_DAC_OVERRIDE",
            nobody()
        ));
        fs::set_permissions(pair.carol.path(file), fs::Permissions::from_mode(0o644)).unwrap();
    }
    denied(&format!(
        "cannot look for included files in '{}': Permission denied",
        hidden.display()
    ));
}

#[test]
fn a_start_that_fails_leaves_nothing_behind() {
    for account in ["", NOBODY] {
        let Some(pair) = hosts() else { return };
        // The second of the control plugins fails, and it is critical.
        let settings = format!(
            "charon {{\n load = {DEFAULT_LOAD} metrics!\n {account}\n plugins {{\n  metrics {{\n   listen = 192.0.2.1:9814\n  \
             }}\n }}\n}}"
        );
        pair.carol.set(&settings).unwrap();
        let refused = pair.carol.start().expect_err("no start");
        pair.expect(
            &(refused + &pair.carol.read("charon.log")),
            "plugin 'metrics' cannot be started",
        );
        assert_eq!(traces(&pair.carol), Vec::<String>::new(), "{account}");
        // The pid file is the last of what is made.
        pair.carol.set(&format!("charon {{\n {account}\n}}")).unwrap();
        fs::create_dir(pair.carol.path("run/charon.pid")).unwrap();
        pair.carol.start().expect_err("no start");
        pair.expect(&pair.carol.read("charon.log"), "run/charon.pid': ");
        fs::remove_dir(pair.carol.path("run/charon.pid")).unwrap();
        assert_eq!(traces(&pair.carol), Vec::<String>::new(), "{account}");
    }
}

#[test]
fn an_account_that_does_not_exist_refuses_the_start() {
    for (key, kind) in [("user", "user"), ("group", "group")] {
        let Some(pair) = hosts() else { return };
        pair.carol
            .set(&format!("charon {{\n {key} = not-there\n}}"))
            .unwrap();
        pair.carol.start().expect_err("no start");
        let expected = format!(
            "initialization failed: charon.{key}: no such {kind} 'not-there' in {}; create the {kind}, or correct or remove \
             charon.{key}",
            pair.carol.path("host.conf").display()
        );
        pair.expect(&pair.carol.read("charon.log"), &expected);
        assert_eq!(traces(&pair.carol), Vec::<String>::new());
    }
}
