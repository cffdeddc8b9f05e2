//! `kernel-demands/1`, beside `kernel-ipsec`, which was frozen before there was this. Demands are numbers, so that more may
//! come.

use std::sync::Arc;

use abi_stable::std_types::{ROption, RString};

use super::object::interface;
use super::offer::Checked;
use super::types::option;
use crate::kernel::KernelDemand;
use crate::{ErrorKind, KernelDemands, PluginError};

interface! {
    /// See [`KernelDemands`].
    KernelDemands1("kernel-demands/1") holds Arc<dyn KernelDemands> {
        fn refusal(this, demand: u16, value: u64) -> ROption<RString> {
            let demand = from_number(demand, value)?;
            Ok(option(this.refusal(demand), RString::from))
        }
    }
}

/// The daemon's side. What a back end panics at, or is too old to know, it cannot do.
pub(super) struct Remote(pub(super) Checked<KernelDemands1>);

impl KernelDemands for Remote {
    fn refusal(&self, demand: KernelDemand) -> Option<String> {
        let (number, value) = number(demand);
        match self.0.refusal(number, value) {
            Ok(ROption::RSome(reason)) => Some(reason.into()),
            Ok(ROption::RNone) => None,
            Err(error) => Some(format!(
                "the back end for IPsec does not answer, {}",
                error.message
            )),
        }
    }
}

/// A demand's number, and the value that belongs to it or 0.
fn number(demand: KernelDemand) -> (u16, u64) {
    match demand {
        KernelDemand::Mark => (0, 0),
        KernelDemand::SetMark => (1, 0),
        KernelDemand::InterfaceId => (2, 0),
        KernelDemand::PolicyInterface => (3, 0),
        KernelDemand::HwOffload => (4, 0),
        KernelDemand::Transport => (5, 0),
        KernelDemand::Tfc => (6, 0),
        KernelDemand::ReplayWindow(packets) => (7, packets.into()),
        KernelDemand::NarrowShunt => (8, 0),
    }
}

fn from_number(number: u16, value: u64) -> Result<KernelDemand, PluginError> {
    Ok(match number {
        0 => KernelDemand::Mark,
        1 => KernelDemand::SetMark,
        2 => KernelDemand::InterfaceId,
        3 => KernelDemand::PolicyInterface,
        4 => KernelDemand::HwOffload,
        5 => KernelDemand::Transport,
        6 => KernelDemand::Tfc,
        7 => KernelDemand::ReplayWindow(u32::try_from(value).unwrap_or(u32::MAX)),
        8 => KernelDemand::NarrowShunt,
        unknown => {
            let text = format!("it knows no demand with the number {unknown}");
            return Err(PluginError::new(ErrorKind::NotSupported, text));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demands_come_over_as_they_were() {
        let last = 8;
        for (index, value) in (0..=last).map(|index| (index, if index == 7 { 4096 } else { 0 })) {
            let demand = from_number(index, value).unwrap();
            assert_eq!(number(demand), (index, value), "{demand:?}");
        }
        assert_eq!(
            from_number(last + 1, 0).unwrap_err().kind,
            ErrorKind::NotSupported
        );
    }
}
