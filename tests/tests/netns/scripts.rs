//! Scripts that open a firewall: it is open when `ipsec up` answers and the peer may send, and closed after `ipsec down`.

use std::fs;

use xtask::host::Host;

use super::pair::{Pair, ask, hosts};

/// A firewall that drops everything but IKE, ESP in UDP and what the script admits.
const FIREWALL: &str = "add table ip guard
add chain ip guard tunnel_in
add chain ip guard tunnel_out
add chain ip guard input { type filter hook input priority 0 ; policy drop ; }
add chain ip guard output { type filter hook output priority 0 ; policy drop ; }
add rule ip guard input iif lo accept
add rule ip guard input udp dport { 500, 4500 } accept
add rule ip guard input jump tunnel_in
add rule ip guard output oif lo accept
add rule ip guard output udp dport { 500, 4500 } accept
add rule ip guard output jump tunnel_out
";

/// It takes its time, so that whoever does not wait for it loses packets.
const SCRIPT: &str = "#!/bin/sh
sleep 0.2
case $PLUTO_VERB in
up-*)
    nft add rule ip guard tunnel_in iifname $PLUTO_TUN accept
    nft add rule ip guard tunnel_out oifname $PLUTO_TUN accept
    ;;
down-*)
    nft flush chain ip guard tunnel_in
    nft flush chain ip guard tunnel_out
    ;;
esac
";

/// Has the walk-through's Tunnel1 run a script.
fn set_updown(host: &Host, script: &str) {
    let conf = host.read("ipsec.conf");
    let conf = conf.replacen("conn Tunnel1\n", &format!("conn Tunnel1\n    {script}\n"), 1);
    host.write("ipsec.conf", &conf).unwrap();
}

/// Both hosts behind such firewalls, with scripts that are of use.
fn guarded() -> Option<Pair> {
    let pair = hosts()?;
    for host in [&pair.moon, &pair.carol] {
        host.write("firewall", FIREWALL).unwrap();
        ask(host, &format!("nft -f {}", host.path("firewall").display()));
        host.write("open", SCRIPT).unwrap();
        set_updown(
            host,
            &format!("leftupdown=\"sh {}\"", host.path("open").display()),
        );
    }
    pair.start();
    Some(pair)
}

fn admits(host: &Host) -> bool {
    ask(host, "nft list chain ip guard tunnel_in").contains("accept")
}

#[test]
fn no_packet_meets_a_closed_firewall() {
    let Some(pair) = guarded() else { return };
    for round in 0..20 {
        let last = round % 2 == 0;
        pair.up();
        for (host, to) in [(&pair.carol, "10.1.0.2"), (&pair.moon, "10.3.0.1")] {
            pair.expect(
                &ask(host, &format!("ping -c 3 -i 0.05 -W 5 {to}")),
                "3 received, 0% packet loss",
            );
        }
        assert!(admits(&pair.moon) && admits(&pair.carol));
        // Either end may close it.
        let closes = if last { &pair.moon } else { &pair.carol };
        ask(closes, "ipsec down Tunnel1");
        assert!(!admits(closes), "round {round}");
    }
    pair.expect_nothing();
}

#[test]
fn a_script_that_hangs_is_killed_and_holds_nothing_else_up() {
    let Some(pair) = hosts() else { return };
    pair.moon
        .set("charon {\n plugins {\n  updown {\n   timeout = 2\n  }\n }\n}")
        .unwrap();
    set_updown(&pair.moon, "leftupdown=\"sleep 1000\"");
    pair.start();
    pair.up();
    pair.ping();
    pair.expect_logged(&pair.moon, 0, "has not ended after 2 s, killing it");
    ask(&pair.moon, "ipsec stop");
}

#[test]
fn the_default_script_opens_the_firewall_for_ipsec_in_user_space() {
    let Some(pair) = hosts() else { return };
    let script = xtask::root().join("plugins/updown/_updown");
    let text = format!(
        "leftupdown=\"sh {} iptables\"\n    lefthostaccess=yes",
        script.display()
    );
    let rules = "*filter\n:INPUT DROP\n:FORWARD DROP\n:OUTPUT DROP\n-A INPUT -i lo -j ACCEPT\n-A OUTPUT -o lo -j ACCEPT\n\
                 -A INPUT -p udp -m multiport --dports 500,4500 -j ACCEPT\n\
                 -A OUTPUT -p udp -m multiport --dports 500,4500 -j ACCEPT\nCOMMIT\n";
    for host in [&pair.moon, &pair.carol] {
        host.write("rules", rules).unwrap();
        ask(
            host,
            &format!("iptables-restore {}", host.path("rules").display()),
        );
        set_updown(host, &text);
    }
    pair.start();
    pair.up();
    pair.ping();
    ask(&pair.carol, "ipsec down Tunnel1");
    let left = ask(&pair.carol, "iptables -S");
    assert!(!left.contains("ipsec0"), "{left}");
    assert!(fs::exists(script).unwrap());
}
