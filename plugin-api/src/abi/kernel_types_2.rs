//! Values that `kernel-ipsec/2` has beside those of its first version, which are parts of them.

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RString, Tuple2};

use super::kernel_types::{Features, Numbered, Policy, Sa};
use super::types::option;
use crate::PluginError;
use crate::kernel::{
    CopyDscp, HwOffload, KernelFeatures, PolicyOptions, PolicyParameters, SaOptions, SaParameters,
};

/// See [`KernelFeatures`].
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Features2 {
    base: Features,
    marks: bool,
    interfaces: bool,
    hw_offload: bool,
}

impl From<KernelFeatures> for Features2 {
    fn from(features: KernelFeatures) -> Self {
        Self {
            base: features.into(),
            marks: features.marks,
            interfaces: features.interfaces,
            hw_offload: features.hw_offload,
        }
    }
}

impl From<Features2> for KernelFeatures {
    fn from(features: Features2) -> Self {
        Self {
            marks: features.marks,
            interfaces: features.interfaces,
            hw_offload: features.hw_offload,
            ..features.base.into()
        }
    }
}

/// See [`SaParameters`].
#[repr(C)]
#[derive(StableAbi)]
pub struct Sa2<'a> {
    base: Sa<'a>,
    if_id: u32,
    set_mark: ROption<Tuple2<u32, u32>>,
    hw_offload: u8,
    copy_df: bool,
    copy_ecn: bool,
    copy_dscp: u8,
}

impl<'a> From<&'a SaParameters> for Sa2<'a> {
    fn from(sa: &'a SaParameters) -> Self {
        let SaOptions {
            if_id,
            set_mark,
            hw_offload,
            copy_df,
            copy_ecn,
            copy_dscp,
        } = &sa.options;
        Self {
            base: sa.into(),
            if_id: *if_id,
            set_mark: option(*set_mark, |(mark, mask)| Tuple2(mark, mask)),
            hw_offload: hw_offload.number(),
            copy_df: *copy_df,
            copy_ecn: *copy_ecn,
            copy_dscp: copy_dscp.number(),
        }
    }
}

impl TryFrom<Sa2<'_>> for SaParameters {
    type Error = PluginError;

    fn try_from(sa: Sa2<'_>) -> Result<Self, PluginError> {
        Ok(Self {
            options: SaOptions {
                if_id: sa.if_id,
                set_mark: sa.set_mark.into_option().map(Into::into),
                hw_offload: HwOffload::from_number(sa.hw_offload)?,
                copy_df: sa.copy_df,
                copy_ecn: sa.copy_ecn,
                copy_dscp: CopyDscp::from_number(sa.copy_dscp)?,
            },
            ..sa.base.try_into()?
        })
    }
}

/// See [`PolicyParameters`].
#[repr(C)]
#[derive(StableAbi)]
pub struct Policy2 {
    base: Policy,
    if_id: u32,
    priority: u32,
    interface: RString,
    hw_offload: u8,
}

impl From<&PolicyParameters> for Policy2 {
    fn from(policy: &PolicyParameters) -> Self {
        let PolicyOptions {
            if_id,
            priority,
            interface,
            hw_offload,
            ah: _,
            cpi: _,
        } = &policy.options;
        Self {
            base: policy.into(),
            if_id: *if_id,
            priority: *priority,
            interface: interface.as_str().into(),
            hw_offload: hw_offload.number(),
        }
    }
}

impl TryFrom<Policy2> for PolicyParameters {
    type Error = PluginError;

    fn try_from(policy: Policy2) -> Result<Self, PluginError> {
        Ok(Self {
            options: PolicyOptions {
                if_id: policy.if_id,
                priority: policy.priority,
                interface: policy.interface.into(),
                hw_offload: HwOffload::from_number(policy.hw_offload)?,
                ..PolicyOptions::default()
            },
            ..policy.base.try_into()?
        })
    }
}
