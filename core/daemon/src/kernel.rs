//! Executes the state machine's operations on the loaded kernel back end.

use std::sync::Arc;

use ike::{KernelAnswer, KernelFailure, KernelOp, KernelResult};
use plugin_api::kernel::{IPCOMP, KernelDemand, KernelFeatures};
use plugin_api::log::Group;
use plugin_api::{ErrorKind, KernelDemands, KernelIpsec, PluginError};

use crate::addresses::VirtualAddresses;
use crate::log::Logger;

/// The back end for SAs and policies.
pub struct Kernel {
    backend: Arc<dyn KernelIpsec>,
    demands: Option<Arc<dyn KernelDemands>>,
    logger: Arc<Logger>,
    /// Virtual addresses of this host.
    pub(crate) addresses: VirtualAddresses,
}

impl Kernel {
    /// Takes a back end over, and removes what an earlier daemon may have left in it.
    pub fn new(backend: Arc<dyn KernelIpsec>, logger: Arc<Logger>, addresses: VirtualAddresses) -> Self {
        let kernel = Self {
            backend,
            demands: None,
            logger,
            addresses,
        };
        kernel.flush();
        kernel
    }

    /// The same with what the back end says of what it cannot do.
    pub fn with_demands(self, demands: Option<Arc<dyn KernelDemands>>) -> Self {
        Self { demands, ..self }
    }

    /// Why the back end cannot do what a connection asks for; nothing if it can.
    pub fn refusal(&self, demand: KernelDemand) -> Option<String> {
        match &self.demands {
            Some(demands) => demands.refusal(demand),
            None => without_a_word(self.backend.features(), demand),
        }
    }

    /// The back end.
    pub fn backend(&self) -> &Arc<dyn KernelIpsec> {
        &self.backend
    }

    /// What it can and needs.
    pub fn features(&self) -> KernelFeatures {
        self.backend.features()
    }

    /// Runs operations in order, up to the first that has to succeed and does not.
    pub fn execute(&self, ops: Vec<KernelOp>) -> KernelResult {
        let mut answers = Vec::with_capacity(ops.len());
        for op in ops {
            match self.execute_one(&op) {
                Ok(answer) => answers.push(answer),
                Err(error) if is_cleanup(&op) => {
                    let level = if error.kind == ErrorKind::NotFound { 2 } else { 1 };
                    self.logger
                        .log(Group::Knl, level, format!("unable to {}: {error}", describe(&op)));
                    answers.push(KernelAnswer::Failed);
                }
                Err(error) => {
                    self.logger
                        .log(Group::Knl, 1, format!("unable to {}: {error}", describe(&op)));
                    return Err(KernelFailure {
                        completed: answers.len(),
                        error,
                    });
                }
            }
        }
        Ok(answers)
    }

    /// Removes all SAs and policies.
    pub fn flush(&self) {
        for (what, result) in [
            ("policies", self.backend.flush_policies()),
            ("SAs", self.backend.flush_sas()),
        ] {
            if let Err(error) = result {
                self.logger
                    .log(Group::Knl, 1, format!("unable to remove all {what}: {error}"));
            }
        }
    }

    fn execute_one(&self, op: &KernelOp) -> Result<KernelAnswer, PluginError> {
        let backend = &self.backend;
        match op {
            KernelOp::AllocateSpi { src, dst, protocol } => {
                return backend.allocate_spi(*src, *dst, *protocol).map(KernelAnswer::Spi);
            }
            KernelOp::QuerySa(id) => return backend.query_sa(id).map(KernelAnswer::Usage),
            KernelOp::AddSa(sa) => backend.add_sa(sa)?,
            KernelOp::UpdateSa { id, src, dst, encap } => backend.update_sa(id, *src, *dst, *encap)?,
            KernelOp::DeleteSa(id) => {
                backend.delete_sa(id)?;
                let text = format!("deleted SAD entry with SPI {:08x}", id.spi);
                self.logger.log(Group::Knl, 2, text);
            }
            KernelOp::AddPolicy(policy) => backend.add_policy(policy)?,
            KernelOp::DeletePolicy(policy) => backend.delete_policy(policy)?,
            KernelOp::AddAddress { address, peer } => self.addresses.add(*address, *peer)?,
            KernelOp::DeleteAddress(address) => self.addresses.delete(*address)?,
        }
        Ok(KernelAnswer::Done)
    }
}

/// What follows from the features of a back end that says no more.
fn without_a_word(features: KernelFeatures, demand: KernelDemand) -> Option<String> {
    let (can, what) = match demand {
        KernelDemand::Mark | KernelDemand::SetMark => (features.marks, "marks"),
        KernelDemand::InterfaceId | KernelDemand::PolicyInterface => (features.interfaces, "interfaces"),
        KernelDemand::HwOffload => (features.hw_offload, "offloading"),
        KernelDemand::Tfc => (features.tfc, "padding"),
        KernelDemand::Transport | KernelDemand::ReplayWindow(_) | KernelDemand::NarrowShunt => (true, ""),
    };
    (!can).then(|| format!("the back end for IPsec knows no {what}"))
}

fn is_cleanup(op: &KernelOp) -> bool {
    matches!(
        op,
        KernelOp::QuerySa(_) | KernelOp::DeleteSa(_) | KernelOp::DeletePolicy(_) | KernelOp::DeleteAddress(_)
    )
}

fn describe(op: &KernelOp) -> String {
    match op {
        KernelOp::AllocateSpi { src, dst, protocol } if *protocol == IPCOMP => {
            format!("reserve a CPI for IPComp from {src} to {dst}")
        }
        KernelOp::AllocateSpi { src, dst, protocol } => {
            format!("reserve an SPI for {protocol} from {src} to {dst}")
        }
        KernelOp::AddSa(sa) => format!("add SAD entry with SPI {:08x}", sa.id.spi),
        KernelOp::UpdateSa { id, .. } => format!("update SAD entry with SPI {:08x}", id.spi),
        KernelOp::DeleteSa(id) => format!("delete SAD entry with SPI {:08x}", id.spi),
        KernelOp::QuerySa(id) => format!("query SAD entry with SPI {:08x}", id.spi),
        KernelOp::AddPolicy(policy) => {
            format!(
                "add policy {} === {} {:?}",
                policy.src_ts, policy.dst_ts, policy.direction
            )
        }
        KernelOp::AddAddress { address, .. } => format!("add virtual IP {address}"),
        KernelOp::DeleteAddress(address) => format!("remove virtual IP {address}"),
        KernelOp::DeletePolicy(policy) => {
            format!(
                "delete policy {} === {} {:?}",
                policy.src_ts, policy.dst_ts, policy.direction
            )
        }
    }
}
