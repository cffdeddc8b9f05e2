//! Messages about policies.

use netlink_packet_xfrm::constants::{
    XFRM_POLICY_ALLOW, XFRM_POLICY_BLOCK, XFRM_POLICY_FWD, XFRM_POLICY_IN, XFRM_POLICY_OUT,
};
use netlink_packet_xfrm::policy::{DelGetMessage, ModifyMessage};
use netlink_packet_xfrm::{Address, Id, UserPolicyId, UserPolicyInfo, UserTemplate, XfrmAttrs};
use plugin_api::kernel::{Direction, PolicyAction, PolicyParameters, PolicyPriority, SaMode};

use super::sa::{family, mark, mode, protocol_number};
use super::spd::Key;

/// Installs a policy or replaces it.
pub(super) fn install(key: &Key, policy: &PolicyParameters) -> ModifyMessage {
    let info = UserPolicyInfo {
        selector: key.selector.message(),
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
        nlas.push(XfrmAttrs::Template(vec![template(policy)]));
    }
    nlas.extend(mark(key.mark));
    ModifyMessage {
        user_policy_info: info,
        nlas,
    }
}

/// Removes a policy or asks for it.
pub(super) fn named(key: &Key) -> DelGetMessage {
    DelGetMessage {
        user_policy_id: UserPolicyId {
            selector: key.selector.message(),
            index: 0,
            direction: direction(key.direction),
        },
        nlas: mark(key.mark).into_iter().collect(),
    }
}

/// Which SA a packet has to have. Only what goes out names it by its SPI: the new one, while the old one is still taken.
/// A trap names none; its packets ask for one.
fn template(policy: &PolicyParameters) -> UserTemplate {
    let mut template = UserTemplate {
        id: Id {
            daddr: Address::default(),
            spi: 0,
            proto: protocol_number(iana::Protocol::ESP),
        },
        family: family(policy.dst),
        reqid: policy.reqid,
        mode: mode(policy.mode),
        ..UserTemplate::default()
    };
    if policy.direction == Direction::Out && policy.priority != PolicyPriority::Routed {
        template.id.spi = policy.spi;
    }
    if policy.mode == SaMode::Tunnel {
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
