//! The consoles of the walk-through that show swanctl, and swanctl.conf.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xtask::host::PATIENCE;

use super::pair::{ask, hosts, started, tunnelled};

/// The text with what differs from run to run replaced: SPIs by `X`, numbers of their own by `N`.
fn shape(text: &str) -> String {
    let word = |word: &str| {
        let (bare, rest) = match word.find(|c: char| !c.is_ascii_alphanumeric()) {
            Some(end) => word.split_at(end),
            None => (word, ""),
        };
        let hex = bare.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        if hex && [8, 16].contains(&bare.len()) {
            return format!("X{rest}");
        }
        let number = bare.trim_end_matches('s');
        let counts = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()) && !rest.contains('.');
        if counts {
            format!("N{}{rest}", &bare[number.len()..])
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| {
        line.split(' ')
            .map(word)
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn connections_are_listed() {
    let Some(pair) = started() else { return };
    let expected = "Tunnel1: IKEv2, reauthentication every 3420s, no rekeying
  local:  192.168.0.3
  remote: 192.168.0.2
  local pre-shared key authentication:
    id: carol.strongswan.org
  remote pre-shared key authentication:
    id: moon.strongswan.org
  Tunnel1: TUNNEL, rekeying every 1020s
    local:  10.3.0.0/16
    remote: 10.1.0.0/16
Tunnel2: ";
    let said = ask(&pair.carol, "swanctl --list-conns");
    assert!(said.starts_with(expected), "{said}");
    assert_eq!(ask(&pair.carol, "swanctl --list-sas"), "");
}

#[test]
fn a_tunnel_is_initiated_listed_rekeyed_and_terminated() {
    let Some(pair) = started() else { return };
    let said = ask(&pair.carol, "swanctl --initiate --child Tunnel1");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "[IKE] initiating IKE_SA Tunnel1[1] to 192.168.0.2");
    assert_eq!(
        lines[2],
        "[NET] sending packet: from 192.168.0.3[500] to 192.168.0.2[500] (724 bytes)"
    );
    assert_eq!(lines.last(), Some(&"initiate completed successfully"));
    pair.ping();
    // Packets of kernel-libipsec travel in UDP always.
    let expected = "Tunnel1: #1, ESTABLISHED, IKEv2, X_i* X_r
local 'carol.strongswan.org' @ 192.168.0.3[4500]
remote 'moon.strongswan.org' @ 192.168.0.2[4500]
AES_GCM_16-256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3
established Ns ago, reauth in Ns
Tunnel1: #1, reqid N, INSTALLED, TUNNEL-in-UDP, ESP:AES_GCM_16-256
installed Ns ago, rekeying in Ns, expires in Ns
in X, N bytes, N packets, Ns ago
out X, N bytes, N packets, Ns ago
local 10.3.0.0/16
remote 10.1.0.0/16";
    assert_eq!(shape(&ask(&pair.carol, "swanctl --list-sas")), expected);
    // One after the other: the CHILD_SA that was rekeyed takes late packets for a while.
    let rekeyed = ask(&pair.carol, "swanctl --rekey --child Tunnel1");
    assert_eq!(rekeyed, "rekey completed successfully\n");
    pair.carol.wait_for_log(0, "CHILD_SA closed").unwrap();
    let said = shape(&ask(&pair.carol, "swanctl --list-sas"));
    let expected = "Tunnel1: #1, reqid N, DELETED, TUNNEL-in-UDP, ESP:AES_GCM_16-256\n";
    pair.expect(&said, expected);
    let expected =
        "Tunnel1: #2, reqid N, INSTALLED, TUNNEL-in-UDP, ESP:AES_GCM_16-256/CURVE_25519/KE1_KYBER_L3\n";
    pair.expect(&said, expected);
    let said = ask(&pair.carol, "swanctl --terminate --ike Tunnel1");
    pair.expect(&said, "[IKE] IKE_SA deleted\nterminate completed successfully\n");
    let said = pair.carol.run("swanctl --terminate --ike Tunnel1").unwrap();
    assert_eq!(
        (said.code, said.text.as_str()),
        (Some(1), "terminate failed: no matching SAs to terminate found\n")
    );
    pair.expect_nothing();
}

#[test]
fn the_log_of_a_rekeying_is_streamed_until_somebody_has_enough() {
    let Some(pair) = tunnelled() else { return };
    let mut command = pair.carol.command("swanctl");
    let command = command.arg("--log").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watching = pair.carol.namespace.spawn(command).unwrap();
    let stdout = BufReader::new(watching.stdout.take().expect("a pipe"));
    let (line, lines) = channel();
    std::thread::spawn(move || {
        stdout
            .lines()
            .map(Result::unwrap)
            .try_for_each(|text| line.send(text))
    });
    // It has subscribed once it shows what another command logs.
    let shown = (0..600).any(|_| {
        ask(&pair.carol, "ipsec rereadsecrets");
        lines.recv_timeout(Duration::from_millis(50)).is_ok()
    });
    assert!(shown, "swanctl --log shows nothing");
    let said = ask(&pair.carol, "swanctl --rekey --ike Tunnel1");
    assert_eq!(said, "rekey completed successfully\n");
    let mut seen = Vec::new();
    while !seen
        .last()
        .is_some_and(|line: &String| line.ends_with("[IKE] IKE_SA deleted"))
    {
        seen.push(
            lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("{seen:#?}")),
        );
    }
    for expected in [
        "[CFG] vici rekey IKE_SA 'Tunnel1'",
        "[IKE] initiating IKE_SA Tunnel1[2] to 192.168.0.2",
        "[IKE] sending DELETE for IKE_SA Tunnel1[1]",
    ] {
        let thread_and = |line: &String| line.len() == expected.len() + 2 && line.ends_with(expected);
        assert!(seen.iter().any(thread_and), "'{expected}' is not in {seen:#?}");
    }
    kill(Pid::from_raw(watching.id().cast_signed()), Signal::SIGINT).unwrap();
    let ended = watching.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "disconnecting...\n");
}

const SWANCTL_CONF: &str = r#"
connections {
    gateway : templates.pq {
        local_addrs = LOCAL
        remote_addrs = REMOTE
        local-1 {
            auth = psk
            id = OWN.strongswan.org
        }
        remote-1 {
            auth = psk
            id = PEER.strongswan.org
        }
        children {
            net : templates.esp {
                local_ts = BEHIND
                remote_ts = BEYOND
            }
        }
    }
}

secrets {
    ike-1 {
        id-1 = carol.strongswan.org
        id-2 = moon.strongswan.org
        secret = "a secret of swanctl.conf"
    }
}

include conf.d/*.conf
"#;

const TEMPLATES: &str = "templates {
    pq {
        version = 2
        proposals = aes256gcm16-sha512-x25519-ke1_mlkem768
        mobike = no
    }
    esp {
        esp_proposals = aes256gcm16-x25519-ke1_mlkem768
    }
}
";

#[test]
fn a_tunnel_of_swanctl_conf_comes_up() {
    let Some(pair) = hosts() else { return };
    let (moon, carol) = (
        ["192.168.0.2", "moon", "10.1.0.0/16"],
        ["192.168.0.3", "carol", "10.3.0.0/16"],
    );
    for (host, own, peer) in [(&pair.moon, moon, carol), (&pair.carol, carol, moon)] {
        host.write("ipsec.conf", "").unwrap();
        host.write("ipsec.secrets", "").unwrap();
        let words = ["LOCAL", "OWN", "BEHIND", "REMOTE", "PEER", "BEYOND"];
        let values = own.iter().chain(&peer);
        let conf = words
            .iter()
            .zip(values)
            .fold(SWANCTL_CONF.to_owned(), |conf, (word, value)| {
                conf.replace(word, value)
            });
        host.write("swanctl.conf", &conf).unwrap();
        std::fs::create_dir(host.path("conf.d")).unwrap();
        host.write("conf.d/templates.conf", TEMPLATES).unwrap();
    }
    pair.start();
    for host in [&pair.moon, &pair.carol] {
        let file = host.path("swanctl.conf").display().to_string();
        let said = ask(host, &format!("swanctl --load-all --file {file}"));
        assert_eq!(
            said,
            "loaded ike secret 'ike-1'\nno authorities found, 0 unloaded\nno pools found, 0 unloaded\n\
             loaded connection 'gateway'\nsuccessfully loaded 1 connections, 0 unloaded\n"
        );
    }
    let said = ask(&pair.carol, "swanctl --initiate --child net");
    pair.expect(&said, "initiate completed successfully");
    pair.ping();
    let said = ask(&pair.carol, "swanctl --list-sas --ike gateway");
    pair.expect(
        &said,
        "AES_GCM_16-256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_ML_KEM_768\n",
    );

    // A mistake is named with file, line and key, and what was loaded before is there still.
    let wrong = pair.carol.read("swanctl.conf").replace("local_ts", "local_tts");
    pair.carol.write("swanctl.conf", &wrong).unwrap();
    let line = 1 + wrong
        .lines()
        .position(|line| line.contains("local_tts"))
        .expect("the mistake");
    let file = pair.carol.path("swanctl.conf").display().to_string();
    let said = pair
        .carol
        .run(&format!("swanctl --load-conns --file {file}"))
        .unwrap();
    assert_eq!(said.code, Some(22), "{}", said.text);
    pair.expect(
        &said.text,
        &format!(
            "loading connection 'gateway' failed: unknown option: local_tts, config discarded ({file}:{line}, did you mean \
             'local_ts'?)\n"
        ),
    );
    pair.expect(
        &ask(&pair.carol, "swanctl --list-conns"),
        "gateway: IKEv2, no reauthentication, rekeying every 14400s",
    );

    // What is no longer in the file is unloaded, and what is established stays.
    pair.carol.write("swanctl.conf", "").unwrap();
    let said = ask(&pair.carol, &format!("swanctl --load-all --file {file}"));
    pair.expect(&said, "no connections found, 1 unloaded\n");
    assert_eq!(ask(&pair.carol, "swanctl --list-conns"), "");
    pair.expect(
        &ask(&pair.carol, "swanctl --list-sas"),
        "gateway: #1, ESTABLISHED",
    );
    pair.ping();
}
