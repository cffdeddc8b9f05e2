//! A kernel that only remembers: what is installed must be what the daemon believes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ike::{KernelAnswer, KernelFailure, KernelOp, KernelResult};
use plugin_api::kernel::{PolicyParameters, SaId, SaUsage};
use plugin_api::{ErrorKind, PluginError};

#[derive(Debug, Default)]
pub struct Kernel {
    next_spi: u32,
    pub reserved: Vec<u32>,
    /// SPI of each SA, whether it is inbound, and its encryption key.
    pub sas: BTreeMap<u32, (bool, Vec<u8>)>,
    pub policies: Vec<PolicyParameters>,
    /// Virtual addresses, each as often as it was added.
    pub addresses: Vec<IpAddr>,
    /// Fail the n-th operation from now on that adds something.
    pub fail_add: Option<usize>,
}

impl Kernel {
    /// A kernel whose SPIs differ from those of other hosts, so that tests can tell them apart.
    pub fn new(host: u32) -> Self {
        Self {
            next_spi: host << 16,
            ..Self::default()
        }
    }

    pub fn run(&mut self, ops: Vec<KernelOp>) -> KernelResult {
        let mut answers = Vec::new();
        for op in ops {
            match self.one(op) {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    return Err(KernelFailure {
                        completed: answers.len(),
                        error,
                    });
                }
            }
        }
        Ok(answers)
    }

    fn one(&mut self, op: KernelOp) -> Result<KernelAnswer, PluginError> {
        if matches!(
            op,
            KernelOp::AllocateSpi { .. } | KernelOp::AddSa(_) | KernelOp::AddPolicy(_)
        ) && let Some(left) = &mut self.fail_add
        {
            if *left == 0 {
                return Err(PluginError::new(ErrorKind::System, "told to fail"));
            }
            *left -= 1;
        }
        Ok(match op {
            KernelOp::AllocateSpi { .. } => {
                self.next_spi += 1;
                let spi = 0xc000_0000 + self.next_spi;
                self.reserved.push(spi);
                KernelAnswer::Spi(spi)
            }
            KernelOp::AddSa(sa) => {
                if sa.inbound {
                    let at = self
                        .reserved
                        .iter()
                        .position(|spi| *spi == sa.id.spi)
                        .expect("a reserved SPI");
                    self.reserved.remove(at);
                }
                let old = self
                    .sas
                    .insert(sa.id.spi, (sa.inbound, sa.encryption_key.expose().to_vec()));
                assert!(old.is_none(), "SPI {:08x} is installed twice", sa.id.spi);
                KernelAnswer::Done
            }
            KernelOp::UpdateSa { .. } => KernelAnswer::Done,
            KernelOp::DeleteSa(SaId { spi, .. }) => {
                let reserved = self.reserved.iter().position(|known| *known == spi);
                match (self.sas.remove(&spi), reserved) {
                    (None, Some(at)) => {
                        self.reserved.remove(at);
                        KernelAnswer::Done
                    }
                    (None, None) => KernelAnswer::Failed,
                    (Some(_), _) => KernelAnswer::Done,
                }
            }
            KernelOp::AddPolicy(policy) => {
                self.policies.push(policy);
                KernelAnswer::Done
            }
            KernelOp::DeletePolicy(policy) => match self.policies.iter().position(|known| *known == policy) {
                Some(at) => {
                    self.policies.remove(at);
                    KernelAnswer::Done
                }
                None => KernelAnswer::Failed,
            },
            KernelOp::AddAddress { address, .. } => {
                self.addresses.push(address);
                KernelAnswer::Done
            }
            KernelOp::DeleteAddress(address) => {
                let at = self.addresses.iter().position(|known| *known == address);
                self.addresses.remove(at.expect("an address that was added"));
                KernelAnswer::Done
            }
            KernelOp::QuerySa(id) if self.sas.contains_key(&id.spi) => {
                KernelAnswer::Usage(SaUsage::default())
            }
            KernelOp::QuerySa(_) => KernelAnswer::Failed,
        })
    }

    /// Whether nothing is installed or reserved.
    pub fn is_empty(&self) -> bool {
        self.reserved.is_empty()
            && self.sas.is_empty()
            && self.policies.is_empty()
            && self.addresses.is_empty()
    }
}
