//! What goes wrong, and what is left of it.

use std::net::UdpSocket;

use xtask::host::PATIENCE;

use super::pair::{Pair, hosts, start, started, tunnelled};

#[test]
fn a_killed_carol_comes_back_and_replaces_her_sa() {
    let Some(pair) = tunnelled() else { return };
    pair.ping();
    pair.carol.kill("starter.charon").unwrap();
    pair.carol.kill("charon").unwrap();
    start(&pair.carol);
    pair.up();
    pair.ping();
    let status = super::pair::ask(&pair.moon, "ipsec status");
    pair.expect(&status, "Security Associations (1 up, 0 connecting):");
    pair.expect(&status, "Tunnel1[2]: ESTABLISHED");
    assert!(!status.contains("Tunnel1[1]"), "{status}");
    pair.expect_logged(
        &pair.moon,
        0,
        "destroying duplicate IKE_SA for peer 'carol.strongswan.org', received INITIAL_CONTACT",
    );
}

#[test]
fn of_a_killed_moon_only_the_rule_for_her_table_stays() {
    let Some(pair) = tunnelled() else { return };
    pair.moon.kill("starter.charon").unwrap();
    pair.moon.kill("charon").unwrap();
    start(&pair.moon);
    pair.moon.succeed("ipsec stop").unwrap();
    // It cannot be told from one that somebody else made, and leads nowhere while the table is empty.
    assert_eq!(
        super::operation::traces(&pair.moon),
        ["220:\tfrom all lookup 220"]
    );
}

#[test]
fn a_wrong_psk_fails_on_both_ends() {
    let Some(pair) = hosts() else { return };
    let secrets = pair.carol.read("ipsec.secrets");
    let (selectors, _) = secrets.rsplit_once("PSK").expect("a PSK");
    pair.carol
        .write("ipsec.secrets", &format!("{selectors}PSK \"not the same\"\n"))
        .unwrap();
    pair.start();
    let up = pair.up_in_vain();
    pair.expect(&up, "received AUTHENTICATION_FAILED notify error");
    pair.moon.wait_for_log(0, "but MAC mismatched").unwrap();
    pair.expect_nothing();
    assert!(!pair.moon.read("charon.log").contains("not the same"));
}

#[test]
fn no_common_proposal_fails_with_both_offers_in_the_log() {
    let Some(pair) = hosts() else { return };
    let strict = |host: &xtask::host::Host, proposal: &str| {
        let edited = host.edit("ipsec.conf", "ike=aes256gcm16-sha512-x25519-ke1_kyber3", proposal);
        edited.unwrap();
    };
    strict(&pair.carol, "ike=aes256gcm16-sha512-x25519-ke1_kyber3!");
    strict(&pair.moon, "ike=aes256gcm16-sha512-x25519!");
    pair.start();
    pair.expect(&pair.up_in_vain(), "received NO_PROPOSAL_CHOSEN notify error");
    pair.expect_logged(
        &pair.moon,
        0,
        "received proposals: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3",
    );
    pair.expect_logged(
        &pair.moon,
        0,
        "configured proposals: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519",
    );
    pair.expect_nothing();
}

#[test]
fn a_peer_without_the_vendor_id_gets_no_private_algorithms() {
    let Some(pair) = hosts() else { return };
    pair.carol
        .edit("strongswan.conf", "send_vendor_id = yes", "send_vendor_id = no")
        .unwrap();
    pair.carol
        .edit(
            "ipsec.conf",
            "ike=aes256gcm16-sha512-x25519-ke1_kyber3",
            "ike=aes256gcm16-sha512-x25519-ke1_kyber3!",
        )
        .unwrap();
    pair.start();
    pair.expect(&pair.up_in_vain(), "received NO_PROPOSAL_CHOSEN notify error");
    pair.expect_nothing();
}

#[test]
fn an_unknown_connection_is_said_to_be_unknown() {
    let Some(pair) = started() else { return };
    let said = super::pair::ask(&pair.carol, "ipsec up Tunnel9");
    pair.expect(&said, "no config named 'Tunnel9'");
}

#[test]
fn garbage_on_both_ports_changes_nothing() {
    let Some(pair) = tunnelled() else { return };
    let before = pair.moon.read("charon.log").len();
    let send = |Pair { carol, .. }: &Pair| {
        let socket = UdpSocket::bind("192.168.0.3:0").expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // A header alone, of a request that would open an SA.
        let mut header = [0; 28];
        header[0] = 1;
        header[17..20].copy_from_slice(&[0x20, 34, 0x08]);
        header[27] = 28;
        // As long as its answer, since no answer is longer than its request.
        let mut of_version_3 = [&header[..], &[0; 8]].concat();
        of_version_3[17] = 0x30;
        of_version_3[27] = 36;
        for (port, marker) in [(500, &[][..]), (4500, &[0; 4][..])] {
            let to = ("192.168.0.2", port);
            for len in (0..200).chain([1000, 1400, 9000, 60_000]) {
                for fill in [0x00, 0x5a, 0xff] {
                    socket.send_to(&vec![fill; len], to).expect("sent");
                }
                // Its answer says that all before it was looked at, and that there is room for more.
                socket
                    .send_to(&[marker, &of_version_3[..]].concat(), to)
                    .expect("sent");
                let answer = socket.recv(&mut [0; 1500]).expect("an answer");
                assert_eq!(answer, marker.len() + 36, "INVALID_MAJOR_VERSION");
            }
        }
        socket.send_to(&header, "192.168.0.2:500").expect("sent");
        carol.name.clone()
    };
    pair.carol
        .namespace
        .run(|| send(&pair))
        .expect("carol's namespace");
    pair.moon
        .wait_for_log(
            before,
            "message verification failed: SA payload missing in IKE_SA_INIT",
        )
        .unwrap();
    pair.ping();
    let status = super::pair::ask(&pair.moon, "ipsec status");
    pair.expect(&status, "Security Associations (1 up, 0 connecting):");
    assert!(!pair.moon.read("charon.log").contains("BUG"));
}
