//! carol on the road: moon gives her an address and a DNS server.

use xtask::host::{Host, PATIENCE};
use xtask::watch;

use super::pair::{Pair, ask, hosts};

const BEFORE: &str = "# carol's own\nnameserver 192.0.2.53\n";

/// The variant of the walk-through without a network behind carol.
fn road() -> Option<Pair> {
    let pair = hosts()?;
    let both = "conn %default\n    keyexchange=ikev2\n    ike=aes256gcm16-sha512-x25519-ke1_kyber3!\n    \
                esp=aes256gcm16-sha512-x25519-ke1_kyber3!\n    authby=psk\n    keyingtries=1\n\n";
    let moon = "conn rw\n    left=192.168.0.2\n    leftid=moon.strongswan.org\n    leftsubnet=10.1.0.0/16\n    right=%any\n    \
                rightsourceip=10.3.0.0/24\n    auto=add\n";
    let carol = "conn home\n    left=192.168.0.3\n    leftid=carol.strongswan.org\n    leftsourceip=%config\n    \
                 right=192.168.0.2\n    rightid=moon.strongswan.org\n    rightsubnet=10.1.0.0/16\n    auto=add\n";
    pair.moon.write("ipsec.conf", &format!("{both}{moon}")).unwrap();
    pair.carol.write("ipsec.conf", &format!("{both}{carol}")).unwrap();
    pair.moon.set("charon {\n dns1 = 10.1.0.1\n}").unwrap();
    pair.carol.write("resolv.conf", BEFORE).unwrap();
    let resolv = pair.carol.path("resolv.conf");
    let resolve = format!(
        "charon {{\n plugins {{\n  resolve {{\n   file = {}\n  }}\n }}\n}}",
        resolv.display()
    );
    pair.carol.set(&resolve).unwrap();
    pair.carol.namespace.ip("addr del 10.3.0.1/16 dev eth1").unwrap();
    pair.start();
    Some(pair)
}

/// Waits for what the thread of the plugin writes.
fn resolv_conf(host: &Host, expected: &str) {
    let folder = host.path("resolv.conf").parent().expect("a folder").to_owned();
    let same = || (host.read("resolv.conf") == expected).then_some(());
    let done = watch::until(&[&folder], PATIENCE, "the servers in resolv.conf", same);
    done.unwrap_or_else(|error| panic!("{error}\n{}", host.read("resolv.conf")));
}

#[test]
fn a_road_warrior_sends_from_its_virtual_address_and_asks_the_server_it_was_named() {
    let Some(pair) = road() else { return };
    for round in 1..=2 {
        let up = ask(&pair.carol, "ipsec up home");
        for text in [
            "CPRQ(ADDR DNS)",
            "CPRP(ADDR DNS)",
            "installing new virtual IP 10.3.0.1",
            "TS 10.3.0.1/32 === 10.1.0.0/16",
            "connection 'home' established successfully",
        ] {
            pair.expect(&up, text);
        }
        let address = ask(&pair.carol, "ip -br addr show dev ipsec0");
        pair.expect(&address, "10.3.0.1/32");
        let routes = ask(&pair.carol, "ip route show table 220");
        pair.expect(
            &routes,
            "10.1.0.0/16 dev ipsec0 proto static scope link src 10.3.0.1",
        );
        pair.ping();
        let back = ask(&pair.moon, "ping -c 1 -W 5 -I 10.1.0.2 10.3.0.1");
        pair.expect(&back, "1 received, 0% packet loss");
        pair.expect(
            &ask(&pair.moon, "ipsec statusall"),
            "Virtual IP pools (size/online/offline):\n  10.3.0.0/24: 254/1/0\n",
        );
        let leases = "Leases in pool '10.3.0.0/24', usage: 1/254, 1 online\n         10.3.0.1   online   'carol.strongswan.org'\n";
        pair.expect(&ask(&pair.moon, "ipsec leases 10.3.0.0/24"), leases);
        pair.expect(
            &ask(&pair.carol, "swanctl --list-sas"),
            "local  'carol.strongswan.org' @ 192.168.0.3[4500] [10.3.0.1]",
        );
        resolv_conf(
            &pair.carol,
            &format!("nameserver 10.1.0.1   # by strongSwan\n{BEFORE}"),
        );
        ask(&pair.carol, "ipsec down home");
        resolv_conf(&pair.carol, BEFORE);
        let address = ask(&pair.carol, "ip -br addr show dev ipsec0");
        assert!(!address.contains("10.3.0.1"), "round {round}: {address}");
        let how = if round == 1 {
            "assigning new"
        } else {
            "reassigning offline"
        };
        pair.expect_logged(&pair.moon, 0, &format!("{how} lease to 'carol.strongswan.org'"));
    }
    pair.expect(&ask(&pair.moon, "ipsec leases"), "usage: 1/254, 0 online");
    pair.expect(
        &ask(&pair.moon, "ipsec leases 10.3.0.0/24 10.3.0.9"),
        "no matching leases found",
    );
    assert_eq!(ask(&pair.moon, "swanctl --list-pools"), "", "not swanctl's");
}

#[test]
fn peers_are_closed_by_their_virtual_address_and_ike_sas_without_child_sas_are_purged() {
    let Some(pair) = road() else { return };
    ask(&pair.carol, "ipsec up home");
    let begin = pair.moon.read("charon.log").len();
    ask(&pair.moon, "ipsec stroke down-srcip 10.3.0.2 10.3.0.9");
    pair.expect(&ask(&pair.moon, "ipsec status"), "(1 up, 0 connecting)");
    pair.expect(
        &ask(&pair.moon, "ipsec stroke down-srcip 10.3.0"),
        "invalid start address: '10.3.0' is not an IP address",
    );
    ask(&pair.moon, "ipsec stroke down-srcip 10.3.0.1");
    pair.expect_logged(&pair.moon, begin, "IKE_SA deleted");
    pair.expect_nothing();

    ask(&pair.carol, "ipsec up home");
    ask(&pair.carol, "ipsec purgeike");
    pair.expect(&ask(&pair.carol, "ipsec status"), "(1 up, 0 connecting)");
    ask(&pair.carol, "ipsec down home{}");
    let begin = pair.carol.read("charon.log").len();
    ask(&pair.carol, "ipsec purgeike");
    pair.expect_logged(&pair.carol, begin, "IKE_SA deleted");
    pair.expect_nothing();
}
