//! Somebody else moves SAs in the kernel, as Mobile IPv6 does: the IKE_SA goes along, and the peer is told.

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_xfrm::constants::{AF_INET, IPPROTO_ESP, XFRM_MODE_TUNNEL, XFRM_POLICY_IN};
use netlink_packet_xfrm::monitor::MigrateMessage;
use netlink_packet_xfrm::{Address, Selector, UserMigrate, UserPolicyId, XfrmAttrs, XfrmMessage};
use netlink_sys::protocols::NETLINK_XFRM;
use netlink_sys::{Socket, SocketAddr};

use super::host::{Machine, Who};
use super::moving::{AFTER, BEFORE, tunnel};
use super::pair::{SETTINGS, all_esp};
use super::setup::MOON;
use super::tables::{policies, states};

/// Has carol's kernel move what comes in from moon to her other address.
fn migrate(carol: &Machine, reqid: u32) {
    let address = |text: &str| Address::from_ip(&text.parse().unwrap());
    let moved = UserMigrate {
        old_daddr: address(BEFORE),
        old_saddr: address(MOON.address),
        new_daddr: address(AFTER),
        new_saddr: address(MOON.address),
        proto: IPPROTO_ESP,
        mode: XFRM_MODE_TUNNEL,
        reqid,
        old_family: AF_INET,
        new_family: AF_INET,
        ..UserMigrate::default()
    };
    let policy = UserPolicyId {
        selector: Selector {
            saddr: address("10.1.0.0"),
            daddr: address("10.3.0.0"),
            prefixlen_s: 16,
            prefixlen_d: 16,
            family: AF_INET,
            ..Selector::default()
        },
        direction: XFRM_POLICY_IN,
        ..UserPolicyId::default()
    };
    let message = XfrmMessage::Migrate(MigrateMessage {
        user_policy_id: policy,
        nlas: vec![XfrmAttrs::Migrate(moved)],
    });
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut request = vec![0; message.buffer_len()];
    message.serialize(&mut request);
    let answer = carol.namespace().run(|| {
        let socket = Socket::new(NETLINK_XFRM)?;
        socket.send_to(&request, &SocketAddr::new(0, 0), 0)?;
        socket.recv_from_full()
    });
    let (answer, _) = answer.unwrap().unwrap();
    let answer = NetlinkMessage::<XfrmMessage>::deserialize(&answer).unwrap();
    let NetlinkPayload::Error(error) = answer.payload else {
        panic!("{answer:?}")
    };
    assert_eq!(error.code, None, "{}\n{}", error.to_io(), carol.tables());
}

#[test]
fn sas_that_somebody_else_moves_take_their_ike_sa_along() {
    for who in [[Who::Us, Who::Us], [Who::Them, Who::Us]] {
        let Some(pair) = tunnel(who, SETTINGS, "mobike = yes", [""; 2]) else {
            return;
        };
        let before = pair.both().map(Machine::believed);
        let carol = pair.carol.namespace();
        // Not of the same network, so that she keeps to the first by herself.
        carol.ip(&format!("addr add {AFTER}/25 dev eth0")).unwrap();
        migrate(&pair.carol, pair.carol.agree()[0][0].reqid);
        for host in pair.both() {
            host.ask_until("SAs and policies of the new address alone", || {
                let texts = states(host.namespace()).into_iter().map(|state| state.text);
                let policies = policies(host.namespace());
                let texts: Vec<String> = texts
                    .chain(policies.into_iter().map(|policy| policy.text))
                    .collect();
                texts.len() == 5
                    && texts
                        .iter()
                        .all(|text| text.contains(AFTER) && !text.contains(BEFORE))
            });
        }
        let log = pair.carol.log();
        assert!(
            log.contains("creating migrate job for policy 10.1.0.0/16 === 10.3.0.0/16"),
            "{log}"
        );
        assert!(
            log.contains(&format!("moving IKE_SA net[1] to {AFTER}[4500]")),
            "{log}"
        );
        pair.expect_one();
        assert_eq!(pair.both().map(Machine::believed), before);
        all_esp(&pair.ping("10.3.0.1", "10.1.0.2"), 4);
        // What she had she needs no more.
        carol.ip(&format!("addr del {BEFORE}/24 dev eth0")).unwrap();
        all_esp(&pair.ping("10.3.0.1", "10.1.0.2"), 4);
    }
}
