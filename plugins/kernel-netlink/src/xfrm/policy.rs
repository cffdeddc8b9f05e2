//! Messages about policies.

use iana::Protocol;
use netlink_packet_xfrm::constants::{
    XFRM_POLICY_ALLOW, XFRM_POLICY_BLOCK, XFRM_POLICY_FWD, XFRM_POLICY_IN, XFRM_POLICY_OUT,
};
use netlink_packet_xfrm::policy::{DelGetMessage, ModifyMessage};
use netlink_packet_xfrm::{Address, Id, UserPolicyId, UserPolicyInfo, UserTemplate, XfrmAttrs};
use plugin_api::kernel::{Direction, IPCOMP, PolicyAction, PolicyParameters, PolicyPriority, SaMode};

use super::sa::{family, if_id, mark, mode, protocol_number};
use super::spd::Key;

/// Installs a policy or replaces it: for the interface with an index, and with what hands it to a device.
pub(super) fn install(
    key: &Key,
    policy: &PolicyParameters,
    interface: i32,
    offload: Option<XfrmAttrs>,
) -> ModifyMessage {
    let info = UserPolicyInfo {
        selector: key.selector.message(interface),
        priority: policy.rank(),
        direction: direction(key.direction),
        action: if policy.action == PolicyAction::Drop {
            XFRM_POLICY_BLOCK
        } else {
            XFRM_POLICY_ALLOW
        },
        ..UserPolicyInfo::default()
    };
    let mut nlas = Vec::new();
    if policy.action == PolicyAction::Protect {
        nlas.push(XfrmAttrs::Template(templates(policy)));
    }
    nlas.extend(mark(key.mark));
    nlas.extend(if_id(key.if_id));
    nlas.extend(offload);
    ModifyMessage {
        user_policy_info: info,
        nlas,
    }
}

/// Removes a policy or asks for it.
pub(super) fn named(key: &Key, interface: i32) -> DelGetMessage {
    DelGetMessage {
        user_policy_id: UserPolicyId {
            selector: key.selector.message(interface),
            index: 0,
            direction: direction(key.direction),
        },
        nlas: mark(key.mark).into_iter().chain(if_id(key.if_id)).collect(),
    }
}

/// Which SAs a packet has to have, the innermost first. Only what goes out names them by their SPIs: the new ones, while the
/// old ones are still taken. A trap names none; its packets ask for one.
fn templates(policy: &PolicyParameters) -> Vec<UserTemplate> {
    let protocol = match policy.options.ah {
        true => Protocol::AH,
        false => Protocol::ESP,
    };
    let cpi = policy.options.cpi;
    if cpi == 0 {
        return vec![template(policy, protocol, policy.spi, policy.mode)];
    }
    let mut inner = template(policy, IPCOMP, cpi.into(), policy.mode);
    // A packet that would not have become smaller comes as it was.
    inner.optional = u8::from(policy.direction != Direction::Out);
    vec![inner, template(policy, protocol, policy.spi, SaMode::Transport)]
}

fn template(policy: &PolicyParameters, protocol: Protocol, spi: u32, sa_mode: SaMode) -> UserTemplate {
    let mut template = UserTemplate {
        id: Id {
            daddr: Address::default(),
            spi: 0,
            proto: protocol_number(protocol),
        },
        family: family(policy.dst),
        reqid: policy.reqid,
        mode: mode(sa_mode),
        ..UserTemplate::default()
    };
    if policy.direction == Direction::Out && policy.priority != PolicyPriority::Routed {
        template.id.spi = spi;
    }
    // What is forwarded on its way out has come by no SA.
    template.optional = u8::from(policy.direction == Direction::Forward && policy.reqid == 0);
    if sa_mode == SaMode::Tunnel {
        template.id.daddr = Address::from_ip(&policy.dst);
        template.saddr = Address::from_ip(&policy.src);
    }
    template
}

/// The kernel's number of a direction.
pub(super) fn direction(direction: Direction) -> u8 {
    match direction {
        Direction::In => XFRM_POLICY_IN,
        Direction::Out => XFRM_POLICY_OUT,
        Direction::Forward => XFRM_POLICY_FWD,
    }
}

#[cfg(test)]
mod tests {
    use iana::TrafficSelector;
    use netlink_packet_core::Emitable;
    use netlink_packet_xfrm::UserOffloadDev;
    use plugin_api::kernel::PolicyOptions;

    use super::*;

    fn word(octets: &[u8]) -> u32 {
        u32::from_ne_bytes(octets.try_into().unwrap())
    }

    fn emitted(message: &impl Emitable) -> Vec<u8> {
        let mut octets = vec![0; message.buffer_len()];
        message.emit(&mut octets);
        octets
    }

    /// Offsets are those of linux/xfrm.h on 64 bits.
    #[test]
    fn a_policy_has_the_octets_of_the_kernels_structures() {
        let policy = PolicyParameters {
            direction: Direction::Out,
            src_ts: TrafficSelector::subnet([10, 3, 0, 0].into(), 16),
            dst_ts: TrafficSelector::subnet([10, 1, 0, 0].into(), 16),
            action: PolicyAction::Pass,
            priority: PolicyPriority::Pass,
            src: [192, 0, 2, 1].into(),
            dst: [192, 0, 2, 9].into(),
            reqid: 7,
            spi: 0,
            mode: SaMode::Tunnel,
            mark: None,
            options: PolicyOptions {
                if_id: 0x1234,
                priority: 4711,
                interface: "eth0".into(),
                ..PolicyOptions::default()
            },
        };
        let key = Key::of(&policy);
        let device = XfrmAttrs::OffloadDevice(UserOffloadDev { ifindex: 5, flags: 4 });
        let octets = emitted(&install(&key, &policy, 5, Some(device)));
        assert_eq!(octets[..4], [10, 1, 0, 0], "sel.daddr");
        assert_eq!(word(&octets[48..52]), 5, "sel.ifindex");
        assert_eq!(word(&octets[152..156]), 4711, "priority");
        assert_eq!(octets[160], 1, "dir");
        let if_id = [8, 0, 31, 0, 0x34, 0x12, 0, 0];
        let offload = [12, 0, 28, 0, 5, 0, 0, 0, 4, 0, 0, 0];
        assert_eq!(octets[168..], [&if_id[..], &offload[..]].concat());
        let octets = emitted(&named(&key, 5));
        assert_eq!(word(&octets[48..52]), 5, "sel.ifindex");
        assert_eq!(octets[64..], if_id, "what it is known by");
        let plain = PolicyParameters {
            options: PolicyOptions::default(),
            ..policy
        };
        assert_eq!(emitted(&install(&Key::of(&plain), &plain, 0, None)).len(), 168);
    }

    fn protecting(direction: Direction, mode: SaMode) -> PolicyParameters {
        PolicyParameters {
            direction,
            src_ts: TrafficSelector::subnet([10, 3, 0, 0].into(), 16),
            dst_ts: TrafficSelector::subnet([10, 1, 0, 0].into(), 16),
            action: PolicyAction::Protect,
            priority: PolicyPriority::Default,
            src: [192, 0, 2, 1].into(),
            dst: [192, 0, 2, 9].into(),
            reqid: 7,
            spi: 0xc000_0001,
            mode,
            mark: None,
            options: PolicyOptions::default(),
        }
    }

    /// Of `struct xfrm_user_tmpl` the destination, SPI, protocol, source, mode and whether it is optional.
    type Wanted = ([u8; 4], u32, u8, [u8; 4], u8, u8);

    fn wanted(policy: &PolicyParameters) -> Vec<Wanted> {
        let octets = emitted(&install(&Key::of(policy), policy, 0, None));
        let (header, templates) = octets[168..].split_at(4);
        assert_eq!(header[2..], 5u16.to_ne_bytes(), "XFRMA_TMPL");
        let of = |template: &[u8]| {
            let address = |at: usize| template[at..at + 4].try_into().unwrap();
            let spi = u32::from_be_bytes(address(16));
            (
                address(0),
                spi,
                template[20],
                address(28),
                template[48],
                template[50],
            )
        };
        templates.chunks_exact(64).map(of).collect()
    }

    #[test]
    fn a_policy_for_ah_asks_for_ah() {
        let mut policy = protecting(Direction::Out, SaMode::Tunnel);
        policy.options.ah = true;
        let (moon, carol, none) = ([192, 0, 2, 9], [192, 0, 2, 1], [0; 4]);
        assert_eq!(wanted(&policy), [(moon, 0xc000_0001, 51, carol, 1, 0)]);
        policy.mode = SaMode::Transport;
        assert_eq!(wanted(&policy), [(none, 0xc000_0001, 51, none, 0, 0)]);
        policy.priority = PolicyPriority::Routed;
        assert_eq!(wanted(&policy), [(none, 0, 51, none, 0, 0)], "a trap");
    }

    #[test]
    fn ipcomp_comes_first_and_has_the_mode() {
        let (moon, carol, none) = ([192, 0, 2, 9], [192, 0, 2, 1], [0; 4]);
        let mut policy = protecting(Direction::Out, SaMode::Tunnel);
        policy.options.cpi = 0x1234;
        assert_eq!(
            wanted(&policy),
            [
                (moon, 0x1234, 108, carol, 1, 0),
                (none, 0xc000_0001, 50, none, 0, 0)
            ]
        );
        for direction in [Direction::In, Direction::Forward] {
            policy.direction = direction;
            let inbound = [(moon, 0, 108, carol, 1, 1), (none, 0, 50, none, 0, 0)];
            assert_eq!(wanted(&policy), inbound, "small packets are not compressed");
        }
        let mut policy = protecting(Direction::Out, SaMode::Transport);
        (policy.options.cpi, policy.options.ah) = (0x1234, true);
        assert_eq!(
            wanted(&policy),
            [
                (none, 0x1234, 108, none, 0, 0),
                (none, 0xc000_0001, 51, none, 0, 0)
            ]
        );
    }
}
