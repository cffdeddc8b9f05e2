//! A responder that knows its peer by name.

use xtask::host::Host;

use super::pair::{ask, hosts, start};

/// 192.168.0.3 and 192.168.0.9 as the resolver takes them, and nobody else: they have to be looked up, and no server is asked.
const CAROL: &str = "0xc0a80003";
const NOBODY: &str = "0xc0a80009";

/// moon, of whose connections only this one is left.
fn with_only(host: &Host, name: &str) {
    start(host);
    for other in ["Tunnel1", "Tunnel2", "Tunnel3"] {
        if other != name {
            ask(host, &format!("stroke delete {other}"));
        }
    }
}

#[test]
fn a_peer_comes_from_the_address_of_its_name_and_from_no_other() {
    for (name, comes) in [
        (CAROL, true),
        (NOBODY, false),
        // Any other may come as well.
        ("%0xc0a80009", true),
    ] {
        let Some(pair) = hosts() else { return };
        pair.moon
            .edit("ipsec.conf", "right=192.168.0.3", &format!("right={name}"))
            .unwrap();
        with_only(&pair.moon, "Tunnel1");
        start(&pair.carol);
        if comes {
            pair.up();
            pair.ping();
        } else {
            let text = pair.up_in_vain();
            pair.expect(&text, "received NO_PROPOSAL_CHOSEN notify error");
            let text = "no IKE config found for 192.168.0.2...192.168.0.3";
            pair.expect_logged(&pair.moon, 0, text);
        }
        let status = ask(&pair.moon, "ipsec statusall");
        let listed = match name.strip_prefix('%') {
            Some(name) => format!("192.168.0.2...{name},0.0.0.0/0,::/0  IKEv2"),
            None => format!("192.168.0.2...{name}  IKEv2"),
        };
        pair.expect(&status, &listed);
    }
}

#[test]
fn swanctl_has_names_too() {
    let Some(pair) = hosts() else { return };
    with_only(&pair.moon, "none");
    start(&pair.carol);
    let conf = format!(
        "connections {{\n named {{\n  remote_addrs = {CAROL}\n  local_addrs = 192.168.0.2\n  proposals = \
         aes256gcm16-sha512-x25519-ke1_kyber3\n  local {{\n   auth = psk\n   id = moon.strongswan.org\n  }}\n  remote {{\n   \
         auth = psk\n   id = carol.strongswan.org\n  }}\n  children {{\n   net {{\n    local_ts = 10.1.0.0/16\n    \
         remote_ts = 10.3.0.0/16\n    esp_proposals = aes256gcm16-sha512-x25519-ke1_kyber3\n   }}\n  }}\n }}\n}}\n"
    );
    pair.moon.write("named.conf", &conf).unwrap();
    let file = pair.moon.path("named.conf");
    ask(
        &pair.moon,
        &format!("swanctl --load-conns --file {}", file.display()),
    );
    pair.up();
    pair.ping();
    pair.expect(&ask(&pair.moon, "ipsec status"), "named[1]: ESTABLISHED");
}
