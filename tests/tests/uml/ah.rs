//! AH in the kernel, with our daemon on both hosts and with strongSwan's on either.

use super::host::Machine;
use super::pair::{ESP, EVERYONE, Pair, pair};
use super::setup::{CAROL, End, MOON, conf};
use super::tables::states;

/// The swanctl.conf of an end that offers nothing but this.
fn offering(own: End, peer: End, ah: &str, child: &str) -> String {
    let esp = format!("esp_proposals = {ESP}");
    let conf = conf(own, peer, ESP, "", child);
    assert!(conf.contains(&esp));
    conf.replace(&esp, &format!("ah_proposals = {ah}"))
}

/// Loads AH on both, and has carol bring it up.
fn bring_up(pair: &Pair, [moon, carol]: [End; 2], ah: &str, child: &str) {
    pair.moon.load(&offering(moon, carol, ah, child));
    pair.carol.load(&offering(carol, moon, ah, child));
    pair.carol.swanctl("--initiate --child net");
    pair.expect_one();
}

/// carol's pings are answered, and nothing but AH passes on the cable.
fn all_ah(pair: &Pair, from: &str, to: &str) {
    let heard = pair.ping(from, to);
    let packets: Vec<_> = heard.iter().filter(|packet| !packet.contains("isakmp")).collect();
    assert_eq!(packets.len(), 4, "{heard:#?}");
    let of_ah = |packet: &&String| packet.contains("AH(spi=0x");
    assert!(packets.iter().all(of_ah), "{heard:#?}");
}

/// What both kernels have is AH with this algorithm, and has carried two packets each way.
fn carried(host: &Machine, algorithm: &str, mode: &str) {
    let pairs = host.agree();
    assert_eq!(pairs.len(), 1, "{}", host.tables());
    for state in &pairs[0] {
        assert!(state.text.contains("proto ah"), "{}", state.text);
        assert!(state.text.contains(algorithm), "{}", state.text);
        assert_eq!((state.packets, state.mode.as_str()), (2, mode), "{}", state.text);
    }
}

#[test]
fn ah_tunnels_carry_pings_and_are_rekeyed_by_both_ends() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        bring_up(&pair, [MOON, CAROL], "sha256-x25519", "");
        all_ah(&pair, "10.3.0.1", "10.1.0.2");
        for host in pair.both() {
            carried(host, "hmac(sha256)", "tunnel");
            let listed = host.swanctl("--list-sas");
            assert!(listed.contains("AH:HMAC_SHA2_256_128"), "{listed}");
        }
        for host in pair.both() {
            let before = host.believed();
            host.swanctl("--rekey --child net");
            for end in pair.both() {
                end.ask_until("one CHILD_SA, the new one", || {
                    let now = end.believed();
                    now.len() == 1
                        && now
                            .iter()
                            .flatten()
                            .all(|spi| !before.iter().flatten().any(|old| old == spi))
                        && states(end.namespace()).len() == 2
                });
            }
            all_ah(&pair, "10.3.0.1", "10.1.0.2");
            pair.both().map(|end| carried(end, "hmac(sha256)", "tunnel"));
        }
        pair.carol.swanctl("--terminate --ike net");
        pair.moon
            .ask_until("end of the IKE_SA", || states(pair.moon.namespace()).is_empty());
        pair.both().map(Machine::expect_nothing);
    }
}

#[test]
fn ah_protects_hosts_in_transport_mode() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        for (ah, algorithm) in [("sha512-esn", "hmac(sha512)"), ("sha1", "hmac(sha1)")] {
            bring_up(&pair, [MOON.alone(), CAROL.alone()], ah, "mode = transport");
            all_ah(&pair, "192.168.0.3", "192.168.0.2");
            pair.both().map(|host| carried(host, algorithm, "transport"));
            pair.carol.swanctl("--terminate --ike net");
            pair.moon
                .ask_until("end of the IKE_SA", || states(pair.moon.namespace()).is_empty());
        }
    }
}

#[test]
fn of_ah_and_esp_the_peer_takes_what_it_has() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        // carol offers ESP first, and moon has AH alone.
        pair.moon.load(&offering(MOON, CAROL, "sha256", ""));
        pair.carol
            .load(&conf(CAROL, MOON, ESP, "", "ah_proposals = sha256"));
        pair.carol.swanctl("--initiate --child net");
        pair.expect_one();
        all_ah(&pair, "10.3.0.1", "10.1.0.2");
        pair.both().map(|host| carried(host, "hmac(sha256)", "tunnel"));
    }
}
