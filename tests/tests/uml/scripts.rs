//! Scripts that open the way, around ESP of the kernel. A route stands for a firewall's rules, as every guest has routes.

use super::host::Who;
use super::net::command;
use super::pair::{ESP, pair};
use super::tables::{policies, states};

#[test]
fn no_packet_meets_a_closed_firewall() {
    let Some(pair) = pair([Who::Us; 2]) else { return };
    // What would go to the other network is thrown away until the script says otherwise.
    for (host, other) in [(&pair.moon, "10.3.0.0/16"), (&pair.carol, "10.1.0.0/16")] {
        let network = host.namespace();
        network.ip("rule add pref 100 lookup 100").unwrap();
        network
            .ip(&format!("route add blackhole {other} table 100"))
            .unwrap();
    }
    let script = "updown = \"sleep 0.2; case $PLUTO_VERB in up-*) verb=del ;; *) verb=add ;; esac; ip xfrm policy | grep -c \
                  $PLUTO_PEER_CLIENT; ip route $verb blackhole $PLUTO_PEER_CLIENT table 100\"";
    pair.load(ESP, "", script);
    for round in 0..20 {
        pair.carol.swanctl("--initiate --child net");
        command(
            pair.carol.namespace(),
            "ping",
            "-c 3 -i 0.05 -W 5 -I 10.3.0.1 10.1.0.2",
        );
        command(
            pair.moon.namespace(),
            "ping",
            "-c 3 -i 0.05 -W 5 -I 10.1.0.2 10.3.0.1",
        );
        let (closes, other) = match round % 2 {
            0 => (&pair.carol, &pair.moon),
            _ => (&pair.moon, &pair.carol),
        };
        closes.swanctl("--terminate --ike net");
        closes.expect_nothing();
        // The other end has a script of its own, which nothing waits for.
        other.ask_until("end of the policies", || {
            policies(other.namespace()).is_empty() && states(other.namespace()).is_empty()
        });
        other.expect_nothing();
    }
    for host in pair.both() {
        let log = host.log();
        // Three policies are there whenever a script runs.
        assert!(log.contains("updown: 3"), "{log}");
        assert!(!log.contains("updown: 0"), "{log}");
    }
}
