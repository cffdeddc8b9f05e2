//! Files with thousands of connections, the same ones for both front ends.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// The address of the peer and the network of a connection.
fn peer(number: u32) -> (Ipv4Addr, Ipv4Addr) {
    let peers = u32::from(Ipv4Addr::new(198, 18, 0, 1));
    let networks = u32::from(Ipv4Addr::new(10, 128, 0, 0));
    (
        Ipv4Addr::from(peers + number),
        Ipv4Addr::from(networks + 256 * number),
    )
}

/// ipsec.conf. With `changed` the first connection has another lifetime.
pub(super) fn ipsec(connections: u32, changed: bool) -> String {
    let mut text = String::from(
        "conn %default\n keyexchange=ikev2\n ike=aes256-sha256-x25519!\n esp=aes256-sha256!\n authby=psk\n \
         left=192.168.0.2\n leftid=moon.example\n leftsubnet=10.1.0.0/16\n auto=add\n\n",
    );
    for number in 0..connections {
        let (address, network) = peer(number);
        let _ = write!(
            text,
            "conn c{number}\n right={address}\n rightid=c{number}.example\n rightsubnet={network}/24\n"
        );
        if changed && number == 0 {
            text += " lifetime=30m\n";
        }
    }
    text
}

/// swanctl.conf. With `changed` every CHILD_SA has another lifetime.
pub(super) fn swanctl(connections: u32, changed: bool) -> String {
    let mut text = String::from("connections {\n");
    let lifetime = if changed { "rekey_time = 30m" } else { "" };
    for number in 0..connections {
        let (address, network) = peer(number);
        let _ = write!(
            text,
            " c{number} {{\n  version = 2\n  local_addrs = 192.168.0.2\n  remote_addrs = {address}\n  proposals = aes256-sha256-x25519\n  \
             local {{\n   auth = psk\n   id = moon.example\n  }}\n  remote {{\n   auth = psk\n   id = c{number}.example\n  }}\n  \
             children {{\n   c{number} {{\n    local_ts = 10.1.0.0/16\n    remote_ts = {network}/24\n    \
             esp_proposals = aes256-sha256\n    {lifetime}\n   }}\n  }}\n }}\n"
        );
    }
    text + "}\nsecrets {\n ike {\n  id = moon.example\n  secret = \"known\"\n }\n}\n"
}

#[cfg(test)]
mod tests {
    use config::ipsec_conf::IpsecConf;
    use config::settings::Settings;

    use super::*;

    #[test]
    fn every_connection_is_one_of_its_own() {
        let conf = IpsecConf::parse(&ipsec(300, true), "ipsec.conf").unwrap();
        assert_eq!((conf.conns.len(), conf.messages.len()), (300, 0));
        let last = &conf.conns[299].settings;
        assert_eq!(
            (last["right"].as_str(), last["rightsubnet"].as_str()),
            ("198.18.1.44", "10.129.43.0/24")
        );
        let settings = Settings::parse(&swanctl(300, false), "swanctl.conf").unwrap();
        assert_eq!(settings.sections("connections").len(), 300);
        assert_eq!(settings.get("connections.c299.remote_addrs"), Some("198.18.1.44"));
    }
}
