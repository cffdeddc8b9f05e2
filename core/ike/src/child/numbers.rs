//! Marks and ids of interfaces: those of the configuration, and those that it leaves open.

use config::connection::{ChildConfig, PeerConfig};
use config::kernel::{self as asked, KernelOptions, Number, SetMark};
use plugin_api::kernel::{CopyDscp, Direction, HwOffload, PolicyOptions, SaOptions};

/// What a CHILD_SA or a trap uses. Of pairs the first is for what comes in, the second for what goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Numbers {
    /// Marks and masks of the packets.
    pub marks: [Option<(u32, u32)>; 2],
    /// Ids of interfaces; 0 is none.
    pub if_ids: [u32; 2],
}

/// The last number of each kind that was chosen. They count up, so that a run can be repeated.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    mark: u32,
    if_id: u32,
}

impl Chosen {
    /// The ids of interfaces of an IKE_SA, for those of its CHILD_SAs that have none of their own.
    pub(crate) fn if_ids(&mut self, config: &PeerConfig) -> [u32; 2] {
        choose(config.if_ids, &mut self.if_id)
    }

    /// The numbers of a CHILD_SA or trap, within an IKE_SA with these ids of interfaces.
    pub(crate) fn numbers(&mut self, config: &ChildConfig, inherited: [u32; 2]) -> Numbers {
        let wanted = config.kernel.marks;
        let values = wanted.map(|mark| mark.map_or_else(Number::default, |mark| mark.value));
        let values = choose(values, &mut self.mark);
        let mut marks = [None; 2];
        for ((mark, wanted), value) in marks.iter_mut().zip(wanted).zip(values) {
            *mark = wanted.map(|wanted| (value, wanted.mask));
        }
        let mut if_ids = choose(config.kernel.if_ids, &mut self.if_id);
        for (own, inherited) in if_ids.iter_mut().zip(inherited) {
            if *own == 0 {
                *own = inherited;
            }
        }
        Numbers { marks, if_ids }
    }
}

/// If either of the two is to be different for each direction, so are both that are to be chosen.
fn choose(wanted: [Number; 2], last: &mut u32) -> [u32; 2] {
    let mut next = || {
        *last = last.checked_add(1).unwrap_or(1);
        *last
    };
    let each = wanted.contains(&Number::UniqueDir);
    let mut common = None;
    wanted.map(|number| match number {
        Number::Fixed(number) => number,
        _ if each => next(),
        _ => *common.get_or_insert_with(&mut next),
    })
}

impl Numbers {
    /// What one of the SAs asks for.
    pub(crate) fn sa(&self, config: &KernelOptions, inbound: bool) -> SaOptions {
        let way = usize::from(!inbound);
        SaOptions {
            if_id: self.if_ids[way],
            set_mark: config.set_marks[way].map(|mark| match mark {
                SetMark::Same { mask } => (self.marks[way].map_or(0, |(value, _)| value), mask),
                SetMark::Fixed { value, mask } => (value, mask),
            }),
            hw_offload: offload(config.hw_offload),
            copy_df: config.copy_df,
            copy_ecn: config.copy_ecn,
            copy_dscp: match config.copy_dscp {
                asked::CopyDscp::Out => CopyDscp::Out,
                asked::CopyDscp::In => CopyDscp::In,
                asked::CopyDscp::Yes => CopyDscp::Yes,
                asked::CopyDscp::No => CopyDscp::No,
            },
        }
    }

    /// The mark of one of the SAs.
    pub(crate) fn sa_mark(&self, config: &KernelOptions, inbound: bool) -> Option<(u32, u32)> {
        self.marks[usize::from(!inbound)].filter(|_| !inbound || config.mark_in_sa)
    }

    /// What a policy of a shunt asks for.
    pub(crate) fn shunt(&self, config: &KernelOptions, direction: Direction) -> PolicyOptions {
        PolicyOptions {
            interface: config.interface.clone(),
            ..self.policy(config, direction)
        }
    }

    /// What a policy asks for.
    pub(crate) fn policy(&self, config: &KernelOptions, direction: Direction) -> PolicyOptions {
        let outbound = direction == Direction::Out;
        PolicyOptions {
            if_id: self.if_ids[usize::from(outbound)],
            priority: config.priority,
            interface: if outbound {
                config.interface.clone()
            } else {
                String::new()
            },
            // A device has no packets that are forwarded.
            hw_offload: match direction {
                Direction::Forward => HwOffload::No,
                _ => offload(config.hw_offload),
            },
            ..PolicyOptions::default()
        }
    }

    /// The mark of a policy.
    pub(crate) fn policy_mark(&self, direction: Direction) -> Option<(u32, u32)> {
        self.marks[usize::from(direction == Direction::Out)]
    }
}

fn offload(asked: asked::HwOffload) -> HwOffload {
    match asked {
        asked::HwOffload::No => HwOffload::No,
        asked::HwOffload::Crypto => HwOffload::Crypto,
        asked::HwOffload::Packet => HwOffload::Packet,
        asked::HwOffload::Auto => HwOffload::Auto,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_numbers_are_common_to_both_directions_or_not() {
        use Number::{Fixed, Unique, UniqueDir};
        let mut last = 0;
        for (wanted, chosen) in [
            ([Fixed(0), Fixed(9)], [0, 9]),
            ([Unique, Unique], [1, 1]),
            ([Unique, Fixed(9)], [2, 9]),
            ([UniqueDir, UniqueDir], [3, 4]),
            ([UniqueDir, Unique], [5, 6]),
            ([Fixed(0), UniqueDir], [0, 7]),
        ] {
            assert_eq!(choose(wanted, &mut last), chosen, "{wanted:?}");
        }
        last = u32::MAX;
        assert_eq!(choose([Unique; 2], &mut last), [1; 2], "0 is none");
    }

    #[test]
    fn what_is_set_may_be_what_packets_are_known_by() {
        let numbers = Numbers {
            marks: [Some((7, 0xf)), None],
            if_ids: [1, 2],
        };
        let config = KernelOptions {
            set_marks: [
                Some(SetMark::Same { mask: 0xff }),
                Some(SetMark::Fixed { value: 8, mask: 9 }),
            ],
            ..KernelOptions::default()
        };
        assert_eq!(numbers.sa(&config, true).set_mark, Some((7, 0xff)));
        assert_eq!(numbers.sa(&config, false).set_mark, Some((8, 9)));
        assert_eq!(numbers.sa_mark(&config, true), None, "unless it is asked for");
        assert_eq!(numbers.policy_mark(Direction::Forward), Some((7, 0xf)));
    }

    #[test]
    fn an_interface_is_for_outbound_policies() {
        let config = KernelOptions {
            interface: "eth0".into(),
            hw_offload: asked::HwOffload::Packet,
            priority: 5,
            ..KernelOptions::default()
        };
        let of = |direction| Numbers::default().policy(&config, direction);
        assert_eq!(of(Direction::Out).interface, "eth0");
        assert_eq!(of(Direction::In).interface, "");
        assert_eq!(Numbers::default().shunt(&config, Direction::In).interface, "eth0");
        assert_eq!(of(Direction::In).hw_offload, HwOffload::Packet);
        assert_eq!(of(Direction::Forward).hw_offload, HwOffload::No);
        assert_eq!(of(Direction::Forward).priority, 5);
    }
}
