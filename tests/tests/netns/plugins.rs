//! What stands in `charon.load`.

use std::fs;

use daemon::plugins::DEFAULT_LOAD;
use xtask::host::Host;

use super::pair::{Pair, ask, hosts, start};

fn set_load(host: &Host, more: &str) {
    host.set(&format!("charon {{\n load = {DEFAULT_LOAD} {more}\n}}"))
        .unwrap();
}

fn set_ike(pair: &Pair, proposal: &str) {
    for host in [&pair.moon, &pair.carol] {
        let edited = host.edit("ipsec.conf", "ike=aes256gcm16-sha512-x25519-ke1_kyber3", proposal);
        edited.unwrap();
    }
}

/// The daemon has never heard of this KEM; its number, name and keyword come with the plugin.
#[test]
fn a_third_partys_kem_needs_its_file_and_its_name_in_the_list() {
    let Some(pair) = hosts() else { return };
    for host in [&pair.moon, &pair.carol] {
        set_load(host, "dhkem!");
    }
    set_ike(&pair, "ike=aes256gcm16-sha512-x25519-ke1_dhkem!");
    pair.start();
    let up = pair.up();
    pair.expect(
        &up,
        "selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_DHKEM_X25519",
    );
    pair.ping();
    pair.expect(&ask(&pair.carol, "ipsec listalgs"), "DHKEM_X25519[dhkem]");
}

#[test]
fn a_keyword_without_its_plugin_is_named_with_its_connection_and_the_rest_loads() {
    let Some(pair) = hosts() else { return };
    set_ike(&pair, "ike=aes256gcm16-sha512-x25519-ke1_dhkem!");
    pair.start();
    let log = pair.carol.read("charon.log");
    pair.expect(&log, "connection 'Tunnel1' of ");
    pair.expect(&log, ": algorithm 'ke1_dhkem' not recognized");
    pair.expect(&ask(&pair.carol, "ipsec listalgs"), "KYBER_L3[oqs]");
}

#[test]
fn broken_plugins_cost_a_line_each_and_the_tunnel_comes_up() {
    let Some(pair) = hosts() else { return };
    let folder = pair.carol.path("plugins");
    fs::create_dir(&folder).unwrap();
    let nonce = fs::read(xtask::programs().unwrap().join("libcharon_nonce.so")).unwrap();
    fs::write(folder.join("libcharon_short.so"), &nonce[..nonce.len() / 2]).unwrap();
    fs::write(folder.join("libcharon_text.so"), "not a library").unwrap();
    let (built, folder) = (xtask::programs().unwrap(), folder.display().to_string());
    let places = format!("{folder}:{}", built.display());
    pair.carol
        .set(&format!(
            "charon {{\n load = absent short text panics-at-load {DEFAULT_LOAD} panics\n plugin_dir = {places}\n}}"
        ))
        .unwrap();
    pair.start();
    pair.up();
    pair.ping();
    let log = pair.carol.read("charon.log");
    for name in ["absent", "short", "text", "panics-at-load"] {
        let lines = log
            .matches(&format!("[LIB] plugin '{name}': failed to load - "))
            .count();
        assert_eq!(lines, 1, "one line about '{name}':\n{log}");
    }
}

#[test]
fn a_broken_plugin_that_is_wanted_prevents_the_start() {
    let Some(pair) = hosts() else { return };
    set_load(&pair.carol, "panics-at-load!");
    let refused = pair.carol.start().expect_err("no start");
    pair.expect(
        &(refused + &pair.carol.read("charon.log")),
        "loading critical plugin 'panics-at-load' failed",
    );
    start(&pair.moon);
}
