//! Files that are read again while daemons run: mistakes in them, connections that go, and many of them.

use std::fmt::Write;

use super::pair::{Pair, ask, hosts, start, started, tunnelled};

const IKE: &str = "ike=aes256gcm16-sha512-x25519-ke1_kyber3";

/// More than a debug build hands over in the time in which `ipsec stop` starts.
const MANY: usize = 4000;

fn up(pair: &Pair) {
    pair.up();
    pair.ping();
}

#[test]
fn a_mistake_that_only_the_daemon_sees_keeps_the_connection_that_runs() {
    let Some(pair) = started() else { return };
    let skip = pair.carol.read("charon.log").len();
    let typo = "ike=aes256gcm16-sha512-x25519-ke1_kyber33";
    pair.carol.edit("ipsec.conf", IKE, typo).unwrap();
    ask(&pair.carol, "ipsec update");
    for text in ["connection 'Tunnel1' of ", "ipsec.conf:", "refused: ike="] {
        pair.expect_logged(&pair.carol, skip, text);
    }
    up(&pair);
    // Of one that was never loaded the reason is told.
    let bad = format!(
        "{}\nconn bad\n    left=192.168.0.3\n    right=192.168.0.2\n    ike=aes256-nonsense!\n    auto=add\n",
        pair.carol.read("ipsec.conf")
    );
    pair.carol.write("ipsec.conf", &bad).unwrap();
    ask(&pair.carol, "ipsec reload");
    pair.expect_logged(&pair.carol, skip, "connection 'bad' of ");
    let said = ask(&pair.carol, "ipsec up bad");
    pair.expect(&said, "no config named 'bad': connection 'bad' of ");
    pair.expect(&said, "'nonsense'");
    up(&pair);
}

#[test]
fn a_mistake_in_the_file_is_said_on_the_console_and_in_the_log_and_loses_nothing() {
    let Some(pair) = tunnelled() else { return };
    let good = pair.carol.read("ipsec.conf");
    for (typo, texts) in [
        (
            good.replace("conn Tunnel1\n", "conn Tunnel1\n    rekey=maybe\n"),
            ["rekey=maybe", "ignored conn 'Tunnel1'"],
        ),
        (format!("{good}\nnonsense\n"), ["ipsec.conf:", "keeping old one"]),
    ] {
        let skip = pair.carol.read("charon.log").len();
        pair.carol.write("ipsec.conf", &typo).unwrap();
        let said = ask(&pair.carol, "ipsec update");
        for text in texts {
            pair.expect(&said, text);
            pair.expect_logged(&pair.carol, skip, text);
        }
        pair.ping();
        ask(&pair.carol, "ipsec down Tunnel1");
        up(&pair);
    }
}

#[test]
fn a_connection_that_is_removed_stops_connecting() {
    let Some(pair) = hosts() else { return };
    start(&pair.carol);
    let conf = "connections {\n gone {\n  local_addrs = 192.168.0.3\n  remote_addrs = 192.168.0.9\n  keyingtries = 0\n  \
                local {\n   auth = psk\n  }\n  remote {\n   auth = psk\n  }\n  children {\n   net {\n    start_action = start\n   \
                }\n  }\n }\n}\n";
    pair.carol.write("conns.conf", conf).unwrap();
    let load = format!(
        "swanctl --load-conns --file {}",
        pair.carol.path("conns.conf").display()
    );
    ask(&pair.carol, &load);
    pair.expect_logged(&pair.carol, 0, "initiating IKE_SA gone[1] to 192.168.0.9");
    pair.expect(&ask(&pair.carol, "swanctl --list-sas"), "gone: #1, CONNECTING");
    pair.carol.write("conns.conf", "connections {\n}\n").unwrap();
    pair.expect(&ask(&pair.carol, &load), "1 unloaded");
    assert_eq!(ask(&pair.carol, "swanctl --list-sas"), "");
    pair.expect_logged(
        &pair.carol,
        0,
        "connection 'gone' was removed, not connecting to 192.168.0.9 for it any more",
    );
}

#[test]
fn a_stop_is_heard_while_thousands_of_connections_are_handed_over_and_peers_get_their_delete() {
    let Some(pair) = tunnelled() else { return };
    let mut conf = pair.carol.read("ipsec.conf");
    for n in 0..MANY {
        let (high, low) = (n / 256, n % 256);
        let _ = write!(
            conf,
            "\nconn many{n}\n    left=192.168.0.3\n    right=192.0.{high}.{low}\n    rightid=peer{n}.example.org\n    \
             rightsubnet=10.9.0.0/16\n    auto=add\n"
        );
    }
    pair.carol.write("ipsec.conf", &conf).unwrap();
    let skip = pair.moon.read("charon.log").len();
    // It returns when the daemon has all of them, or is stopped.
    let mut reload = pair.carol.command("ipsec");
    let mut reload = pair.carol.namespace.spawn(reload.arg("reload")).unwrap();
    pair.expect_logged(&pair.carol, 0, "added configuration 'many9'");
    let said = ask(&pair.carol, "ipsec stop");
    reload.wait().unwrap();
    assert!(!said.contains("killing"), "{said}");
    pair.expect_logged(&pair.moon, skip, "received DELETE for IKE_SA Tunnel1[1]");
    let log = pair.carol.read("charon.log");
    assert!(log.contains("SIGTERM received, shutting down"));
    let last = format!("added configuration 'many{}'", MANY - 1);
    assert!(!log.contains(&last), "it was in the middle");
}
