//! Packets through the tunnel, and on the wire.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::pair::{ask, sizes, tunnelled};

#[test]
fn tunnel1_carries_pings_both_ways_and_counts_them() {
    let Some(pair) = tunnelled() else { return };
    let pinged = ask(&pair.carol, "ping -c 2 10.1.0.2");
    pair.expect(&pinged, "2 received, 0% packet loss");
    for host in [&pair.carol, &pair.moon] {
        let status = ask(host, "ipsec statusall");
        for expected in [
            "Security Associations (1 up, 0 connecting):",
            "IKE proposal: AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3",
            "AES_GCM_16_256, 168 bytes_i (2 pkts, ",
            "168 bytes_o (2 pkts, ",
        ] {
            pair.expect(&status, expected);
        }
    }
    let back = ask(&pair.moon, "ping -c 1 -I 10.1.0.2 10.3.0.1");
    pair.expect(&back, "1 received, 0% packet loss");
    pair.expect(&ask(&pair.carol, "ipsec statusall"), "252 bytes_i (3 pkts, ");
}

#[test]
fn the_messages_have_the_lengths_of_the_prototype() {
    let Some(pair) = super::pair::started() else {
        return;
    };
    let up = pair.up();
    assert_eq!(sizes(&up)[..4], [724, 276, 1249, 1153], "{up}");
    pair.expect_logged(
        &pair.moon,
        0,
        "received packet: from 192.168.0.3[500] to 192.168.0.2[500] (724 bytes)",
    );
}

#[test]
fn a_strict_proposal_makes_a_short_request() {
    let Some(pair) = super::pair::hosts() else { return };
    pair.carol
        .edit(
            "ipsec.conf",
            "ike=aes256gcm16-sha512-x25519-ke1_kyber3",
            "ike=aes256gcm16-sha512-x25519-ke1_kyber3!",
        )
        .unwrap();
    pair.start();
    let up = pair.up();
    assert_eq!(sizes(&up)[0], 268, "{up}");
}

#[test]
fn the_wire_shows_esp_in_udp_and_no_ping() {
    let Some(pair) = tunnelled() else { return };
    let mut sniffer = pair
        .moon
        .namespace
        .spawn(
            Command::new("tcpdump")
                .args(["-n", "-l", "--immediate-mode", "-i", "eth0"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        )
        .expect("tcpdump");
    let mut errors = BufReader::new(sniffer.stderr.take().expect("its errors"));
    let mut line = String::new();
    while !line.contains("listening on") {
        line.clear();
        assert_ne!(errors.read_line(&mut line).expect("a line"), 0, "tcpdump ended");
    }
    pair.ping();
    // One that is not for the tunnel marks the end of what is looked at.
    pair.expect(
        &ask(&pair.carol, "ping -c 1 -W 5 -s 999 192.168.0.2"),
        "1 received",
    );
    let mut seen = String::new();
    let mut output = BufReader::new(sniffer.stdout.take().expect("its output"));
    while !seen.contains("length 1007") {
        assert_ne!(
            output.read_line(&mut seen).expect("a line"),
            0,
            "tcpdump ended: {seen}"
        );
    }
    kill(
        Pid::from_raw(sniffer.id().try_into().expect("a pid")),
        Signal::SIGTERM,
    )
    .expect("tcpdump runs");
    output.read_to_string(&mut String::new()).expect("its rest");
    sniffer.wait().expect("its end");
    let esp = |from: &str| {
        seen.lines()
            .filter(|line| line.contains(from) && line.contains("UDP-encap: ESP(spi="))
            .count()
    };
    assert_eq!(
        (
            esp("192.168.0.3.4500 > 192.168.0.2.4500"),
            esp("192.168.0.2.4500 > 192.168.0.3.4500")
        ),
        (1, 1),
        "{seen}"
    );
    assert!(
        !seen.contains("10.1.0.2") && !seen.contains("length 64\n"),
        "{seen}"
    );
}

#[test]
fn without_the_tunnel_nothing_reaches_the_network_behind_moon() {
    let Some(pair) = tunnelled() else { return };
    pair.ping();
    pair.expect(
        &ask(&pair.carol, "ipsec down Tunnel1"),
        "IKE_SA [1] closed successfully",
    );
    pair.expect_nothing();
    let said = pair.carol.run("ping -c 1 -W 1 10.1.0.2").expect("ping");
    assert_ne!(said.code, Some(0), "{}", said.text);
}

/// X25519, Kyber, NTRU and Saber, one after the other.
#[test]
fn tunnel2_has_the_lengths_of_the_prototype_and_carries_pings() {
    let Some(pair) = super::pair::started() else {
        return;
    };
    let up = ask(&pair.carol, "ipsec up Tunnel2");
    pair.expect(&up, "connection 'Tunnel2' established successfully");
    let expected = [284, 292, 1249, 1153, 995, 995, 1057, 1153, 320, 272];
    assert_eq!(sizes(&up), expected, "{up}");
    pair.expect(
        &up,
        "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3/KE2_NTRU_HPS_L3/KE3_SABER_L3",
    );
    pair.ping();
}
