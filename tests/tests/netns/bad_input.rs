//! Configurations that cannot work: the messages say what to change.

use super::pair::{Pair, ask, hosts, start};

/// Gives up on a peer within a second.
const IMPATIENT: &str = "charon {\n retransmit_timeout = 0.1\n retransmit_tries = 3\n}\n";

#[test]
fn an_unreachable_peer_is_named_with_the_key_that_says_where_it_is() {
    let Some(pair) = hosts() else { return };
    pair.carol
        .edit("ipsec.conf", "right=192.168.0.2", "right=192.168.0.9")
        .unwrap();
    pair.carol.set(IMPATIENT).unwrap();
    start(&pair.carol);
    let said = pair.up_in_vain();
    for text in [
        "establishing IKE_SA failed, peer not responding",
        "nothing came back from 192.168.0.9: check right of 'Tunnel1', that a daemon runs there, and that UDP ports 500 and \
         4500 reach it",
    ] {
        pair.expect(&said, text);
    }
    let conf = "connections {\n gone {\n  remote_addrs = 192.168.0.9\n  keyingtries = 1\n  local {\n   auth = psk\n  }\n  \
                remote {\n   auth = psk\n  }\n  children {\n   net {\n   }\n  }\n }\n}\n";
    pair.carol.write("gone.conf", conf).unwrap();
    let file = pair.carol.path("gone.conf");
    ask(
        &pair.carol,
        &format!("swanctl --load-conns --file {}", file.display()),
    );
    let said = pair.carol.run("swanctl --initiate --child net").unwrap();
    assert_ne!(said.code, Some(0), "{}", said.text);
    pair.expect(
        &said.text,
        "nothing came back from 192.168.0.9: check remote_addrs of 'gone'",
    );
}

/// moon with these connections, for whoever knows the secret; carol and dave, who are one host.
fn gateway(conns: &str) -> Option<Pair> {
    let pair = hosts()?;
    let both = "conn %default\n    keyexchange=ikev2\n    ike=aes256gcm16-sha512-x25519!\n    \
                esp=aes256gcm16-sha512-x25519!\n    authby=psk\n    keyingtries=1\n\n";
    pair.moon.write("ipsec.conf", &format!("{both}{conns}")).unwrap();
    let client = |name: &str| {
        format!(
            "conn {name}\n    left=192.168.0.3\n    leftid={name}.strongswan.org\n    leftsourceip=%config\n    \
             right=192.168.0.2\n    rightid=moon.strongswan.org\n    rightsubnet=10.1.0.0/16\n    auto=add\n\n"
        )
    };
    let clients = client("carol") + &client("dave");
    pair.carol
        .write("ipsec.conf", &format!("{both}{clients}"))
        .unwrap();
    for host in [&pair.moon, &pair.carol] {
        host.write("ipsec.secrets", ": PSK \"known on both hosts\"\n")
            .unwrap();
    }
    // Not the one of the machine that this runs on.
    let resolv = pair.carol.path("resolv.conf");
    let resolve = format!(
        "charon {{\n plugins {{\n  resolve {{\n   file = {}\n  }}\n }}\n}}",
        resolv.display()
    );
    pair.carol.set(&resolve).unwrap();
    pair.start();
    Some(pair)
}

#[test]
fn a_full_pool_is_named_with_the_key_that_has_its_addresses() {
    let conn = "conn rw\n    left=192.168.0.2\n    leftid=moon.strongswan.org\n    leftsubnet=10.1.0.0/16\n    right=%any\n    \
                rightsourceip=10.9.0.1/32\n    auto=add\n";
    let Some(pair) = gateway(conn) else { return };
    let said = ask(&pair.carol, "ipsec up carol");
    pair.expect(&said, "connection 'carol' established successfully");
    let said = ask(&pair.carol, "ipsec up dave");
    pair.expect(
        &said,
        "received INTERNAL_ADDRESS_FAILURE notify, no CHILD_SA built",
    );
    for text in [
        "pool '10.9.0.1/32' is full, unable to assign address; widen rightsourceip=10.9.0.1/32",
        "no virtual IP found for %any requested by 'dave.strongswan.org'",
    ] {
        pair.expect_logged(&pair.moon, 0, text);
    }
    pair.expect(
        &ask(&pair.moon, "ipsec leases"),
        "Leases in pool '10.9.0.1/32', usage: 1/1, 1 online",
    );
}

#[test]
fn pools_that_overlap_are_named_with_the_key_to_change() {
    let conn = |name: &str, pool: &str| {
        format!(
            "conn {name}\n    left=192.168.0.2\n    leftid=moon.strongswan.org\n    leftsubnet=10.1.0.0/16\n    \
             right=%any\n    rightid={name}.strongswan.org\n    rightsourceip={pool}\n    auto=add\n\n"
        )
    };
    let conns = conn("carol", "10.9.0.0/24") + &conn("dave", "10.9.0.128/25");
    let Some(pair) = gateway(&conns) else { return };
    pair.expect_logged(
        &pair.moon,
        0,
        "pool '10.9.0.128/25' (10.9.0.129 - 10.9.0.254) overlaps pool '10.9.0.0/24' (10.9.0.1 - 10.9.0.254); an address that \
         one has given out is not available in the other, change rightsourceip=10.9.0.128/25 unless that is meant",
    );
    let pools = "pools {\n more {\n  addrs = 10.9.0.16/28\n }\n}\n";
    pair.moon.write("pools.conf", pools).unwrap();
    let mark = pair.moon.read("charon.log").len();
    let file = pair.moon.path("pools.conf");
    let said = ask(
        &pair.moon,
        &format!("swanctl --load-pools --file {}", file.display()),
    );
    pair.expect(&said, "successfully loaded 1 pools");
    let text = "change pools.more.addrs unless that is meant";
    pair.moon.wait_for_log(mark, text).unwrap();
    // Both get one, and not the same.
    for name in ["carol", "dave"] {
        let said = ask(&pair.carol, &format!("ipsec up {name}"));
        pair.expect(&said, &format!("connection '{name}' established successfully"));
    }
}
