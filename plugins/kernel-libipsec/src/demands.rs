//! What connections may ask for and user space cannot do.

use plugin_api::KernelDemands;
use plugin_api::kernel::KernelDemand;

use crate::replay::ReplayWindow;

/// See the module.
pub(crate) struct Demands;

impl KernelDemands for Demands {
    fn refusal(&self, demand: KernelDemand) -> Option<String> {
        let reason = match demand {
            KernelDemand::Mark | KernelDemand::SetMark => "ESP in user space knows no marks of packets",
            KernelDemand::InterfaceId | KernelDemand::PolicyInterface => {
                "ESP in user space knows no interface but its own device"
            }
            KernelDemand::HwOffload => "ESP in user space cannot be offloaded to a network device",
            KernelDemand::Transport => "ESP in user space has no transport mode, use tunnel mode",
            KernelDemand::Tfc => "ESP in user space does not pad packets",
            KernelDemand::ReplayWindow(packets) if packets <= ReplayWindow::MAX_SIZE => return None,
            KernelDemand::ReplayWindow(_) => {
                let max = ReplayWindow::MAX_SIZE;
                return Some(format!(
                    "ESP in user space has replay windows of up to {max} packets"
                ));
            }
            // By routes, that is: all to an address would go in the clear because of one port.
            KernelDemand::NarrowShunt => {
                "ESP in user space passes and drops packets by addresses, not by protocol or port"
            }
        };
        Some(format!("{reason}; load kernel-netlink on a kernel with ESP"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_refused_if_it_would_be_made_smaller() {
        let refused = |packets| Demands.refusal(KernelDemand::ReplayWindow(packets)).is_some();
        assert_eq!([0, 65_536, 65_537].map(refused), [false, false, true]);
    }
}
