//! What the daemon costs, and what it says of itself.
#![allow(clippy::disallowed_methods)] // it measures

use std::time::{Duration, Instant};

use daemon::plugins::DEFAULT_LOAD;

use xtask::host::PATIENCE;

use super::pair::{ask, hosts_with, start, started};

/// KiB that an idle daemon stays below.
const SMALL: u64 = 25 * 1024;

/// The installed tree is a release build, which is what an operator has.
#[test]
fn the_installed_tree_works_where_it_lies_and_an_idle_daemon_is_small() {
    let tree = xtask::installed();
    if !tree.exists() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no installed tree");
        println!("skipped: `cargo xtask test netns` makes the installed tree first");
        return;
    }
    let Some(pair) = hosts_with(&tree) else { return };
    for host in [&pair.moon, &pair.carol] {
        let before = Instant::now();
        start(host);
        println!("ipsec start took {} ms", before.elapsed().as_millis());
    }
    // It gives back what only its start has used when that is over for certain, which nothing tells of.
    let pid = pair.carol.pid("charon").expect("a daemon").as_raw();
    let deadline = Instant::now() + PATIENCE;
    let mut kib = resident(pid);
    while kib >= SMALL && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
        kib = resident(pid);
    }
    println!("an idle daemon has {kib} KiB resident");
    assert!(kib < SMALL, "{kib} KiB");
    pair.up();
    pair.ping();
}

fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = size.and_then(|size| size.split_whitespace().next());
    kib.and_then(|kib| kib.parse().ok()).expect("a number")
}

#[test]
fn all_plugins_are_loaded() {
    let Some(pair) = started() else { return };
    let status = ask(&pair.carol, "ipsec statusall");
    let plugins = status
        .lines()
        .find_map(|line| line.trim().strip_prefix("loaded plugins: "))
        .expect("a list");
    println!("{plugins}");
    let loaded: Vec<&str> = plugins.split_whitespace().collect();
    for name in std::iter::once("charon").chain(DEFAULT_LOAD.split_whitespace()) {
        assert!(
            loaded.contains(&name),
            "{name} is not in: {plugins}\n{}",
            pair.carol.read("charon.log")
        );
    }
}

#[test]
fn the_algorithms_are_listed_with_their_plugins() {
    let Some(pair) = started() else { return };
    let list = ask(&pair.carol, "ipsec listalgs");
    for algorithm in [
        "AES_GCM_16[",
        "PRF_HMAC_SHA2_512[",
        "CURVE_25519[",
        "KYBER_L3[oqs]",
        "AES_CCM_16[ccm]",
        "List of keywords of ike= and esp=",
        " aes256gcm16[aws-lc]",
        " aes128ctr[ctr]",
        " prfaesxcbc[xcbc]",
        " kyber3[oqs]",
    ] {
        pair.expect(&list, algorithm);
    }
}
