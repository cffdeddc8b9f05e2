//! What the daemon costs, and what it says of itself.
#![allow(clippy::disallowed_methods)] // it measures

use std::time::Instant;

use super::pair::{ask, hosts, start, started};

#[test]
fn how_long_ipsec_start_takes() {
    let Some(pair) = hosts() else { return };
    let before = Instant::now();
    start(&pair.carol);
    println!("ipsec start took {} ms", before.elapsed().as_millis());
}

#[test]
fn an_idle_daemon_is_small() {
    let Some(pair) = started() else { return };
    let pid = pair.carol.pid("charon").expect("a daemon");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("its size");
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number");
    println!("an idle daemon has {kib} KiB resident");
    // A debug build has more code to map.
    let limit = if cfg!(debug_assertions) { 80 } else { 25 };
    assert!(kib < limit * 1024, "{kib} KiB");
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
    for name in [
        "charon",
        "random",
        "nonce",
        "sha1",
        "sha2",
        "hmac",
        "aes",
        "gcm",
        "aws-lc",
        "curve25519",
        "gmp",
        "oqs",
        "kernel-libipsec",
        "kernel-netlink",
        "stroke",
        "updown",
    ] {
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
    ] {
        pair.expect(&list, algorithm);
    }
}
