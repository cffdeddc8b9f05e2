//! Policies that pass or drop packets of one interface only.

use std::process::Command;

use super::host::{Machine, Who};
use super::pair::{Pair, SETTINGS, pair_with};
use super::tables::policies;

/// Addresses of moon and carol on two cables.
const CABLES: [(&str, [&str; 2]); 2] = [
    ("eth0", ["192.168.0.2", "192.168.0.3"]),
    ("eth2", ["172.16.0.2", "172.16.0.3"]),
];

/// Of carol the daemon, which drops or passes; of moon nothing is asked but answers.
fn two_cables(who: Who) -> Option<Pair> {
    let pair = pair_with([Who::Us, who], SETTINGS)?;
    let [moon, carol] = pair.both().map(Machine::namespace);
    carol.cable("eth2", moon, "eth2").unwrap();
    let (device, addresses) = CABLES[1];
    for (host, address) in [moon, carol].into_iter().zip(addresses) {
        host.ip(&format!("addr add {address}/24 dev {device}")).unwrap();
    }
    Some(pair)
}

fn shunts(children: &str) -> String {
    format!(
        "connections {{\n shunts {{\n  remote_addrs = 127.0.0.1\n  children {{\n{children}  }}\n }}\n}}\n"
    )
}

/// A shunt for pings: ICMP by its number, because strongSwan's jail has no /etc/protocols.
fn shunt(name: &str, mode: &str, more: &str) -> String {
    format!(
        "   {name} {{\n    mode = {mode}\n    local_ts = 0.0.0.0/0[1]\n    remote_ts = 0.0.0.0/0[1]\n    \
         start_action = trap\n    {more}\n   }}\n"
    )
}

/// By which cables pings get from carol to moon and back, and from moon to carol and back.
fn passing(pair: &Pair) -> [[bool; 2]; 2] {
    let pings = |from: &Machine, to: &str| {
        let mut ping = Command::new("ping");
        ping.args(["-c", "1", "-W", "1", to]);
        from.namespace().output(&mut ping).unwrap().status.success()
    };
    CABLES.map(|(_, [moon, carol])| [pings(&pair.carol, moon), pings(&pair.moon, carol)])
}

#[test]
fn a_shunt_of_an_interface_is_for_that_one_in_both_directions() {
    for who in [Who::Them, Who::Us] {
        let Some(pair) = two_cables(who) else { return };
        assert_eq!(passing(&pair), [[true; 2]; 2]);
        for (device, left) in [
            ("eth0", [[false; 2], [true; 2]]),
            ("eth2", [[true; 2], [false; 2]]),
        ] {
            let only = shunt("no", "drop", &format!("interface = {device}"));
            pair.carol.load(&shunts(&only));
            assert_eq!(passing(&pair), left, "{device}\n{}", pair.carol.tables());
        }
        pair.carol.load(&shunts(""));
        assert_eq!(passing(&pair), [[true; 2]; 2], "{}", pair.carol.tables());
        assert!(policies(pair.carol.namespace()).is_empty());
    }
}

#[test]
fn a_shunt_of_an_interface_is_what_strongswan_makes_of_it() {
    let Some(pair) = pair_with([Who::Them, Who::Us], SETTINGS) else {
        return;
    };
    let conf = shunts(
        &(shunt("no", "drop", "interface = eth0")
            + &shunt("yes", "pass", "interface = eth1\n policies_fwd_out = yes")),
    );
    let [theirs, ours] = pair.both().map(|host| {
        host.load(&conf);
        let policies = policies(host.namespace()).into_iter();
        let mut entries: Vec<String> = policies.map(|policy| policy.text).collect();
        entries.sort();
        entries
    });
    assert!(ours.len() >= 6, "{ours:#?}");
    assert_eq!(ours, theirs);
}
