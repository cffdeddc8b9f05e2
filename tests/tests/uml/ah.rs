//! AH in the kernel, with our daemon on both hosts and with strongSwan's on either.

use super::host::{Machine, Who};
use super::net::{Hidden, hidden};
use super::pair::{ESP, EVERYONE, Pair, SETTINGS, new_pair, pair};
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

/// Both SAs are of AH with this algorithm, and have carried two packets.
fn carried(host: &Machine, spis: &[String; 2], algorithm: &str, mode: &str) {
    for spi in spis {
        let states = states(host.namespace());
        let state = states.iter().find(|state| state.spi == *spi);
        let state = state.unwrap_or_else(|| panic!("{spi} is not there\n{}", host.tables()));
        assert!(state.text.contains("proto ah"), "{}", state.text);
        assert!(state.text.contains(algorithm), "{}", state.text);
        assert_eq!((state.packets, state.mode.as_str()), (2, mode), "{}", state.text);
    }
}

/// The same of the only CHILD_SA of both hosts.
fn both_carried(pair: &Pair, algorithm: &str, mode: &str) {
    for host in pair.both() {
        let spis = host.believed();
        assert_eq!(spis.len(), 1, "{}", host.log());
        carried(host, &spis[0], algorithm, mode);
    }
}

#[test]
fn ah_tunnels_carry_pings_and_are_rekeyed_by_both_ends() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        bring_up(&pair, [MOON, CAROL], "sha256-x25519", "");
        all_ah(&pair, "10.3.0.1", "10.1.0.2");
        both_carried(&pair, "hmac(sha256)", "tunnel");
        for host in pair.both() {
            let listed = host.swanctl("--list-sas");
            assert!(listed.contains("AH:HMAC_SHA2_256_128"), "{listed}");
        }
        for host in pair.both() {
            let before = pair.both().map(Machine::believed);
            host.swanctl("--rekey --child net");
            let mut after = Vec::new();
            for ((end, kind), before) in pair.both().into_iter().zip(who).zip(&before) {
                end.ask_until("new CHILD_SA", || new_pair(end, kind, before).is_some());
                after.extend(new_pair(end, kind, before));
            }
            all_ah(&pair, "10.3.0.1", "10.1.0.2");
            for (end, spis) in pair.both().into_iter().zip(&after) {
                carried(end, spis, "hmac(sha256)", "tunnel");
            }
        }
        pair.carol.swanctl("--terminate --ike net");
        pair.moon
            .ask_until("end of the IKE_SA", || states(pair.moon.namespace()).is_empty());
        pair.both().into_iter().for_each(Machine::expect_nothing);
    }
}

#[test]
fn ah_protects_hosts_in_transport_mode() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        for (ah, algorithm) in [("sha512-esn", "hmac(sha512)"), ("sha1", "hmac(sha1)")] {
            bring_up(&pair, [MOON.alone(), CAROL.alone()], ah, "mode = transport");
            all_ah(&pair, "192.168.0.3", "192.168.0.2");
            both_carried(&pair, algorithm, "transport");
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
        all_ah(&pair, "10.3.0.1", "10.1.0.2");
        both_carried(&pair, "hmac(sha256)", "tunnel");
        for (host, kind) in pair.both().into_iter().zip(who) {
            // strongSwan keeps the SPI of ESP that it has reserved.
            if kind == Who::Us {
                assert_eq!(host.agree().len(), 1);
            }
        }
    }
}

#[test]
fn behind_a_router_that_translates_ah_is_refused() {
    for who in EVERYONE {
        let Some(network) = hidden() else { return };
        println!("moon: {:?}, carol: {:?}", who[0], who[1]);
        let Hidden {
            moon,
            carol,
            router: _router,
        } = network;
        let moon = Machine::start(who[0], "moon", moon, SETTINGS);
        let carol = Machine::start(who[1], "carol", carol, SETTINGS);
        let hidden = CAROL.at("192.168.1.3");
        moon.load(&offering(MOON, CAROL.at("%any"), "sha256", ""));
        carol.load(&offering(hidden, MOON, "sha256", ""));
        let refused = carol.try_swanctl("--initiate --child net");
        assert!(refused.is_err(), "{refused:?}");
        for (host, kind) in [(&moon, who[0]), (&carol, who[1])] {
            let text = "failed to establish CHILD_SA, keeping IKE_SA";
            host.until(text, || host.log().contains(text).then_some(()));
            if kind == Who::Us {
                host.expect_nothing();
            }
        }
        let log = moon.log();
        assert!(log.contains("AH is not compatible with encapsulation"), "{log}");
    }
}
