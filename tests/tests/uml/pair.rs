//! moon and carol on one cable, with either daemon.

use super::host::{Machine, Who};
use super::net::{cable, command};
use super::setup::{CAROL, MOON, conf};
use super::tables::states;
use super::wire::Wire;

/// Who runs on moon, and who on carol. strongSwan on both is no test of ours, but of the scenario.
pub(super) const EVERYONE: [[Who; 2]; 4] = [
    [Who::Them, Who::Them],
    [Who::Us, Who::Us],
    [Who::Them, Who::Us],
    [Who::Us, Who::Them],
];

pub(super) const ESP: &str = "aes256gcm16";

/// Addresses on the cable that no policy protects.
const OUTSIDE: [&str; 2] = ["192.168.9.2", "192.168.9.3"];

/// No rekeyed SA stays for packets on their way: there are none when a test looks.
pub(super) const SETTINGS: &str = "delete_rekeyed_delay = 0";

pub(super) struct Pair {
    pub(super) moon: Machine,
    pub(super) carol: Machine,
}

/// Both hosts on one cable, their daemons up.
pub(super) fn pair(who: [Who; 2]) -> Option<Pair> {
    pair_with(who, SETTINGS)
}

/// The same with other settings of the daemons.
pub(super) fn pair_with(who: [Who; 2], settings: &str) -> Option<Pair> {
    pair_of(who, [settings; 2])
}

/// The same with settings of each.
pub(super) fn pair_of([moon, carol]: [Who; 2], settings: [&str; 2]) -> Option<Pair> {
    let network = cable()?;
    println!("moon: {moon:?}, carol: {carol:?}");
    for (host, address) in [&network.moon, &network.carol].into_iter().zip(OUTSIDE) {
        host.ip(&format!("addr add {address}/24 dev eth0")).unwrap();
    }
    Some(Pair {
        moon: Machine::start(moon, "moon", network.moon, settings[0]),
        carol: Machine::start(carol, "carol", network.carol, settings[1]),
    })
}

impl Pair {
    pub(super) fn both(&self) -> [&Machine; 2] {
        [&self.moon, &self.carol]
    }

    /// Loads the connection on both, with more settings of it and of its CHILD_SA.
    pub(super) fn load(&self, esp: &str, connection: &str, child: &str) {
        self.moon.load(&conf(MOON, CAROL, esp, connection, child));
        self.carol.load(&conf(CAROL, MOON, esp, connection, child));
    }

    fn wire(&self) -> Wire<'_> {
        Wire::tap(self.both().map(|host| (host.namespace(), "eth0")))
    }

    /// What passes on the cable meanwhile.
    pub(super) fn heard(&self, meanwhile: impl FnOnce()) -> Vec<String> {
        let wire = self.wire();
        meanwhile();
        wire.heard(OUTSIDE[1])
    }

    /// carol pings an address on moon, which answers, and returns what passed on the cable meanwhile.
    pub(super) fn ping(&self, from: &str, to: &str) -> Vec<String> {
        let line = format!("-c 2 -i 0.2 -W 5 -I {from} {to}");
        self.heard(|| drop(command(self.carol.namespace(), "ping", &line)))
    }

    /// Fails unless the two hosts have one CHILD_SA, the same.
    pub(super) fn expect_one(&self) {
        let [moon, carol] = self.both().map(Machine::agree);
        assert_eq!((moon.len(), carol.len()), (1, 1));
        for (one, other) in [(0, 1), (1, 0)] {
            assert_eq!(moon[0][one].spi, carol[0][other].spi, "{}", self.carol.log());
        }
    }
}

/// The SPIs of the CHILD_SA that a host did not have before, once the kernel has its SAs. Ours has no other then; strongSwan
/// keeps what was replaced.
pub(super) fn new_pair(host: &Machine, kind: Who, before: &[[String; 2]]) -> Option<[String; 2]> {
    let now = host.believed();
    let known = |spi: &String| before.iter().flatten().any(|old| old == spi);
    let new = now.iter().find(|pair| !pair.iter().any(known))?;
    let installed = states(host.namespace());
    let there = |spi: &String| {
        let spi = spi.split('/').next().unwrap_or_default();
        installed.iter().any(|state| state.spi == spi)
    };
    let alone = kind == Who::Them || now.len() == 1;
    (alone && new.iter().all(there)).then(|| new.clone())
}

/// Fails unless the packets are that many of ESP. The daemons may talk meanwhile, of a new address, say.
pub(super) fn all_esp(heard: &[String], count: usize) {
    let packets: Vec<_> = heard.iter().filter(|packet| !packet.contains("isakmp")).collect();
    assert_eq!(packets.len(), count, "{heard:#?}");
    let esp = |packet: &&String| packet.contains(": ESP(spi=0x");
    assert!(packets.iter().all(esp), "{heard:#?}");
}
