//! IPv4 and IPv6, outside and inside the tunnel.

use super::pair::{Pair, ask, hosts};

/// Both hosts with these addresses outside, and both networks behind them with these selectors.
fn tunnelled(outer: [&str; 2], moons: &str, carols: &str) -> Option<Pair> {
    let pair = hosts()?;
    let v6 = [
        (&pair.moon, "2001:db8::2/64", "fd01::2/64"),
        (&pair.carol, "2001:db8::3/64", "fd03::1/64"),
    ];
    for (host, outside, inside) in v6 {
        for (device, address) in [("eth0", outside), ("eth1", inside)] {
            // Without waiting for somebody to have it already.
            let line = format!("addr add {address} dev {device} nodad");
            host.namespace.ip(&line).expect("an IPv6 address");
        }
    }
    let ends = [
        (&pair.moon, "moon", outer[0], moons),
        (&pair.carol, "carol", outer[1], carols),
    ];
    for (index, (host, name, address, network)) in ends.into_iter().enumerate() {
        let (_, peer, peers, beyond) = ends[1 - index];
        let text = format!(
            "conn %default\n    ike=aes256gcm16-sha512-x25519!\n    esp=aes256gcm16-x25519!\n    authby=psk\n\
             conn Tunnel1\n    left={address}\n    leftid={name}.strongswan.org\n    leftsubnet={network}\n    \
             right={peers}\n    rightid={peer}.strongswan.org\n    rightsubnet={beyond}\n    auto=add\n"
        );
        host.write("ipsec.conf", &text).expect("written");
    }
    pair.start();
    pair.up();
    Some(pair)
}

fn pings(pair: &Pair, to: &str) {
    let said = ask(&pair.carol, &format!("ping -c 2 -i 0.1 -W 5 {to}"));
    pair.expect(&said, "2 received, 0% packet loss");
}

const V4: [&str; 2] = ["192.168.0.2", "192.168.0.3"];
const V6: [&str; 2] = ["2001:db8::2", "2001:db8::3"];

#[test]
fn ipv4_in_ipv4() {
    let Some(pair) = tunnelled(V4, "10.1.0.0/16", "10.3.0.0/16") else {
        return;
    };
    pings(&pair, "10.1.0.2");
}

#[test]
fn ipv6_in_ipv4() {
    let Some(pair) = tunnelled(V4, "fd01::/64", "fd03::/64") else {
        return;
    };
    pings(&pair, "fd01::2");
}

#[test]
fn ipv4_in_ipv6() {
    let Some(pair) = tunnelled(V6, "10.1.0.0/16", "10.3.0.0/16") else {
        return;
    };
    pings(&pair, "10.1.0.2");
    let status = ask(&pair.carol, "ipsec statusall");
    pair.expect(
        &status,
        "2001:db8::3[carol.strongswan.org]...2001:db8::2[moon.strongswan.org]",
    );
}

#[test]
fn ipv6_in_ipv6() {
    let Some(pair) = tunnelled(V6, "fd01::/64", "fd03::/64") else {
        return;
    };
    pings(&pair, "fd01::2");
}

#[test]
fn both_families_in_one_tunnel() {
    let Some(pair) = tunnelled(V6, "10.1.0.0/16,fd01::/64", "10.3.0.0/16,fd03::/64") else {
        return;
    };
    pings(&pair, "10.1.0.2");
    pings(&pair, "fd01::2");
}
