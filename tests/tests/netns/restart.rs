//! Tunnels that nobody brings up by hand: by their first packet, with the daemon, and after a peer that was killed.

use xtask::host::Host;

use super::pair::{Pair, ask, hosts, start};

/// Gives up on a peer within a second.
const IMPATIENT: &str = "charon {\n retransmit_timeout = 0.1\n retransmit_tries = 3\n}\n";

/// Changes Tunnel1 of a host.
fn change(host: &Host, from: &str, to: &str) {
    host.edit("ipsec.conf", from, to).unwrap();
}

/// Pings until an answer comes: the first packets are lost to the negotiation that they start.
fn ping_until_answered(pair: &Pair) {
    let out = pair.carol.run("ping -c 1 -i 0.2 -w 30 10.1.0.2").unwrap();
    pair.expect(&out.text, "1 received");
}

#[test]
fn the_first_ping_starts_a_routed_tunnel_and_later_ones_pass() {
    let Some(pair) = hosts() else { return };
    change(&pair.carol, "auto=add", "auto=route");
    let shunts = "\nconn lan\n    type=passthrough\n    leftsubnet=10.3.0.0/16\n    rightsubnet=10.1.7.0/24\n    \
                  right=192.168.0.2\n    auto=route\n\nconn no\n    type=drop\n    leftsubnet=10.3.0.0/16\n    \
                  rightsubnet=10.9.0.0/16\n    right=192.168.0.2\n    auto=start\n";
    let conf = pair.carol.read("ipsec.conf") + shunts;
    pair.carol.write("ipsec.conf", &conf).unwrap();
    pair.start();
    let status = ask(&pair.carol, "ipsec statusall");
    pair.expect(
        &status,
        "Shunted Connections:\n         lan:  10.3.0.0/16 === 10.1.7.0/24 PASS\n          no:  10.3.0.0/16 === \
         10.9.0.0/16 DROP\nRouted Connections:\n     Tunnel1{1}:  ROUTED, TUNNEL, reqid 1\n     Tunnel1{1}:   \
         10.3.0.0/16 === 10.1.0.0/16\nSecurity Associations (0 up, 0 connecting):\n",
    );
    ping_until_answered(&pair);
    let log = pair.carol.read("charon.log");
    for line in [
        "creating acquire job for policy 10.3.0.1/32[icmp/8] === 10.1.0.2/32[icmp/8] with reqid {1}",
        "establishing CHILD_SA Tunnel1{2} reqid 1",
    ] {
        pair.expect(&log, line);
    }
    pair.expect(&ask(&pair.carol, "ping -c 3 -i 0.2 10.1.0.2"), " 0% packet loss");
    pair.one_pair_is_back("a tunnel that nobody brought up by hand", || {});
    let dropped = pair.carol.run("ping -c 1 -W 1 10.9.0.1").unwrap();
    assert_ne!(dropped.code, Some(0), "{}", dropped.text);

    // The trap is there again when its tunnel goes, until it is taken out.
    ask(&pair.carol, "ipsec down Tunnel1");
    ping_until_answered(&pair);
    let said = ask(&pair.carol, "ipsec unroute Tunnel1");
    assert_eq!(said, "trap policy 'Tunnel1' unrouted\n");
    let said = pair.carol.run("ipsec unroute Tunnel1").unwrap();
    assert_eq!(said.text, "configuration 'Tunnel1' not found\n");
    assert_eq!(
        ask(&pair.carol, "ipsec unroute lan"),
        "shunt policy 'lan' uninstalled\n"
    );
    let said = ask(&pair.carol, "ipsec route lan");
    assert_eq!(said, "'lan' shunt PASS policy installed\n");
    pair.ping();
    assert_eq!(ask(&pair.carol, "ipsec route Tunnel1"), "'Tunnel1' routed\n");
    let said = ask(&pair.carol, "swanctl --list-pols --trap");
    pair.expect(
        &said,
        "Tunnel1/Tunnel1, reqid 1, TUNNEL\n  local:  10.3.0.0/16\n  remote: 10.1.0.0/16\n",
    );
}

#[test]
fn a_started_tunnel_comes_up_when_its_peer_does() {
    let Some(pair) = hosts() else { return };
    change(&pair.carol, "auto=add", "auto=start");
    change(&pair.carol, "keyingtries=1", "keyingtries=%forever");
    pair.carol.set(IMPATIENT).unwrap();
    start(&pair.carol);
    let again = "peer not responding, trying again (3/0)";
    pair.carol.wait_for_log(0, again).unwrap();
    start(&pair.moon);
    pair.carol.wait_for_log(0, "established with SPIs").unwrap();
    pair.one_pair_is_back("a tunnel that nobody brought up by hand", || {});
}

#[test]
fn a_peer_that_was_killed_is_restarted_and_one_pair_is_left() {
    let Some(pair) = hosts() else { return };
    let dpd = "auto=add\n    dpdaction=restart\n    dpddelay=1s\n    keyingtries=%forever";
    change(&pair.carol, "auto=add", dpd);
    pair.carol.set(IMPATIENT).unwrap();
    pair.start();
    pair.up();
    pair.carol.wait_for_log(0, "sending DPD request").unwrap();
    pair.ping();
    let before = pair.carol.read("charon.log").len();
    pair.moon.kill("starter.charon").unwrap();
    pair.moon.kill("charon").unwrap();
    start(&pair.moon);
    for line in [
        "giving up after 3 retransmits",
        "restarting CHILD_SA Tunnel1",
        "established with SPIs",
    ] {
        pair.carol.wait_for_log(before, line).unwrap();
    }
    pair.one_pair_is_back("a tunnel that nobody brought up by hand", || {});
    // The same where both ends want it back: moon starts the tunnel herself, carol notices that moon was away.
    change(&pair.moon, "auto=add", "auto=start");
    let before = pair.moon.read("charon.log").len();
    pair.moon.kill("starter.charon").unwrap();
    pair.moon.kill("charon").unwrap();
    start(&pair.moon);
    pair.moon.wait_for_log(before, "established with SPIs").unwrap();
    pair.one_pair_is_back("a tunnel that nobody brought up by hand", || {});
}
