//! A trap for any peer in transport mode: one file for all hosts, none of which knows another.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use xtask::netns::Namespace;

use super::host::{Machine, Who};
use super::net::{cable, command};
use super::pair::SETTINGS;
use super::tables::{State, states};

/// Every host has it. ssh stays open: by numbers, because strongSwan's jail has no /etc/services.
const FILE: &str = "connections {
 trap-any {
  remote_addrs = %any
  local {
   auth = psk
  }
  remote {
   auth = psk
  }
  children {
   trap-any {
    mode = transport
    start_action = trap
   }
  }
 }
 pass {
  remote_addrs = 127.0.0.1
  children {
   pass-ssh {
    local_ts = 0.0.0.0/0[6/22]
    remote_ts = 0.0.0.0/0[6]
    mode = pass
    start_action = trap
   }
  }
 }
}
secrets {
 ike {
  secret = 0sdGhpcyBpcyBhIHRlc3Qga2V5IG9ubHk=
 }
}
";

/// Addresses on the cable between moon and carol, and on that between carol and dave.
const MOON: &str = "192.168.0.2";
const CAROL: &str = "192.168.0.3";
const CAROL_TOO: &str = "172.16.0.3";
const DAVE: &str = "172.16.0.4";

/// moon, carol and dave, and which daemon each has.
const WHO: [[Who; 3]; 4] = [
    [Who::Them, Who::Them, Who::Them],
    [Who::Us, Who::Us, Who::Us],
    [Who::Them, Who::Us, Who::Them],
    [Who::Us, Who::Them, Who::Us],
];

/// Three in a row, carol in the middle.
fn three(who: [Who; 3]) -> Option<[Machine; 3]> {
    let network = cable()?;
    println!("moon, carol, dave: {who:?}");
    let dave = Namespace::new().unwrap();
    network.carol.cable("eth2", &dave, "eth0").unwrap();
    network
        .carol
        .ip(&format!("addr add {CAROL_TOO}/24 dev eth2"))
        .unwrap();
    dave.ip(&format!("addr add {DAVE}/24 dev eth0")).unwrap();
    let [moon, carol, third] = who;
    let hosts = [
        Machine::start(moon, "moon", network.moon, SETTINGS),
        Machine::start(carol, "carol", network.carol, SETTINGS),
        Machine::start(third, "dave", dave, SETTINGS),
    ];
    for host in &hosts {
        host.load(FILE);
    }
    Some(hosts)
}

/// Pings until one comes back.
fn ping(from: &Machine, to: &str) {
    command(from.namespace(), "ping", &format!("-c 1 -W 10 -w 20 {to}"));
}

/// SAs of a host with a peer, which must be in transport mode.
fn with(host: &Machine, peer: &str) -> Vec<State> {
    let states = states(host.namespace()).into_iter();
    let found: Vec<_> = states
        .filter(|state| {
            state.spi != "00000000" && [&state.source, &state.destination].contains(&&peer.to_owned())
        })
        .collect();
    assert!(
        found.iter().all(|state| state.mode == "transport"),
        "{}",
        host.tables()
    );
    found
}

/// How many packets these have carried, both ways.
fn carried(host: &Machine, peer: &str) -> u64 {
    with(host, peer).iter().map(|state| state.packets).sum()
}

/// Fails unless both have a pair of SAs with each other, and one only.
fn expect_one(one: &Machine, address: &str, other: &Machine, others: &str) {
    for (host, peer) in [(one, others), (other, address)] {
        assert_eq!(with(host, peer).len(), 2, "{}\n{}", host.tables(), host.log());
    }
}

#[test]
fn any_two_of_three_hosts_protect_what_they_say() {
    for who in WHO {
        let Some([moon, carol, dave]) = three(who) else {
            return;
        };
        ping(&carol, MOON);
        expect_one(&carol, CAROL, &moon, MOON);
        // The other way round, and to another peer of the same trap.
        ping(&dave, CAROL_TOO);
        expect_one(&carol, CAROL_TOO, &dave, DAVE);
        expect_one(&carol, CAROL, &moon, MOON);
        // What both say goes by these SAs.
        let before = carried(&moon, CAROL);
        for (from, to) in [(&moon, CAROL), (&carol, MOON)] {
            command(from.namespace(), "ping", &format!("-c 2 -i 0.2 -W 5 {to}"));
        }
        assert_eq!(carried(&moon, CAROL), before + 8, "{}", moon.tables());
        ping(&carol, DAVE);
        expect_one(&carol, CAROL_TOO, &dave, DAVE);
    }
}

#[test]
fn a_peer_that_is_gone_comes_back_by_the_next_packet_of_either() {
    for who in WHO {
        let Some([moon, carol, dave]) = three(who) else {
            return;
        };
        drop(dave);
        for round in 0..4 {
            let (from, to, closes) = match round % 2 {
                0 => (&carol, MOON, &moon),
                _ => (&moon, CAROL, &carol),
            };
            ping(from, to);
            expect_one(&carol, CAROL, &moon, MOON);
            closes.swanctl("--terminate --ike trap-any");
            for (host, peer) in [(&carol, MOON), (&moon, CAROL)] {
                host.ask_until("end of the SAs", || with(host, peer).is_empty());
            }
        }
    }
}

/// Who has no IPsec gets to port 22, and to no other.
#[test]
fn ssh_stays_open_to_those_without_ipsec() {
    for who in [Who::Them, Who::Us] {
        let Some(network) = cable() else { return };
        let moon = Machine::start(who, "moon", network.moon, SETTINGS);
        moon.load(FILE);
        for (port, open) in [(22, true), (23, false)] {
            let address: SocketAddr = SocketAddr::new(MOON.parse().unwrap(), port);
            let listener = moon.namespace().run(|| TcpListener::bind(address)).unwrap();
            let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(2));
            let stream = network.carol.run(connect).unwrap();
            assert_eq!(stream.is_ok(), open, "port {port}: {stream:?}\n{}", moon.tables());
            drop(listener);
        }
    }
}
