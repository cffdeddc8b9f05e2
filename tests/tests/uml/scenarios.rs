//! What tunnels in the kernel do, with our daemon on both hosts and with strongSwan's on either.

use super::host::{Machine, Who};
use super::net::{Hidden, PORTS, command, hidden};
use super::pair::{ESP, EVERYONE, SETTINGS, all_esp, pair, pair_with};
use super::setup::{CAROL, End, MOON, conf};
use super::tables::{policies, states};
use super::wire::Wire;

#[test]
fn networks_are_joined_and_parted() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        pair.load(ESP, "", "");
        pair.carol.swanctl("--initiate --child net");
        pair.expect_one();
        all_esp(&pair.ping("10.3.0.1", "10.1.0.2"), 4);
        for host in pair.both() {
            for state in &host.agree()[0] {
                assert_eq!((state.packets, state.octets), (2, 168), "{}", state.text);
                assert_eq!(state.mode, "tunnel");
                assert!(state.text.contains("rfc4106(gcm(aes))"), "{}", state.text);
            }
            // Twice 168 octets, as the kernel counted them.
            assert_eq!(host.swanctl("--list-sas").matches(" 168 bytes,").count(), 2);
            let priorities: Vec<u32> = policies(host.namespace())
                .iter()
                .map(|policy| policy.priority)
                .collect();
            assert_eq!(priorities, [383_615; 3], "{}", host.tables());
        }
        pair.carol.swanctl("--terminate --ike net");
        pair.moon
            .ask_until("end of the IKE_SA", || states(pair.moon.namespace()).is_empty());
        for host in pair.both() {
            host.expect_nothing();
        }
    }
}

/// Whatever the kernel has it does not only install, but agrees with the peer's.
#[test]
fn every_algorithm_of_the_kernel_carries_pings() {
    for who in [[Who::Us, Who::Us], [Who::Them, Who::Us]] {
        let Some(pair) = pair(who) else { return };
        for esp in [
            "aes128-sha1",
            "aes256-sha256",
            "aes192-sha384",
            "aes256-sha512-esn",
            "aes128gcm16-esn",
        ] {
            pair.load(esp, "", "");
            pair.carol.swanctl("--initiate --child net");
            pair.expect_one();
            all_esp(&pair.ping("10.3.0.1", "10.1.0.2"), 4);
            pair.carol.swanctl("--terminate --ike net");
        }
    }
}

#[test]
fn hosts_protect_themselves_in_transport_mode() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        for (host, own, peer) in [(&pair.moon, MOON, CAROL), (&pair.carol, CAROL, MOON)] {
            host.load(&conf(own.alone(), peer.alone(), ESP, "", "mode = transport"));
        }
        pair.carol.swanctl("--initiate --child net");
        pair.expect_one();
        all_esp(&pair.ping("192.168.0.3", "192.168.0.2"), 4);
        for host in pair.both() {
            assert_eq!(host.agree()[0][0].mode, "transport");
        }
    }
}

#[test]
fn a_client_behind_a_router_that_translates_wraps_esp_in_udp() {
    for [moon, carol] in EVERYONE {
        let Some(network) = hidden() else { return };
        println!("moon: {moon:?}, carol: {carol:?}");
        let Hidden {
            moon: gateway,
            carol: client,
            router,
        } = network;
        let moon = Machine::start(moon, "moon", gateway, SETTINGS);
        let carol = Machine::start(carol, "carol", client, SETTINGS);
        moon.load(&conf(MOON, CAROL.at("%any"), ESP, "", ""));
        carol.load(&conf(CAROL.at("192.168.1.3"), MOON, ESP, "", ""));
        carol.swanctl("--initiate --child net");
        let wire = Wire::tap([(&router, "outside"), (moon.namespace(), "eth0")]);
        command(carol.namespace(), "ping", "-c 2 -i 0.2 -W 5 -I 10.3.0.1 10.1.0.2");
        let heard = wire.heard("192.168.0.2");
        let wrapped = |packet: &&String| packet.contains("UDP-encap: ESP(spi=0x");
        // Either end may tell of its addresses meanwhile (RFC 4555).
        let ike = |packet: &&String| packet.contains("isakmp");
        assert_eq!(heard.iter().filter(wrapped).count(), 4, "{heard:#?}");
        assert!(
            heard.iter().all(|packet| wrapped(&packet) || ike(&packet)),
            "{heard:#?}"
        );
        for host in [&moon, &carol] {
            let pairs = host.agree();
            assert_eq!(pairs.len(), 1);
            for state in &pairs[0] {
                assert!(state.text.contains("encap type espinudp"), "{}", state.text);
            }
        }
        let [inbound, outbound] = &moon.agree()[0];
        assert_eq!([&inbound.source, &outbound.destination], ["192.168.0.1"; 2]);
        let port = inbound.text.split("sport ").nth(1).unwrap_or_default();
        let port = port.split_whitespace().next().and_then(|port| port.parse().ok());
        assert!(port.is_some_and(|port| PORTS.contains(&port)), "{}", inbound.text);
    }
}

#[test]
fn a_packet_for_a_trap_brings_the_tunnel_up() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        pair.moon.load(&conf(MOON, CAROL, ESP, "", ""));
        pair.carol
            .load(&conf(CAROL, MOON, ESP, "", "start_action = trap"));
        assert_eq!(
            policies(pair.carol.namespace()).len(),
            3,
            "{}",
            pair.carol.tables()
        );
        // The first packets wait or are lost until it is up.
        command(
            pair.carol.namespace(),
            "ping",
            "-c 1 -W 10 -w 20 -I 10.3.0.1 10.1.0.2",
        );
        let log = pair.carol.log();
        assert!(
            log.contains("creating acquire job for policy 10.3.0.1/32"),
            "{log}"
        );
        let [moon, carol] = pair.both().map(Machine::agree);
        assert_eq!((moon.len(), carol.len()), (1, 1));
        // The trap stays, for when the tunnel is gone.
        pair.carol.swanctl("--terminate --ike net");
        assert_eq!(
            policies(pair.carol.namespace()).len(),
            3,
            "{}",
            pair.carol.tables()
        );
        assert!(
            states(pair.carol.namespace()).is_empty(),
            "{}",
            pair.carol.tables()
        );
    }
}

#[test]
fn what_the_kernel_says_of_lifetimes_rekeys() {
    for who in [[Who::Us, Who::Us], [Who::Them, Who::Us]] {
        let Some(pair) = pair(who) else { return };
        pair.moon.load(&conf(MOON, CAROL, ESP, "", ""));
        let lifetimes = "rekey_packets = 20\n rand_packets = 0\n life_packets = 10000";
        pair.carol.load(&conf(CAROL, MOON, ESP, "", lifetimes));
        pair.carol.swanctl("--initiate --child net");
        pair.expect_one();
        let before = pair.carol.believed();
        command(
            pair.carol.namespace(),
            "ping",
            "-c 25 -i 0.01 -W 5 -I 10.3.0.1 10.1.0.2",
        );
        pair.carol.until("rekeying", || {
            let log = pair.carol.log();
            (log.contains("creating rekey job for CHILD_SA ESP/0x") && log.contains("CHILD_SA closed"))
                .then_some(())
        });
        // What has been replaced takes packets for some seconds more; with strongSwan for hours, if its kernel limits it.
        let single = |host: &Machine| host.ask_until("single pair", || host.believed().len() == 1);
        single(&pair.carol);
        assert_eq!(pair.carol.agree().len(), 1);
        if matches!(who[0], Who::Us) {
            single(&pair.moon);
            pair.expect_one();
        }
        assert_ne!(pair.carol.believed(), before);
        all_esp(&pair.ping("10.3.0.1", "10.1.0.2"), 4);
    }
}

/// What a CHILD_SA may ask of the kernel besides.
const OPTIONS: &str = "mark_in = 0x1107/0xff\n mark_out = %unique/0xffff\n set_mark_in = 0x5/0xf\n \
    set_mark_out = %same/0xff\n if_id_in = %unique-dir\n if_id_out = 0x12\n priority = 1000\n copy_df = no\n \
    copy_ecn = no\n copy_dscp = in\n replay_window = 64";

/// In the kernel is the same, whoever put it there.
#[test]
fn what_is_asked_for_besides_is_as_strongswan_has_it() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        pair.moon.load(&conf(MOON, CAROL, ESP, "", ""));
        pair.carol.load(&conf(CAROL, MOON, ESP, "", OPTIONS));
        pair.carol.swanctl("--initiate --child net");
        let carol = &pair.carol;
        let mut found: Vec<String> = states(carol.namespace())
            .iter()
            .map(|state| (state.source.as_str(), asked(&state.text)))
            .chain(
                policies(carol.namespace())
                    .iter()
                    .map(|policy| (policy.direction.as_str(), asked(&policy.text))),
            )
            .map(|(what, asked)| format!("{what}: {asked}"))
            .collect();
        found.sort();
        let expected = [
            "192.168.0.2: flag noecn decap-dscp af-unspec, output-mark 0x5/0xf, if_id 0x1",
            "192.168.0.3: flag noecn nopmtudisc af-unspec, extra_flag dont-encap-dscp, mark 0x1/0xffff, \
             output-mark 0x1/0xff, if_id 0x12",
            "fwd: priority 1000, mark 0x7/0xff, if_id 0x1",
            "in: priority 1000, mark 0x7/0xff, if_id 0x1",
            "out: priority 1000, mark 0x1/0xffff, if_id 0x12",
        ];
        assert_eq!(found, expected, "{}", carol.tables());
        let listed = carol.swanctl("--list-sas");
        for shown in [
            "(0x00000007/0x000000ff|0x00000001)",
            "(0x00000001/0x0000ffff|0x00000012)",
        ] {
            assert!(listed.contains(shown), "{listed}");
        }
        carol.swanctl("--terminate --ike net");
        carol.expect_nothing();
    }
}

#[test]
fn ports_pass_by_policies_as_strongswans_do() {
    let settings = "plugins {\n kernel-netlink {\n port_bypass = yes\n }\n }";
    let Some(pair) = pair_with([Who::Them, Who::Us], settings) else {
        return;
    };
    let [theirs, ours] = pair.both().map(|host| {
        let text = host.namespace().ip("xfrm policy").unwrap();
        assert!(!text.contains("socket"), "{text}");
        let mut entries: Vec<String> = policies(host.namespace())
            .into_iter()
            .map(|policy| policy.text)
            .collect();
        entries.sort();
        entries
    });
    assert_eq!(ours.len(), 8, "two ports, families and directions: {ours:#?}");
    assert_eq!(ours, theirs);
    pair.load(ESP, "", "");
    pair.carol.swanctl("--initiate --child net");
    pair.expect_one();
}

/// The words about it in an entry of the kernel's tables.
fn asked(text: &str) -> String {
    // There is no blank before it.
    let text = text.replace("extra_flag", " extra_flag");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut found = Vec::new();
    for key in ["priority", "flag", "extra_flag", "mark", "output-mark", "if_id"] {
        let Some(at) = words.iter().position(|word| *word == key) else {
            continue;
        };
        let many = key.ends_with("flag");
        let values = words[at + 1..].iter().take(if many { 9 } else { 1 });
        // Flags end in their number or in other flags.
        let values = values.take_while(|word| !many || !(word.starts_with('(') || **word == "extra_flag"));
        found.push(format!("{key} {}", values.copied().collect::<Vec<_>>().join(" ")));
    }
    found.join(", ")
}

#[test]
fn a_road_warrior_gets_an_address_and_gives_it_back() {
    for who in EVERYONE {
        let Some(pair) = pair(who) else { return };
        let pool = "pools {\n rw {\n  addrs = 10.4.0.0/24\n }\n}\n";
        let moon = conf(MOON, CAROL.alone().at("%any"), ESP, "pools = rw", "");
        pair.moon.load(&format!("{moon}{pool}"));
        pair.carol
            .load(&conf(CAROL.alone(), MOON, ESP, "vips = 0.0.0.0", ""));
        pair.carol.swanctl("--initiate --child net");
        pair.expect_one();
        let carol = pair.carol.namespace();
        assert!(
            carol.ip("addr").unwrap().contains("inet 10.4.0.1/32"),
            "{}",
            pair.carol.tables()
        );
        let routes = carol.ip("route show table 220").unwrap();
        assert!(
            routes.contains("10.1.0.0/16 ") && routes.contains(" src 10.4.0.1"),
            "{}",
            pair.carol.tables()
        );
        all_esp(&pair.ping("10.4.0.1", "10.1.0.2"), 4);
        pair.carol.swanctl("--terminate --ike net");
        // The command ends with the IKE_SA, and its address goes then.
        pair.carol.ask_until("end of the address", || {
            !carol.ip("addr").unwrap().contains("10.4.0.1")
        });
        pair.carol.expect_nothing();
    }
}

/// Packets of both families, in packets of either.
#[test]
fn networks_of_both_families_are_joined_over_either() {
    for who in [[Who::Us, Who::Us], [Who::Them, Who::Us], [Who::Us, Who::Them]] {
        let Some(pair) = pair(who) else { return };
        for (host, outer, inner) in [
            (&pair.moon, "fd00::2", "fd01::2"),
            (&pair.carol, "fd00::3", "fd03::1"),
        ] {
            for (address, device) in [(outer, "eth0"), (inner, "eth1")] {
                let line = format!("addr add {address}/64 dev {device} nodad");
                host.namespace().ip(&line).unwrap();
            }
        }
        let both = |end: End, network| End { network, ..end };
        let moon = both(MOON, "10.1.0.0/16,fd01::/64");
        let carol = both(CAROL, "10.3.0.0/16,fd03::/64");
        for (moon, carol) in [(moon, carol), (moon.at("fd00::2"), carol.at("fd00::3"))] {
            pair.moon.load(&conf(moon, carol, ESP, "", ""));
            pair.carol.load(&conf(carol, moon, ESP, "", ""));
            pair.carol.swanctl("--initiate --child net");
            pair.expect_one();
            assert_eq!(
                policies(pair.carol.namespace()).len(),
                6,
                "{}",
                pair.carol.tables()
            );
            all_esp(&pair.ping("10.3.0.1", "10.1.0.2"), 4);
            all_esp(&pair.ping("fd03::1", "fd01::2"), 4);
            pair.carol.swanctl("--terminate --ike net");
        }
    }
}
