//! carol gets another address while packets flow: the kernel's SAs follow (RFC 4555), or others take their place.

use super::host::{Machine, Who};
use super::pair::{ESP, Pair, SETTINGS, all_esp, pair_with};
use super::setup::{CAROL, MOON, conf};
use super::stream::Stream;
use super::tables::states;

/// strongSwan is the gateway, or the client that moves, or neither.
const PEERS: [[Who; 2]; 3] = [[Who::Us, Who::Us], [Who::Them, Who::Us], [Who::Us, Who::Them]];

pub(super) const BEFORE: &str = "192.168.0.3";
pub(super) const AFTER: &str = "192.168.0.4";

/// A tunnel of a carol who takes the address that she has; moon does not know which. `connection` and `child` are settings
/// of both.
pub(super) fn tunnel(who: [Who; 2], settings: &str, connection: &str, child: [&str; 2]) -> Option<Pair> {
    let pair = pair_with(who, settings)?;
    let carol = CAROL.at("%any");
    pair.moon.load(&conf(MOON, carol, ESP, connection, child[0]));
    pair.carol.load(&conf(carol, MOON, ESP, connection, child[1]));
    pair.carol.swanctl("--initiate --child net");
    pair.expect_one();
    Some(pair)
}

/// Gives carol another address, and takes the one that she had.
pub(super) fn readdress(pair: &Pair) {
    let carol = pair.carol.namespace();
    // Not of the same network, or it would go with the first.
    carol.ip(&format!("addr add {AFTER}/25 dev eth0")).unwrap();
    carol.ip(&format!("addr del {BEFORE}/24 dev eth0")).unwrap();
}

/// Waits until a host has the pair of SAs and the policies of carol's new address and none of the one before.
fn until_moved(host: &Machine) {
    host.ask_until("SAs of the new address", || {
        states(host.namespace()).len() >= 2 && !host.tables().contains(BEFORE)
    });
}

#[test]
fn a_move_loses_the_packets_in_flight_at_most() {
    for who in PEERS {
        let Some(pair) = tunnel(who, SETTINGS, "mobike = yes", [""; 2]) else {
            return;
        };
        let before = pair.both().map(Machine::believed);
        let mut stream = Stream::start(pair.carol.namespace(), "-I 10.3.0.1 10.1.0.2", 300);
        assert!(stream.until(50), "pings come back");
        readdress(&pair);
        for host in pair.both() {
            until_moved(host);
        }
        // The kernel has each SA either at one address or at the other, for a moment at none; so what is lost may have gaps.
        let after = Stream::start(pair.carol.namespace(), "-I 10.3.0.1 10.1.0.2", 200);
        let lost = after.gaps();
        assert!(lost.is_empty(), "lost when all had moved: {lost:?}");
        let gaps = stream.gaps();
        println!("lost {gaps:?} of 300 pings");
        assert!(gaps.iter().all(|gap| *gap.start() > 50), "lost before: {gaps:?}");
        // The SAs of the old address are gone, and the new ones are of the same CHILD_SA.
        pair.expect_one();
        assert_eq!(pair.both().map(Machine::believed), before);
        all_esp(&pair.ping("10.3.0.1", "10.1.0.2"), 4);
        pair.carol.swanctl("--terminate --ike net");
        pair.moon
            .ask_until("end of the IKE_SA", || states(pair.moon.namespace()).is_empty());
        for host in pair.both() {
            host.expect_nothing();
        }
    }
}

/// Whoever may not tell of a new address finds out by asking in vain.
#[test]
fn without_mobike_a_dead_tunnel_is_restarted_at_the_new_address() {
    for who in PEERS {
        let settings =
            format!("{SETTINGS}\n retransmit_timeout = 0.5\n retransmit_base = 1\n retransmit_tries = 2");
        let connection = "mobike = no\n dpd_delay = 1s";
        let actions = ["dpd_action = clear", "dpd_action = restart"];
        let Some(pair) = tunnel(who, &settings, connection, actions) else {
            return;
        };
        let before = pair.carol.believed();
        readdress(&pair);
        for host in [&pair.carol, &pair.moon] {
            until_moved(host);
        }
        // The kernel may have the new pair before the daemon lists it.
        pair.carol.ask_until("other tunnel", || {
            let listed = pair.carol.believed();
            listed.len() == 1 && listed != before
        });
        pair.moon
            .ask_until("single tunnel", || pair.moon.believed().len() == 1);
        pair.expect_one();
        all_esp(&pair.ping("10.3.0.1", "10.1.0.2"), 4);
    }
}
