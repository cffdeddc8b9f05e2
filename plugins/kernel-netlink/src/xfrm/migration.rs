//! What the kernel says when it has moved SAs for somebody else (XFRM_MSG_MIGRATE).

use netlink_packet_xfrm::constants::{XFRM_POLICY_FWD, XFRM_POLICY_IN, XFRM_POLICY_OUT};
use netlink_packet_xfrm::monitor::MigrateMessage;
use netlink_packet_xfrm::{UserMigrate, XfrmAttrs};
use plugin_api::kernel::{Direction, KernelMigration};

use super::sa::{address, protocol};
use super::selector;

/// What to tell. The addresses of the key management, if it names them, are those that IKE is to go on at.
pub(super) fn migration(message: &MigrateMessage) -> Option<KernelMigration> {
    let policy = &message.user_policy_id;
    let direction = match policy.direction {
        XFRM_POLICY_IN => Direction::In,
        XFRM_POLICY_OUT => Direction::Out,
        XFRM_POLICY_FWD => Direction::Forward,
        _ => return None,
    };
    let moved: &UserMigrate = message.nlas.iter().find_map(|attribute| match attribute {
        XfrmAttrs::Migrate(moved) => protocol(moved.proto).map(|_| moved),
        _ => None,
    })?;
    let named = message.nlas.iter().find_map(|attribute| match attribute {
        XfrmAttrs::KmAddress(named) => Some((
            address(&named.local, named.family),
            address(&named.remote, named.family),
        )),
        _ => None,
    });
    let ends = |source, destination| match direction {
        Direction::Out => (source, destination),
        Direction::In | Direction::Forward => (destination, source),
    };
    let (src_ts, dst_ts) = selector::packet(&policy.selector);
    Some(KernelMigration {
        reqid: moved.reqid,
        direction,
        src_ts,
        dst_ts,
        from: ends(
            address(&moved.old_saddr, moved.old_family),
            address(&moved.old_daddr, moved.old_family),
        ),
        to: named.unwrap_or_else(|| {
            ends(
                address(&moved.new_saddr, moved.new_family),
                address(&moved.new_daddr, moved.new_family),
            )
        }),
    })
}

#[cfg(test)]
mod tests {
    use iana::TrafficSelector;
    use netlink_packet_core::Parseable;

    use super::*;

    const MOON: [u8; 4] = [192, 0, 2, 9];
    const BEFORE: [u8; 4] = [192, 0, 2, 1];
    const AFTER: [u8; 4] = [192, 0, 2, 2];

    fn padded(octets: &[u8]) -> [u8; 16] {
        let mut field = [0; 16];
        field[..octets.len()].copy_from_slice(octets);
        field
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = (value.len() + 4) as u16;
        [&length.to_ne_bytes(), &kind.to_ne_bytes(), value].concat()
    }

    /// As `xfrm_send_migrate` of Linux builds it, octet by octet: `struct xfrm_userpolicy_id`, then `struct
    /// xfrm_user_kmaddress` (19) if somebody named it, `struct xfrm_userpolicy_type` (16) and `struct xfrm_user_migrate` (17).
    fn message(direction: u8, km_address: bool) -> Vec<u8> {
        let (inner_carol, inner_moon) = (padded(&[10, 3, 0, 0]), padded(&[10, 1, 0, 0]));
        let out = direction == 1;
        let (saddr, daddr) = if out {
            (inner_carol, inner_moon)
        } else {
            (inner_moon, inner_carol)
        };
        let mut octets = [&daddr[..], &saddr].concat();
        // Ports and their masks.
        octets.extend([0; 8]);
        octets.extend(2u16.to_ne_bytes());
        // Prefixes, protocol, what aligns, interface and user.
        octets.extend([16, 16, 0, 0, 0, 0]);
        octets.extend([0; 8]);
        // Index and direction.
        octets.extend([0, 0, 0, 0, direction, 0, 0, 0]);
        assert_eq!(octets.len(), 64);
        if km_address {
            let ends = [padded(&[203, 0, 113, 7]), padded(&MOON)].concat();
            let family = [0, 0, 0, 0, 2u16.to_ne_bytes()[0], 2u16.to_ne_bytes()[1], 0, 0];
            octets.extend(attribute(19, &[&ends[..], &family].concat()));
        }
        octets.extend(attribute(16, &[0; 6]));
        octets.extend([0; 2]);
        let ends = |own: &[u8]| {
            let (own, peer) = (padded(own), padded(&MOON));
            // The destination comes first.
            if out {
                [peer, own].concat()
            } else {
                [own, peer].concat()
            }
        };
        let mut moved = [ends(&BEFORE), ends(&AFTER)].concat();
        // Protocol and mode, reqid, families.
        moved.extend([50, 1, 0, 0]);
        moved.extend(7u32.to_ne_bytes());
        moved.extend([2u16.to_ne_bytes(), 2u16.to_ne_bytes()].concat());
        octets.extend(attribute(17, &moved));
        octets
    }

    fn told(direction: u8, km_address: bool) -> Option<KernelMigration> {
        migration(&MigrateMessage::parse(&message(direction, km_address)).expect("a message"))
    }

    #[test]
    fn own_addresses_are_those_of_the_side_that_the_policy_is_for() {
        let (carol, moon) = ([10, 3, 0, 0].into(), [10, 1, 0, 0].into());
        let (carol, moon) = (
            TrafficSelector::subnet(carol, 16),
            TrafficSelector::subnet(moon, 16),
        );
        let moved = |direction, [src_ts, dst_ts]: [TrafficSelector; 2]| KernelMigration {
            reqid: 7,
            direction,
            src_ts,
            dst_ts,
            from: (BEFORE.into(), MOON.into()),
            to: (AFTER.into(), MOON.into()),
        };
        let inward = [moon.clone(), carol.clone()];
        assert_eq!(told(0, false), Some(moved(Direction::In, inward.clone())));
        assert_eq!(told(1, false), Some(moved(Direction::Out, [carol, moon])));
        assert_eq!(told(2, false), Some(moved(Direction::Forward, inward.clone())));
        assert_eq!(told(9, false), None);
        let named = KernelMigration {
            to: ([203, 0, 113, 7].into(), MOON.into()),
            ..moved(Direction::In, inward)
        };
        assert_eq!(told(0, true), Some(named));
    }
}
