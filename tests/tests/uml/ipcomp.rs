//! IPComp in the kernel, with our daemon on both hosts and with strongSwan's on either.

use super::host::{Machine, Who};
use super::moving::{BEFORE, readdress};
use super::net::command;
use super::pair::{ESP, EVERYONE, Pair, new_pair, pair};
use super::setup::{CAROL, End, MOON, conf};
use super::tables::{State, states};

/// Octets of a ping that is worth compressing, and of one that is not.
const LARGE: usize = 1200;
const SMALL: usize = 8;

fn bring_up(pair: &Pair, [moon, carol]: [End; 2], [of_moon, of_carol]: [&str; 2]) {
    pair.moon.load(&conf(moon, carol, ESP, "", of_moon));
    pair.carol.load(&conf(carol, moon, ESP, "", of_carol));
    pair.carol.swanctl("--initiate --child net");
}

/// carol sends two pings of this size, which are answered.
fn ping(pair: &Pair, from: &str, to: &str, octets: usize) {
    let arguments = format!("-c 2 -i 0.2 -W 5 -p 00 -s {octets} -I {from} {to}");
    command(pair.carol.namespace(), "ping", &arguments);
}

/// The SAs of a protocol, as `ip` names it.
fn of(host: &Machine, protocol: &str) -> Vec<State> {
    let named = format!("proto {protocol} ");
    let all = states(host.namespace()).into_iter();
    all.filter(|state| state.text.contains(&named)).collect()
}

/// The SAs of ESP, and those of IPComp, of a CHILD_SA with these `SPI/CPI`.
fn sas(host: &Machine, pair: &[String; 2]) -> [Vec<State>; 2] {
    let numbers = pair.each_ref().map(|both| both.split_once('/').expect("a CPI"));
    let named = |protocol: &str, numbers: [&str; 2]| -> Vec<State> {
        let all = of(host, protocol).into_iter();
        all.filter(|state| numbers.iter().any(|number| state.spi.ends_with(number)))
            .collect()
    };
    [
        named("esp", numbers.map(|both| both.0)),
        named("comp", numbers.map(|both| both.1)),
    ]
}

/// Two SAs of ESP in transport mode have carried so many packets each, smaller than they were, and two of IPComp in this mode
/// the same packets.
fn compressed(host: &Machine, pair: &[String; 2], mode: &str, packets: u64) {
    let [esp, comp] = sas(host, pair);
    assert_eq!(
        (esp.len(), comp.len()),
        (2, 2),
        "{}\n{}",
        host.tables(),
        host.log()
    );
    for state in &comp {
        assert_eq!(
            (state.mode.as_str(), state.packets),
            (mode, packets),
            "{}",
            host.tables()
        );
        assert!(state.text.contains("deflate"), "{}", state.text);
    }
    for state in &esp {
        assert_eq!(
            (state.mode.as_str(), state.packets),
            ("transport", packets),
            "{}",
            host.tables()
        );
        assert!(state.octets < packets * LARGE as u64 / 4, "{}", state.text);
    }
}

/// The same of the only CHILD_SA of both hosts.
fn both_compressed(pair: &Pair, mode: &str) {
    for host in pair.both() {
        let believed = host.believed();
        assert_eq!(believed.len(), 1, "{}", host.log());
        compressed(host, &believed[0], mode, 2);
    }
}

fn end(pair: &Pair, who: [Who; 2]) {
    pair.carol.swanctl("--terminate --ike net");
    for (host, kind) in pair.both().into_iter().zip(who) {
        // strongSwan keeps a CPI that it has reserved in vain.
        if kind == Who::Us {
            // The kernel's own SA for what was not compressed goes with the last of IPComp, a little later.
            host.ask_until("end of all SAs", || states(host.namespace()).is_empty());
            host.expect_nothing();
        }
    }
}

#[test]
fn tunnels_are_compressed_and_stay_so_when_both_ends_rekey() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        bring_up(&pair, [MOON, CAROL], ["ipcomp = yes"; 2]);
        ping(&pair, "10.3.0.1", "10.1.0.2", LARGE);
        both_compressed(&pair, "tunnel");
        // What would not become smaller goes as it is.
        ping(&pair, "10.3.0.1", "10.1.0.2", SMALL);
        for host in pair.both() {
            let esp = of(host, "esp");
            assert!(esp.iter().all(|state| state.packets == 4), "{}", host.tables());
        }
        for host in pair.both() {
            let before = pair.both().map(Machine::believed);
            host.swanctl("--rekey --child net");
            let mut after = Vec::new();
            for ((end, kind), before) in pair.both().into_iter().zip(who).zip(&before) {
                end.ask_until("new CHILD_SA", || new_pair(end, kind, before).is_some());
                after.extend(new_pair(end, kind, before));
            }
            ping(&pair, "10.3.0.1", "10.1.0.2", LARGE);
            for (end, numbers) in pair.both().into_iter().zip(&after) {
                compressed(end, numbers, "tunnel", 2);
            }
            ping(&pair, "10.3.0.1", "10.1.0.2", SMALL);
        }
        end(&pair, who);
    }
}

#[test]
fn transport_mode_is_compressed() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        let child = "ipcomp = yes\n mode = transport";
        bring_up(&pair, [MOON.alone(), CAROL.alone()], [child; 2]);
        ping(&pair, "192.168.0.3", "192.168.0.2", LARGE);
        both_compressed(&pair, "transport");
        ping(&pair, "192.168.0.3", "192.168.0.2", SMALL);
        end(&pair, who);
    }
}

#[test]
fn a_peer_that_does_not_compress_gets_a_plain_tunnel() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        for children in [["", "ipcomp = yes"], ["ipcomp = yes", ""]] {
            bring_up(&pair, [MOON, CAROL], children);
            ping(&pair, "10.3.0.1", "10.1.0.2", LARGE);
            for host in pair.both() {
                let esp = of(host, "esp");
                let octets: Vec<u64> = esp.iter().map(|state| state.octets).collect();
                assert_eq!(octets, [2 * (LARGE as u64 + 28); 2], "{}", host.tables());
            }
            if children[0].is_empty() {
                let word = "received IPCOMP_SUPPORTED notify but IPComp is disabled, ignoring";
                assert!(pair.moon.log().contains(word), "{}", pair.moon.log());
                let word = "peer didn't accept our proposed IPComp transforms, IPComp is disabled";
                assert!(pair.carol.log().contains(word), "{}", pair.carol.log());
            }
            end(&pair, who);
        }
    }
}

#[test]
fn ah_is_compressed_too() {
    for who in [[Who::Us; 2], [Who::Them, Who::Us], [Who::Us, Who::Them]] {
        let Some(pair) = pair(who) else { return };
        for (host, own, peer) in [(&pair.moon, MOON, CAROL), (&pair.carol, CAROL, MOON)] {
            let conf = conf(own, peer, ESP, "", "ipcomp = yes");
            host.load(&conf.replace(&format!("esp_proposals = {ESP}"), "ah_proposals = sha256"));
        }
        pair.carol.swanctl("--initiate --child net");
        ping(&pair, "10.3.0.1", "10.1.0.2", LARGE);
        for host in pair.both() {
            let (ah, comp) = (of(host, "ah"), of(host, "comp"));
            assert_eq!((ah.len(), comp.len()), (2, 2), "{}", host.tables());
            let all = ah.iter().chain(&comp);
            assert!(
                all.into_iter().all(|state| state.packets == 2),
                "{}",
                host.tables()
            );
        }
        end(&pair, who);
    }
}

#[test]
fn a_compressed_tunnel_follows_its_host() {
    for who in [[Who::Us; 2], [Who::Them, Who::Us], [Who::Us, Who::Them]] {
        let Some(pair) = pair(who) else { return };
        let carol = CAROL.at("%any");
        pair.moon
            .load(&conf(MOON, carol, ESP, "mobike = yes", "ipcomp = yes"));
        pair.carol
            .load(&conf(carol, MOON, ESP, "mobike = yes", "ipcomp = yes"));
        pair.carol.swanctl("--initiate --child net");
        ping(&pair, "10.3.0.1", "10.1.0.2", LARGE);
        readdress(&pair);
        for host in pair.both() {
            host.ask_until("SAs of the new address", || {
                (of(host, "esp").len(), of(host, "comp").len()) == (2, 2) && !host.tables().contains(BEFORE)
            });
        }
        for octets in [LARGE, SMALL] {
            ping(&pair, "10.3.0.1", "10.1.0.2", octets);
        }
        end(&pair, who);
    }
}
