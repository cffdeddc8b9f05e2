//! What connections may ask for and Linux cannot do. What network devices can is found out when an SA is installed.

use plugin_api::KernelDemands;
use plugin_api::kernel::KernelDemand;

use super::sa::MAX_WINDOW;

/// See the module.
pub struct Demands;

impl KernelDemands for Demands {
    fn refusal(&self, demand: KernelDemand) -> Option<String> {
        match demand {
            KernelDemand::ReplayWindow(packets) if packets > MAX_WINDOW => Some(format!(
                "the kernel has replay windows of up to {MAX_WINDOW} packets"
            )),
            _ => None,
        }
    }
}
