//! A tunnel that nobody uses is closed, by what the data plane knows of its use.

use super::pair::{ask, hosts};

#[test]
fn an_idle_tunnel_is_closed_by_whom_its_inactivity_is_configured_and_one_in_use_is_not() {
    for (settings, closed, left) in [
        ("", "deleting CHILD_SA after 2 seconds of inactivity", 1),
        (
            "charon {\n inactivity_close_ike = yes\n}\n",
            "deleting IKE_SA after 2 seconds of CHILD_SA inactivity",
            0,
        ),
    ] {
        let Some(pair) = hosts() else { return };
        pair.carol
            .edit("ipsec.conf", "auto=add", "auto=add\n    inactivity=2s")
            .unwrap();
        pair.carol.set(settings).unwrap();
        pair.start();
        pair.up();
        // Longer than it may be idle, and never idle for so long.
        pair.expect(
            &ask(&pair.carol, "ping -i 0.2 -c 25 10.1.0.2"),
            "25 received, 0% packet loss",
        );
        let log = pair.carol.read("charon.log");
        assert!(!log.contains(closed), "{log}");
        pair.carol.wait_for_log(0, closed).unwrap();
        let gone = if left == 1 {
            "received DELETE for ESP CHILD_SA"
        } else {
            "received DELETE for IKE_SA"
        };
        pair.moon.wait_for_log(0, gone).unwrap();
        let up = format!("Security Associations ({left} up, 0 connecting):");
        for host in [&pair.moon, &pair.carol] {
            host.wait_for_log(0, if left == 1 { "CHILD_SA closed" } else { "deleting" })
                .unwrap();
            let status = ask(host, "ipsec status");
            assert!(!status.contains("INSTALLED"), "{status}");
        }
        pair.expect(&ask(&pair.moon, "ipsec status"), &up);
    }
}
