//! Values that `kernel-ipsec/3` has beside those of its second version, which are parts of them.

use abi_stable::StableAbi;

use super::kernel_types_2::Policy2;
use crate::PluginError;
use crate::kernel::{PolicyOptions, PolicyParameters};

/// See [`PolicyParameters`].
#[repr(C)]
#[derive(StableAbi)]
pub struct Policy3 {
    base: Policy2,
    ah: bool,
    cpi: u16,
}

impl From<&PolicyParameters> for Policy3 {
    fn from(policy: &PolicyParameters) -> Self {
        Self {
            base: policy.into(),
            ah: policy.options.ah,
            cpi: policy.options.cpi,
        }
    }
}

impl TryFrom<Policy3> for PolicyParameters {
    type Error = PluginError;

    fn try_from(policy: Policy3) -> Result<Self, PluginError> {
        let base: Self = policy.base.try_into()?;
        Ok(Self {
            options: PolicyOptions {
                ah: policy.ah,
                cpi: policy.cpi,
                ..base.options
            },
            ..base
        })
    }
}
