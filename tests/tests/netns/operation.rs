//! Starting, stopping, and changing the configuration.

use std::fs;

use xtask::host::Host;

use super::pair::{ask, hosts, start, started, tunnelled};

const TUNNEL9: &str = "\nconn Tunnel9\n    also=Tunnel1\n    rightsubnet=10.9.0.0/16\n    auto=add\n";

/// What is left on a host that should be as before its first start.
pub(crate) fn traces(host: &Host) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |what: &str, text: &str| {
        let lines = host
            .namespace
            .ip(what)
            .expect("ip")
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        found.extend(lines.into_iter().filter(|line| line.contains(text)));
    };
    look("route show table all", "table 220");
    look("rule", "220");
    look("link", "ipsec");
    found.extend(
        host.namespace
            .processes()
            .iter()
            .map(|pid| format!("process {pid}")),
    );
    let run = fs::read_dir(host.path("run")).expect("its folder").flatten();
    found.extend(run.map(|entry| entry.path().display().to_string()));
    found
}

#[test]
fn stop_leaves_nothing_and_tells_the_peer() {
    let Some(pair) = tunnelled() else { return };
    assert_ne!(
        traces(&pair.carol),
        Vec::<String>::new(),
        "the test looks at the right places"
    );
    ask(&pair.carol, "ipsec stop");
    assert_eq!(traces(&pair.carol), Vec::<String>::new());
    pair.moon
        .wait_for_log(0, "received DELETE for IKE_SA Tunnel1[1]")
        .unwrap();
    pair.expect(
        &ask(&pair.moon, "ipsec status"),
        "Security Associations (0 up, 0 connecting):",
    );
}

#[test]
fn a_stopped_daemon_has_no_status() {
    let Some(pair) = hosts() else { return };
    assert_eq!(pair.carol.run("ipsec status").unwrap().code, Some(3));
    assert_eq!(pair.carol.run("ipsec up Tunnel1").unwrap().code, Some(7));
    assert_eq!(pair.carol.run("ipsec reload").unwrap().code, Some(7));
    let said = pair.carol.run("ipsec stop").unwrap();
    pair.expect(&said.text, "failed: starter is not running");
}

#[test]
fn a_second_start_does_nothing() {
    let Some(pair) = started() else { return };
    let pid = pair.carol.pid("charon").expect("a daemon");
    start(&pair.carol);
    assert_eq!(pair.carol.pid("charon"), Some(pid));
}

#[test]
fn update_and_reload_add_a_connection_without_touching_the_sa() {
    for command in ["update", "reload"] {
        let Some(pair) = tunnelled() else { return };
        let config = pair.carol.read("ipsec.conf") + TUNNEL9;
        pair.carol.write("ipsec.conf", &config).unwrap();
        let before = pair.carol.read("charon.log").len();
        ask(&pair.carol, &format!("ipsec {command}"));
        pair.carol
            .wait_for_log(before, "added child to existing configuration 'Tunnel1'")
            .unwrap();
        let status = ask(&pair.carol, "ipsec statusall");
        pair.expect(&status, "Tunnel9:   child:  10.3.0.0/16 === 10.9.0.0/16 TUNNEL");
        pair.expect(&status, "Tunnel1[1]: ESTABLISHED");
        pair.ping();
    }
}

#[test]
fn update_deletes_a_connection_that_is_gone() {
    let Some(pair) = hosts() else { return };
    let config = pair.carol.read("ipsec.conf");
    pair.carol
        .write("ipsec.conf", &(config.clone() + TUNNEL9))
        .unwrap();
    start(&pair.carol);
    pair.expect(&ask(&pair.carol, "ipsec statusall"), "Tunnel9:");
    pair.carol.write("ipsec.conf", &config).unwrap();
    let before = pair.carol.read("charon.log").len();
    ask(&pair.carol, "ipsec update");
    pair.carol
        .wait_for_log(before, "deleted connection 'Tunnel9'")
        .unwrap();
    assert!(!ask(&pair.carol, "ipsec statusall").contains("Tunnel9"));
}

#[test]
fn rereadsecrets_makes_a_corrected_psk_work() {
    let Some(pair) = hosts() else { return };
    let right = pair.carol.read("ipsec.secrets");
    let (selectors, _) = right.rsplit_once("PSK").expect("a PSK");
    pair.carol
        .write("ipsec.secrets", &format!("{selectors}PSK \"wrong\"\n"))
        .unwrap();
    pair.start();
    pair.up_in_vain();
    pair.carol.write("ipsec.secrets", &right).unwrap();
    ask(&pair.carol, "ipsec rereadsecrets");
    pair.up();
}

#[test]
fn a_mistake_in_ipsec_conf_is_named_with_its_line_and_the_rest_loads() {
    let Some(pair) = hosts() else { return };
    let config = pair.carol.read("ipsec.conf");
    let line = config.lines().count() + 3;
    pair.carol
        .write(
            "ipsec.conf",
            &format!("{config}\nconn broken\n    lifetimes=20m\n"),
        )
        .unwrap();
    let said = pair.carol.start().unwrap();
    pair.expect(&said, &format!("ipsec.conf:{line}"));
    pair.expect(&said, "lifetimes");
    pair.expect(&ask(&pair.carol, "ipsec statusall"), "Tunnel1:");
}

#[test]
fn connections_of_swanctl_come_back_with_a_daemon_that_died() {
    let Some(pair) = hosts() else { return };
    let conf = "connections {\n kept {\n  remote_addrs = 192.168.0.2\n  local {\n   auth = psk\n  }\n  remote {\n   auth = psk\n  \
                }\n  children {\n   kept {\n   }\n  }\n }\n}\n";
    pair.carol.write("kept.conf", conf).unwrap();
    let swanctl = xtask::programs().unwrap().join("swanctl").display().to_string();
    let file = pair.carol.path("kept.conf").display().to_string();
    let script = format!("load = {swanctl} --load-all --noprompt --file {file}");
    pair.carol
        .set(&format!("charon {{\n start-scripts {{\n  {script}\n }}\n}}"))
        .unwrap();
    start(&pair.carol);
    let loaded = "load: successfully loaded 1 connections, 0 unloaded";
    pair.carol.wait_for_log(0, loaded).unwrap();
    let mark = pair.carol.read("charon.log").len();
    pair.carol.kill("charon").unwrap();
    // The starter waits for five seconds before it starts another.
    pair.carol.wait_for_log(mark, loaded).unwrap();
    pair.expect(&ask(&pair.carol, "swanctl --list-conns"), "kept: IKE");
}

#[test]
fn scripts_at_start_and_before_the_end_are_served() {
    let Some(pair) = hosts() else { return };
    let ipsec = xtask::programs().unwrap().join("ipsec").display().to_string();
    let scripts = format!(
        "charon {{
            start-scripts {{
                looks = {ipsec} statusall
            }}
            stop-scripts {{
                leaves = {ipsec} down Tunnel1
            }}
        }}"
    );
    pair.carol.set(&scripts).unwrap();
    pair.start();
    pair.carol
        .wait_for_log(0, "looks: Security Associations (0 up, 0 connecting):")
        .unwrap();
    pair.up();
    ask(&pair.carol, "ipsec stop");
    let log = pair.carol.read("charon.log");
    let positions = [
        "SIGTERM received, shutting down",
        "executing stop script 'leaves' (",
        "sending DELETE for IKE_SA Tunnel1[1]",
        "leaves: IKE_SA [1] closed successfully",
    ]
    .map(|text| {
        log.find(text)
            .unwrap_or_else(|| panic!("'{text}' is not in {log}"))
    });
    assert!(positions.is_sorted(), "{positions:?} in {log}");
}
